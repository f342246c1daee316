//! Training by script: the seeds' paths and words, for jobs on this machine.

use super::extract::{ApiJson, PageQuery, rfc3339};
use crate::{
    domain::{
        event::{EventBody, JobEvent},
        field::FieldError,
        ids::DatasetId,
        job::{Job, StopMode},
    },
    services::{
        error::ServiceError,
        training::{Request, automatic::Automatic},
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
        .routes(routes!(start))
        .routes(routes!(plan))
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(stop))
        .routes(routes!(resume))
        .routes(routes!(log))
        .routes(routes!(base_models))
}

/// The seed's body, and what we add to it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// `learning_rate`, `batch_size`, `epochs` | `max_steps`, `max_sequence_length`, `weight_decay`, `warmup_ratio`,
    /// `lr_scheduler`, `optimizer`, `max_grad_norm`, `seed`, `dropout`, `lora`, `lora_r`, `lora_alpha`,
    /// `lora_dropout`, `lora_target_modules`, `eval_steps`, `checkpoint_steps`, `early_stopping_patience`. Numbers or
    /// strings; what is absent takes its default. `max_sequence_length`, and for nano `epochs`, are then chosen by the
    /// data; `POST /api/training-plan` says which values and why.
    #[serde(default)]
    #[schema(value_type = Object)]
    hyperparameters: BTreeMap<String, serde_json::Value>,
    /// Uploaded files by their original name; the newest of that name is taken.
    #[serde(default)]
    files: Vec<String>,
    /// Datasets by id, in place of or beside `files`.
    #[serde(default)]
    dataset_ids: Vec<String>,
    /// `nano` by default; see `GET /api/base-models`.
    base_model: Option<String>,
    title: Option<String>,
    /// 0 to 0.5; 0.1 by default.
    validation_share: Option<f64>,
    /// A repeated call with the same key answers with the job of the first.
    idempotency_key: Option<String>,
    /// Warnings of the plan do not stop a script unless this is false.
    accept_warnings: Option<bool>,
}

