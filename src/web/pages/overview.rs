//! The overview: for a newcomer three steps and a first button; for others what runs, what came last, what is next.

use super::training::views::progress_cell;
use crate::{
    domain::{dataset::Dataset, job::Job, model::Model, time::Instant},
    store::PageRequest as ListPage,
    web::{
        components::{
            ButtonKind, Card, Column, DataTable, LinkButton, NameCell, PageHeader, RelativeTime, StatePill,
            Step, Steps,
        },
        error::PageError,
        format,
        icons::Icon,
        page::SignedPage,
        shell::Nav,
        state::AppState,
    },
};
use axum::{extract::State, response::Response};
use leptos::prelude::*;

/// Rows of each table.
const ROWS: usize = 5;

pub async fn page(
    State(state): State<AppState>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let few = ListPage { cursor: None, limit: ROWS };
    let jobs = state.training.list(&actor, &few).await?.items;
    let models = state.models.list(&actor, &few).await?.items;
    let datasets = state.datasets.list(&actor, &few).await?.items;
    let now = page.now();
    let page = page.at(Nav::Overview, &[("Overview", "/")]);
    Ok(page.show("Overview", move || {
        if jobs.is_empty() && models.is_empty() {
            first_run(&datasets).into_any()
        } else {
            what_is(jobs, models, now).into_any()
        }
    }))
}

/// Nothing trained yet: what this is, and the shortest way to a model.
fn first_run(datasets: &[Dataset]) -> impl IntoView + use<> {
    let has_data = !datasets.is_empty();
    let steps = vec![
        Step {
            icon: Icon::Data,
            title: "Data",
            text: "Drop a file, or take a sample. See what is wrong with it.".to_owned(),
            done: has_data,
            current: !has_data,
        },
        Step {
            icon: Icon::Training,
            title: "Train",
            text: "See what it takes, press start, watch it learn.".to_owned(),
            done: false,
            current: has_data,
        },
        Step {
            icon: Icon::Playground,
            title: "Talk",
            text: "Try the result, and take it with you.".to_owned(),
            done: false,
            current: false,
        },
    ];
    let own = if has_data { ("/training/new", "Train on my data") } else { ("/data", "Upload my own") };
    view! {
        <PageHeader title="Tune a language model on your own data, on your own machine"/>
        <div class="stack-lg">
            <Card><Steps steps=steps/></Card>
            <div class="actions">
                <form method="post" action="/fn/try_sample">
                    <button class="btn btn-primary">"Try it with sample data"</button>
                </form>
                <LinkButton kind=ButtonKind::Secondary href=own.0>{own.1}</LinkButton>
            </div>
        </div>
    }
}

fn what_is(jobs: Vec<Job>, models: Vec<Model>, now: Instant) -> impl IntoView {
    let actions = view! {
        <LinkButton href="/data">"Add data"</LinkButton>
        <LinkButton kind=ButtonKind::Primary icon=Icon::Plus href="/training/new">"New training"</LinkButton>
    };
    let all_jobs = view! { <a class="link" href="/training">"All jobs"</a> };
    let all_models = view! { <a class="link" href="/models">"All models"</a> };
    let job_rows = jobs.into_iter().map(|job| job_row(job, now)).collect_view();
    let has_models = !models.is_empty();
    let model_rows = models.into_iter().map(|model| model_row(model, now)).collect_view();
    view! {
        <PageHeader title="Overview" actions=actions.into_any()/>
        <div class="stack-lg">
            <Card title="Latest training" flush=true actions=all_jobs.into_any()>
                <DataTable caption="Latest training jobs" columns=vec![
                    Column::text("Name"), Column::text("State"), Column::text("Data"), Column::figure("Progress"), Column::text("Made"),
                ]>{job_rows}</DataTable>
            </Card>
            {has_models.then(|| view! {
                <Card title="Latest models" flush=true actions=all_models.into_any()>
                    <DataTable caption="Latest models" columns=vec![
                        Column::text("Name"), Column::text("Tuned from"), Column::figure("Size"), Column::text("Made"), Column::hidden("Actions"),
                    ]>{model_rows}</DataTable>
                </Card>
            })}
        </div>
    }
}

fn job_row(job: Job, now: Instant) -> impl IntoView {
    let title = if job.title.is_empty() { job.name.clone() } else { job.title.clone() };
    let data = job.spec.dataset_names.join(", ");
    view! {
        <tr>
            <NameCell name=title href=format!("/training/{}", job.name)/>
            <td><StatePill state=job.state/></td>
            <td class="name" title=data.clone()><bdi>{data.clone()}</bdi></td>
            <td class="figure">{progress_cell(&job)}</td>
            <td><RelativeTime at=job.created_at now=now/></td>
        </tr>
    }
}

fn model_row(model: Model, now: Instant) -> impl IntoView {
    let talk = model.answers_here().then(|| format!("/playground?model={}", model.id));
    view! {
        <tr>
            <NameCell name=model.name.clone() href=format!("/models/{}", model.id)/>
            <td>{model.base_name.clone()}</td>
            <td class="figure">{format::bytes(model.bytes)}</td>
            <td><RelativeTime at=model.created_at now=now/></td>
            <td class="row-actions">{talk.map(|href| view! { <LinkButton small=true href=href>"Talk"</LinkButton> })}</td>
        </tr>
    }
}
