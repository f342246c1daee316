//! The stages of `cargo xtask test`, and what is said about them at the end.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;

/// Tests that ran, where the runner told us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub passed: u64,
    pub failed: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// What a stage that was able to run came to.
pub enum Outcome {
    /// A check without cases.
    Checked,
    /// Tests; the stage failed if one of them did, or if its runner says so.
    Tested { count: Option<Count>, passed: bool },
}

struct Stage {
    name: &'static str,
    seconds: f64,
    failed: bool,
    count: Option<Count>,
}

#[derive(Default)]
pub struct Report {
    stages: Vec<Stage>,
    /// A stage with tests could not say how many there were, so there is no true total.
    uncounted: bool,
}

impl Report {
    /// Runs a stage and keeps what came of it. A failure does not keep later stages from running:
    /// one run shows everything that is wrong.
    pub fn stage(&mut self, name: &'static str, run: impl FnOnce() -> Result<Outcome>) {
        eprintln!("\n── {name}");
        let started = Instant::now();
        let (failed, count) = match run() {
            Ok(Outcome::Checked) => (false, None),
            Ok(Outcome::Tested { count, passed }) => {
                self.uncounted |= count.is_none();
                (!passed || count.is_some_and(|count| count.failed > 0), count)
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                (true, None)
            }
        };
        let stage = Stage { name, seconds: started.elapsed().as_secs_f64(), failed, count };
        eprintln!("{}", line(&stage));
        self.stages.push(stage);
    }

    /// Marks tests as not run, so that no total is claimed.
    pub fn not_run(&mut self, name: &'static str, why: &str) {
        eprintln!("\n── {name}: not run, {why}");
        self.uncounted = true;
        self.stages.push(Stage { name, seconds: 0.0, failed: true, count: None });
    }

    pub fn finish(self) -> ExitCode {
        eprintln!();
        self.stages.iter().for_each(|stage| eprintln!("{}", line(stage)));
        let failed: Vec<&str> =
            self.stages.iter().filter(|stage| stage.failed).map(|stage| stage.name).collect();
        if !failed.is_empty() {
            eprintln!("\nfailed: {}", failed.join(", "));
        }
        if let Some(total) = self.total() {
            println!("{} passed, {} failed", total.passed, total.failed);
        }
        if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn total(&self) -> Option<Count> {
        let mut counts = self.stages.iter().filter_map(|stage| stage.count).peekable();
        if self.uncounted || counts.peek().is_none() {
            return None;
        }
        let mut total = Count::default();
        counts.for_each(|count| total += count);
        Some(total)
    }
}

fn line(stage: &Stage) -> String {
    let mark = if stage.failed { "FAILED" } else { "ok" };
    let count =
        stage.count.map(|c| format!(", {} passed, {} failed", c.passed, c.failed)).unwrap_or_default();
    format!("{mark:6} {} ({:.0} s{count})", stage.name, stage.seconds)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn tested(passed: u64, failed: u64) -> Result<Outcome> {
        Ok(Outcome::Tested { count: Some(Count { passed, failed }), passed: failed == 0 })
    }

    #[test]
    fn a_total_is_claimed_only_when_every_test_was_counted() {
        let mut report = Report::default();
        report.stage("fmt", || Ok(Outcome::Checked));
        assert_eq!(report.total(), None, "nothing was counted");
        report.stage("unit", || tested(3, 0));
        report.stage("browser", || tested(2, 1));
        assert_eq!(report.total(), Some(Count { passed: 5, failed: 1 }));
        report.not_run("doc", "the build failed");
        assert_eq!(report.total(), None);
    }

    #[test]
    fn a_failed_stage_does_not_stop_the_next_and_fails_the_run() {
        let mut report = Report::default();
        report.stage("clippy", || bail!("warnings"));
        report.stage("unit", || tested(1, 0));
        assert_eq!(report.stages.len(), 2);
        assert_eq!(report.finish(), ExitCode::FAILURE);
    }
}
