//! One job: its head, the live part, and tabs for settings, data, files and the batch as the model sees it.

use super::{card::place_words, views};
use crate::{
    domain::{
        cloud::Route,
        event::{EventBody, JobEvent},
        job::Job,
        model::Model,
        time::Instant,
    },
    web::{
        assets::Island,
        components::{
            Button, ButtonKind, Card, CodeBlock, DefinitionList, FileRow, FormErrors, LineChart, LinkButton,
            LogLevel, LogLine, LogView, RelativeTime, Series, SeriesKind, Tab, Tabs, TextArea, TextField,
            smooth, thin,
        },
        error::PageError,
        flash::Flash,
        format,
        icons::Icon,
        islands::job::{JobLive, add_point},
        page::SignedPage,
        shell::Nav,
        state::AppState,
    },
};
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use leptos::prelude::*;
use std::time::Duration;

#[derive(serde::Deserialize)]
pub struct Chosen {
    #[serde(default)]
    tab: String,
}

/// Points of the server-drawn chart.
const POINTS: usize = 400;
/// Metric events read for it.
const EVENTS: usize = 100_000;

pub async fn page(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Query(Chosen { tab }): Query<Chosen>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let job = state.training.job(&actor, &name).await?;
    let queue = state.training.queue_position(&job).await?;
    let model = state.training.model(&job).await?;
    let now = page.now();
    let flash = page.flash.clone();
    let title = if job.title.is_empty() { job.name.clone() } else { job.title.clone() };
    let page = page.at(Nav::Training, &[("Training", "/training"), (&title, "")]);
    match tab.as_str() {
        "settings" => Ok(page.show(&title, move || {
            let body = settings_tab(&job, &Flash::of(flash.as_ref(), "describe"), now);
            frame(&job, queue, model.as_ref(), now, "settings", body)
        })),
        "data" => {
            let batch = state.training.last_events_of_kind(&job, "batch", 1).await?;
            Ok(page.show(&title, move || {
                frame(&job, queue, model.as_ref(), now, "data", data_tab(&job, &batch))
            }))
        }
        "files" => Ok(page.show(&title, move || {
            let body = files_tab(model.as_ref());
            frame(&job, queue, model.as_ref(), now, "files", body)
        })),
        _ => {
            let metrics = state.training.events_of_kind(&job, "metric", 0, EVENTS).await?;
            let log = state.training.last_events_of_kind(&job, "log", 200).await?;
            let samples = state.training.last_events_of_kind(&job, "sample", 32).await?;
            Ok(page.with_island(Island::Job).show(&title, move || {
                let body = progress_tab(&job, &metrics, log, &samples);
                frame(&job, queue, model.as_ref(), now, "", body)
            }))
        }
    }
}

fn frame(
    job: &Job,
    queue: Option<u64>,
    model: Option<&Model>,
    now: Instant,
    tab: &str,
    body: impl IntoView + 'static,
) -> AnyView {
    let href = |tab: &str| {
        if tab.is_empty() {
            format!("/training/{}", job.name)
        } else {
            format!("/training/{}?tab={tab}", job.name)
        }
    };
    let tabs = [("", "Progress"), ("settings", "Settings"), ("data", "Data"), ("files", "Files")]
        .map(|(name, label)| Tab::new(label, href(name), name == tab));
    view! {
        {views::head(job, queue, model, now)}
        {views::stop_dialog(job)}
        <Tabs label="The job's parts" tabs=tabs.to_vec()/>
        <div class="stack-lg">{body}</div>
    }
    .into_any()
}

