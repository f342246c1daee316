//! Moments: the age in sight, the exact instant on hover.

use crate::{domain::time::Instant, web::format};
use leptos::prelude::*;

/// `<RelativeTime at=job.created_at now=clock.now()/>` → "3 min ago". app.js keeps it fresh.
#[component]
pub fn RelativeTime(at: Instant, now: Instant) -> impl IntoView {
    let words = format::ago(now.since(at));
    let Ok(stamp) = jiff::Timestamp::from_microsecond(at.micros()) else {
        // Outside the calendar: nothing exact can be said about it.
        return view! { <span>{words}</span> }.into_any();
    };
    let machine = stamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let exact = stamp.strftime("%-d %b %Y, %H:%M:%S UTC").to_string();
    view! { <time datetime=machine title=exact data-relative="">{words}</time> }.into_any()
}
