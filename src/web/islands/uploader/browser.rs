//! The uploader's hands: reads files slice by slice, sends them, and hears how it goes. In the browser only.

use super::state::{Item, Stage, Uploads};
use leptos::prelude::*;
use llm_tuner_dataset::{Options, Validator, Verdict};
use std::collections::HashMap;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CustomEvent, Event, File, FormData, HtmlInputElement, ProgressEvent, XmlHttpRequest};

/// Bytes read at once: a few milliseconds of work between two chances for the page to breathe.
const SLICE: f64 = 1_048_576.0;

/// Handles of the page that signals can't hold.
pub(super) struct Browser {
    /// The server's limit for one file.
    max_bytes: u64,
    files: HashMap<usize, File>,
    requests: HashMap<usize, XmlHttpRequest>,
    next_key: usize,
    /// Files are read one after the other.
    reading: bool,
}

impl Browser {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, files: HashMap::new(), requests: HashMap::new(), next_key: 0, reading: false }
    }
}

pub(super) fn chosen(uploads: Uploads, event: &Event) {
    let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else {
        return;
    };
    let Some(list) = input.files() else { return };
    for at in 0..list.length() {
        let Some(file) = list.get(at) else { continue };
        add(uploads, file);
    }
    // The same file can be chosen again.
    input.set_value("");
    read_next(uploads);
}

fn add(uploads: Uploads, file: File) {
    let Some((key, limit)) = uploads.browser.try_update_value(|browser| {
        browser.next_key += 1;
        (browser.next_key, browser.max_bytes)
    }) else {
        return;
    };
    let bytes = file.size() as u64;
    let stage = if bytes > limit {
        let limit = crate::web::format::bytes(limit);
        Stage::Failed(
            format!("The file is larger than {limit}."),
            "Split it and upload the parts.".to_owned(),
        )
    } else {
        Stage::Waiting
    };
    let item = Item {
        key,
        name: StoredValue::new(file.name()),
        bytes,
        stage: RwSignal::new(stage),
        report: RwSignal::new(None),
        cancelled: RwSignal::new(false),
    };
    uploads.browser.update_value(|browser| {
        browser.files.insert(key, file);
    });
    uploads.items.update(|items| items.push(item));
}

/// Reads the first file that waits, and then the ones after it.
fn read_next(uploads: Uploads) {
    let free = uploads.browser.try_update_value(|browser| !std::mem::replace(&mut browser.reading, true));
    if free != Some(true) {
        return;
    }
    leptos::task::spawn_local(async move {
        while let Some(item) = uploads
            .items
            .get_untracked()
            .into_iter()
            .find(|item| matches!(item.stage.get_untracked(), Stage::Waiting))
        {
            check(uploads, item).await;
        }
        uploads.browser.update_value(|browser| browser.reading = false);
    });
}

async fn check(uploads: Uploads, item: Item) {
    item.stage.set(Stage::Checking(0));
    let Some(file) = uploads.browser.with_value(|browser| browser.files.get(&item.key).cloned()) else {
        return;
    };
    let mut validator = Validator::new(Options { examples: 5, ..Options::named(item.name.get_value()) });
    let size = file.size();
    let mut from = 0.0;
    while from < size {
        let Ok(slice) = slice(&file, from, (from + SLICE).min(size)).await else {
            let next = "It may have been moved or changed. Choose it again.".to_owned();
            item.stage.set(Stage::Failed("Your browser could not read the file.".to_owned(), next));
            return;
        };
        if item.cancelled.get_untracked() {
            return;
        }
        validator.push(&slice);
        from += slice.len() as f64;
        item.stage.set(Stage::Checking(from as u64));
    }
    let report = validator.finish();
    let verdict = report.verdict;
    item.report.set(Some(report));
    match verdict {
        Verdict::Refused => item.stage.set(Stage::Refused),
        Verdict::NeedsFixing => item.stage.set(Stage::Asking),
        Verdict::Ready | Verdict::NeedsMapping => send(uploads, item),
    }
}

async fn slice(file: &File, from: f64, to: f64) -> Result<Vec<u8>, JsValue> {
    let blob = file.slice_with_f64_and_f64(from, to)?;
    let buffer = JsFuture::from(blob.array_buffer()).await?;
    Ok(js_sys::Uint8Array::new(&buffer).to_vec())
}

