//! What a job prints: log lines for people, and lines of JSON for whoever watches it.
//!
//! `{"metric":"train_loss","value":2.31,"step":120,"time":"…"}` is a metric; `{"event":"progress", …}`,
//! `"sample"` and `"batch"` are events. A line that cannot be written is lost and nothing else: training must
//! not end because nobody listens any more.

use std::io::Write;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::clock::Clock;

pub struct Reporter<'a> {
    out: &'a mut (dyn Write + Send),
    pub clock: &'a dyn Clock,
}

impl<'a> Reporter<'a> {
    pub fn new(out: &'a mut (dyn Write + Send), clock: &'a dyn Clock) -> Self {
        Self { out, clock }
    }

    /// Seconds since the process began its work.
    pub fn seconds(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }

    /// The day, in UTC.
    pub fn today(&self) -> Date {
        self.clock.now().to_zoned(TimeZone::UTC).date()
    }

    pub fn log(&mut self, text: &str) {
        self.line(text);
    }

    pub fn metric(&mut self, name: &str, value: f64, step: u64) {
        let line = json!({ "metric": name, "value": value, "step": step, "time": self.time() });
        self.line(&line.to_string());
    }

    /// `fields` must be a JSON object.
    pub fn event(&mut self, name: &str, fields: Value) {
        let mut line = json!({ "event": name, "time": self.time() });
        if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
            line.extend(fields);
        }
        self.line(&line.to_string());
    }

    /// A new phase of the job, in one word.
    pub fn phase(&mut self, phase: &str) {
        self.event("phase", json!({ "phase": phase }));
    }

    fn time(&self) -> String {
        format!("{:.3}", self.clock.now())
    }

    fn line(&mut self, text: &str) {
        // One write per line, so that lines of several writers do not mix.
        let _ = self.out.write_all(format!("{text}\n").as_bytes()).and_then(|()| self.out.flush());
    }
}
