//! Waiting: how far it is, or the shape of what will come.

use super::MaybeText;
use crate::web::format;
use leptos::prelude::*;

/// `<Progress label="Step" value=120 max=1050/>`. Without `max` it only shows that something goes on.
#[component]
pub fn Progress(
    #[prop(into)] label: String,
    #[prop(optional)] value: u64,
    #[prop(optional_no_strip)] max: Option<u64>,
    /// Words at the right; by default the percentage.
    #[prop(optional, into)]
    detail: MaybeText,
    /// Only the bar; the label stays for screen readers.
    #[prop(optional)]
    bare: bool,
) -> impl IntoView {
    let known = max.filter(|max| *max > 0);
    let detail = detail
        .0
        .or_else(|| known.map(|max| format::percent(value.min(max) as f64 / max as f64)))
        .unwrap_or_default();
    let line = (!bare).then(|| {
        view! { <div class="progress-line" aria-hidden="true"><span>{label.clone()}</span><span class="muted">{detail}</span></div> }
    });
    view! {
        <div>
            {line}
            <progress class="progress" aria-label=label.clone()
                value=known.map(|max| value.min(max).to_string()) max=known.map(|max| max.to_string())></progress>
        </div>
    }
    .into_any()
}

/// A grey line where text will be; give it a width with a utility, `class="w-40"`.
#[component]
pub fn Skeleton(
    #[prop(optional, into)] class: MaybeText,
    /// A block instead of a line.
    #[prop(optional)]
    block: bool,
) -> impl IntoView {
    let base = if block { "skeleton skeleton-box" } else { "skeleton" };
    let class = class.0.map_or_else(|| base.to_owned(), |extra| format!("{base} {extra}"));
    view! { <div class=class aria-hidden="true"></div> }.into_any()
}

/// Rows in the shape of a table, while a fragment is on its way.
#[component]
pub fn SkeletonTable(#[prop(default = 5)] rows: usize) -> impl IntoView {
    let rows = (0..rows)
        .map(|_| view! { <div class="skeleton-row"><Skeleton/><Skeleton/><Skeleton/></div> })
        .collect_view();
    view! { <div class="card card-body stack" role="status" aria-label="Loading">{rows}</div> }.into_any()
}