fn progress_tab(
    job: &Job,
    metrics: &[JobEvent],
    log: Vec<JobEvent>,
    samples: &[JobEvent],
) -> impl IntoView + use<> {
    let series = |name: &str| -> Vec<(f64, f64)> {
        let mut points = Vec::new();
        for event in metrics {
            if let EventBody::Metric { name: metric, value, step } = &event.body
                && metric == name
            {
                add_point(&mut points, *step as f64, *value);
            }
        }
        points
    };
    let train = series("train_loss");
    let lines = vec![
        Series { name: "Training".to_owned(), kind: SeriesKind::Raw, points: thin(&train, POINTS) },
        Series {
            name: "Training, smoothed".to_owned(),
            kind: SeriesKind::Smooth,
            points: thin(&smooth(&train, 0.9), POINTS),
        },
        Series { name: "Evaluation".to_owned(), kind: SeriesKind::Dotted, points: series("eval_loss") },
    ];
    let log: Vec<LogLine> = log
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::Log { line } => Some(LogLine {
                seq: event.seq,
                time: clock_time(event.at),
                text: line,
                level: LogLevel::Info,
            }),
            _ => None,
        })
        .collect();
    let samples = views::samples(samples);
    let no_samples = if by_our_engine(job) {
        "Held-out rows are answered here at each evaluation."
    } else {
        "The script of this container answers no rows while it trains."
    };
    let stream = format!("/-/jobs/{}/events", job.name);
    let whole_log = format!("/api/training-job/{}/log", job.name);
    view! {
        <JobLive stream=stream no_samples=no_samples.to_owned()>
            <div class="stack-lg">
                <Card title="Loss"><LineChart title="Loss by step" series=lines/></Card>
                <div class="job-columns">
                    <Card title="Samples">
                        {samples.is_empty().then(|| view! { <p class="muted">{no_samples}</p> })}
                        {samples.into_iter().map(|(_, prompt, expected, output)| view! {
                            <article class="sample">
                                <p class="sample-prompt" dir="auto">{prompt}</p>
                                <p class="sample-answer mono" dir="auto">{output.clone()}</p>
                                {(!expected.is_empty() && expected.trim() != output.trim()).then(|| view! { <p class="sample-verdict">"Expected "<span class="mono">{expected}</span></p> })}
                            </article>
                        }).collect_view()}
                    </Card>
                    <Card title="Log" flush=true><LogView id="log" lines=log/></Card>
                </div>
            </div>
        </JobLive>
        <div class="actions"><LinkButton kind=ButtonKind::Quiet icon=Icon::Download download=true href=whole_log>"Download the whole log"</LinkButton></div>
    }
}

/// Only our own engine tells samples and the first batch; the scripts of other containers have ways of their own.
fn by_our_engine(job: &Job) -> bool {
    job.spec.cloud.as_ref().is_none_or(|spec| spec.route == Route::Image)
}

/// Time of day, UTC.
fn clock_time(at: Instant) -> String {
    jiff::Timestamp::from_microsecond(at.micros())
        .map(|at| at.strftime("%H:%M:%S").to_string())
        .unwrap_or_default()
}

fn settings_tab(job: &Job, flash: &Flash, now: Instant) -> impl IntoView + use<> {
    let mut facts: Vec<(String, AnyView)> = vec![
        ("Name".into(), view! { <span class="mono">{job.name.clone()}</span> }.into_any()),
        ("Base model".into(), job.spec.base_name.clone().into_any()),
        ("Planned tokens".into(), format::integer(job.spec.tokens).into_any()),
        ("Try".into(), job.attempt.to_string().into_any()),
        ("Made".into(), view! { <RelativeTime at=job.created_at now=now/> }.into_any()),
    ];
    if let Some(spec) = &job.spec.cloud {
        facts.push(("Runs on".into(), place_words(spec).into_any()));
        let limit = Duration::from_secs(spec.max_runtime_seconds);
        facts.push(("Stopped after".into(), format::duration(limit).into_any()));
        if !spec.fallback.is_empty() {
            facts.push(("Or else on".into(), spec.fallback.join(", ").into_any()));
        }
    } else {
        facts.push(("Planned memory".into(), format::bytes(job.spec.memory_bytes).into_any()));
    }
    if let Some(arn) = job.cloud.as_ref().and_then(|run| run.arn.clone()) {
        facts.push(("Job at AWS".into(), view! { <span class="mono">{arn}</span> }.into_any()));
    }
    let route = job.spec.cloud.as_ref().map(|spec| &spec.route);
    // JumpStart's scripts have settings of their own for it.
    if !matches!(route, Some(Route::JumpStart { .. })) {
        facts.push(("Held out".into(), format::percent(job.spec.validation_share).into_any()));
    }
    for (name, value) in &job.spec.hyperparameters {
        facts.push((name.clone(), view! { <span class="mono">{value.clone()}</span> }.into_any()));
    }
    let typed =
        |field: &str, kept: &str| if flash.errors.is_empty() { kept.to_owned() } else { flash.value(field) };
    let (title, notes) = (typed("title", &job.title), typed("notes", &job.notes));
    let errors = flash.errors.clone();
    let (title_error, notes_error) = (flash.error("title"), flash.error("notes"));
    let name = job.name.clone();
    let deletable = job.state.is_final().then(|| job.name.clone());
    view! {
        <Card title="Settings"><DefinitionList entries=facts/></Card>
        <Card title="Title and notes">
            <form method="post" action="/fn/describe_job" class="stack form-narrow">
                <FormErrors errors=errors/>
                <input type="hidden" name="name" value=name/>
                <TextField label="Title" name="title" value=title maxlength=200 error=title_error/>
                <TextArea label="Notes" name="notes" value=notes error=notes_error/>
                <div class="actions"><Button>"Save"</Button></div>
            </form>
        </Card>
        {deletable.map(|name| view! {
            <Card title="Delete">
                <form method="post" action="/fn/delete_job" class="stack">
                    <input type="hidden" name="name" value=name/>
                    <p>"Removes the job and its log. The model it made stays."</p>
                    <div class="actions"><Button kind=ButtonKind::Danger>"Delete job"</Button></div>
                </form>
            </Card>
        })}
    }
}

