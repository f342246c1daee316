//! What becomes of jobs: lists, figures, logs, stop and resume.

use super::super::extract::{PageQuery, rfc3339};
use crate::{
    domain::{
        event::{EventBody, JobEvent},
        job::{Job, StopMode},
        money::Money,
    },
    web::{
        error::{ApiError, ErrorBody},
        session::ApiActor,
        state::AppState,
    },
};
use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(stop))
        .routes(routes!(resume))
        .routes(routes!(log))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct JobsBody {
    training_jobs: Vec<JobLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct JobLine {
    job_name: String,
    title: String,
    /// `InProgress`, `Completed`, `Failed`, `Stopping` or `Stopped`.
    status: &'static str,
    /// Our own finer word: `queued`, `starting`, `downloading`, `training`, `uploading` …
    phase: &'static str,
    base_model: String,
    creation_time: String,
    training_start_time: Option<String>,
    training_end_time: Option<String>,
}

/// The caller's jobs, newest first.
#[utoipa::path(get, path = "/api/training-jobs", tag = "Training", params(PageQuery), responses((status = 200, body = JobsBody)))]
async fn list(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Query(page): Query<PageQuery>,
) -> Result<Json<JobsBody>, ApiError> {
    let jobs = state.training.list(&actor, &page.into()).await?;
    let lines = jobs.items.iter().map(|job| JobLine {
        job_name: job.name.clone(),
        title: job.title.clone(),
        status: job.state.api_status(),
        phase: job.state.as_str(),
        base_model: job.spec.base_name.clone(),
        creation_time: rfc3339(job.created_at),
        training_start_time: job.started_at.map(rfc3339),
        training_end_time: job.ended_at.map(rfc3339),
    });
    Ok(Json(JobsBody { training_jobs: lines.collect(), next_cursor: jobs.next }))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct JobBody {
    job_name: String,
    title: String,
    status: &'static str,
    phase: &'static str,
    /// The phase in words.
    message: String,
    step: u64,
    total_steps: u64,
    base_model: String,
    datasets: Vec<String>,
    creation_time: String,
    start_time: Option<String>,
    end_time: Option<String>,
    duration_seconds: Option<u64>,
    /// `local`: this machine; else `ml.g5.2xlarge` …
    instance_type: String,
    /// SageMaker's own name of the job, once it is there.
    job_arn: Option<String>,
    failure_reason: Option<String>,
    next_step: Option<String>,
    /// Where the job can go on from, while it can be resumed.
    checkpoint_step: Option<u64>,
    /// The finished model's archive.
    model_artifacts_s3_uri: Option<String>,
    model_id: Option<String>,
    download_url: Option<String>,
    #[schema(value_type = Object)]
    hyperparameters: BTreeMap<String, String>,
    training_metrics: Vec<MetricView>,
    tokens_per_second: Option<f64>,
    /// Dollars, before it began; 0 on this machine, `null` where price or time are unknown.
    estimated_cost: Option<f64>,
    /// Dollars, so far or in all.
    cost: Option<f64>,
    /// What AWS bills; `null` on this machine and before AWS says.
    billable_seconds: Option<u64>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct MetricView {
    metric_name: String,
    value: f64,
    step: u64,
    timestamp: String,
}

/// One job: state, figures, the latest value of each metric, where its model is.
#[utoipa::path(get, path = "/api/training-job/{job_name}", tag = "Training", params(("job_name" = String, Path)),
    responses((status = 200, body = JobBody), (status = 404, body = ErrorBody)))]
async fn show(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(name): Path<String>,
) -> Result<Json<JobBody>, ApiError> {
    let job = state.training.job(&actor, &name).await?;
    let model = state.training.model(&job).await?;
    let metrics = state.training.last_events_of_kind(&job, "metric", 200).await?;
    let now = state.env.now();
    let download_url = model.as_ref().map(|model| format!("/api/models/{}/archive", model.id));
    Ok(Json(JobBody {
        status: job.state.api_status(),
        phase: job.state.as_str(),
        message: job.phase.clone(),
        step: job.step,
        total_steps: job.total_steps,
        base_model: job.spec.base_name.clone(),
        datasets: job.spec.dataset_names.clone(),
        creation_time: rfc3339(job.created_at),
        start_time: job.started_at.map(rfc3339),
        end_time: job.ended_at.map(rfc3339),
        duration_seconds: job.started_at.map(|start| job.ended_at.unwrap_or(now).since(start).as_secs()),
        instance_type: instance_type(&job),
        job_arn: job.cloud.as_ref().and_then(|run| run.arn.clone()),
        failure_reason: job.failure.clone(),
        next_step: job.next_step.clone(),
        checkpoint_step: job.can_resume().then_some(job.checkpoint_step),
        model_artifacts_s3_uri: download_url.clone(),
        model_id: model.map(|model| model.id.to_string()),
        download_url,
        hyperparameters: job.spec.hyperparameters.clone(),
        training_metrics: latest(&metrics),
        tokens_per_second: job.tokens_per_second,
        estimated_cost: match &job.spec.cloud {
            None => Some(0.0),
            Some(spec) => spec.estimate.map(Money::dollars),
        },
        cost: job.cost().map(Money::dollars),
        billable_seconds: job.cloud.as_ref().and_then(|run| run.billable_seconds),
        title: job.title.clone(),
        job_name: job.name,
    }))
}

/// The machine that it runs on, or is to run on.
pub(super) fn instance_type(job: &Job) -> String {
    let run = job.cloud.as_ref().map(|run| run.instance_type.clone());
    let planned = || job.spec.cloud.as_ref().map(|spec| spec.instance_type.clone());
    run.or_else(planned).unwrap_or_else(|| "local".to_owned())
}

/// The last value of each metric.
fn latest(events: &[JobEvent]) -> Vec<MetricView> {
    let mut by_name = BTreeMap::new();
    for event in events {
        if let EventBody::Metric { name, value, step } = &event.body {
            by_name.insert(name.clone(), (*value, *step, event.at));
        }
    }
    let views = by_name.into_iter().map(|(metric_name, (value, step, at))| MetricView {
        metric_name,
        value,
        step,
        timestamp: rfc3339(at),
    });
    views.collect()
}

#[derive(Deserialize, Default, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopBody {
    /// Keep what was learned so far as a model; true by default.
    keep: Option<bool>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct StoppedBody {
    job_name: String,
    /// `Stopping`, or `Stopped` for a job that had not begun.
    status: &'static str,
    stopped_at: String,
}

/// Asks a job to stop. The body may be left out.
#[utoipa::path(post, path = "/api/stop-training-job/{job_name}", tag = "Training", params(("job_name" = String, Path)),
    request_body = Option<StopBody>,
    responses((status = 200, body = StoppedBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn stop(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(name): Path<String>,
    body: axum::body::Bytes,
) -> Result<Json<StoppedBody>, ApiError> {
    let body: StopBody = if body.is_empty() {
        StopBody::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| ApiError::bad_request(error.to_string()))?
    };
    let mode = if body.keep.unwrap_or(true) { StopMode::Keep } else { StopMode::Discard };
    let after = state.training.stop(&actor, &name, mode).await?;
    let status = if after.is_final() { after.api_status() } else { "Stopping" };
    Ok(Json(StoppedBody { job_name: name, status, stopped_at: rfc3339(state.env.now()) }))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ResumedBody {
    job_name: String,
    /// `InProgress`.
    status: &'static str,
    /// The step that it goes on from.
    checkpoint_step: u64,
}

/// Puts a job that failed or was stopped back into the queue: it goes on from its checkpoint, with the very result that
/// it would have had without the pause. See `checkpoint_step` of `GET /api/training-job/{job_name}`.
#[utoipa::path(post, path = "/api/resume-training-job/{job_name}", tag = "Training", params(("job_name" = String, Path)),
    responses((status = 202, body = ResumedBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn resume(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<ResumedBody>), ApiError> {
    let job = state.training.resume(&actor, &name).await?;
    let body =
        ResumedBody { job_name: name, status: job.state.api_status(), checkpoint_step: job.checkpoint_step };
    Ok((StatusCode::ACCEPTED, Json(body)))
}

/// The whole log as text, streamed.
#[utoipa::path(get, path = "/api/training-job/{job_name}/log", tag = "Training", params(("job_name" = String, Path)),
    responses((status = 200, content_type = "text/plain", body = String), (status = 404, body = ErrorBody)))]
async fn log(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    let job = state.training.job(&actor, &name).await?;
    let file = format!("attachment; filename=\"{}.log\"", job.name);
    let body = Body::from_stream(lines(state, job));
    Ok((
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, file)],
        body,
    )
        .into_response())
}

/// `time line`, page by page from the store: never the whole log in memory.
fn lines(state: AppState, job: Job) -> impl futures::Stream<Item = Result<String, std::io::Error>> {
    async_stream::try_stream! {
        let mut last = 0;
        loop {
            let page = state.training.events_of_kind(&job, "log", last, 1_000).await.map_err(std::io::Error::other)?;
            let Some(end) = page.last() else { break };
            last = end.seq;
            let mut text = String::new();
            for event in page {
                if let EventBody::Log { line } = event.body {
                    text.push_str(&format!("{} {line}\n", rfc3339(event.at)));
                }
            }
            yield text;
        }
    }
}
