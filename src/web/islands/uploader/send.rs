//! Sends a file by the tus protocol to `/api/uploads`, in pieces. After a lost connection it asks how much is kept and
//! goes on from there by itself; so does a later try, and the same file chosen again after a reload. In the browser
//! only.

use super::{
    browser::{done, get, go},
    state::{Item, Stage, Uploads},
};
use js_sys::Promise;
use leptos::prelude::*;
use std::hash::{DefaultHasher, Hash, Hasher};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File, ProgressEvent, Storage, XmlHttpRequest};

/// Milliseconds before each further try; one that brought the upload forward begins the row anew.
const WAITS: [i32; 5] = [1_000, 2_000, 4_000, 8_000, 16_000];
/// Bytes of one request: what a proxy on the way may hold back, and a refusal can cost.
const PIECE: u64 = 32 * 1024 * 1024;

pub(super) fn send(uploads: Uploads, item: Item) {
    let file = uploads.browser.with_value(|browser| browser.files.get(&item.key).cloned());
    let Some(file) = file else { return };
    item.stage.set(Stage::Sending(0));
    item.turn.update_value(|turn| *turn += 1);
    let note = note_of(item, &file);
    let delivery = Delivery { uploads, item, file, turn: item.turn.get_value(), note };
    leptos::task::spawn_local(async move {
        if delivery.run().await.is_err() {
            item.stage.set(Stage::Failed("The upload could not begin. Try again.".to_owned()));
        }
    });
}

/// Takes back what was sent of a cancelled upload.
pub(super) fn cancel(uploads: Uploads, item: Item) {
    let known = uploads.browser.try_update_value(|browser| {
        Some((browser.addresses.remove(&item.key)?, browser.files.get(&item.key).cloned()))
    });
    if let Some((address, file)) = known.flatten() {
        delete(&address);
        if let (Some(notes), Some(file)) = (notes(), file) {
            // Without the note nothing is resumed, which is what is wanted.
            let _ = notes.remove_item(&note_of(item, &file));
        }
    }
}

/// Nobody waits for the answer: what is not deleted now, the server removes a day later.
fn delete(address: &str) {
    let sent = open("DELETE", address).and_then(|request| request.send());
    drop(sent);
}

fn open(method: &str, address: &str) -> Result<XmlHttpRequest, JsValue> {
    let request = XmlHttpRequest::new()?;
    request.open(method, address)?;
    request.set_request_header("tus-resumable", "1.0.0")?;
    Ok(request)
}

/// Where uploads are that a reload interrupts; browsers may forbid it.
fn notes() -> Option<Storage> {
    web_sys::window()?.local_storage().ok()?
}

/// The same for the same file. A hash, because others who use this browser need not learn its name.
fn note_of(item: Item, file: &File) -> String {
    let mut hasher = DefaultHasher::new();
    (item.name.get_value(), item.bytes, file.last_modified() as u64).hash(&mut hasher);
    format!("upload-{}", hasher.finish())
}

async fn wait(milliseconds: i32) -> Result<(), JsValue> {
    let window = web_sys::window().ok_or(JsValue::UNDEFINED)?;
    let over = Promise::new(&mut |resolve, _| {
        // Can't be refused: the promise would only never end.
        let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds);
    });
    JsFuture::from(over).await.map(drop)
}

/// What to ask next, by what is known.
enum Next {
    Announce,
    Ask(String),
    Piece(String, u64),
}

struct Delivery {
    uploads: Uploads,
    item: Item,
    file: File,
    /// Which of the item's tries this is.
    turn: u32,
    /// Under which the address is noted.
    note: String,
}

impl Delivery {
    async fn run(&self) -> Result<(), JsValue> {
        let mut next = self.known_address().map_or(Next::Announce, Next::Ask);
        let (mut tries, mut kept) = (0, 0);
        while self.goes_on() {
            let answer = self.request(&next).await?;
            let status = answer.status()?;
            if !self.goes_on() {
                // Cancelled before the address was known.
                if status == 201
                    && let Some(address) = header(&answer, "location")
                {
                    delete(&address);
                }
                return Ok(());
            }
            if let Some(id) = header(&answer, "dataset-id") {
                self.forget();
                done(self.uploads, self.item, &id);
                return Ok(());
            }
            next = match (status, next) {
                (200 | 201 | 204, next) => {
                    let address = match next {
                        Next::Announce => self.remember(header(&answer, "location").unwrap_or_default()),
                        Next::Ask(address) | Next::Piece(address, _) => address,
                    };
                    let at = header(&answer, "upload-offset").and_then(|text| text.parse().ok()).unwrap_or(0);
                    if at > kept {
                        (tries, kept) = (0, at);
                    }
                    self.item.stage.set(Stage::Sending(at));
                    Next::Piece(address, at)
                }
                (401, _) => {
                    // The session is over: sign in, come back here, choose the file again, and it goes on.
                    go("/sign-in?next=%2Fdata");
                    return Ok(());
                }
                (404 | 410, Next::Ask(_) | Next::Piece(..)) if tries < WAITS.len() => {
                    tries += 1;
                    self.forget();
                    Next::Announce
                }
                (0 | 408 | 409 | 429 | 500..=506 | 508.., next) => {
                    let Some(pause) = WAITS.get(tries) else {
                        let words = "The connection was lost. What was sent is kept for a day: “Try again” goes on where it stopped.";
                        self.item.stage.set(Stage::Failed(words.to_owned()));
                        return Ok(());
                    };
                    tries += 1;
                    self.item.stage.set(Stage::Lost(self.sent()));
                    wait(*pause).await?;
                    match next {
                        Next::Announce => Next::Announce,
                        Next::Ask(address) | Next::Piece(address, _) => Next::Ask(address),
                    }
                }
                _ => {
                    self.item.stage.set(Stage::Failed(reason(&answer)));
                    return Ok(());
                }
            };
        }
        Ok(())
    }

