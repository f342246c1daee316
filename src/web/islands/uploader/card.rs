//! One chosen file as a card: how far it is, what was found in it, what can be done.

use super::state::{Item, Stage, Uploads};
use crate::web::format;
use leptos::prelude::*;
use llm_tuner_dataset::{FindingGroup, Grade, Report};

/// Kinds of findings shown, and lines of each.
const KINDS: usize = 6;
const LINES: usize = 3;

pub(super) fn card(uploads: Uploads, item: Item) -> AnyView {
    let name = item.name.get_value();
    let size = format::bytes(item.bytes);
    view! {
        <li class="card card-body stack">
            <div class="actions">
                <strong class="ellipsis grow" title=name.clone()><bdi>{name.clone()}</bdi></strong>
                <span class="muted t-12 figure">{size}</span>
                {move || buttons(uploads, item)}
            </div>
            <div role="status">{move || status(item)}</div>
            {move || item.report.get().and_then(|report| found(&report))}
        </li>
    }
    .into_any()
}

fn buttons(uploads: Uploads, item: Item) -> AnyView {
    let dismiss = move || {
        view! { <button type="button" class="btn btn-small btn-quiet" on:click=move |_| uploads.dismiss(item)>"Dismiss"</button> }
    };
    match item.stage.get() {
        Stage::Done(id) => {
            view! { <a class="btn btn-small" href=format!("/data/{id}")>"Open"</a>{dismiss()} }.into_any()
        }
        Stage::Refused => dismiss().into_any(),
        Stage::Asking => view! {
            <button type="button" class="btn btn-small btn-primary" on:click=move |_| uploads.send(item)>"Upload and repair there"</button>
            {dismiss()}
        }
        .into_any(),
        Stage::Failed(..) | Stage::Cancelled => view! {
            <button type="button" class="btn btn-small" on:click=move |_| uploads.send(item)>"Try again"</button>
            {dismiss()}
        }
        .into_any(),
        Stage::Waiting | Stage::Checking(_) | Stage::Sending(_) | Stage::Finishing => view! {
            <button type="button" class="btn btn-small btn-quiet" on:click=move |_| uploads.cancel(item)>"Cancel"</button>
        }
        .into_any(),
    }
}

fn status(item: Item) -> AnyView {
    let words = |text: String| view! { <p class="t-13">{text}</p> }.into_any();
    match item.stage.get() {
        Stage::Waiting => words("Waiting for the files before it.".to_owned()),
        Stage::Checking(bytes) => progress("Checking in your browser", bytes, item.bytes),
        Stage::Asking => words("Some rows need fixing. Nothing was sent yet.".to_owned()),
        Stage::Refused => words("This file can't be trained on. Nothing was sent.".to_owned()),
        Stage::Sending(bytes) => progress("Uploading", bytes, item.bytes),
        Stage::Finishing => words("Uploaded. The server reads it once more.".to_owned()),
        Stage::Done(_) => words("Uploaded.".to_owned()),
        Stage::Failed(message, next_step) => {
            view! { <p class="field-error"><span>{message}" "{next_step}</span></p> }.into_any()
        }
        Stage::Cancelled => words("Cancelled. Nothing was kept.".to_owned()),
    }
}

fn progress(label: &'static str, value: u64, max: u64) -> AnyView {
    let share = if max == 0 { 0.0 } else { value.min(max) as f64 / max as f64 };
    view! {
        <div>
            <div class="progress-line" aria-hidden="true"><span>{label}</span><span class="muted">{format::percent(share)}</span></div>
            <progress class="progress" aria-label=label value=value.to_string() max=max.max(1).to_string()></progress>
        </div>
    }
    .into_any()
}

/// What the check found, worst first; nothing where it found nothing.
fn found(report: &Report) -> Option<AnyView> {
    let groups = report.groups.iter().take(KINDS).map(group).collect_view();
    let more = report.groups.len().saturating_sub(KINDS);
    let more =
        (more > 0).then(|| view! { <li class="muted t-12">{format!("{more} more kinds of findings.")}</li> });
    (!report.groups.is_empty()).then(|| view! { <ul class="grid gap-2">{groups}{more}</ul> }.into_any())
}

fn group(group: &FindingGroup) -> AnyView {
    let tone = match group.grade {
        Grade::Error => "pill tone-bad",
        Grade::Fix => "pill tone-warn",
        Grade::Advice => "pill",
    };
    let word = match group.grade {
        Grade::Error => "error",
        Grade::Fix => "mended by a repair",
        Grade::Advice => "advice",
    };
    let lines = group
        .examples
        .iter()
        .take(LINES)
        .map(|finding| {
            let line = (finding.line > 0).then(|| format!("Line {}: ", format::integer(finding.line)));
            view! { <li class="t-12 muted break-words">{line}{finding.message.clone()}</li> }
        })
        .collect_view();
    view! {
        <li class="grid gap-1">
            <div class="actions t-13">
                <span class=tone>{word}</span>
                <span>{group.title.clone()}</span>
                <span class="count">{format::integer(group.count)}</span>
            </div>
            <ul>{lines}</ul>
        </li>
    }
    .into_any()
}
