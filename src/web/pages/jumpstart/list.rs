//! The list with its search. The table is a fragment: htmx fetches it again while a person types, and each row fetches
//! what the list does not tell (licence, machines) by itself; without JavaScript it stands on the model's page.

use super::{licence_label, problem_notice, source_label, task_label};
use crate::{
    domain::jumpstart::Listed,
    services::{
        catalogue::{Line, Results, Search},
        context::Actor,
        error::ServiceResult,
    },
    store::PageRequest as ListPage,
    web::{
        components::{
            Button, Card, Checkbox, Column, DataTable, EmptyState, LinkButton, NameCell, PageHeader,
            Pagination, SelectField, SelectOption, TextField,
        },
        error::PageError,
        format,
        icons::Icon,
        page::SignedPage,
        shell::Nav,
        state::AppState,
    },
};
use axum::{
    extract::{Query, State},
    response::Response,
};
use leptos::prelude::*;
use std::collections::BTreeSet;

const ROWS: usize = 25;

/// What stands in the address.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub struct SearchQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    task: String,
    #[serde(default)]
    provider: String,
    all: Option<String>,
    cursor: Option<String>,
}

impl SearchQuery {
    fn search(&self) -> Search {
        Search {
            words: self.q.clone(),
            task: self.task.clone(),
            provider: self.provider.clone(),
            all: self.all.is_some(),
        }
    }

    /// The address of another page of the same search.
    fn href(&self, cursor: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let all = self.all.as_deref().map(|_| "true");
        for (name, value) in [
            ("q", Some(self.q.as_str())),
            ("task", Some(&self.task)),
            ("provider", Some(&self.provider)),
            ("all", all),
            ("cursor", cursor),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                query.append_pair(name, value);
            }
        }
        format!("/models/jumpstart?{}", query.finish())
    }
}

pub async fn load(state: &AppState, actor: &Actor, query: &SearchQuery) -> ServiceResult<Results> {
    let page = ListPage { cursor: query.cursor.clone(), limit: ROWS };
    state.catalogue.search(actor, &query.search(), &page).await
}

pub async fn page(
    State(state): State<AppState>,
    SignedPage { actor, page }: SignedPage,
    Query(query): Query<SearchQuery>,
) -> Result<Response, PageError> {
    let results = load(&state, &actor, &query).await?;
    let page = page.at(Nav::Models, &[("Models", "/models"), ("JumpStart", "/models/jumpstart")]);
    Ok(page.show("JumpStart models", move || list_view(results, query)))
}

fn list_view(results: Results, query: SearchQuery) -> impl IntoView {
    let form = search_form(&query, &results.tasks, &results.providers);
    view! {
        <PageHeader title="JumpStart models"
            lead="Models that AWS keeps ready to be tuned on SageMaker, each with its own settings, machines and licence."/>
        <div class="stack-lg">
            {form}
            <div id="jumpstart-models" hx-get="/-/jumpstart" hx-include="#jumpstart-search"
                hx-trigger="input from:#jumpstart-search delay:300ms" hx-swap="innerHTML" aria-live="polite">
                {table(results, &query)}
            </div>
        </div>
    }
}

fn search_form(query: &SearchQuery, tasks: &BTreeSet<String>, providers: &BTreeSet<String>) -> AnyView {
    // What was chosen stays to be seen, even where the list no longer has it.
    let options = |any: &str, all: &BTreeSet<String>, chosen: &String, label: fn(&str) -> String| {
        let mut names = all.clone();
        if !chosen.is_empty() {
            names.insert(chosen.clone());
        }
        let named = names.iter().map(|name| SelectOption::new(name, label(name)));
        std::iter::once(SelectOption::new("", any)).chain(named).collect::<Vec<_>>()
    };
    let tasks = options("Any task", tasks, &query.task, task_label);
    let providers = options("Any provider", providers, &query.provider, str::to_owned);
    let (task, provider) = (query.task.clone(), query.provider.clone());
    view! {
        <form id="jumpstart-search" method="get" action="/models/jumpstart" role="search" class="stack">
            <div class="field-row">
                <TextField label="Search" name="q" kind="search" value=query.q.clone() placeholder="llama 7b" maxlength=200/>
                <SelectField label="Task" name="task" options=tasks selected=task/>
                <SelectField label="Provider" name="provider" options=providers selected=provider/>
            </div>
            <div class="actions">
                <Button>"Search"</Button>
                <Checkbox label="Also models that can't be tuned" name="all" checked=query.all.is_some()/>
            </div>
        </form>
    }
    .into_any()
}

/// What was found, under what is wrong with the list.
pub fn table(results: Results, query: &SearchQuery) -> AnyView {
    let notice = problem_notice(&results.source, results.problem);
    let source = source_label(&results.source);
    if results.lines.is_empty() {
        return view! {
            <div class="stack">
                {notice}
                <EmptyState icon=Icon::Models title="No model matches"
                    text="Take fewer words, another task, or models that can't be tuned as well.">
                    <LinkButton href="/models/jumpstart">"Show all"</LinkButton>
                </EmptyState>
            </div>
        }
        .into_any();
    }
    let previous = query.cursor.is_some().then(|| query.href(None));
    let next = results.next.as_deref().map(|cursor| query.href(Some(cursor)));
    let showing = format::plural(results.found as u64, "model", "models");
    let foot = format!("{showing} · {source}");
    view! {
        <div class="stack">
            {notice}
            <Card flush=true>
                <DataTable caption="JumpStart models" columns=vec![
                    Column::text("Name"), Column::text("Provider"), Column::text("Task"), Column::text("Licence"),
                    Column::text("Instance type"), Column::figure("Other types"), Column::figure("Version"),
                ]>{results.lines.into_iter().map(|line| row(line, true)).collect_view()}</DataTable>
            </Card>
            <p class="muted">{foot}</p>
            <Pagination showing=showing previous=previous next=next/>
        </div>
    }
    .into_any()
}

/// One line. Where more may be known, it asks for that once and puts itself in its place.
pub fn row(line: Line, ask: bool) -> AnyView {
    let Line { listed, model, accepted } = line;
    let Listed { id, name, provider, task, version, .. } = listed;
    let more = (ask && model.is_none()).then(|| format!("/-/jumpstart/{id}/row"));
    let load = more.is_some();
    let licence = model.as_ref().map_or_else(|| "–".to_owned(), |model| licence_label(model, accepted));
    let training = model.and_then(|model| model.training);
    let default =
        training.as_ref().map_or_else(|| "–".to_owned(), |recipe| recipe.default_instance_type.clone());
    let others =
        training.map_or_else(|| "–".to_owned(), |recipe| (recipe.instance_types.len() - 1).to_string());
    view! {
        <tr hx-get=more hx-trigger=load.then_some("load") hx-swap=load.then_some("outerHTML")>
            <NameCell name=name href=format!("/models/jumpstart/{id}")/>
            <td>{provider}</td>
            <td>{task_label(&task)}</td>
            <td>{licence}</td>
            <td class="mono">{default}</td>
            <td class="figure">{others}</td>
            <td class="figure">{version}</td>
        </tr>
    }
    .into_any()
}
