//! The tests of the crate as its users see it, in one binary because linking is what takes the time.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails may panic")]

mod common;
mod findings;
mod formats;
mod properties;
mod samples;
