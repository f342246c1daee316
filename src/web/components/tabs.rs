//! Ways through parts of one thing. Both are plain links, so they work without JavaScript.

use crate::web::{
    format,
    icons::{Icon, icon},
};
use leptos::prelude::*;

/// One tab: a page of its own.
#[derive(Debug, Clone)]
pub struct Tab {
    pub label: String,
    pub href: String,
    /// Shown beside the label.
    pub count: Option<u64>,
    pub current: bool,
}

impl Tab {
    pub fn new(label: impl Into<String>, href: impl Into<String>, current: bool) -> Self {
        Self { label: label.into(), href: href.into(), count: None, current }
    }
    pub fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }
}

/// `<Tabs label="Dataset" tabs=vec![Tab::new("Preview", "/data/7", true), …]/>`.
#[component]
pub fn Tabs(
    /// What the tabs are parts of, for screen readers.
    #[prop(into)]
    label: String,
    tabs: Vec<Tab>,
) -> impl IntoView {
    let tabs = tabs
        .into_iter()
        .map(|tab| {
            let count = tab.count.map(|n| view! { <span class="count">{format::integer(n)}</span> });
            view! { <a href=tab.href aria-current=tab.current.then_some("page")>{tab.label}{count}</a> }
        })
        .collect_view();
    view! { <nav class="tabs" aria-label=label>{tabs}</nav> }.into_any()
}

/// Older and newer by cursor. `showing` says what is in sight: "1–50 of 10,000". Nothing where all fits.
#[component]
pub fn Pagination(
    #[prop(into)] showing: String,
    #[prop(optional_no_strip)] previous: Option<String>,
    #[prop(optional_no_strip)] next: Option<String>,
) -> impl IntoView {
    let more = previous.is_some() || next.is_some();
    more.then(|| {
        view! {
            <nav class="pagination" aria-label="Pages">
                <span class="muted figure">{showing}</span>
                {step(previous, "Previous", true)}
                {step(next, "Next", false)}
            </nav>
        }
        .into_any()
    })
}

fn step(href: Option<String>, label: &'static str, before: bool) -> AnyView {
    let rel = if before { "prev" } else { "next" };
    let drawing = |show: bool, which| show.then(|| icon(which));
    // Without a target the link has no href: it can't be followed and screen readers say so.
    view! {
        <a class="btn btn-small" rel=rel role=href.is_none().then_some("link")
            aria-disabled=href.is_none().then_some("true") href=href>
            {drawing(before, Icon::Previous)}{label}{drawing(!before, Icon::Next)}
        </a>
    }
    .into_any()
}
