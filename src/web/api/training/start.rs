//! From a body to a plan or a job, and what a job can start from.

use super::super::extract::ApiJson;
use crate::{
    domain::{field::FieldError, ids::DatasetId, money::Money},
    services::{
        context::Actor,
        error::ServiceError,
        training::{Request, automatic::Automatic, cloud::Where},
    },
    web::{
        error::{ApiError, ErrorBody},
        session::ApiActor,
        state::AppState,
    },
};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(start)).routes(routes!(plan)).routes(routes!(base_models))
}

/// The seed's body, and what we add to it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// `learning_rate`, `batch_size`, `epochs` | `max_steps`, `max_sequence_length`, `weight_decay`, `warmup_ratio`,
    /// `lr_scheduler`, `optimizer`, `max_grad_norm`, `seed`, `dropout`, `lora`, `lora_r`, `lora_alpha`,
    /// `lora_dropout`, `lora_target_modules`, `gradient_checkpointing`, `eval_steps`, `checkpoint_steps`, `early_stopping_patience`. Numbers or
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
    pub(super) base_model: Option<String>,
    title: Option<String>,
    /// `local` (the default), `image` (SageMaker with our own image), `script` (SageMaker with a Hugging Face container)
    /// or `jumpstart` (the default for a `base_model` of `jumpstart:ID`).
    place: Option<String>,
    /// For SageMaker: `ml.g5.2xlarge`. A JumpStart model has a default.
    instance_type: Option<String>,
    /// For SageMaker: types to go on with where the first is not to be had, or `["auto"]` for those that fit.
    #[serde(default)]
    fallback_instance_types: Vec<String>,
    /// For SageMaker: spare capacity, which may be interrupted.
    spot: Option<bool>,
    /// For SageMaker: the longest that it may take.
    max_hours: Option<f64>,
    /// 0 to 0.5; 0.1 by default.
    validation_share: Option<f64>,
    /// A repeated call with the same key answers with the job of the first.
    idempotency_key: Option<String>,
    /// Warnings of the plan do not stop a script unless this is false.
    accept_warnings: Option<bool>,
}

impl StartBody {
    fn place(&self) -> Where {
        Where {
            place: self.place.clone().unwrap_or_default(),
            instance_type: self.instance_type.clone().unwrap_or_default(),
            fallback: self.fallback_instance_types.join(","),
            spot: self.spot.unwrap_or(false),
            max_hours: self.max_hours.map(|hours| hours.to_string()).unwrap_or_default(),
        }
    }

    pub(super) async fn request(&self, state: &AppState, actor: &Actor) -> Result<Request, ApiError> {
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
            place: self.place(),
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
    /// `null`: unknown.
    seconds: Option<u64>,
    /// Dollars; a job on this machine costs nothing. `null`: the price or the time is unknown.
    estimated_cost: Option<f64>,
    /// Dollars: the limit of the time at the highest price.
    most_cost: Option<f64>,
    /// The limit of the time, on SageMaker.
    max_runtime_seconds: Option<u64>,
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
    let (estimate, most) = match &plan.spec.cloud {
        None => (Some(Money::default()), Some(Money::default())),
        Some(spec) => (spec.estimate, spec.at_most()),
    };
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
        estimated_cost: estimate.map(Money::dollars),
        most_cost: most.map(Money::dollars),
        max_runtime_seconds: plan.spec.cloud.as_ref().map(|spec| spec.max_runtime_seconds),
        warnings: plan.warnings,
    }))
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
