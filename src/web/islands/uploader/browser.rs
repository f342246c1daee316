//! The uploader's hands: takes files, and reads them slice by slice. In the browser only.

use super::{
    send::{cancel, send},
    state::{Item, Stage, Uploads, lines},
};
use leptos::prelude::*;
use llm_tuner_dataset::{Options, Validator, Verdict};
use std::collections::HashMap;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    CustomEvent, Event, File, HtmlInputElement, ReadableStream, ReadableStreamDefaultReader,
    ReadableWritablePair, WritableStream, XmlHttpRequest,
};

/// Bytes read at once: a few milliseconds of work between two chances for the page to breathe.
const SLICE: f64 = 1_048_576.0;

#[wasm_bindgen]
extern "C" {
    /// <https://compression.spec.whatwg.org/#decompression-stream>; web-sys has it among its unstable parts only.
    type DecompressionStream;
    #[wasm_bindgen(constructor, catch)]
    fn new(format: &str) -> Result<DecompressionStream, JsValue>;
    #[wasm_bindgen(method, getter)]
    fn readable(this: &DecompressionStream) -> ReadableStream;
    #[wasm_bindgen(method, getter)]
    fn writable(this: &DecompressionStream) -> WritableStream;
}

/// Handles of the page that signals can't hold.
pub(super) struct Browser {
    /// The server's limit for one file.
    max_bytes: u64,
    pub(super) files: HashMap<usize, File>,
    pub(super) requests: HashMap<usize, XmlHttpRequest>,
    /// Where the server keeps what was sent of each.
    pub(super) addresses: HashMap<usize, String>,
    next_key: usize,
    /// Files are read one after the other.
    reading: bool,
}

impl Browser {
    pub(super) fn new(max_bytes: u64) -> Self {
        let (files, requests, addresses) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { max_bytes, files, requests, addresses, next_key: 0, reading: false }
    }
}

pub(super) fn chosen(uploads: Uploads, event: &Event) {
    let Some(input) = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok()) else {
        return;
    };
    let Some(list) = input.files() else { return };
    for at in 0..list.length() {
        if let Some(file) = list.get(at) {
            add(uploads, file);
        }
    }
    // The same file can be chosen again.
    input.set_value("");
    read_next(uploads);
}

fn add(uploads: Uploads, file: File) {
    let bytes = file.size() as u64;
    let name = StoredValue::new(file.name());
    let added = uploads.browser.try_update_value(|browser| {
        browser.next_key += 1;
        browser.files.insert(browser.next_key, file);
        (browser.next_key, browser.max_bytes)
    });
    let Some((key, limit)) = added else { return };
    let stage = if bytes > limit {
        let limit = crate::web::format::bytes(limit);
        Stage::Failed(format!("The file is larger than {limit}. Split it and upload the parts."))
    } else {
        Stage::Waiting
    };
    let (stage, found) = (RwSignal::new(stage), RwSignal::new(Vec::new()));
    let item = Item { key, name, bytes, turn: StoredValue::new(0), stage, found };
    uploads.items.update(|items| items.push(item));
}

