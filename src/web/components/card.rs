//! Surfaces and the heads of pages.

use super::MaybeText;
use crate::web::icons::{Icon, icon, icon_large};
use leptos::prelude::*;

/// The page's name with what can be done about it at the right.
///
/// `<PageHeader title="Data" lead="What models learn from" actions=view! { <LinkButton …/> }.into_any()/>`
#[component]
pub fn PageHeader(
    #[prop(into)] title: String,
    #[prop(optional, into)] lead: MaybeText,
    /// Beside the title: a pill.
    #[prop(optional)]
    beside: Option<AnyView>,
    #[prop(optional)] actions: Option<AnyView>,
) -> impl IntoView {
    view! {
        <header class="page-header">
            <div>
                <div class="title-line"><h1><bdi>{title}</bdi></h1>{beside}</div>
                {lead.0.map(|lead| view! { <p class="muted">{lead}</p> })}
            </div>
            {actions.map(|actions| view! { <div class="actions">{actions}</div> })}
        </header>
    }
    .into_any()
}

/// A framed part of a page. `flush` leaves the padding to the content: tables, logs, files.
#[component]
pub fn Card(
    #[prop(optional, into)] title: MaybeText,
    #[prop(optional)] actions: Option<AnyView>,
    #[prop(optional)] foot: Option<AnyView>,
    #[prop(optional)] flush: bool,
    #[prop(optional, into)] id: MaybeText,
    children: Children,
) -> impl IntoView {
    let head = (title.is_some() || actions.is_some()).then(|| {
        view! { <div class="card-head">{title.0.map(|title| view! { <h2>{title}</h2> })}{actions}</div> }
    });
    let body = if flush {
        children().into_any()
    } else {
        view! { <div class="card-body">{children()}</div> }.into_any()
    };
    view! {
        <section class="card" id=id.0>
            {head}
            {body}
            {foot.map(|foot| view! { <div class="card-foot">{foot}</div> })}
        </section>
    }
    .into_any()
}

/// Nothing here yet: what would be here, and the one thing to do. Children are the buttons.
#[component]
pub fn EmptyState(
    icon: Icon,
    #[prop(into)] title: String,
    #[prop(into)] text: String,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    view! {
        <div class="empty">
            {icon_large(icon)}
            <h2>{title}</h2>
            <p>{text}</p>
            {children.map(|children| view! { <div class="actions">{children()}</div> })}
        </div>
    }
    .into_any()
}

/// One stop of [`Steps`].
#[derive(Debug, Clone)]
pub struct Step {
    pub icon: Icon,
    pub title: &'static str,
    pub text: String,
    pub done: bool,
    pub current: bool,
}

/// The way through the product as one line: Data → Train → Talk.
#[component]
pub fn Steps(steps: Vec<Step>) -> impl IntoView {
    let items = steps
        .into_iter()
        .map(|step| {
            let class = match (step.done, step.current) {
                (true, _) => "is-done",
                (_, true) => "is-current",
                _ => "",
            };
            let drawing = if step.done { Icon::Check } else { step.icon };
            view! {
                <li class=class aria-current=step.current.then_some("step")>
                    {icon(drawing)}<b>{step.title}</b><span>{step.text}</span>
                </li>
            }
        })
        .collect_view();
    view! { <ol class="steps">{items}</ol> }.into_any()
}
