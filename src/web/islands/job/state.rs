//! What the page knows of the job so far, and how an event changes it. Plain data: tested on the server.
#![cfg_attr(
    not(any(feature = "hydrate", test)),
    expect(dead_code, reason = "only the browser takes events in")
)]

use serde::Deserialize;
use std::collections::BTreeMap;

/// Lines kept on the page; the whole log is a download.
const LOG_LINES: usize = 500;

/// How the stream stands.
#[cfg_attr(not(feature = "hydrate"), expect(dead_code, reason = "only the browser has a stream"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Nothing came yet.
    Waiting,
    Open,
    /// It broke off; the browser tries again.
    Broken,
    /// The job is over: nothing more will come.
    Over,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sample {
    pub step: u64,
    pub prompt: String,
    pub expected: String,
    pub output: String,
}

impl Sample {
    /// Is the answer the expected one? `None` where none is expected.
    pub fn right(&self) -> Option<bool> {
        (!self.expected.is_empty()).then(|| self.output.trim() == self.expected.trim())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Points (step, value) by metric, in the order of the steps.
    pub metrics: BTreeMap<String, Vec<(f64, f64)>>,
    pub log: Vec<String>,
    /// Those of the latest evaluation.
    pub samples: Vec<Sample>,
    pub follow: bool,
}

impl Default for Feed {
    fn default() -> Self {
        Self { metrics: BTreeMap::new(), log: Vec::new(), samples: Vec::new(), follow: true }
    }
}

/// Everything so far, sent once at the beginning.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "ssr", derive(serde::Serialize))]
pub struct History {
    pub metrics: BTreeMap<String, Vec<(f64, f64)>>,
    pub log: Vec<String>,
    pub samples: Vec<SampleRow>,
}

/// (step, prompt, expected, output)
pub type SampleRow = (u64, String, String, String);

#[derive(Debug, Deserialize)]
struct Metric {
    name: String,
    value: f64,
    step: f64,
}

#[derive(Debug, Deserialize)]
struct Log {
    line: String,
}

/// Appends a point to a series. A job that went on from a checkpoint repeats steps: the later value counts.
pub fn add_point(points: &mut Vec<(f64, f64)>, step: f64, value: f64) {
    let kept = points.iter().rposition(|point| point.0 < step).map_or(0, |last| last + 1);
    points.truncate(kept);
    points.push((step, value));
}

impl Feed {
    /// Takes in one event of the stream. What can't be read is left out: the server may be newer than the page.
    pub fn take(&mut self, kind: &str, data: &str) {
        match kind {
            "history" => {
                if let Ok(history) = serde_json::from_str::<History>(data) {
                    self.metrics = history.metrics;
                    self.log = history.log;
                    self.samples = history
                        .samples
                        .into_iter()
                        .map(|(step, prompt, expected, output)| Sample { step, prompt, expected, output })
                        .collect();
                }
            }
            "metric" => {
                if let Ok(Metric { name, value, step }) = serde_json::from_str(data) {
                    add_point(self.metrics.entry(name).or_default(), step, value);
                }
            }
            "log" => {
                if let Ok(Log { line }) = serde_json::from_str(data) {
                    self.log.push(line);
                    let surplus = self.log.len().saturating_sub(LOG_LINES);
                    self.log.drain(..surplus);
                }
            }
            "sample" => {
                if let Ok(sample) = serde_json::from_str::<Sample>(data) {
                    self.samples.retain(|other| other.step == sample.step);
                    self.samples.push(sample);
                }
            }
            _ => {}
        }
    }

    pub fn samples_caption(&self) -> String {
        let Some(first) = self.samples.first() else { return String::new() };
        let judged = self.samples.iter().filter_map(Sample::right);
        let (right, all) =
            judged.fold((0, 0), |(right, all), is_right| (right + u32::from(is_right), all + 1));
        if all == 0 {
            format!("step {}", first.step)
        } else {
            format!("{right} of {all} right at step {}", first.step)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_step_replaces_what_came_before() {
        let mut feed = Feed::default();
        for (step, value) in [(1, 5.0), (2, 4.0), (3, 3.0), (2, 3.9)] {
            feed.take("metric", &format!(r#"{{"name":"train_loss","value":{value},"step":{step}}}"#));
        }
        assert_eq!(feed.metrics["train_loss"], [(1.0, 5.0), (2.0, 3.9)]);
    }

    #[test]
    fn samples_are_those_of_one_evaluation_and_are_judged() {
        let mut feed = Feed::default();
        feed.take("sample", r#"{"step":1,"prompt":"a","expected":"x","output":"y"}"#);
        feed.take("sample", r#"{"step":2,"prompt":"a","expected":"x","output":" x "}"#);
        feed.take("sample", r#"{"step":2,"prompt":"b","expected":"z","output":"y"}"#);
        assert_eq!(feed.samples_caption(), "1 of 2 right at step 2");
    }

    #[test]
    fn the_log_is_bounded_and_nonsense_is_left_out() {
        let mut feed = Feed::default();
        for i in 0..2 * LOG_LINES {
            feed.take("log", &format!(r#"{{"line":"{i}"}}"#));
        }
        feed.take("log", "not json");
        feed.take("history", "[]");
        assert_eq!(feed.log.len(), LOG_LINES);
        assert_eq!(feed.log.last().map(String::as_str), Some("999"));
    }
}