pub(super) fn send(uploads: Uploads, item: Item) {
    item.cancelled.set(false);
    item.stage.set(Stage::Sending(0));
    if let Err(error) = request(uploads, item) {
        web_sys::console::error_1(&error);
        failed(item, "The upload could not begin.");
    }
}

fn request(uploads: Uploads, item: Item) -> Result<(), JsValue> {
    let Some(file) = uploads.browser.with_value(|browser| browser.files.get(&item.key).cloned()) else {
        return Ok(());
    };
    let request = XmlHttpRequest::new()?;
    request.open("POST", "/api/upload")?;
    request.set_request_header("accept", "application/json")?;
    let progress = Closure::<dyn Fn(ProgressEvent)>::new(move |event: ProgressEvent| {
        if item.cancelled.get_untracked() {
            return;
        }
        let sent = (event.loaded() as u64).min(item.bytes);
        item.stage.set(if sent >= item.bytes { Stage::Finishing } else { Stage::Sending(sent) });
    });
    request.upload()?.set_onprogress(Some(progress.as_ref().unchecked_ref()));
    let ended = Closure::<dyn Fn()>::new({
        let request = request.clone();
        move || finish(uploads, item, &request)
    });
    // `loadend` comes in any case: answered, broken off or aborted.
    request.set_onloadend(Some(ended.as_ref().unchecked_ref()));
    let form = FormData::new()?;
    form.append_with_blob_and_filename("files", &file, &item.name.get_value())?;
    request.send_with_opt_form_data(Some(&form))?;
    uploads.browser.update_value(|browser| {
        browser.requests.insert(item.key, request);
    });
    // A handful of bytes for each upload, given up to the page's lifetime.
    progress.forget();
    ended.forget();
    Ok(())
}

/// The parts of the server's answer that matter here.
#[derive(serde::Deserialize)]
struct Answer {
    #[serde(default)]
    files: Vec<Kept>,
    error: Option<Problem>,
}

#[derive(serde::Deserialize)]
struct Kept {
    dataset_id: String,
}

#[derive(serde::Deserialize)]
struct Problem {
    message: String,
    #[serde(default)]
    next_step: String,
}

fn finish(uploads: Uploads, item: Item, request: &XmlHttpRequest) {
    uploads.browser.update_value(|browser| {
        browser.requests.remove(&item.key);
    });
    if item.cancelled.get_untracked() {
        return;
    }
    let status = request.status().unwrap_or(0);
    if status == 401 {
        // The session is over: sign in, and come back here.
        if let Some(window) = web_sys::window() {
            let _ = window.location().assign("/sign-in?next=%2Fdata");
        }
        return;
    }
    let text = request.response_text().ok().flatten().unwrap_or_default();
    match serde_json::from_str::<Answer>(&text) {
        Ok(Answer { files, .. }) if !files.is_empty() => done(uploads, item, &files[0].dataset_id),
        Ok(Answer { error: Some(problem), .. }) => {
            item.stage.set(Stage::Failed(problem.message, problem.next_step))
        }
        _ if status == 0 => failed(item, "The connection was lost before the upload was complete."),
        _ => failed(item, "The server gave no answer that can be understood."),
    }
}

fn failed(item: Item, message: &str) {
    item.stage.set(Stage::Failed(message.to_owned(), "Nothing was kept. Try again.".to_owned()));
}

fn done(uploads: Uploads, item: Item, id: &str) {
    item.stage.set(Stage::Done(id.to_owned()));
    let Some(window) = web_sys::window() else { return };
    let items = uploads.items.get_untracked();
    if let [only] = items.as_slice()
        && only.key == item.key
    {
        // One file: there is one thing to look at.
        let _ = window.location().assign(&format!("/data/{id}"));
        return;
    }
    let told =
        CustomEvent::new("datasets-changed").ok().zip(window.document().and_then(|document| document.body()));
    if let Some((event, body)) = told {
        let _ = body.dispatch_event(&event);
    }
}

pub(super) fn abort(uploads: Uploads, item: Item) {
    let request = uploads.browser.try_update_value(|browser| browser.requests.remove(&item.key)).flatten();
    if let Some(request) = request {
        let _ = request.abort();
    }
}

pub(super) fn forget(uploads: Uploads, item: Item) {
    uploads.browser.update_value(|browser| {
        browser.files.remove(&item.key);
        browser.requests.remove(&item.key);
    });
}
