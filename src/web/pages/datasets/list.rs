//! The list of datasets, with the place to drop files and the bundled samples.

use super::{format_label, percent, samples};
use crate::{
    domain::{dataset::DatasetState, time::Instant},
    services::datasets::Listed,
    store,
    web::{
        api::extract::PageQuery,
        assets::Island,
        components::{
            Column, DataTable, EmptyState, NameCell, PageHeader, Pagination, RelativeTime, StatePill,
        },
        error::PageError,
        format,
        icons::Icon,
        islands::uploader::Uploader,
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

/// What the list shows. `first` is true on the first page, where new rows appear.
pub struct ListView {
    pub items: Vec<Listed>,
    pub next: Option<String>,
    pub first: bool,
    pub now: Instant,
}

pub async fn page(
    State(state): State<AppState>,
    SignedPage { actor, page }: SignedPage,
    Query(query): Query<PageQuery>,
) -> Result<Response, PageError> {
    let list = load(&state, &actor, query).await?;
    let samples = state.datasets.samples();
    let limit = state.config.max_upload_bytes;
    let page = page.at(Nav::Data, &[("Data", "/data")]).with_island(Island::Uploader);
    Ok(page.show("Data", move || {
        let nothing = list.items.is_empty() && list.first;
        view! {
            <PageHeader title="Data" lead="What models learn from. Files are checked in your browser before a byte is sent."/>
            <div class="stack-lg">
                <div><Uploader max_bytes=limit/></div>
                {table(list)}
                {samples::gallery(samples, nothing)}
            </div>
        }
    }))
}

pub async fn load(
    state: &AppState,
    actor: &crate::services::context::Actor,
    query: PageQuery,
) -> Result<ListView, crate::services::error::ServiceError> {
    let first = query.cursor.is_none();
    let page: store::PageRequest = query.into();
    let page = state.datasets.listed(actor, &page).await?;
    Ok(ListView { items: page.items, next: page.next, first, now: state.env.now() })
}

/// The table, which asks for itself again when an upload is done, and each of whose rows does while it is checked.
pub fn table(list: ListView) -> AnyView {
    let ListView { items, next, first, now } = list;
    let checking = items.iter().any(|item| item.dataset.state == DatasetState::Checking);
    let inner = if items.is_empty() && first {
        view! {
            <EmptyState icon=Icon::Data title="No data yet"
                text="Drop a file above, or begin with one of the samples below. JSON Lines, JSON, CSV, TSV and text are understood."/>
        }
        .into_any()
    } else {
        let next = next.map(|cursor| {
            let cursor = percent_encoding::utf8_percent_encode(&cursor, percent_encoding::NON_ALPHANUMERIC);
            format!("/data?cursor={cursor}")
        });
        let previous = (!first).then(|| "/data".to_owned());
        let showing = format::plural(items.len() as u64, "dataset on this page", "datasets on this page");
        view! {
            <DataTable caption="Datasets" columns=vec![
                Column::text("Name"), Column::text("State"), Column::text("Format"), Column::figure("Rows"),
                Column::figure("Tokens, about"), Column::text("Used by"), Column::text("Added"),
            ]>{items.into_iter().map(|item| row(item, now)).collect_view()}</DataTable>
            <Pagination showing=showing previous=previous next=next/>
        }
        .into_any()
    };
    let again = checking.then(
        || view! { <noscript><p class="muted">"Reload the page to see how far the check is."</p></noscript> },
    );
    let refresh = first.then_some("/-/datasets");
    view! {
        <div id="datasets" hx-get=refresh hx-trigger="datasets-changed from:body" hx-swap="outerHTML">
            {inner}
            {again}
        </div>
    }
    .into_any()
}

/// One row. While the file is checked it replaces itself every second.
pub fn row(item: Listed, now: Instant) -> AnyView {
    let Listed { dataset, tokens, jobs } = item;
    let href = format!("/data/{}", dataset.id);
    let checking = dataset.state == DatasetState::Checking;
    let poll = checking.then(|| format!("/-/datasets/{}/row", dataset.id));
    let figure = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), format::compact);
    let rows = (!checking && dataset.format.is_some()).then_some(dataset.rows);
    let used = match jobs {
        0 => "–".to_owned(),
        n => format::plural(n, "job", "jobs"),
    };
    let version = (dataset.version > 1).then(|| format!("v{}", dataset.version));
    view! {
        <tr hx-get=poll hx-trigger=checking.then_some("every 1s") hx-swap=checking.then_some("outerHTML")>
            <NameCell name=dataset.name.clone() href=href/>
            <td><StatePill state=dataset.state percent=percent(&dataset)/></td>
            <td>{format_label(&dataset)}{version.map(|version| view! { " " <span class="count">{version}</span> })}</td>
            <td class="figure">{figure(rows)}</td>
            <td class="figure">{figure(tokens.filter(|_| rows.is_some()))}</td>
            <td>{used}</td>
            <td><RelativeTime at=dataset.created_at now=now/></td>
        </tr>
    }
    .into_any()
}
