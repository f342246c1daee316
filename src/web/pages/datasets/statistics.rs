//! How long the rows are, and how much is lost where they are cut.

use super::detail::Detail;
use crate::web::{
    components::{Card, DefinitionList, Histogram},
    format,
};
use leptos::prelude::*;
use llm_tuner_dataset::{Histogram as Lengths, Statistics};

/// Bars of the histogram.
const BARS: usize = 12;
/// Where the cut is until somebody moves it.
pub const DEFAULT_LENGTH: u64 = 512;
const LENGTHS: [u64; 6] = [64, 128, 256, 512, 1024, 2048];

pub fn view(detail: &Detail) -> AnyView {
    let Some(report) = detail.report.as_ref().filter(|report| report.statistics.rows > 0) else {
        return view! { <p class="muted">"There are no usable rows to count."</p> }.into_any();
    };
    let statistics = &report.statistics;
    let length = detail.query.length.unwrap_or(DEFAULT_LENGTH).clamp(1, 1_000_000);
    let lengths = lengths(&detail.dataset.id.to_string(), statistics, length);
    let entries = entries(statistics);
    view! {
        <div class="stack">
            <Card title="Length of the rows">{lengths}</Card>
            <Card title="Figures"><DefinitionList entries=entries/></Card>
        </div>
    }
    .into_any()
}

/// The histogram with its cut: what the fragment renders anew when the slider moves.
pub fn lengths(id: &str, statistics: &Statistics, length: u64) -> AnyView {
    let bars = bars(&statistics.tokens_histogram);
    // A cut far beyond the longest row would flatten all bars to show an empty half.
    let end = bars.last().map_or(0.0, |bar| bar.1);
    let mark = (length as f64 <= end * 1.25).then_some(length as f64);
    let over = statistics.tokens_histogram.share_above(length);
    let words = if over == 0.0 {
        format!("Every row fits into {} tokens.", format::integer(length))
    } else {
        format!(
            "{} of the rows are longer than {} tokens and would be cut.",
            format::percent(over),
            format::integer(length)
        )
    };
    let presets = LENGTHS.map(|preset| {
        let href = format!("/data/{id}?tab=statistics&length={preset}");
        let class = if preset == length { "btn btn-small" } else { "btn btn-small btn-quiet" };
        view! { <a class=class href=href aria-current=(preset == length).then_some("true")>{format::integer(preset)}</a> }
    });
    view! {
        <div class="stack" id="lengths">
            <Histogram title="Tokens in a row, about" unit="tokens" bins=bars mark=mark/>
            <p aria-live="polite">{words}</p>
            <form method="get" action=format!("/data/{id}") class="actions"
                hx-get=format!("/-/datasets/{id}/lengths") hx-trigger="change" hx-target="#lengths" hx-swap="outerHTML">
                <input type="hidden" name="tab" value="statistics"/>
                <label class="t-13" for="length">"Cut at"</label>
                <input class="grow" type="range" id="length" name="length" min="16" max="2048" step="16" value=length.to_string()/>
                <button class="btn btn-small no-js">"Show"</button>
            </form>
            <nav class="actions" aria-label="Usual lengths">{presets.into_iter().collect_view()}</nav>
        </div>
    }
    .into_any()
}

/// Bars of equal width. The counted buckets grow with the length; each is shared out over the bars that it covers.
/// The longest hundredth of the rows stands in the last bar, so that one long row does not flatten all others.
fn bars(lengths: &Lengths) -> Vec<(f64, f64, u64)> {
    let total = lengths.total();
    let mut passed = 0;
    let end = lengths
        .buckets
        .iter()
        .find(|bucket| {
            passed += bucket.count;
            passed * 100 >= total * 99
        })
        .map_or(1, |bucket| bucket.to + 1);
    let width = (end as f64 / BARS as f64).max(1.0);
    let mut counts = vec![0.0; BARS];
    for bucket in &lengths.buckets {
        let (from, to) = (bucket.from as f64, bucket.to as f64 + 1.0);
        for (at, count) in counts.iter_mut().enumerate() {
            let begin = at as f64 * width;
            let until = if at + 1 == BARS { f64::INFINITY } else { begin + width };
            let shared = (to.min(until) - from.max(begin)).max(0.0);
            *count += bucket.count as f64 * shared / (to - from);
        }
    }
    let bar = |(at, count): (usize, f64)| (at as f64 * width, (at + 1) as f64 * width, count.round() as u64);
    counts.into_iter().enumerate().map(bar).collect()
}

fn entries(statistics: &Statistics) -> Vec<(String, AnyView)> {
    let mut entries = vec![
        ("Usable rows", format::integer(statistics.rows)),
        ("Characters", format::integer(statistics.characters)),
        ("Tokens, about", format::integer(statistics.approximate_tokens)),
        (
            "Characters in a row",
            format!(
                "{} to {}, {} on average",
                format::integer(statistics.shortest),
                format::integer(statistics.longest),
                format::integer(statistics.mean.round() as u64),
            ),
        ),
        ("Longest row", format!("begins on line {}", format::integer(statistics.longest_line))),
        (
            "Characters of answers",
            format!(
                "{} ({})",
                format::integer(statistics.answer_characters),
                format::percent(statistics.answer_characters as f64 / statistics.characters.max(1) as f64),
            ),
        ),
        (
            "Rows that appear more than once",
            if statistics.duplicates_complete {
                format::integer(statistics.duplicates)
            } else {
                format!("at least {}", format::integer(statistics.duplicates))
            },
        ),
    ];
    if statistics.messages > 0 {
        entries.push(("Messages", format::integer(statistics.messages)));
        entries
            .push(("Conversations with a system message", format::integer(statistics.with_system_message)));
    }
    entries.into_iter().map(|(name, value)| (name.to_owned(), value.into_any())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use llm_tuner_dataset::Bucket;

    #[test]
    fn bars_keep_the_number_of_rows() {
        let lengths = Lengths {
            buckets: vec![
                Bucket { from: 8, to: 9, count: 40 },
                Bucket { from: 16, to: 19, count: 50 },
                Bucket { from: 1024, to: 1279, count: 10 },
            ],
        };
        let bars = bars(&lengths);
        assert_eq!(bars.iter().map(|bar| bar.2).sum::<u64>(), 100);
        assert!(bars.windows(2).all(|pair| pair[0].1 == pair[1].0), "{bars:?}");
    }
}
