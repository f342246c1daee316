//! Messages where something happened: what, why, and what to do next.

use super::MaybeText;
use crate::web::icons::{Icon, icon};
use leptos::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Severity {
    #[default]
    Info,
    Good,
    Warning,
    Error,
}

/// `<Notice severity=Severity::Error title="The file could not be read" cause="It is UTF-16."
///     next_step="Save it as UTF-8 and upload it again."><div class="actions">…</div></Notice>`
#[component]
pub fn Notice(
    #[prop(optional)] severity: Severity,
    #[prop(into)] title: String,
    #[prop(optional, into)] cause: MaybeText,
    #[prop(optional, into)] next_step: MaybeText,
    /// Takes the focus when the page loads, so that a screen reader says it first.
    #[prop(optional)]
    focus: bool,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let (class, drawing, role) = match severity {
        Severity::Info => ("notice notice-info", Icon::Info, "status"),
        Severity::Good => ("notice notice-good", Icon::Check, "status"),
        Severity::Warning => ("notice notice-warn", Icon::Warning, "status"),
        Severity::Error => ("notice notice-error", Icon::Error, "alert"),
    };
    view! {
        <div class=class role=role tabindex=focus.then_some("-1") autofocus=focus>
            {icon(drawing)}
            <div>
                <strong>{title}</strong>
                {cause.0.map(|cause| view! { <p>{cause}</p> })}
                {next_step.0.map(|next| view! { <p>{next}</p> })}
                {children.map(|children| children())}
            </div>
        </div>
    }
    .into_any()
}
