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

    /// `12.5`, `1,234.50`, `$3`: a decimal number as people and price lists write it, exactly; beyond millionths it is
    /// rounded. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('$').unwrap_or(text);
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let whole = without_commas(whole)?;
        if whole.len() + fraction.len() == 0 || !digits(&whole) || !digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        // Beyond all sense: more than the world has.
        if whole.len() > 9 {
            return None;
        }
        let dollars: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let millionths: i64 = format!("{:0<6}", fraction.get(..6).unwrap_or(fraction)).parse().ok()?;
        let half_up = fraction.as_bytes().get(6).is_some_and(|digit| *digit >= b'5');
        Some(Self(dollars * 1_000_000 + millionths + i64::from(half_up)))
    }

    /// For machines: `1234.5`, with as many places as it has.
    pub fn decimal(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) = (self.0.unsigned_abs() / 1_000_000, self.0.unsigned_abs() % 1_000_000);
        if fraction == 0 {
            return format!("{sign}{whole}");
        }
        let fraction = format!("{fraction:06}");
        format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
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

/// `1,234` → `1234`; `None` where a comma is not before three digits.
fn without_commas(text: &str) -> Option<String> {
    let mut groups = text.split(',');
    let first = groups.next().unwrap_or_default();
    let rest: Vec<&str> = groups.collect();
    let well =
        rest.is_empty() || ((1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3));
    well.then(|| text.replace(',', ""))
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
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_exactly() {
        let read = |text| Money::parse(text).map(|amount| amount.0);
        assert_eq!(read("1.5150000000"), Some(1_515_000));
        assert_eq!(read("0.0000004999"), Some(0));
        assert_eq!(read("0.0000005"), Some(1));
        assert_eq!(read(" $1,234.50 "), Some(1_234_500_000));
        assert_eq!(read(".5"), Some(500_000));
        assert_eq!(read("007"), Some(7_000_000));
        for nonsense in [
            "",
            ".",
            "$",
            "-1",
            "+1",
            "1e3",
            "NaN",
            "1,2",
            "12,34",
            "1,2345",
            "1.2.3",
            "1.2,3",
            "1234567890",
            "١",
        ] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millionths in 0..999_999_999_000_000i64) {
            prop_assert_eq!(Money::parse(&Money(millionths).decimal()), Some(Money(millionths)));
        }

        #[test]
        fn what_people_read_is_right_to_the_cent(millionths in 10_000..999_999_000_000_000i64) {
            let read = Money::parse(&Money(millionths).to_string()).unwrap();
            prop_assert!((read.0 - millionths).abs() <= 5_000);
        }

        #[test]
        fn whatever_is_typed_is_read_or_refused(text in "\\PC*|[0-9.,$]*") {
            if let Some(amount) = Money::parse(&text) {
                prop_assert!(amount.0 >= 0);
            }
        }
    }

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
