//! Files, code and logs: monospaced things to read, copy and download.

use super::{Button, ButtonKind, LinkButton, MaybeText};
use crate::web::{
    format,
    icons::{Icon, icon},
};
use leptos::prelude::*;

/// One downloadable file with size and checksum. Stands in a `<Card flush=true>`.
#[component]
pub fn FileRow(
    #[prop(into)] name: String,
    bytes: u64,
    #[prop(into)] href: String,
    #[prop(optional, into)] sha256: MaybeText,
    #[prop(default = Icon::File)] icon: Icon,
) -> impl IntoView {
    let sum = sha256.0.map(|sum| {
        let title = format!("SHA-256 {sum}");
        view! { <code class="sum ellipsis" title=title>{sum.clone()}</code> }
    });
    let label = format!("Download {name}");
    view! {
        <div class="file">
            {self::icon(icon)}
            <span class="ellipsis mono" title=name.clone()><bdi>{name.clone()}</bdi></span>
            <span class="muted figure">{format::bytes(bytes)}</span>
            <LinkButton kind=ButtonKind::Quiet icon=Icon::Download label=label href=href download=true small=true/>
            {sum}
        </div>
    }
    .into_any()
}

/// Text to copy. The button needs app.js and is hidden without it.
#[component]
pub fn CodeBlock(
    #[prop(into)] text: String,
    /// What it is, for screen readers: "Command to run the job again".
    #[prop(into)]
    label: String,
    /// Unique on the page; the copy button needs it.
    #[prop(into)]
    id: String,
) -> impl IntoView {
    let copy_label = format!("Copy: {label}");
    view! {
        <div class="code">
            <pre id=id.clone() tabindex="0" role="region" aria-label=label><code>{text}</code></pre>
            <Button kind=ButtonKind::Quiet icon=Icon::Copy small=true r#type="button" class="needs-js"
                label=copy_label attr:data-copy=id>"Copy"</Button>
        </div>
    }
    .into_any()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    #[default]
    Info,
    Warning,
    Error,
}

/// One line of a job's log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Its number in the job's stream; a reconnect resumes after it.
    pub seq: u64,
    /// Time of day, ready to show.
    pub time: String,
    pub text: String,
    pub level: LogLevel,
}

/// The `<li>`s alone, for a fragment that appends them.
#[component]
pub fn LogLines(lines: Vec<LogLine>) -> impl IntoView {
    lines
        .into_iter()
        .map(|line| {
            let class = match line.level {
                LogLevel::Info => "",
                LogLevel::Warning => "log-warn",
                LogLevel::Error => "log-error",
            };
            view! { <li data-seq=line.seq.to_string() class=class><time>{line.time}</time><span>{line.text}</span></li> }
        })
        .collect_view()
        .into_any()
}

/// A log that scrolls by itself; app.js keeps it at the end while the person is at the end. `id` is the
/// list's, where further [`LogLines`] are appended.
#[component]
pub fn LogView(#[prop(into)] id: String, lines: Vec<LogLine>) -> impl IntoView {
    view! {
        <div class="log" data-follow="" tabindex="0" role="log" aria-label="Log">
            <ol id=id><LogLines lines=lines/></ol>
        </div>
    }
    .into_any()
}
