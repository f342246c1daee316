//! Fields with a label, a hint and an error, tied together for screen readers.
//!
//! A field's id is its name unless told otherwise, so that [`super::FormErrors`] can lead to it.

use super::MaybeText;
use crate::web::icons::{Icon, icon};
use leptos::prelude::*;

/// What `aria-describedby` names: hint and error, where there are any.
pub(super) fn described_by(id: &str, hint: &MaybeText, error: &MaybeText) -> Option<String> {
    let ids: Vec<String> = [(hint.is_some(), "hint"), (error.is_some(), "error")]
        .into_iter()
        .filter(|(present, _)| *present)
        .map(|(_, part)| format!("{id}-{part}"))
        .collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

pub(super) fn hint_view(id: &str, hint: MaybeText) -> impl IntoView + use<> {
    let id = format!("{id}-hint");
    hint.0.map(|hint| view! { <p class="hint" id=id>{hint}</p> })
}

pub(super) fn error_view(id: &str, error: MaybeText) -> impl IntoView + use<> {
    let id = format!("{id}-error");
    error.0.map(|error| view! { <p class="field-error" id=id>{icon(Icon::Error)}<span>{error}</span></p> })
}

fn framed(
    id: &str,
    label: String,
    hide_label: bool,
    hint: MaybeText,
    error: MaybeText,
    control: AnyView,
) -> AnyView {
    let class = if hide_label { "visually-hidden" } else { "" };
    view! {
        <div class="field">
            <label r#for=id.to_owned() class=class>{label}</label>
            {control}
            {hint_view(id, hint)}
            {error_view(id, error)}
        </div>
    }
    .into_any()
}

/// One line: text, e-mail, password, number, search.
///
/// `<TextField label="E-mail" name="email" kind="email" autocomplete="username" required=true
///     value=form.email error=error_for(&errors, "email")/>`
#[component]
pub fn TextField(
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    #[prop(optional, into)] id: MaybeText,
    /// The input's type.
    #[prop(default = "text")]
    kind: &'static str,
    #[prop(optional, into)] value: MaybeText,
    #[prop(optional, into)] hint: MaybeText,
    #[prop(optional, into)] error: MaybeText,
    #[prop(optional, into)] placeholder: MaybeText,
    #[prop(optional, into)] autocomplete: MaybeText,
    /// Which keyboard a phone shows: `decimal`, `numeric`, `email`.
    #[prop(optional, into)]
    inputmode: MaybeText,
    /// Shown after the field: `tokens`, `rows`.
    #[prop(optional, into)]
    unit: MaybeText,
    #[prop(optional, into)] min: MaybeText,
    #[prop(optional, into)] max: MaybeText,
    #[prop(optional, into)] step: MaybeText,
    #[prop(optional)] minlength: Option<u32>,
    #[prop(optional)] maxlength: Option<u32>,
    #[prop(optional)] required: bool,
    #[prop(optional)] disabled: bool,
    #[prop(optional)] readonly: bool,
    #[prop(optional)] autofocus: bool,
    /// Keeps the label for screen readers only.
    #[prop(optional)]
    hide_label: bool,
) -> impl IntoView {
    let id = id.0.unwrap_or_else(|| name.clone());
    let input = view! {
        <input class="input" id=id.clone() name=name type=kind value=value.0 placeholder=placeholder.0
            autocomplete=autocomplete.0 inputmode=inputmode.0 min=min.0 max=max.0 step=step.0
            minlength=minlength.map(|n| n.to_string()) maxlength=maxlength.map(|n| n.to_string())
            required=required disabled=disabled readonly=readonly autofocus=autofocus
            aria-invalid=error.is_some().then_some("true") aria-describedby=described_by(&id, &hint, &error)/>
    };
    let control = match unit.0 {
        Some(unit) => {
            view! { <div class="with-unit">{input}<span class="unit">{unit}</span></div> }.into_any()
        }
        None => input.into_any(),
    };
    framed(&id, label, hide_label, hint, error, control)
}

/// Several lines.
#[component]
pub fn TextArea(
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    #[prop(optional, into)] id: MaybeText,
    #[prop(optional, into)] value: MaybeText,
    #[prop(optional, into)] hint: MaybeText,
    #[prop(optional, into)] error: MaybeText,
    #[prop(optional, into)] placeholder: MaybeText,
    #[prop(default = 4)] rows: u32,
    #[prop(optional)] maxlength: Option<u32>,
    #[prop(optional)] required: bool,
    #[prop(optional)] disabled: bool,
    #[prop(optional)] autofocus: bool,
    #[prop(optional)] hide_label: bool,
) -> impl IntoView {
    let id = id.0.unwrap_or_else(|| name.clone());
    let control = view! {
        <textarea class="input" id=id.clone() name=name rows=rows.to_string() placeholder=placeholder.0
            maxlength=maxlength.map(|n| n.to_string()) required=required disabled=disabled autofocus=autofocus
            aria-invalid=error.is_some().then_some("true")
            aria-describedby=described_by(&id, &hint, &error)>{value.0.unwrap_or_default()}</textarea>
    };
    framed(&id, label, hide_label, hint, error, control.into_any())
}

/// One entry of a [`SelectField`].
#[derive(Debug, Clone)]
pub struct SelectOption {
    pub value: String,
    pub label: String,
    pub disabled: bool,
}

impl SelectOption {
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), disabled: false }
    }
}

