//! The embedded engine: fine-tunes and runs decoder-only language models (GPT-2 family) on the CPU.
//!
//! Knows nothing of the web, of users or of jobs' life cycles.

pub mod checkpoint;
pub mod config;
pub mod data;
pub mod error;
pub mod files;
pub mod generate;
pub mod hyperparameters;
pub mod inference;
pub mod job;
pub mod kernels;
pub mod lora;
pub mod memory;
pub mod model;
pub mod optimizer;
pub mod rng;
pub mod schedule;
pub mod tensor;
pub mod tokenizer;
pub mod trainer;
