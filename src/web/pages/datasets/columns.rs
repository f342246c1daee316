//! What the columns of a table are for, chosen in its head.

use super::detail::Detail;
use crate::{
    domain::dataset::DatasetState,
    web::{
        components::{Button, ButtonKind, Notice, Severity},
        flash::Flash,
    },
};
use leptos::prelude::*;
use llm_tuner_dataset::{ColumnRole, Format, Schema};

/// Roles by the name that the form sends.
pub const ROLES: [(&str, ColumnRole, &str); 5] = [
    ("ignore", ColumnRole::Ignore, "Ignore"),
    ("prompt", ColumnRole::Prompt, "Prompt"),
    ("completion", ColumnRole::Completion, "Completion"),
    ("system", ColumnRole::System, "System"),
    ("text", ColumnRole::Text, "Text"),
];

pub fn role_named(name: &str) -> Option<ColumnRole> {
    ROLES.iter().find(|(known, ..)| *known == name).map(|(_, role, _)| *role)
}

/// What a column is for now: as mapped, or by its name where the format is known.
pub fn role_of(schema: &Schema, column: &str) -> ColumnRole {
    if let Some(mapping) = &schema.mapping {
        return mapping.role(column);
    }
    match (schema.format, column) {
        (Format::Alpaca | Format::Dolly, "instruction" | "input" | "context")
        | (Format::PromptCompletion, "prompt")
        | (Format::QuestionAnswer, "question") => ColumnRole::Prompt,
        (Format::Alpaca, "output")
        | (Format::Dolly, "response")
        | (Format::PromptCompletion, "completion")
        | (Format::QuestionAnswer, "answer") => ColumnRole::Completion,
        (Format::Alpaca, "system") => ColumnRole::System,
        (Format::Text, "text") => ColumnRole::Text,
        _ => ColumnRole::Ignore,
    }
}

/// The table whose head holds the roles. One form around it: it is confirmed as a whole.
pub fn table(detail: &Detail, schema: &Schema, rows: AnyView) -> AnyView {
    let flash = Flash::of(detail.flash.as_ref(), "map_columns");
    let problem = flash.error("mapping").map(|message| {
        view! { <Notice severity=Severity::Error title="The columns can't be used like this" cause=message focus=true/> }
    });
    let asked = detail.dataset.state == DatasetState::NeedsMapping;
    let heads = schema.columns.iter().enumerate().map(|(at, column)| {
        let typed = flash.value(&format!("roles[{at}]"));
        let role = role_named(&typed).unwrap_or_else(|| role_of(schema, column));
        head(at, column, role)
    });
    let heads = heads.collect_view();
    let (kind, label) = if asked {
        (ButtonKind::Primary, "Confirm the roles")
    } else {
        (ButtonKind::Secondary, "Change the roles")
    };
    view! {
        <form method="post" action="/fn/map_columns" class="stack">
            {problem}
            <input type="hidden" name="id" value=detail.dataset.id.to_string()/>
            <div class="table-scroll table-tall" role="region" aria-label="Rows" tabindex="0">
                <table class="data-table">
                    <caption class="visually-hidden">"Rows, and what each column is for"</caption>
                    <thead>
                        <tr>
                            <th scope="col" class="figure">"Row"</th>
                            <th scope="col" class="figure">"Line"</th>
                            {heads}
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            <div class="actions">
                <Button kind=kind>{label}</Button>
                <span class="muted t-12">"One completion with one or more prompts, or one text column. The file is then checked again."</span>
            </div>
        </form>
    }
    .into_any()
}

fn head(at: usize, column: &str, role: ColumnRole) -> impl IntoView + use<> {
    let options = ROLES.map(|(value, this, label)| {
        view! { <option value=value selected=this == role>{label}</option> }
    });
    let label = format!("What the column {column} is for");
    view! {
        <th scope="col">
            <div class="grid gap-1 py-1">
                <bdi>{column.to_owned()}</bdi>
                <input type="hidden" name=format!("columns[{at}]") value=column.to_owned()/>
                <select class="input min-w-32" name=format!("roles[{at}]") aria-label=label>
                    {options.into_iter().collect_view()}
                </select>
            </div>
        </th>
    }
}