/// Reads the first file that waits, and then the ones after it.
fn read_next(uploads: Uploads) {
    let free = uploads.browser.try_update_value(|browser| !std::mem::replace(&mut browser.reading, true));
    if free != Some(true) {
        return;
    }
    leptos::task::spawn_local(async move {
        let waits = |item: &Item| matches!(item.stage.get_untracked(), Stage::Waiting);
        while let Some(item) = uploads.items.get_untracked().into_iter().find(waits) {
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
    match read(item, &file, &mut validator).await {
        Ok(Read::Whole) => {}
        Ok(Read::Cancelled) => return,
        // Compressed in a way that this browser does not read: the server's check has the word.
        Ok(Read::Unreadable) => return send(uploads, item),
        Err(_) => {
            let words =
                "Your browser could not read the file. It may have been moved or changed; choose it again.";
            return item.stage.set(Stage::Failed(words.to_owned()));
        }
    }
    let report = validator.finish();
    item.found.set(lines(&report));
    match report.verdict {
        Verdict::Refused => item.stage.set(Stage::Refused),
        Verdict::NeedsFixing => item.stage.set(Stage::Asking),
        Verdict::Ready | Verdict::NeedsMapping => send(uploads, item),
    }
}

enum Read {
    Whole,
    Cancelled,
    Unreadable,
}

fn going_on(item: Item) -> bool {
    matches!(item.stage.get_untracked(), Stage::Checking(_))
}

async fn read(item: Item, file: &File, validator: &mut Validator) -> Result<Read, JsValue> {
    let size = file.size();
    if slice(file, 0.0, 2.0).await? == [0x1f, 0x8b] {
        return Ok(unpack(item, file, validator).await.unwrap_or(Read::Unreadable));
    }
    let mut from = 0.0;
    while from < size {
        let bytes = slice(file, from, (from + SLICE).min(size)).await?;
        if !going_on(item) {
            return Ok(Read::Cancelled);
        }
        validator.push(&bytes);
        from += bytes.len() as f64;
        item.stage.set(Stage::Checking(from as u64));
    }
    Ok(Read::Whole)
}

async fn slice(file: &File, from: f64, to: f64) -> Result<Vec<u8>, JsValue> {
    let blob = file.slice_with_f64_and_f64(from, to)?;
    let buffer = JsFuture::from(blob.array_buffer()).await?;
    Ok(js_sys::Uint8Array::new(&buffer).to_vec())
}

/// The browser unpacks gzip by itself, which saves every visitor the code for it.
async fn unpack(item: Item, file: &File, validator: &mut Validator) -> Result<Read, JsValue> {
    let through = DecompressionStream::new("gzip")?;
    let pair = ReadableWritablePair::new(&through.readable(), &through.writable());
    let reader: ReadableStreamDefaultReader = file.stream().pipe_through(&pair).get_reader().unchecked_into();
    let mut taken = 0;
    loop {
        let step = JsFuture::from(reader.read()).await?;
        if !going_on(item) {
            return Ok(Read::Cancelled);
        }
        if get(&step, "done").is_truthy() {
            return Ok(Read::Whole);
        }
        let bytes = js_sys::Uint8Array::new(&get(&step, "value")).to_vec();
        validator.push(&bytes);
        // How far the packed file is read is not told: text takes about a quarter of its room.
        taken += bytes.len() as u64 / 4;
        item.stage.set(Stage::Checking(taken));
    }
}

/// `undefined` where there is nothing of that name.
pub(super) fn get(value: &JsValue, name: &str) -> JsValue {
    js_sys::Reflect::get(value, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

pub(super) fn go(to: &str) {
    if let Some(window) = web_sys::window() {
        // Navigating can only fail for a malformed address, and ours are not.
        let _ = window.location().assign(to);
    }
}

pub(super) fn done(uploads: Uploads, item: Item, id: &str) {
    item.stage.set(Stage::Done(id.to_owned()));
    if let [only] = uploads.items.get_untracked().as_slice()
        && only.key == item.key
    {
        // One file: there is one thing to look at.
        return go(&format!("/data/{id}"));
    }
    let body = web_sys::window().and_then(|window| window.document()).and_then(|document| document.body());
    if let (Some(body), Ok(event)) = (body, CustomEvent::new("datasets-changed")) {
        // Nobody can refuse this event.
        let _ = body.dispatch_event(&event);
    }
}

/// Ends the request, if there is one; `forget` lets go of the file too.
pub(super) fn stop(uploads: Uploads, item: Item, forget: bool) {
    let request = uploads.browser.try_update_value(|browser| {
        if forget {
            browser.files.remove(&item.key);
        }
        browser.requests.remove(&item.key)
    });
    // The stage is set before the request says that it ended: its `loadend` is not taken for a failure.
    if !forget {
        item.stage.set(Stage::Cancelled);
    }
    if let Some(request) = request.flatten() {
        // Aborting what is over already does nothing.
        let _ = request.abort();
    }
    if !forget {
        cancel(uploads, item);
    }
}
