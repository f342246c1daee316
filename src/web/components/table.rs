//! Dense tables that scroll sideways instead of breaking the page.

use leptos::prelude::*;

/// One column's head.
#[derive(Debug, Clone)]
pub struct Column {
    pub label: String,
    /// Right-aligned, monospaced; the cells need `class="figure"` too.
    pub figure: bool,
    /// The label is for screen readers only: a column of buttons.
    pub hidden: bool,
}

impl Column {
    pub fn text(label: impl Into<String>) -> Self {
        Self { label: label.into(), figure: false, hidden: false }
    }
    pub fn figure(label: impl Into<String>) -> Self {
        Self { label: label.into(), figure: true, hidden: false }
    }
    pub fn hidden(label: impl Into<String>) -> Self {
        Self { label: label.into(), figure: false, hidden: true }
    }
}

/// Children are the `<tr>`s. Cells: `<NameCell …/>`, `<td>`, `<td class="figure">`,
/// `<td class="wrap">` for prose, `<td class="row-actions">` for buttons.
///
/// `<DataTable caption="Datasets" columns=vec![Column::text("Name"), Column::figure("Rows")]>{rows}</DataTable>`
#[component]
pub fn DataTable(
    /// What the table lists, for screen readers.
    #[prop(into)]
    caption: String,
    columns: Vec<Column>,
    /// For a `<tbody>` that htmx fills.
    #[prop(optional, into)]
    body_id: Option<String>,
    /// Scrolls within the page, under its sticky head.
    #[prop(optional)]
    tall: bool,
    children: Children,
) -> impl IntoView {
    let head = columns
        .into_iter()
        .map(|column| {
            let class = if column.figure { "figure" } else { "" };
            let label_class = if column.hidden { "visually-hidden" } else { "" };
            view! { <th scope="col" class=class><span class=label_class>{column.label}</span></th> }
        })
        .collect_view();
    let class = if tall { "table-scroll table-tall" } else { "table-scroll" };
    view! {
        <div class=class role="region" aria-label=caption.clone() tabindex="0">
            <table class="data-table">
                <caption class="visually-hidden">{caption.clone()}</caption>
                <thead><tr>{head}</tr></thead>
                <tbody id=body_id>{children()}</tbody>
            </table>
        </div>
    }
    .into_any()
}

/// The row's name as a link; a long one is cut with an ellipsis and shown whole on hover.
#[component]
pub fn NameCell(#[prop(into)] name: String, #[prop(into)] href: String) -> impl IntoView {
    view! { <td class="name"><a href=href title=name.clone()><bdi>{name.clone()}</bdi></a></td> }.into_any()
}
