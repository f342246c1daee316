//! Rows of a dataset as conversations, as a table, or as they stand in the file.

use super::{columns, detail::Detail};
use crate::services::datasets::preview::PAGE_ROWS;
use crate::web::{
    components::{ButtonKind, ChatBubble, ChatRole, Column, DataTable, LinkButton, Pagination},
    format,
    icons::{Icon, icon},
};
use leptos::prelude::*;
use llm_tuner_dataset::{Example, Page, PreviewRow, Role, Schema, Shape};

/// How rows are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// As suits the format.
    #[default]
    Auto,
    Chat,
    Table,
    Raw,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Chat => "chat",
            Self::Table => "table",
            Self::Raw => "raw",
        }
    }

    fn settled(self, schema: &Schema, page: &Page) -> Self {
        if self != Self::Auto {
            return self;
        }
        if page.rows.iter().any(|row| !row.cells.is_empty()) {
            return Self::Table;
        }
        match schema.shape() {
            Some(Shape::Chat | Shape::Completion) => Self::Chat,
            Some(Shape::Text) => Self::Table,
            None => Self::Raw,
        }
    }
}

pub fn view(detail: &Detail) -> AnyView {
    let (Some(report), Some(page)) = (&detail.report, &detail.preview) else {
        return view! { <p class="muted">"There is nothing to show yet."</p> }.into_any();
    };
    let Some(schema) = report.schema.as_ref().filter(|_| page.total > 0) else {
        return view! { <p class="muted">"No rows can be shown. The findings say why."</p> }.into_any();
    };
    let mode = detail.query.view.settled(schema, page);
    let rows = match mode {
        Mode::Chat | Mode::Auto => {
            view! { <div class="stack">{page.rows.iter().map(conversation).collect_view()}</div> }.into_any()
        }
        Mode::Table => table(detail, schema, page),
        Mode::Raw => raw(page),
    };
    view! {
        <div class="stack">
            {bar(detail, mode, page)}
            {rows}
            {pages(detail, mode, page)}
        </div>
    }
    .into_any()
}

fn href(detail: &Detail, mode: Mode, row: u64) -> String {
    let chosen = if detail.query.view == Mode::Auto { Mode::Auto } else { mode };
    format!("/data/{}?view={}&row={row}", detail.dataset.id, chosen.name())
}

/// Which way to show, and where to go.
fn bar(detail: &Detail, mode: Mode, page: &Page) -> AnyView {
    let id = &detail.dataset.id;
    let switch = [(Mode::Chat, "Conversation"), (Mode::Table, "Table"), (Mode::Raw, "As written")].map(
        |(which, label)| {
            let href = format!("/data/{id}?view={}&row={}", which.name(), page.first + 1);
            let class = if which == mode { "btn btn-small" } else { "btn btn-small btn-quiet" };
            view! { <a class=class href=href aria-current=(which == mode).then_some("true")>{label}</a> }
        },
    );
    view! {
        <div class="actions">
            <nav class="actions grow" aria-label="How to show the rows">{switch.into_iter().collect_view()}</nav>
            <form method="get" action=format!("/data/{id}") class="actions">
                <input type="hidden" name="view" value=detail.query.view.name()/>
                <label class="t-12 muted" for="row">"Row"</label>
                <input class="input w-24" type="number" id="row" name="row" min="1" max=page.total.to_string()
                    value=(page.first + 1).to_string() required/>
                <button class="btn btn-small">"Go"</button>
            </form>
        </div>
    }
    .into_any()
}

fn pages(detail: &Detail, mode: Mode, page: &Page) -> AnyView {
    let (first, shown) = (page.first + 1, page.rows.len() as u64);
    let last = (first + shown).saturating_sub(1);
    let showing = format!(
        "{}–{} of {}",
        format::integer(first),
        format::integer(last),
        format::plural(page.total, "row", "rows")
    );
    let previous = (page.first > 0).then(|| href(detail, mode, first.saturating_sub(PAGE_ROWS).max(1)));
    let next = (last < page.total).then(|| href(detail, mode, last + 1));
    view! { <Pagination showing=showing previous=previous next=next/> }.into_any()
}

/// What is wrong with a row, below it.
fn faults(row: &PreviewRow) -> Option<AnyView> {
    let list = row
        .findings
        .iter()
        .map(|finding| view! { <p class="field-error">{icon(Icon::Error)}<span>{finding.message.clone()}</span></p> })
        .collect_view();
    (!row.findings.is_empty()).then(|| view! { <div>{list}</div> }.into_any())
}

fn place(row: &PreviewRow) -> String {
    format!("Row {}, line {}", format::integer(row.number + 1), format::integer(row.line))
}