    fn goes_on(&self) -> bool {
        let stage = self.item.stage.get_untracked();
        let sending = matches!(stage, Stage::Sending(_) | Stage::Lost(_) | Stage::Finishing);
        sending && self.item.turn.get_value() == self.turn
    }

    /// Bytes on their way or kept, as far as the page knows.
    fn sent(&self) -> u64 {
        match self.item.stage.get_untracked() {
            Stage::Sending(bytes) | Stage::Lost(bytes) => bytes,
            Stage::Finishing => self.item.bytes,
            _ => 0,
        }
    }

    async fn request(&self, next: &Next) -> Result<XmlHttpRequest, JsValue> {
        match next {
            Next::Announce => {
                let request = open("POST", "/api/uploads")?;
                request.set_request_header("upload-length", &self.item.bytes.to_string())?;
                // Each byte a character, as `btoa` wants them.
                let name: String = self.item.name.get_value().bytes().map(char::from).collect();
                let name = web_sys::window().ok_or(JsValue::UNDEFINED)?.btoa(&name)?;
                request.set_request_header("upload-metadata", &format!("filename {name}"))?;
                self.finish(request, None).await
            }
            Next::Ask(address) => self.finish(open("HEAD", address)?, None).await,
            Next::Piece(address, at) => {
                let request = open("PATCH", address)?;
                request.set_request_header("upload-offset", &at.to_string())?;
                request.set_request_header("content-type", "application/offset+octet-stream")?;
                let end = (at + PIECE).min(self.item.bytes);
                let piece = self.file.slice_with_f64_and_f64(*at as f64, end as f64)?;
                let (item, at) = (self.item, *at);
                let progress = Closure::<dyn Fn(ProgressEvent)>::new(move |event: ProgressEvent| {
                    let sent = at + event.loaded() as u64;
                    if matches!(item.stage.get_untracked(), Stage::Sending(_)) {
                        let all = sent >= item.bytes;
                        item.stage.set(if all { Stage::Finishing } else { Stage::Sending(sent) });
                    }
                });
                request.upload()?.set_onprogress(Some(progress.as_ref().unchecked_ref()));
                self.finish(request, Some(&piece)).await
            }
        }
    }

    /// Sends the request, and returns when it is over: answered, broken off or aborted.
    async fn finish(&self, request: XmlHttpRequest, body: Option<&Blob>) -> Result<XmlHttpRequest, JsValue> {
        let over = Promise::new(&mut |resolve, _| request.set_onloadend(Some(&resolve)));
        request.send_with_opt_blob(body)?;
        let key = self.item.key;
        self.uploads.browser.update_value(|browser| drop(browser.requests.insert(key, request.clone())));
        JsFuture::from(over).await?;
        self.uploads.browser.update_value(|browser| drop(browser.requests.remove(&key)));
        Ok(request)
    }

    /// Of an earlier try, or of another visit to this page. Two files that look the same go apart.
    fn known_address(&self) -> Option<String> {
        let noted = notes().and_then(|notes| notes.get_item(&self.note).ok()?);
        self.uploads.browser.try_update_value(|browser| {
            let own = browser.addresses.get(&self.item.key).cloned();
            let free = noted.filter(|noted| browser.addresses.values().all(|taken| taken != noted));
            let address = own.or(free)?;
            browser.addresses.insert(self.item.key, address.clone());
            Some(address)
        })?
    }

    fn remember(&self, address: String) -> String {
        if let Some(notes) = notes() {
            // Full or forbidden: then a reload begins anew.
            let _ = notes.set_item(&self.note, &address);
        }
        self.uploads.browser.update_value(|browser| {
            browser.addresses.insert(self.item.key, address.clone());
        });
        address
    }

    fn forget(&self) {
        if let Some(notes) = notes() {
            let _ = notes.remove_item(&self.note);
        }
        self.uploads.browser.update_value(|browser| {
            browser.addresses.remove(&self.item.key);
        });
    }
}

fn header(answer: &XmlHttpRequest, name: &str) -> Option<String> {
    answer.get_response_header(name).ok().flatten()
}

/// What the server said, and what to do.
fn reason(answer: &XmlHttpRequest) -> String {
    let text = answer.response_text().ok().flatten().unwrap_or_default();
    let error = get(&js_sys::JSON::parse(&text).unwrap_or(JsValue::UNDEFINED), "error");
    let word = |name| get(&error, name).as_string().unwrap_or_default();
    match word("message") {
        message if message.is_empty() => {
            "The server gave no answer that can be understood. Try again.".to_owned()
        }
        message => format!("{message} {}", word("next_step")),
    }
}
