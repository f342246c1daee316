//! One chosen file as a card: how far it is, what was found in it, what can be done.

use super::state::{Item, Line, Stage, Uploads};
use crate::web::format;
use leptos::prelude::*;

pub(super) fn card(uploads: Uploads, item: Item) -> impl IntoView {
    let name = item.name.get_value();
    let stage = move || item.stage.get();
    let found = move || {
        let line = |Line(class, text)| view! { <li class=class>{text}</li> };
        item.found.get().into_iter().map(line).collect::<Vec<_>>()
    };
    view! {
        <li class="card card-body grid grid-cols-1 gap-2">
            <div class="actions">
                <strong class="ellipsis grow" title=name.clone()>{name.clone()}</strong>
                <span class="muted t-12 figure">{format::bytes(item.bytes)}</span>
                <a class="btn btn-small" href=move || href(&stage()) hidden=move || href(&stage()).is_empty()>"Open"</a>
                <button type="button" class="btn btn-small" hidden=move || again(&stage()).is_empty()
                    on:click=move |_| uploads.send(item)>{move || again(&stage())}</button>
                <button type="button" class="btn btn-small btn-quiet" on:click=move |_| uploads.cancel_or_dismiss(item)>
                    {move || if stage().rests() { "Dismiss" } else { "Cancel" }}
                </button>
            </div>
            <p class="t-13" role="status">{move || words(&stage(), item.bytes)}</p>
            <progress class="progress" aria-label="Progress" max="100" value=move || percent(&stage(), item.bytes)
                hidden=move || !matches!(stage(), Stage::Checking(_) | Stage::Sending(_) | Stage::Lost(_))></progress>
            <ul class="grid gap-1" hidden=move || item.found.get().is_empty()>{found}</ul>
        </li>
    }
}

fn href(stage: &Stage) -> String {
    if let Stage::Done(id) = stage { format!("/data/{id}") } else { String::new() }
}

/// What the button that sends says; empty where there is nothing to send.
fn again(stage: &Stage) -> &'static str {
    match stage {
        Stage::Asking => "Upload and repair there",
        Stage::Failed(_) | Stage::Cancelled => "Try again",
        _ => "",
    }
}

fn percent(stage: &Stage, bytes: u64) -> String {
    let done = match stage {
        Stage::Checking(done) | Stage::Sending(done) | Stage::Lost(done) => *done,
        _ => 0,
    };
    (done.min(bytes) * 100 / bytes.max(1)).to_string()
}

fn words(stage: &Stage, bytes: u64) -> String {
    match stage {
        Stage::Waiting => "Waiting for the files before it.".to_owned(),
        Stage::Checking(_) => format!("Checking in your browser, {} %", percent(stage, bytes)),
        Stage::Asking => "Some rows need fixing. Nothing was sent yet.".to_owned(),
        Stage::Refused => "This file can't be trained on. Nothing was sent.".to_owned(),
        Stage::Sending(_) => format!("Uploading, {} %", percent(stage, bytes)),
        Stage::Lost(_) => format!("Connection lost. Going on at {} %…", percent(stage, bytes)),
        Stage::Finishing => "Uploaded. The server reads it once more.".to_owned(),
        Stage::Done(_) => "Uploaded.".to_owned(),
        Stage::Failed(message) => message.clone(),
        Stage::Cancelled => "Cancelled. Nothing was kept.".to_owned(),
    }
}
