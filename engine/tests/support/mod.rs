//! What several tests need: `transformers` and `peft` to compare with, and small jobs.
#![allow(dead_code, reason = "each test file uses a part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

pub mod jobs;
pub mod python;
pub mod theirs;
