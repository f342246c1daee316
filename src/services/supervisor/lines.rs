//! What a line of the trainer's output means. JSON of the forms that DESIGN.md §3 names becomes metrics, samples and
//! progress; everything else is a line of the log. The output is not to be trusted: a line that only looks like a
//! metric is a line.

use crate::{
    domain::{event::EventBody, job::JobState, time::Instant},
    store::JobUpdate,
};
use serde::Deserialize;

/// Longest name of a metric.
const NAME: usize = 64;

#[derive(Deserialize)]
struct Metric {
    metric: String,
    /// `null` stands for a value that is no number.
    value: Option<f64>,
    step: u64,
    #[serde(default)]
    time: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Progress {
        step: u64,
        total_steps: u64,
    },
    Sample {
        step: u64,
        prompt: String,
        expected: Option<String>,
        output: String,
        #[serde(default)]
        time: Option<String>,
    },
    Batch {},
    Phase {
        phase: String,
    },
    Checkpoint {
        step: u64,
    },
    /// Figures that the log also has in words.
    Data {},
}

/// Gathers what some lines mean for the job's row and its events.
pub(super) struct Reader {
    now: Instant,
    state: JobState,
    update: JobUpdate,
    events: Vec<(Instant, EventBody)>,
}

impl Reader {
    pub fn new(now: Instant, state: JobState) -> Self {
        Self { now, state, update: JobUpdate::default(), events: Vec::new() }
    }

    pub fn finish(self) -> (JobUpdate, Vec<(Instant, EventBody)>) {
        (self.update, self.events)
    }

    pub fn line(&mut self, line: String) {
        let object = line.starts_with('{');
        if let (true, Ok(metric)) = (object, serde_json::from_str::<Metric>(&line))
            && metric.metric.len() <= NAME
        {
            return self.metric(metric);
        }
        match serde_json::from_str::<Event>(&line) {
            Ok(event) if object => self.event(event, line),
            _ => self.push(None, EventBody::Log { line }),
        }
    }

    fn metric(&mut self, metric: Metric) {
        let Metric { metric: name, value, step, time } = metric;
        let value = value.unwrap_or(f64::NAN);
        let place = match name.as_str() {
            "train_loss" => Some(&mut self.update.train_loss),
            "eval_loss" => Some(&mut self.update.eval_loss),
            "tokens_per_second" => Some(&mut self.update.tokens_per_second),
            _ => None,
        };
        if let Some(place) = place.filter(|_| value.is_finite()) {
            *place = Some(value);
        }
        self.update.step = Some(step);
        self.push(time, EventBody::Metric { name, value, step });
    }

    fn event(&mut self, event: Event, line: String) {
        match event {
            Event::Progress { step, total_steps } => {
                self.update.step = Some(step);
                self.update.total_steps = Some(total_steps);
            }
            Event::Sample { step, prompt, expected, output, time } => {
                let expected = expected.unwrap_or_default();
                self.push(time, EventBody::Sample { step, prompt, expected, output });
            }
            Event::Batch {} => self.push(None, EventBody::Batch { json: line }),
            Event::Checkpoint { step } => {
                self.push(None, EventBody::Log { line: format!("Checkpoint written at step {step}.") });
            }
            Event::Phase { phase } => {
                let message = match phase.as_str() {
                    "preparing" => "Reading the data",
                    "training" => "Training",
                    "saving" => "Writing the model",
                    // The job's own state says the rest.
                    _ => return,
                };
                if self.state == JobState::Training {
                    self.update.phase = Some(message.to_owned());
                    self.push(None, EventBody::State { state: self.state, message: message.to_owned() });
                }
            }
            Event::Data {} => {}
        }
    }

    /// The line's own time where it has one and it can be: not after it was read.
    fn push(&mut self, time: Option<String>, body: EventBody) {
        let time = time.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let at = time.map_or(self.now, |time| Instant(time.as_microsecond()).min(self.now));
        self.events.push((at, body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> (JobUpdate, Vec<(Instant, EventBody)>) {
        let mut reader = Reader::new(Instant(2_000_000_000_000_000), JobState::Training);
        lines.iter().for_each(|line| reader.line((*line).to_owned()));
        reader.finish()
    }

    #[test]
    fn metrics_become_numbers_of_the_job() {
        let (update, events) = read(&[
            r#"{"metric":"train_loss","value":2.5,"step":7,"time":"2024-05-01T12:00:00.250Z","more":1}"#,
            r#"{"metric":"eval_loss","value":null,"step":8}"#,
            r#"{"event":"progress","phase":"training","step":9,"total_steps":20,"remaining_seconds":1.5}"#,
        ]);
        assert_eq!((update.train_loss, update.eval_loss), (Some(2.5), None));
        assert_eq!((update.step, update.total_steps), (Some(9), Some(20)));
        assert_eq!(events.len(), 2);
        assert_eq!(
            events[0],
            (
                Instant(1_714_564_800_250_000),
                EventBody::Metric { name: "train_loss".into(), value: 2.5, step: 7 }
            )
        );
        assert!(matches!(&events[1].1, EventBody::Metric { value, .. } if value.is_nan()));
    }

    #[test]
    fn events_of_the_trainer_are_told_apart() {
        let batch = r#"{"event":"batch","rows":[]}"#;
        let (update, events) = read(&[
            r#"{"event":"sample","step":3,"prompt":"a","expected":null,"output":"b","exact":null}"#,
            batch,
            r#"{"event":"phase","phase":"saving"}"#,
            r#"{"event":"checkpoint","step":3}"#,
            r#"{"event":"data","rows":3}"#,
        ]);
        let bodies: Vec<_> = events.into_iter().map(|(_, body)| body).collect();
        assert_eq!(
            bodies,
            [
                EventBody::Sample {
                    step: 3,
                    prompt: "a".into(),
                    expected: String::new(),
                    output: "b".into()
                },
                EventBody::Batch { json: batch.into() },
                EventBody::State { state: JobState::Training, message: "Writing the model".into() },
                EventBody::Log { line: "Checkpoint written at step 3.".into() },
            ]
        );
        assert_eq!(update.phase.as_deref(), Some("Writing the model"));
    }

    #[test]
    fn what_only_looks_like_it_is_a_line_of_the_log() {
        let long = format!(r#"{{"metric":"{}","value":1,"step":1}}"#, "x".repeat(100));
        for line in [
            "",
            "plain",
            "{",
            r#"["metric"]"#,
            r#"{"metric":"train_loss","value":"high","step":1}"#,
            r#"{"metric":"train_loss","value":1,"step":-1}"#,
            r#"{"event":"own","step":1}"#,
            r#"{"event":"sample","step":1}"#,
            &long,
            "<script>alert(1)</script>",
        ] {
            let (_, events) = read(&[line]);
            let body = events.into_iter().map(|(_, body)| body).collect::<Vec<_>>();
            assert_eq!(body, [EventBody::Log { line: line.to_owned() }]);
        }
    }
}
