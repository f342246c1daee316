//! Amounts of money, exact: US dollars in millionths, as AWS's price list has them.

use serde::{Deserialize, Serialize};

/// US dollars, in millionths. What is not known is `Option<Money>`, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub i64);

impl Money {
    /// `12.5` is twelve dollars and fifty cents. `None` for what is no amount: negative, no number, beyond all sense.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let millionths = (dollars * 1e6).round();
        (dollars >= 0.0 && millionths < 9e15).then_some(Self(millionths as i64))
    }

    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// What `count` machines at this price per hour cost in so many seconds.
    pub fn for_seconds(self, seconds: u64, count: u32) -> Self {
        let total = i128::from(self.0) * i128::from(seconds) * i128::from(count) / 3600;
        Self(i64::try_from(total).unwrap_or(i64::MAX))
    }

    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Self::plus)
    }
}

/// `$1,234.50`; below a cent with as many places as it takes to tell it from nothing.
impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 > 0 && self.0 < 10_000 {
            return write!(f, "${:.4}", self.dollars().max(0.0001));
        }
        let cents = (self.0 + 5_000).div_euclid(10_000);
        let whole = (cents / 100).to_string();
        let mut grouped = String::new();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        write!(f, "${grouped}.{:02}", cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        let words = |millionths| Money(millionths).to_string();
        assert_eq!(words(0), "$0.00");
        assert_eq!(words(50), "$0.0001");
        assert_eq!(words(9_000), "$0.0090");
        assert_eq!(words(1_515_000), "$1.52");
        assert_eq!(words(1_234_567_890_000), "$1,234,567.89");
    }

    #[test]
    fn an_hour_costs_the_hourly_price() {
        let price = Money::from_dollars(1.515).unwrap();
        assert_eq!(price.for_seconds(3600, 1), price);
        assert_eq!(price.for_seconds(1800, 4), Money(3_030_000));
        assert_eq!(Money::from_dollars(-1.0), None);
        assert_eq!(Money::from_dollars(f64::NAN), None);
    }
}
