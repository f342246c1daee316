//! The life of training jobs: supervisor, store, storage and local backend together, each of them real.
//!
//! - [`script`]: a shell script trains, so that it does exactly what the test needs, when the test wants it.
//! - [`crashes`]: the same, with supervisors and trainers that die at any moment.
//! - [`engine`]: the program itself trains. [`resume`]: it goes on after it failed or was stopped.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with other test programs, and each uses a part")]
mod support;
#[path = "../support/tight.rs"]
mod tight;

mod bench;
mod crashes;
mod engine;
mod inputs;
mod resume;
mod script;
