//! What an endpoint costs: its price per hour for as long as it answers, cut at the ends of months in UTC.

use crate::domain::{
    charge::{Charge, ChargeKind},
    endpoint::Endpoint,
    money::Money,
    time::Instant,
};
use jiff::{ToSpan, Zoned, tz::TimeZone};
use std::time::Duration;

/// What it has cost until now. `None` where the price is unknown.
pub fn cost(endpoint: &Endpoint, now: Instant) -> Option<Money> {
    let seconds = time_billed(endpoint, now).as_secs();
    endpoint.price_per_hour.map(|price| price.for_seconds(seconds, 1))
}

fn time_billed(endpoint: &Endpoint, now: Instant) -> Duration {
    let end = endpoint.ended_at.unwrap_or(now);
    endpoint.in_service_at.map(|since| end.since(since)).unwrap_or_default()
}

/// Its lines in the ledger, one for each month that it lived in. The first month's expects the least that it can cost:
/// its idle limit.
pub(super) fn lines(endpoint: &Endpoint, now: Instant, ended: bool) -> Vec<Charge> {
    let end = endpoint.ended_at.unwrap_or(now);
    let months = months(endpoint.created_at, end);
    let last = months.len().saturating_sub(1);
    let line = |(n, (month, from, to)): (usize, (String, Instant, Instant))| {
        let served = endpoint.in_service_at.map(|since| end.min(to).since(since.max(from)));
        let seconds = served.unwrap_or_default().as_secs();
        let price = endpoint.price_per_hour;
        Charge {
            id: format!("endpoint:{}:{month}", endpoint.id),
            user_id: endpoint.user_id.clone(),
            kind: ChargeKind::Hosting,
            name: endpoint.name.clone(),
            instance_type: endpoint.instance_type.clone(),
            month,
            estimate: price.filter(|_| n == 0).map(|price| price.for_seconds(endpoint.idle_seconds, 1)),
            cost: price.map(|price| price.for_seconds(seconds, 1)),
            seconds,
            ended: ended || n < last,
            updated_at: now,
        }
    };
    months.into_iter().enumerate().map(line).collect()
}

/// The months from one moment to the other, each with its beginning and end.
fn months(from: Instant, to: Instant) -> Vec<(String, Instant, Instant)> {
    let mut months = Vec::new();
    let Some(mut begin) = zoned(from).and_then(|at| at.first_of_month().ok()?.start_of_day().ok()) else {
        return months;
    };
    while let Ok(end) = begin.checked_add(1.month()) {
        months.push((begin.strftime("%Y-%m").to_string(), instant(&begin), instant(&end)));
        if instant(&end) > to {
            break;
        }
        begin = end;
    }
    months
}

fn zoned(at: Instant) -> Option<Zoned> {
    Some(jiff::Timestamp::from_microsecond(at.micros()).ok()?.to_zoned(TimeZone::UTC))
}

fn instant(at: &Zoned) -> Instant {
    Instant(at.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        endpoint::EndpointState,
        ids::{EndpointId, ModelId, UserId},
    };

    fn at(text: &str) -> Instant {
        Instant(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    fn endpoint(in_service: Option<&str>, ended: Option<&str>) -> Endpoint {
        Endpoint {
            id: EndpointId::from_parts(1, 1),
            user_id: UserId::from_parts(1, 1),
            model_id: ModelId::from_parts(1, 1),
            model_name: "m".into(),
            name: "llm-tuner-1".into(),
            instance_type: "ml.g5.xlarge".into(),
            state: EndpointState::InService,
            phase: String::new(),
            failure: None,
            next_step: None,
            idle_seconds: 3600,
            price_per_hour: Some(Money(1_408_000)),
            created_at: at("2026-11-30T22:50:00Z"),
            in_service_at: in_service.map(at),
            last_used_at: at("2026-11-30T22:50:00Z"),
            ended_at: ended.map(at),
        }
    }

    #[test]
    fn a_month_ends_at_midnight_utc() {
        let one = endpoint(Some("2026-11-30T23:00:00Z"), None);
        let lines = lines(&one, at("2026-12-01T02:30:00Z"), false);
        let shown: Vec<_> =
            lines.iter().map(|line| (line.month.as_str(), line.seconds, line.cost, line.ended)).collect();
        assert_eq!(
            shown,
            [
                ("2026-11", 3600, Some(Money(1_408_000)), true),
                ("2026-12", 9000, Some(Money(3_520_000)), false)
            ]
        );
        assert_eq!(lines[0].estimate, Some(Money(1_408_000)));
        assert_eq!(lines[1].estimate, None);
        assert_eq!(cost(&one, at("2026-12-01T02:30:00Z")), Some(Money(4_928_000)));
    }

    #[test]
    fn only_service_costs_and_only_until_the_end() {
        let waiting = lines(&endpoint(None, None), at("2026-11-30T23:30:00Z"), false);
        assert_eq!((waiting[0].seconds, waiting[0].cost), (0, Some(Money(0))));
        let over = endpoint(Some("2026-11-30T23:00:00Z"), Some("2026-11-30T23:30:00Z"));
        let over = lines(&over, at("2027-02-01T00:00:00Z"), true);
        assert_eq!((over.len(), over[0].seconds, over[0].ended), (1, 1800, true));
    }

    #[test]
    fn an_unknown_price_is_an_unknown_cost() {
        let unknown = Endpoint { price_per_hour: None, ..endpoint(Some("2026-11-30T23:00:00Z"), None) };
        let lines = lines(&unknown, at("2026-11-30T23:30:00Z"), false);
        assert_eq!((lines[0].cost, lines[0].estimate, lines[0].seconds), (None, None, 1800));
    }
}
