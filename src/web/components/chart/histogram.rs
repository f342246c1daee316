//! Bars of counts: how long the examples are.

use super::{axes, coordinate, figures};
use crate::web::{format, plot::Axis};
use leptos::prelude::*;

/// Bars over equal ranges, with an optional mark: what lies beyond it is cut off.
///
/// `<Histogram title="Length" unit="tokens" bins=vec![(0.0, 64.0, 120), …] mark=Some(512.0)/>`
#[component]
pub fn Histogram(
    #[prop(into)] title: String,
    /// What x counts.
    #[prop(into)]
    unit: String,
    /// (from, up to, how many), in order.
    bins: Vec<(f64, f64, u64)>,
    #[prop(optional_no_strip)] mark: Option<f64>,
) -> impl IntoView {
    let edges = bins.iter().flat_map(|bin| [bin.0, bin.1]).chain(mark);
    let x = Axis::along(edges.collect::<Vec<_>>().into_iter(), 6);
    let y = Axis::around(bins.iter().map(|bin| bin.2 as f64).chain([0.0]), 3);
    let marks = x.ticks().into_iter().map(|tick| (tick, x.label(tick))).collect();
    let total: u64 = bins.iter().map(|bin| bin.2).sum();
    let summary = match (bins.first(), bins.last()) {
        (Some(first), Some(last)) => format!(
            "{title}: {} from {:.0} to {:.0} {unit}",
            format::plural(total, "value", "values"),
            first.0,
            last.1
        ),
        _ => format!("{title}: no figures yet"),
    };
    let bars = bins
        .iter()
        .map(|&(from, to, count)| {
            let top = 1.0 - y.at(count as f64);
            let class = if mark.is_some_and(|mark| from >= mark) { "bar bar-over" } else { "bar" };
            let words = format!("{from:.0}–{to:.0} {unit}: {}", format::integer(count));
            // A hair narrower than its range, so that neighbours stay apart.
            view! {
                <rect class=class x=coordinate(x.at(from)) y=coordinate(top)
                    width=coordinate((x.at(to) - x.at(from)) * 0.94) height=coordinate(1.0 - top)>
                    <title>{words}</title>
                </rect>
            }
        })
        .collect_view();
    let line = mark.map(|mark| {
        let at = coordinate(x.at(mark));
        view! { <path class="bar-limit" d=format!("M{at} -30V1000")></path> }
    });
    let rows = bins
        .iter()
        .map(|&(from, to, count)| vec![format!("{from:.0}–{to:.0}"), format::integer(count)])
        .collect();
    let heads = vec![unit, "Rows".to_owned()];
    view! {
        <figure class="chart-figure">
            <svg class="chart hist" role="img" aria-label=summary>
                {axes(&x, &y, marks)}
                    <svg width="100%" height="100%" viewBox="0 0 1000 1000" preserveAspectRatio="none" overflow="visible">
                        {bars}
                        {line}
                    </svg></svg>
            {figures(title, heads, rows)}
        </figure>
    }
    .into_any()
}
