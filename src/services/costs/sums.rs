//! Adding up a ledger: what was spent, what is still to come, and what nobody knows.

use crate::domain::{charge::Charge, job::Job, money::Money};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// As far as it is known.
    pub spent: Money,
    /// What runs or waits is expected to cost beyond that.
    pub to_come: Money,
    /// Jobs and endpoints whose cost is not known, and so is in neither figure.
    pub unknown: u64,
}

impl Sums {
    /// All that a month is expected to cost, as far as it is known.
    pub fn expected(&self) -> Money {
        self.spent.plus(self.to_come)
    }

    pub fn add(&mut self, charge: &Charge) {
        let Some(reserved) = charge.reserved() else {
            self.unknown += 1;
            return;
        };
        let cost = charge.cost.unwrap_or_default();
        self.spent = self.spent.plus(cost);
        self.to_come = self.to_come.plus(Money(reserved.0.saturating_sub(cost.0)));
    }

    /// A job that is not in the ledger yet.
    pub fn add_waiting(&mut self, job: &Job) {
        let Some(cloud) = &job.spec.cloud else { return };
        match cloud.estimate.or_else(|| cloud.at_most()) {
            Some(amount) => self.to_come = self.to_come.plus(amount),
            None => self.unknown += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{charge::ChargeKind, ids::UserId, time::Instant};
    use proptest::prelude::*;

    fn charge(cost: Option<i64>, estimate: Option<i64>, ended: bool) -> Charge {
        Charge {
            id: "job:1".to_owned(),
            user_id: UserId::from_parts(1, 1),
            kind: ChargeKind::Training,
            name: "job".to_owned(),
            instance_type: "ml.g5.2xlarge".to_owned(),
            month: "2026-11".to_owned(),
            estimate: estimate.map(Money),
            cost: cost.map(Money),
            seconds: 1,
            ended,
            updated_at: Instant(0),
        }
    }

    #[test]
    fn what_is_over_costs_what_it_cost_and_what_runs_what_was_expected() {
        for (cost, estimate, ended, sums) in [
            (Some(3), Some(9), true, (3, 0, 0)),
            (Some(3), Some(9), false, (3, 6, 0)),
            (Some(12), Some(9), false, (12, 0, 0)),
            (None, Some(9), false, (0, 9, 0)),
            (Some(3), None, false, (3, 0, 0)),
            (None, None, false, (0, 0, 1)),
            (None, Some(9), true, (0, 0, 1)),
        ] {
            let mut all = Sums::default();
            all.add(&charge(cost, estimate, ended));
            let (spent, to_come, unknown) = sums;
            let expected = Sums { spent: Money(spent), to_come: Money(to_come), unknown };
            assert_eq!(all, expected, "{cost:?} {estimate:?} {ended}");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_expected_to_cost_what_it_reserves(
            cost in proptest::option::of(0..1_000_000_000i64),
            estimate in proptest::option::of(0..1_000_000_000i64),
            ended: bool,
        ) {
            let line = charge(cost, estimate, ended);
            let mut sums = Sums::default();
            sums.add(&line);
            prop_assert_eq!(line.reserved().is_none(), sums.unknown == 1);
            prop_assert_eq!(line.reserved().unwrap_or_default(), sums.expected());
        }
    }
}
