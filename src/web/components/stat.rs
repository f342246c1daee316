//! Figures with names.

use super::MaybeText;
use leptos::prelude::*;

/// A row of [`Stat`]s.
#[component]
pub fn Stats(children: Children) -> impl IntoView {
    view! { <dl class="stats">{children()}</dl> }.into_any()
}

/// `<Stat label="Tokens/s" value=format::integer(812)/>`; the unit is set small.
#[component]
pub fn Stat(
    #[prop(into)] label: String,
    #[prop(into)] value: String,
    #[prop(optional, into)] unit: MaybeText,
    /// For app.js, islands and htmx swaps out of band.
    #[prop(optional, into)]
    id: MaybeText,
) -> impl IntoView {
    view! {
        <div class="stat">
            <dt>{label}</dt>
            <dd id=id.0>{value}{unit.0.map(|unit| view! { <small>" " {unit}</small> })}</dd>
        </div>
    }
    .into_any()
}

/// Names and values, one pair a line: `entries` are (name, view).
#[component]
pub fn DefinitionList(entries: Vec<(String, AnyView)>) -> impl IntoView {
    let entries =
        entries.into_iter().map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> }).collect_view();
    view! { <dl class="definitions">{entries}</dl> }.into_any()
}