fn conversation(row: &PreviewRow) -> AnyView {
    let bubble = |role, text: &str| view! { <ChatBubble role=role text=text.to_owned()/> }.into_any();
    let said: Vec<AnyView> = match &row.example {
        Some(Example::Text { text }) => vec![prose(text)],
        Some(Example::Completion { prompt, completion }) => {
            vec![bubble(ChatRole::User, prompt), bubble(ChatRole::Assistant, completion)]
        }
        Some(Example::Chat { messages }) => messages
            .iter()
            .map(|message| match message.role {
                Role::System => bubble(ChatRole::System, &message.content),
                Role::User => bubble(ChatRole::User, &message.content),
                Role::Assistant => bubble(ChatRole::Assistant, &message.content),
                Role::Tool => {
                    let text = message.content.clone().into_owned();
                    view! { <ChatBubble role=ChatRole::System who="Tool" text=text/> }.into_any()
                }
            })
            .collect(),
        None => vec![prose(&row.raw)],
    };
    view! {
        <section class="card card-body stack max-w-3xl" aria-label=place(row)>
            <p class="muted t-12 figure">{place(row)}</p>
            <div class="chat">{said}</div>
            {faults(row)}
        </section>
    }
    .into_any()
}

fn prose(text: &str) -> AnyView {
    view! { <div class="t-13 whitespace-pre-wrap break-words" dir="auto">{text.to_owned()}</div> }.into_any()
}

fn table(detail: &Detail, schema: &Schema, page: &Page) -> AnyView {
    if page.rows.iter().any(|row| !row.cells.is_empty()) {
        let rows = page.rows.iter().map(|row| cells_row(row, schema.columns.len())).collect_view();
        return columns::table(detail, schema, rows.into_any());
    }
    let heads: &[&str] = match schema.shape() {
        Some(Shape::Completion) => &["Prompt", "Completion"],
        Some(Shape::Chat) => &["First message", "Last answer"],
        _ => &["Text"],
    };
    let mut all = vec![Column::figure("Row"), Column::figure("Line")];
    all.extend(heads.iter().map(|head| Column::text(*head)));
    let rows = page.rows.iter().map(|row| {
        let texts: Vec<String> = match &row.example {
            Some(Example::Text { text }) => vec![text.to_string()],
            Some(Example::Completion { prompt, completion }) => {
                vec![prompt.to_string(), completion.to_string()]
            }
            Some(chat @ Example::Chat { .. }) => {
                vec![
                    chat.prompt().unwrap_or_default().to_owned(),
                    chat.answer().unwrap_or_default().to_owned(),
                ]
            }
            None => vec![row.raw.clone()],
        };
        let missing = heads.len().saturating_sub(texts.len());
        let mut cells: Vec<AnyView> = texts.into_iter().map(|text| cell(&text)).collect();
        cells.extend((0..missing).map(|_| view! { <td></td> }.into_any()));
        numbered(row, cells)
    });
    let rows = rows.collect_view();
    view! { <DataTable caption="Rows" columns=all tall=true>{rows}</DataTable> }.into_any()
}

fn cell(text: &str) -> AnyView {
    view! { <td class="wrap"><div class="line-clamp-4 whitespace-pre-wrap" dir="auto">{text.to_owned()}</div></td> }.into_any()
}

fn cells_row(row: &PreviewRow, columns: usize) -> AnyView {
    let texts =
        row.cells.iter().map(String::as_str).chain(std::iter::repeat("")).take(columns.max(row.cells.len()));
    numbered(row, texts.map(cell).collect())
}

fn numbered(row: &PreviewRow, cells: Vec<AnyView>) -> AnyView {
    let span = (cells.len() + 2).to_string();
    let faults = faults(row).map(|faults| view! { <tr><td class="wrap" colspan=span>{faults}</td></tr> });
    view! {
        <tr>
            <td class="figure">{format::integer(row.number + 1)}</td>
            <td class="figure muted">{format::integer(row.line)}</td>
            {cells}
        </tr>
        {faults}
    }
    .into_any()
}

fn raw(page: &Page) -> AnyView {
    let rows = page.rows.iter().map(|row| {
        let more = row.shortened.then(|| view! { <span class="muted">" … (shortened)"</span> });
        view! {
            <div class="grid gap-2">
                <p class="muted t-12 figure">{place(row)}</p>
                <div class="code"><pre tabindex="0" role="region" aria-label=place(row)><code dir="auto">{row.raw.clone()}</code></pre></div>
                {more}
                {faults(row)}
            </div>
        }
    });
    view! { <div class="stack">{rows.collect_view()}</div> }.into_any()
}

/// For pages that have no rows of their own to show.
pub fn link(detail: &Detail) -> AnyView {
    let href = format!("/data/{}?view=table", detail.dataset.id);
    view! { <LinkButton small=true kind=ButtonKind::Secondary href=href>"Open the columns"</LinkButton> }
        .into_any()
}