fn data_tab(job: &Job, batch: &[JobEvent]) -> impl IntoView + use<> {
    let datasets = job
        .spec
        .datasets
        .iter()
        .zip(&job.spec.dataset_names)
        .map(|(id, name)| {
            let href = format!("/data/{id}");
            view! { <li><a class="link" href=href><bdi>{name.clone()}</bdi></a></li> }
        })
        .collect_view();
    let batch = batch.iter().find_map(|event| match &event.body {
        EventBody::Batch { json } => Some(json.clone()),
        _ => None,
    });
    let shown = (batch.is_some() || by_our_engine(job)).then(|| {
        let batch = match batch {
            Some(json) => batch_view(&json),
            None => view! { <p class="muted">"It is shown here once training has begun."</p> }.into_any(),
        };
        view! { <Card title="The first batch as the model sees it">{batch}</Card> }
    });
    view! {
        <Card title="Trained on"><ul>{datasets}</ul></Card>
        {shown}
    }
}

/// Tokens one by one; those whose prediction is learned are marked.
fn batch_view(json: &str) -> AnyView {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let Some(rows) = value["rows"].as_array() else {
        return view! { <CodeBlock id="batch" label="The batch" text=json.to_owned()/> }.into_any();
    };
    let rows = rows
        .iter()
        .map(|row| {
            let tokens = row
                .as_array()
                .into_iter()
                .flatten()
                .map(|token| {
                    let text = token["text"].as_str().unwrap_or_default().to_owned();
                    if token["learned"].as_bool().unwrap_or(false) {
                        view! { <mark class="token token-learned">{text}</mark> }.into_any()
                    } else {
                        view! { <span class="token">{text}</span> }.into_any()
                    }
                })
                .collect_view();
            view! { <p class="tokens mono">{tokens}</p> }
        })
        .collect_view();
    view! { <p class="muted">"Marked tokens are learned; the others are only read."</p> {rows} }.into_any()
}

fn files_tab(model: Option<&Model>) -> impl IntoView + use<> {
    match model {
        None => view! { <Card title="Files"><p class="muted">"The model's files are listed here when the job is done."</p></Card> }.into_any(),
        Some(model) => {
            let archive = format!("/api/models/{}/archive", model.id);
            let files = model
                .files
                .iter()
                .map(|file| {
                    let href = format!("/api/models/{}/files/{}", model.id, file.path);
                    view! { <FileRow name=file.path.clone() bytes=file.bytes href=href sha256=file.sha256.clone()/> }
                })
                .collect_view();
            let actions = view! { <LinkButton small=true icon=Icon::Download download=true href=archive>"Download all"</LinkButton> };
            view! { <Card title="Files" flush=true actions=actions.into_any()>{files}</Card> }.into_any()
        }
    }
}
