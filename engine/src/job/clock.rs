//! Time as a parameter, so that tests can move it.

use std::time::{Duration, Instant};

use jiff::Timestamp;

pub trait Clock: Send + Sync {
    /// Wall-clock time, for what people read.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment; never goes backwards.
    fn elapsed(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the time comes from")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
