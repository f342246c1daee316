//! Yes or no, and one of a few.

use super::{
    MaybeText,
    field::{described_by, error_view, hint_view},
};
use leptos::prelude::*;

/// `<Checkbox label="Stop early" name="early_stopping" checked=true hint="When evaluation gets worse"/>`.
/// An unchecked box sends nothing, as HTML has it.
#[component]
pub fn Checkbox(
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    #[prop(optional, into)] id: MaybeText,
    #[prop(default = "true")] value: &'static str,
    #[prop(optional)] checked: bool,
    #[prop(optional)] disabled: bool,
    #[prop(optional)] required: bool,
    #[prop(optional, into)] hint: MaybeText,
    #[prop(optional, into)] error: MaybeText,
) -> impl IntoView {
    let id = id.0.unwrap_or_else(|| name.clone());
    let described = described_by(&id, &hint, &error);
    view! {
        <div class="check">
            <input type="checkbox" id=id.clone() name=name value=value checked=checked disabled=disabled
                required=required aria-invalid=error.is_some().then_some("true") aria-describedby=described/>
            <div>
                <label r#for=id.clone()>{label}</label>
                {hint_view(&id, hint)}
                {error_view(&id, error)}
            </div>
        </div>
    }
    .into_any()
}

/// One card of [`RadioCards`].
#[derive(Debug, Clone, Default)]
pub struct RadioCard {
    pub value: String,
    pub title: String,
    /// What it is good for, in one sentence.
    pub detail: String,
    /// Figures, or the reason why it is disabled.
    pub meta: String,
    pub disabled: bool,
}

/// One of a few that need explaining: models, places, column roles.
#[component]
pub fn RadioCards(
    #[prop(into)] legend: String,
    #[prop(into)] name: String,
    cards: Vec<RadioCard>,
    /// The chosen card's value.
    #[prop(optional, into)]
    selected: MaybeText,
    #[prop(optional, into)] hint: MaybeText,
    #[prop(optional, into)] error: MaybeText,
    #[prop(optional)] required: bool,
    #[prop(optional)] hide_legend: bool,
) -> impl IntoView {
    let described = described_by(&name, &hint, &error);
    let cards = cards
        .into_iter()
        .enumerate()
        .map(|(at, card)| {
            // The first card carries the plain id, so that an error summary leads there.
            let id = if at == 0 { name.clone() } else { format!("{name}-{at}") };
            let chosen = selected.0.as_deref() == Some(card.value.as_str());
            let title = card.title.clone();
            view! {
                <label class="choice">
                    <input type="radio" id=id name=name.clone() value=card.value checked=chosen
                        disabled=card.disabled required=required/>
                    <span>
                        <span class="strong" title=title><bdi>{card.title}</bdi></span>
                        {(!card.detail.is_empty()).then(|| view! { <span class="hint">{card.detail}</span> })}
                        {(!card.meta.is_empty()).then(|| view! { <span class="choice-meta figure">{card.meta}</span> })}
                    </span>
                </label>
            }
        })
        .collect_view();
    let legend_class = if hide_legend { "visually-hidden" } else { "" };
    view! {
        <fieldset class="field" aria-describedby=described>
            <legend class=legend_class>{legend}</legend>
            {hint_view(&name, hint)}
            <div class="choices">{cards}</div>
            {error_view(&name, error)}
        </fieldset>
    }
    .into_any()
}
