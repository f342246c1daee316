//! The list of training jobs.

use super::views::progress_cell;
use crate::{
    domain::{job::Job, time::Instant},
    store::PageRequest as ListPage,
    web::{
        components::{
            ButtonKind, Card, Column, DataTable, EmptyState, LinkButton, NameCell, PageHeader, Pagination,
            RelativeTime, StatePill,
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

const ROWS: usize = 50;

#[derive(serde::Deserialize)]
pub struct Cursor {
    cursor: Option<String>,
}

pub async fn page(
    State(state): State<AppState>,
    Query(Cursor { cursor }): Query<Cursor>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let first = cursor.is_none();
    let jobs = state.training.list(&actor, &ListPage { cursor, limit: ROWS }).await?;
    let now = page.now();
    let page = page.at(Nav::Training, &[("Training", "/training")]);
    Ok(page.show("Training", move || list_view(jobs.items, jobs.next, first, now)))
}

/// The list; while a job runs it fetches itself again every two seconds.
pub fn list_view(jobs: Vec<Job>, next: Option<String>, first: bool, now: Instant) -> impl IntoView {
    let actions = view! { <LinkButton kind=ButtonKind::Primary icon=Icon::Plus href="/training/new">"New training"</LinkButton> };
    if jobs.is_empty() && first {
        return view! {
            <PageHeader title="Training"/>
            <EmptyState icon=Icon::Training title="No training jobs yet"
                text="Choose a base model and a dataset; see what it takes; press start.">
                <LinkButton kind=ButtonKind::Primary href="/training/new">"New training"</LinkButton>
            </EmptyState>
        }
        .into_any();
    }
    let running = first && jobs.iter().any(|job| !job.state.is_final());
    let shown = jobs.len();
    let rows = jobs.into_iter().map(|job| row(job, now)).collect_view();
    view! {
        <PageHeader title="Training" actions=actions.into_any()/>
        <div id="jobs" hx-get=running.then_some("/training") hx-select="#jobs" hx-trigger="every 2s" hx-swap="outerHTML">
            <Card flush=true>
                <DataTable caption="Training jobs" columns=vec![
                    Column::text("Name"), Column::text("State"), Column::text("Base model"), Column::text("Data"),
                    Column::figure("Progress"), Column::figure("Loss"), Column::text("Made"),
                ]>{rows}</DataTable>
            </Card>
        </div>
        {(!first || next.is_some()).then(|| view! {
            <Pagination showing=format::plural(shown as u64, "job", "jobs")
                previous=(!first).then(|| "/training".to_owned()) next=next.map(|cursor| format!("/training?cursor={cursor}"))/>
        })}
    }
    .into_any()
}

fn row(job: Job, now: Instant) -> impl IntoView {
    let title = if job.title.is_empty() { job.name.clone() } else { job.title.clone() };
    let loss = job.eval_loss.or(job.train_loss).map_or_else(|| "–".to_owned(), format::loss);
    view! {
        <tr>
            <NameCell name=title href=format!("/training/{}", job.name)/>
            <td><StatePill state=job.state/></td>
            <td>{job.spec.base_name.clone()}</td>
            <td class="name" title=job.spec.dataset_names.join(", ")><bdi>{job.spec.dataset_names.join(", ")}</bdi></td>
            <td class="figure">{progress_cell(&job)}</td>
            <td class="figure">{loss}</td>
            <td><RelativeTime at=job.created_at now=now/></td>
        </tr>
    }
}
