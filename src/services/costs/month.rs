//! A month of the calendar, in UTC: what AWS bills by, and budgets hold for.

use crate::domain::time::Instant;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(Date);

const NAMES: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Month {
    pub fn of(at: Instant) -> Self {
        let at = Timestamp::from_microsecond(at.micros()).unwrap_or_default();
        Self(at.to_zoned(TimeZone::UTC).date().first_of_month())
    }

    /// `2026-11`; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return None;
        }
        Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok().map(Self)
    }

    /// `November 2026`
    pub fn words(self) -> String {
        let name = usize::try_from(self.0.month() - 1).ok().and_then(|at| NAMES.get(at));
        format!("{} {}", name.unwrap_or(&""), self.0.year())
    }
}

/// `2026-11`
impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_month_begins_and_ends_at_midnight_in_utc() {
        let of = |text: &str| {
            let at: Timestamp = text.parse().unwrap();
            Month::of(Instant(at.as_microsecond())).to_string()
        };
        assert_eq!(of("2026-10-31T23:59:59.999999Z"), "2026-10");
        assert_eq!(of("2026-11-01T00:00:00Z"), "2026-11");
        assert_eq!(of("2026-10-31T20:00:00-05:00"), "2026-11");
        assert_eq!(of("2028-02-29T12:00:00Z"), "2028-02");
        assert_eq!(Month::parse("2026-11").unwrap().words(), "November 2026");
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "2026-1",
            "26-11",
            "2026-11-01",
            "-026-11",
            "2026-+1",
            "２０２６-11",
        ] {
            assert_eq!(Month::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_has_a_month_that_reads_back(micros in any::<i64>()) {
            let month = Month::of(Instant(micros));
            if (0..=9999).contains(&month.0.year()) {
                prop_assert_eq!(Month::parse(&month.to_string()), Some(month));
            }
        }

        #[test]
        fn months_sort_as_their_texts_do(a in 0..4_000_000_000_000_000i64, b in 0..4_000_000_000_000_000i64) {
            let (a, b) = (Month::of(Instant(a)), Month::of(Instant(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
