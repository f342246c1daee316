//! Learning-rate schedules with warm-up, by the formulas of `transformers.get_scheduler`.

use serde::{Deserialize, Serialize};

/// The curve after warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Falls to 0 at the last step in a straight line.
    Linear,
    /// Falls to 0 along half a cosine.
    #[default]
    Cosine,
    Constant,
}

/// A learning rate for each optimizer step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    pub kind: ScheduleKind,
    pub learning_rate: f64,
    pub warmup_steps: u64,
    pub total_steps: u64,
}

impl Schedule {
    /// `warmup_ratio` of the steps, rounded up as in `TrainingArguments.get_warmup_steps`, warm up.
    pub fn new(kind: ScheduleKind, learning_rate: f64, warmup_ratio: f64, total_steps: u64) -> Self {
        let warmup_steps = (warmup_ratio * total_steps as f64).ceil() as u64;
        Self { kind, learning_rate, warmup_steps, total_steps }
    }

    /// The rate for a step, counted from 0. The first step of a warm-up therefore has rate 0, as there.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * step as f64 / self.warmup_steps.max(1) as f64;
        }
        let rest = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let factor = match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Linear => (self.total_steps.saturating_sub(step) as f64 / rest).max(0.0),
            ScheduleKind::Cosine => {
                let progress = (step - self.warmup_steps) as f64 / rest;
                (0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())).max(0.0)
            }
        };
        self.learning_rate * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(kind: ScheduleKind) -> Vec<f64> {
        let schedule = Schedule::new(kind, 1.0, 0.2, 10);
        (0..=10).map(|step| (schedule.rate(step) * 1e4).round() / 1e4).collect()
    }

    #[test]
    fn the_curves_are_those_of_transformers() {
        // get_scheduler(name, optimizer, 2, 10): the learning rates that its LambdaLR sets, step by step.
        let linear = [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0];
        let cosine = [0.0, 0.5, 1.0, 0.9619, 0.8536, 0.6913, 0.5, 0.3087, 0.1464, 0.0381, 0.0];
        assert_eq!(rates(ScheduleKind::Linear), linear);
        assert_eq!(rates(ScheduleKind::Cosine), cosine);
        assert_eq!(rates(ScheduleKind::Constant)[2..], [1.0; 9]);
    }

    #[test]
    fn warm_up_rounds_up() {
        assert_eq!(Schedule::new(ScheduleKind::Linear, 1.0, 0.03, 101).warmup_steps, 4);
        assert_eq!(Schedule::new(ScheduleKind::Linear, 1.0, 0.0, 5).rate(0), 1.0);
    }
}
