//! Figures in the lines of a script that is not ours: what JumpStart's metric definitions find becomes a line of the form
//! that our own trainers print, right after the line that it was found in.

use super::{Inner, failure};
use crate::{
    backends::{BackendError, catalogue::CatalogueError},
    domain::{
        cloud::{CloudSpec, Route},
        job::Job,
        jumpstart::Metric,
    },
};
use regex::Regex;
use serde_json::json;
use std::collections::BTreeMap;

/// The definitions, and how often each metric was found: that is its step, for nothing better is said.
pub struct Finder {
    patterns: Vec<(String, Regex)>,
    pub found: BTreeMap<String, u64>,
}

impl Finder {
    pub fn new(metrics: &[Metric], found: BTreeMap<String, u64>) -> Self {
        let pattern = |metric: &Metric| Some((name_of(&metric.name), Regex::new(&metric.regex).ok()?));
        Self { patterns: metrics.iter().filter_map(pattern).collect(), found }
    }

    /// The line as it is kept, with what was found in it.
    pub fn line(&mut self, line: &str) -> String {
        let mut text = format!("{line}\n");
        for (name, pattern) in &self.patterns {
            let value = pattern.captures(line).and_then(|found| found.get(1)?.as_str().parse::<f64>().ok());
            let Some(value) = value.filter(|value| value.is_finite()) else { continue };
            let step = self.found.entry(name.clone()).or_insert(0);
            *step += 1;
            text.push_str(&json!({ "metric": name, "value": value, "step": *step }).to_string());
            text.push('\n');
        }
        text
    }
}

/// `huggingface-textgeneration:train-loss` → `train_loss`.
fn name_of(name: &str) -> String {
    let name = name.rsplit(':').next().unwrap_or(name).replace('-', "_").to_lowercase();
    match () {
        () if name.contains("loss") && name.contains("eval") => "eval_loss".to_owned(),
        () if name.contains("loss") && name.contains("train") => "train_loss".to_owned(),
        () => name,
    }
}

/// The definitions that a job's own lines need; none for our own trainers.
///
/// # Errors
/// Where the catalogue does not answer: what is read without them would lose its figures.
pub async fn of_job(inner: &Inner, job: &Job) -> Result<Vec<Metric>, BackendError> {
    let Some(CloudSpec { route: Route::JumpStart { model, version }, .. }) = &job.spec.cloud else {
        return Ok(Vec::new());
    };
    match inner.catalogue.model(model, Some(version)).await {
        Ok(found) => Ok(found.model.training.map(|recipe| recipe.metrics).unwrap_or_default()),
        Err(CatalogueError::NoAnswer(why)) => Err(BackendError::Unavailable(failure::sentence(&why))),
        // It is gone from the hub: its lines are still worth reading.
        Err(_) => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_follows_its_line() {
        let metric = |name: &str, regex: &str| Metric { name: name.into(), regex: regex.into() };
        let metrics = [
            metric("huggingface-textgeneration:train-loss", r"train_epoch_loss=([0-9\.]+)"),
            metric("huggingface-textgeneration:eval-loss", r"eval_epoch_loss=tensor\(([0-9\.]+)"),
            metric("huggingface-textgeneration:eval-ppl", r"eval_ppl=tensor\(([0-9\.]+)"),
            metric("broken", "("),
        ];
        let mut finder = Finder::new(&metrics, BTreeMap::new());
        assert_eq!(finder.line("nothing here"), "nothing here\n");
        let line = "train_epoch_loss=0.5, eval_epoch_loss=tensor(0.7, device=0)";
        let first = finder.line(line);
        assert!(first.starts_with(&format!("{line}\n")));
        let found: Vec<serde_json::Value> =
            first.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            found,
            [
                json!({ "metric": "train_loss", "value": 0.5, "step": 1 }),
                json!({ "metric": "eval_loss", "value": 0.7, "step": 1 })
            ]
        );
        assert!(finder.line("train_epoch_loss=0.4").contains("\"step\":2"));
        // A number that is none.
        assert_eq!(finder.line("train_epoch_loss=1.2.3"), "train_epoch_loss=1.2.3\n");
    }
}
