//! The overview: for a newcomer the three steps and a first button, for others what runs and what was last.

use crate::web::{
    components::{ButtonKind, LinkButton, PageHeader, Step, Steps},
    error::PageError,
    icons::Icon,
    page::SignedPage,
    shell::Nav,
};
use axum::response::Response;
use leptos::prelude::*;

pub async fn page(SignedPage { page, .. }: SignedPage) -> Result<Response, PageError> {
    let page = page.at(Nav::Overview, &[("Overview", "/")]);
    Ok(page.show("Overview", first_run_view))
}

fn first_run_view() -> impl IntoView {
    let steps = vec![
        Step { icon: Icon::Data, title: "Data", text: "Drop a file".to_owned(), done: false, current: true },
        Step {
            icon: Icon::Training,
            title: "Train",
            text: "Press start".to_owned(),
            done: false,
            current: false,
        },
        Step {
            icon: Icon::Playground,
            title: "Talk",
            text: "Try the result".to_owned(),
            done: false,
            current: false,
        },
    ];
    view! {
        <PageHeader title="Tune a language model on your own data, on your own machine."/>
        <Steps steps=steps/>
        <div class="actions">
            <form method="post" action="/fn/try_sample">
                <button class="btn btn-primary">"Try it with sample data"</button>
            </form>
            <LinkButton kind=ButtonKind::Secondary href="/data">"Upload my own"</LinkButton>
        </div>
    }
}