impl StartBody {
    async fn request(
        &self,
        state: &AppState,
        actor: &crate::services::context::Actor,
    ) -> Result<Request, ApiError> {
        let mut datasets = Vec::new();
        for id in &self.dataset_ids {
            let id = DatasetId::parse(id)
                .ok_or_else(|| ServiceError::invalid("dataset_ids", format!("{id} is no dataset's id.")))?;
            datasets.push(id);
        }
        for name in &self.files {
            let dataset = state.datasets.by_original_name(actor, name).await.map_err(|error| match error {
                ServiceError::NotFound(_) => ServiceError::invalid(
                    "files",
                    format!("You have no uploaded file called \"{name}\". Upload it first with POST /api/upload."),
                ),
                other => other,
            })?;
            datasets.push(dataset.id);
        }
        let mut hyperparameters = BTreeMap::new();
        for (name, value) in &self.hyperparameters {
            let text = match value {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Null => continue,
                serde_json::Value::Array(items) => items
                    .iter()
                    .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(","),
                serde_json::Value::Object(_) => {
                    return Err(FieldError::new(
                        name,
                        format!("{name} must be a number or a text, not an object."),
                    )
                    .into());
                }
                other => other.to_string(),
            };
            hyperparameters.insert(name.clone(), text);
        }
        Ok(Request {
            base: self.base_model.clone().unwrap_or_else(|| "nano".to_owned()),
            datasets,
            title: self.title.clone().unwrap_or_default(),
            validation_share: self.validation_share.map(|share| share.to_string()).unwrap_or_default(),
            hyperparameters,
            accept_warnings: self.accept_warnings.unwrap_or(true),
            idempotency_key: self.idempotency_key.clone().unwrap_or_default(),
        })
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct StartedBody {
    message: &'static str,
    job_name: String,
    /// `InProgress`.
    status: &'static str,
    /// All settings as they are used, defaults filled in.
    #[schema(value_type = Object)]
    hyperparameters: BTreeMap<String, String>,
    files: Vec<StartedFile>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartedFile {
    file_name: String,
    dataset_id: String,
}

/// Plans and queues a job; it goes on by itself. Answers at once.
#[utoipa::path(post, path = "/api/start-training", tag = "Training", request_body = StartBody,
    responses((status = 202, body = StartedBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn start(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    ApiJson(body): ApiJson<StartBody>,
) -> Result<(StatusCode, Json<StartedBody>), ApiError> {
    let request = body.request(&state, &actor).await?;
    let job = state.training.start(&actor, &request).await?;
    let files = job.spec.datasets.iter().zip(&job.spec.dataset_names);
    let answer = StartedBody {
        message: "Training was queued.",
        status: job.state.api_status(),
        hyperparameters: job.spec.hyperparameters.clone(),
        files: files
            .map(|(id, name)| StartedFile { file_name: name.clone(), dataset_id: id.to_string() })
            .collect(),
        job_name: job.name,
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct PlanBody {
    /// All settings as they would be used, defaults filled in.
    #[schema(value_type = Object)]
    hyperparameters: BTreeMap<String, String>,
    /// Settings that were left open and chosen by the data.
    automatic: Vec<AutomaticBody>,
    rows: u64,
    tokens_per_epoch: u64,
    truncated_share: f64,
    steps: u64,
    trainable_parameters: u64,
    memory_bytes: u64,
    memory_available_bytes: Option<u64>,
    seconds: u64,
    /// Dollars; a job on this machine costs nothing.
    estimated_cost: f64,
    warnings: Vec<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct AutomaticBody {
    /// `max_sequence_length` or `epochs`.
    setting: &'static str,
    value: String,
    reason: String,
}

/// What a job would take. Starts nothing.
#[utoipa::path(post, path = "/api/training-plan", tag = "Training", request_body = StartBody,
    responses((status = 200, body = PlanBody), (status = 422, body = ErrorBody)))]
async fn plan(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    ApiJson(body): ApiJson<StartBody>,
) -> Result<Json<PlanBody>, ApiError> {
    let request = body.request(&state, &actor).await?;
    let plan = state.training.plan(&actor, &request).await?;
    let automatic = plan.automatic.into_iter();
    Ok(Json(PlanBody {
        hyperparameters: plan.spec.hyperparameters,
        automatic: automatic
            .map(|Automatic { setting, value, reason }| AutomaticBody { setting, value, reason })
            .collect(),
        rows: plan.rows,
        tokens_per_epoch: plan.tokens_per_epoch,
        truncated_share: plan.truncated_share,
        steps: plan.steps,
        trainable_parameters: plan.trainable_parameters,
        memory_bytes: plan.memory_bytes,
        memory_available_bytes: plan.memory_available,
        seconds: plan.seconds,
        estimated_cost: 0.0,
        warnings: plan.warnings,
    }))
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
    /// `local`: this machine.
    instance_type: &'static str,
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
    estimated_cost: f64,
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
        instance_type: "local",
        failure_reason: job.failure.clone(),
        next_step: job.next_step.clone(),
        checkpoint_step: job.can_resume().then_some(job.checkpoint_step),
        model_artifacts_s3_uri: download_url.clone(),
        model_id: model.map(|model| model.id.to_string()),
        download_url,
        hyperparameters: job.spec.hyperparameters.clone(),
        training_metrics: latest(&metrics),
        tokens_per_second: job.tokens_per_second,
        estimated_cost: 0.0,
        title: job.title.clone(),
        job_name: job.name,
    }))
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

#[derive(Serialize, utoipa::ToSchema)]
pub struct BaseModelsBody {
    base_models: Vec<BaseModelView>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct BaseModelView {
    /// What `base_model` takes.
    id: String,
    name: String,
    family: &'static str,
    licence: String,
    parameters: Option<u64>,
    bytes: u64,
    /// Why it can't be chosen: the file, what is wrong with it, and what to do.
    problem: Option<String>,
}

/// What a job can start from: nano, the operator's model directories, the caller's finished models.
#[utoipa::path(get, path = "/api/base-models", tag = "Training", responses((status = 200, body = BaseModelsBody)))]
async fn base_models(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
) -> Result<Json<BaseModelsBody>, ApiError> {
    let bases = state.training.bases.list(&actor).await?;
    let views = bases.into_iter().map(|base| BaseModelView {
        id: base.key,
        name: base.name,
        family: base.family,
        licence: base.licence,
        parameters: base.parameters,
        bytes: base.bytes,
        problem: base.problem,
    });
    Ok(Json(BaseModelsBody { base_models: views.collect() }))
}