/// One of many. For two to six that need explaining, take [`super::RadioCards`].
#[component]
pub fn SelectField(
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    options: Vec<SelectOption>,
    #[prop(optional, into)] id: MaybeText,
    /// The chosen option's value.
    #[prop(optional, into)]
    selected: MaybeText,
    #[prop(optional, into)] hint: MaybeText,
    #[prop(optional, into)] error: MaybeText,
    #[prop(optional)] required: bool,
    #[prop(optional)] disabled: bool,
    #[prop(optional)] hide_label: bool,
) -> impl IntoView {
    let id = id.0.unwrap_or_else(|| name.clone());
    let options = options
        .into_iter()
        .map(|option| {
            let chosen = selected.0.as_deref() == Some(option.value.as_str());
            view! { <option value=option.value selected=chosen disabled=option.disabled>{option.label}</option> }
        })
        .collect_view();
    let control = view! {
        <select class="input" id=id.clone() name=name required=required disabled=disabled
            aria-invalid=error.is_some().then_some("true")
            aria-describedby=described_by(&id, &hint, &error)>{options}</select>
    };
    framed(&id, label, hide_label, hint, error, control.into_any())
}

/// A place to drop a file, with the ordinary file button in it. app.js accepts drops anywhere on the
/// page and puts them here; the form around it must be `multipart/form-data`.
#[component]
pub fn FileField(
    #[prop(into)] label: String,
    #[prop(into)] name: String,
    #[prop(optional, into)] id: MaybeText,
    /// As the `accept` attribute wants it: `.jsonl,.csv,.txt`.
    #[prop(optional, into)]
    accept: MaybeText,
    #[prop(optional, into)] hint: MaybeText,
    #[prop(optional, into)] error: MaybeText,
    #[prop(optional)] multiple: bool,
    #[prop(optional)] required: bool,
) -> impl IntoView {
    let id = id.0.unwrap_or_else(|| name.clone());
    let described = described_by(&id, &hint, &error);
    view! {
        <div class="field dropzone" data-drop=id.clone()>
            {crate::web::icons::icon_large(Icon::Upload)}
            <label r#for=id.clone()>{label}</label>
            <input class="input" type="file" id=id.clone() name=name accept=accept.0 multiple=multiple required=required
                aria-invalid=error.is_some().then_some("true") aria-describedby=described/>
            {hint_view(&id, hint)}
            {error_view(&id, error)}
        </div>
    }
    .into_any()
}
