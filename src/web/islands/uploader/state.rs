//! What the uploader knows about each file, and what may happen to it next.

use leptos::prelude::*;
use llm_tuner_dataset::{Grade, Report};

/// Kinds of findings shown, and lines of each.
const KINDS: usize = 6;
const LINES: usize = 3;

/// Where a file is on its way.
#[derive(Clone)]
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
    /// The connection was lost after so many bytes. It goes on by itself.
    Lost(u64),
    /// All bytes are sent; the server reads them.
    Finishing,
    /// Kept under this id.
    Done(String),
    /// What happened and what to do.
    Failed(String),
    Cancelled,
}

impl Stage {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Refused | Self::Failed(_) | Self::Cancelled)
    }
    /// Only the person moves it on.
    pub(super) fn rests(&self) -> bool {
        self.is_over() || matches!(self, Self::Asking)
    }
}

/// One line of what was found: its class, its text.
#[derive(Clone)]
pub(super) struct Line(pub &'static str, pub String);

/// One chosen file. Copies are the same file.
#[derive(Clone, Copy)]
pub(super) struct Item {
    pub key: usize,
    pub name: StoredValue<String>,
    pub bytes: u64,
    /// Counts the tries to send it, so that one that was cancelled does not go on beside the next.
    #[cfg(target_arch = "wasm32")]
    pub turn: StoredValue<u32>,
    pub stage: RwSignal<Stage>,
    pub found: RwSignal<Vec<Line>>,
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
        super::send::send(self, item);
        #[cfg(not(target_arch = "wasm32"))]
        let _ = item;
    }

    /// Stops what is under way; what rests is taken off the list.
    pub(super) fn cancel_or_dismiss(self, item: Item) {
        let dismiss = item.stage.get_untracked().rests();
        #[cfg(target_arch = "wasm32")]
        super::browser::stop(self, item, dismiss);
        if dismiss {
            self.items.update(|items| items.retain(|other| other.key != item.key));
        } else {
            item.stage.set(Stage::Cancelled);
        }
    }
}

/// What the check found, worst first, as lines to show.
#[cfg_attr(not(target_arch = "wasm32"), expect(dead_code, reason = "files are checked in the browser only"))]
pub(super) fn lines(report: &Report) -> Vec<Line> {
    let mut lines = Vec::new();
    for group in report.groups.iter().take(KINDS) {
        let (class, word) = match group.grade {
            Grade::Error => ("t-13 text-bad", "Error"),
            Grade::Fix => ("t-13 text-warn", "Mended by a repair"),
            Grade::Advice => ("t-13", "Advice"),
        };
        // A finding about the whole file needs no count.
        let count = if group.examples.iter().all(|finding| finding.line == 0) {
            String::new()
        } else {
            format!(" ({})", group.count)
        };
        lines.push(Line(class, format!("{word}: {}{count}", group.title)));
        for finding in group.examples.iter().take(LINES) {
            let place = if finding.line > 0 { format!("Line {}: ", finding.line) } else { String::new() };
            lines.push(Line("t-12 muted break-words", format!("{place}{}", finding.message)));
        }
    }
    if report.groups.len() > KINDS {
        lines.push(Line("t-12 muted", format!("{} more kinds of findings.", report.groups.len() - KINDS)));
    }
    lines
}
