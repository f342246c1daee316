//! The place to drop files. Without WASM it is a plain form to `/api/upload`; with it, each file is read and judged in
//! the browser before a byte is sent, then sent with progress and cancel, through lost connections (`send`).
//!
//! Nothing here decides what is kept: the server checks again. Views are of one shape each, whose texts and attributes
//! change: every further shape is code that each visitor downloads.

#[cfg(target_arch = "wasm32")]
mod browser;
mod card;
#[cfg(target_arch = "wasm32")]
mod send;
mod state;

use leptos::prelude::*;
use state::Uploads;

/// `max_bytes` is the server's limit for one file.
#[island]
pub fn Uploader(max_bytes: u64) -> impl IntoView {
    let uploads = Uploads::new(max_bytes);
    // Effects run in the browser only: until then the button of the plain form stays.
    let live = RwSignal::new(false);
    Effect::new(move |_| live.set(true));
    let hint = format!(
        "JSON Lines, JSON, CSV, TSV, text or Markdown, also gzipped. Up to {} each.",
        crate::web::format::bytes(max_bytes)
    );
    let cards =
        move || uploads.items.get().into_iter().map(|item| card::card(uploads, item)).collect::<Vec<_>>();
    view! {
        <form method="post" action="/api/upload" enctype="multipart/form-data" class="dropzone" data-drop="files">
            <label for="files">"Drop files anywhere on this page, or choose them"</label>
            <input class="input" type="file" id="files" name="files" multiple required
                accept=".jsonl,.ndjson,.json,.csv,.tsv,.txt,.md,.gz" aria-describedby="files-hint"
                on:change=move |event| uploads.chosen(&event)/>
            <p class="hint" id="files-hint">{hint}</p>
            <button class="btn btn-primary" hidden=move || live.get()>"Upload"</button>
        </form>
        <ul class="grid grid-cols-1 gap-4 pt-4" aria-label="Files chosen here" hidden=move || uploads.items.get().is_empty()>{cards}</ul>
    }
}
