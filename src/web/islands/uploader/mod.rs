//! The place to drop files. Without WASM it is a plain form to `/api/upload`; with it, each file is read and judged in
//! the browser before a byte is sent, then sent with progress, cancel and retry.
//!
//! Nothing here decides what is kept: the server checks again.

#[cfg(target_arch = "wasm32")]
mod browser;
mod card;
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
    let limit = crate::web::format::bytes(max_bytes);
    let cards = move || uploads.items.get().into_iter().map(|item| card::card(uploads, item)).collect_view();
    view! {
        <div class="stack">
            <form method="post" action="/api/upload" enctype="multipart/form-data" class="dropzone" data-drop="files">
                <label for="files">"Drop files anywhere on this page, or choose them"</label>
                <input class="input" type="file" id="files" name="files" multiple required
                    accept=".jsonl,.ndjson,.json,.csv,.tsv,.txt,.md,.gz" aria-describedby="files-hint"
                    on:change=move |event| uploads.chosen(&event)/>
                <p class="hint" id="files-hint">
                    {format!("JSON Lines, JSON, CSV, TSV, text or Markdown, also gzipped. Up to {limit} each.")}
                </p>
                <button class="btn btn-primary" hidden=move || live.get()>"Upload"</button>
            </form>
            <ul class="stack" aria-label="Files chosen here">{cards}</ul>
        </div>
    }
}
