//! What the uploader knows about each file, and what may happen to it next.

use leptos::prelude::*;
use llm_tuner_dataset::Report;

/// Where a file is on its way.
#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "files are chosen in the browser only"))]
pub(super) enum Stage {
    /// Another file is read first.
    Waiting,
    /// Read in the browser; bytes so far.
    Checking(u64),
    /// Its rows have mistakes: the person decides.
    Asking,
    /// Can't be trained on; nothing was sent.
    Refused,
    /// Bytes sent so far.
    Sending(u64),
    /// All bytes are sent; the server reads them.
    Finishing,
    /// Kept under this id.
    Done(String),
    /// What happened, and what to do.
    Failed(String, String),
    Cancelled,
}

impl Stage {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Refused | Self::Failed(..) | Self::Cancelled)
    }
}

/// One chosen file. Copies are the same file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub key: usize,
    pub name: StoredValue<String>,
    pub bytes: u64,
    pub stage: RwSignal<Stage>,
    pub report: RwSignal<Option<Report>>,
    /// Asked to stop: the reading loop and the request look at it.
    pub cancelled: RwSignal<bool>,
}

#[derive(Clone, Copy)]
pub(super) struct Uploads {
    pub items: RwSignal<Vec<Item>>,
    #[cfg(target_arch = "wasm32")]
    pub browser: StoredValue<super::browser::Browser, LocalStorage>,
}

impl Uploads {
    pub(super) fn new(max_bytes: u64) -> Self {
        #[cfg(not(target_arch = "wasm32"))]
        let _ = max_bytes;
        Self {
            items: RwSignal::new(Vec::new()),
            #[cfg(target_arch = "wasm32")]
            browser: StoredValue::new_local(super::browser::Browser::new(max_bytes)),
        }
    }

    /// The person chose or dropped files.
    pub(super) fn chosen(self, event: &leptos::web_sys::Event) {
        #[cfg(target_arch = "wasm32")]
        super::browser::chosen(self, event);
        // Views are drawn on the server too, where nobody chooses anything.
        #[cfg(not(target_arch = "wasm32"))]
        let _ = event;
    }

    /// Sends the file, whatever was found in it; also after a failure.
    pub(super) fn send(self, item: Item) {
        #[cfg(target_arch = "wasm32")]
        super::browser::send(self, item);
        #[cfg(not(target_arch = "wasm32"))]
        let _ = item;
    }

    pub(super) fn cancel(self, item: Item) {
        item.cancelled.set(true);
        #[cfg(target_arch = "wasm32")]
        super::browser::abort(self, item);
        if !item.stage.get_untracked().is_over() {
            item.stage.set(Stage::Cancelled);
        }
    }

    /// Takes the file off the list.
    pub(super) fn dismiss(self, item: Item) {
        self.items.update(|items| items.retain(|other| other.key != item.key));
        #[cfg(target_arch = "wasm32")]
        super::browser::forget(self, item);
    }
}
