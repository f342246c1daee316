//! What runners say, and what is reckoned from it: medians over rounds, and ratios.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// The line that every runner prints.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Line {
    Unsupported {
        unsupported: String,
    },
    Measured {
        step_seconds: Vec<f64>,
        tokens: usize,
        peak_mib: u64,
        #[serde(default)]
        loss: Option<f64>,
        #[serde(default)]
        versions: BTreeMap<String, String>,
    },
}

impl Line {
    /// Finds the line in a runner's output: the last that is a JSON object.
    pub fn find(output: &str) -> Result<Self> {
        let line = output.lines().rev().find(|line| line.trim_start().starts_with('{'));
        let line = line.context("it printed no line of JSON")?;
        let parsed: Self = serde_json::from_str(line).with_context(|| format!("it printed {line}"))?;
        if let Self::Measured { step_seconds, .. } = &parsed
            && (step_seconds.is_empty() || step_seconds.iter().any(|seconds| *seconds <= 0.0))
        {
            bail!("it printed a step that took no time: {line}");
        }
        Ok(parsed)
    }
}

/// One run of one runner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Median of the run's steps.
    pub step: f64,
    pub peak_mib: f64,
}

/// All runs of one runner on one shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub id: String,
    pub title: String,
    pub engine: bool,
    /// Tokens of a step.
    pub tokens: usize,
    pub samples: Vec<Sample>,
    /// Why it did not run, or not to the end.
    pub missing: Option<String>,
}

impl Row {
    pub fn measured(&self) -> bool {
        self.missing.is_none() && !self.samples.is_empty()
    }

    pub fn step(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.step))
    }

    pub fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.step()
    }

    pub fn peak_mib(&self) -> f64 {
        median(self.samples.iter().map(|sample| sample.peak_mib))
    }

    /// Fastest and slowest round.
    pub fn range(&self) -> (f64, f64) {
        let steps = self.samples.iter().map(|sample| sample.step);
        steps.fold((f64::INFINITY, 0.0), |(low, high), step| (low.min(step), high.max(step)))
    }

    /// How many times as fast as another: above 1 is faster.
    pub fn speed_to(&self, other: &Self) -> f64 {
        other.step() / self.step()
    }

    /// The share of another's memory: below 1 is leaner.
    pub fn memory_to(&self, other: &Self) -> f64 {
        self.peak_mib() / other.peak_mib()
    }
}

pub fn fastest_peer(rows: &[Row]) -> Option<&Row> {
    peers(rows).min_by(|a, b| a.step().total_cmp(&b.step()))
}

pub fn leanest_peer(rows: &[Row]) -> Option<&Row> {
    peers(rows).min_by(|a, b| a.peak_mib().total_cmp(&b.peak_mib()))
}

pub fn peer<'r>(rows: &'r [Row], id: &str) -> Option<&'r Row> {
    peers(rows).find(|row| row.id == id)
}

fn peers(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| !row.engine && row.measured())
}

/// The middle value, or the mean of the two in the middle; NaN of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Who runs when: there in one round and back in the next, so that what drifts (heat, other work) meets all alike.
pub fn order(round: usize, count: usize) -> Vec<usize> {
    if round.is_multiple_of(2) { (0..count).collect() } else { (0..count).rev().collect() }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn row(id: &str, engine: bool, steps: &[f64], peak_mib: f64) -> Row {
        let samples = steps.iter().map(|step| Sample { step: *step, peak_mib }).collect();
        Row { id: id.into(), title: format!("the {id}"), engine, tokens: 1000, samples, missing: None }
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn rounds_go_there_and_back() {
        assert_eq!([order(0, 3), order(1, 3), order(2, 3)], [[0, 1, 2], [2, 1, 0], [0, 1, 2]]);
    }

    #[test]
    fn ratios_are_of_medians_and_of_the_best_that_ran() {
        let mut broken = row("broken", false, &[0.1], 1.0);
        broken.missing = Some("killed".into());
        let rows = [
            row("engine", true, &[0.5, 0.4, 9.0], 300.0),
            row("slow", false, &[2.0, 2.0, 2.0], 600.0),
            row("fast", false, &[1.0, 1.2, 0.9], 900.0),
            broken,
        ];
        let (fastest, leanest) = (fastest_peer(&rows).unwrap(), leanest_peer(&rows).unwrap());
        assert_eq!((fastest.id.as_str(), leanest.id.as_str()), ("fast", "slow"));
        assert_eq!(rows[0].speed_to(fastest), 2.0);
        assert_eq!(rows[0].memory_to(leanest), 0.5);
        assert_eq!(rows[0].tokens_per_second(), 2000.0);
        assert_eq!(rows[0].range(), (0.4, 9.0));
        assert!(peer(&rows, "broken").is_none() && peer(&rows, "engine").is_none());
    }

    #[test]
    fn the_line_is_found_among_other_words() {
        let output = "loading\n{\"step_seconds\": [1.5, 1.0], \"tokens\": 64, \"peak_mib\": 7, \"features\": 1}\nbye\n";
        let Line::Measured { step_seconds, tokens, peak_mib, loss, .. } = Line::find(output).unwrap() else {
            unreachable!("it has steps")
        };
        assert_eq!((step_seconds, tokens, peak_mib, loss), (vec![1.5, 1.0], 64, 7, None));
        let line = Line::find("{\"unsupported\": \"model_type\"}").unwrap();
        assert_eq!(line, Line::Unsupported { unsupported: "model_type".into() });
    }

    #[test]
    fn a_line_that_says_too_little_is_refused() {
        for (output, word) in [
            ("Traceback", "no line"),
            ("{\"tokens\": 3}", "tokens"),
            ("{\"step_seconds\": [], \"tokens\": 1, \"peak_mib\": 1}", "no time"),
        ] {
            let error = format!("{:#}", Line::find(output).unwrap_err());
            assert!(error.contains(word), "{output}: {error}");
        }
    }
}
