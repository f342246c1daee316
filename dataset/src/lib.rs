//! Datasets: formats, detection, validation, conversion, samples.

pub mod example;
pub mod rng;
pub mod samples;

pub use example::{Example, Message, Role, Row};
