//! The seeds' routes for SageMaker: models by short name, settings by general names, the seeds' answer.

use super::{
    super::extract::{ApiJson, rfc3339},
    jobs::instance_type,
    start::StartBody,
};
use crate::{
    domain::{job::Job, money::Money},
    services::{context::Actor, error::ServiceError, training::general::Target},
    web::{
        error::{ApiError, ErrorBody},
        session::ApiActor,
        state::AppState,
    },
};
use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(sagemaker)).routes(routes!(jumpstart))
}

/// What is not known yet is null.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CloudJobBody {
    job_name: String,
    /// SageMaker's own name of the job; `GET /api/training-job/{job_name}` has it once AWS does.
    job_arn: Option<String>,
    /// `InProgress`.
    status: &'static str,
    training_data_s3_uri: Option<String>,
    output_s3_uri: Option<String>,
    instance_type: String,
    created_at: String,
    /// Dollars.
    estimated_cost_per_hour: Option<f64>,
}

type Started = (StatusCode, Json<CloudJobBody>);

/// Plans and queues a job on SageMaker. `base_model` is a JumpStart model's id or the end of it (`llama-2-7b`), a
/// model of the Hugging Face Hub (`Qwen/Qwen2.5-0.5B`), or any key that `POST /api/start-training` takes; `place`
/// follows from it: `jumpstart`, else `script`, or `image` for nano. A JumpStart model has settings of its own; where
/// it spells `epochs`, `batch_size` or `max_sequence_length` otherwise, they are given to it under its own names.
#[utoipa::path(post, path = "/api/sagemaker-training", tag = "Training", request_body = StartBody,
    responses((status = 202, body = CloudJobBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn sagemaker(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    ApiJson(body): ApiJson<StartBody>,
) -> Result<Started, ApiError> {
    begin(&state, &actor, &body, Target::SageMaker).await
}

/// The same for JumpStart's models only: `base_model` is the id, or the end of it (`flan-t5-base`).
#[utoipa::path(post, path = "/api/jumpstart-training", tag = "Training", request_body = StartBody,
    responses((status = 202, body = CloudJobBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn jumpstart(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    ApiJson(body): ApiJson<StartBody>,
) -> Result<Started, ApiError> {
    begin(&state, &actor, &body, Target::JumpStart).await
}

async fn begin(
    state: &AppState,
    actor: &Actor,
    body: &StartBody,
    target: Target,
) -> Result<Started, ApiError> {
    if body.base_model.is_none() {
        return Err(
            ServiceError::invalid("base_model", "Say which model to tune, such as llama-2-7b.").into()
        );
    }
    let request = body.request(state, actor).await?;
    let job = state.training.start_on_sagemaker(actor, request, target).await?;
    Ok((StatusCode::ACCEPTED, Json(answer(state, job))))
}

fn answer(state: &AppState, job: Job) -> CloudJobBody {
    let folders = state.training.cloud().folders.as_ref();
    let instance_type = instance_type(&job);
    let price = job.spec.cloud.as_ref().and_then(|spec| spec.prices.get(&instance_type).copied());
    CloudJobBody {
        job_arn: job.cloud.as_ref().and_then(|run| run.arn.clone()),
        status: job.state.api_status(),
        training_data_s3_uri: folders.map(|folders| folders.training_data(&job)),
        output_s3_uri: folders.map(|folders| folders.output(&job)),
        instance_type,
        created_at: rfc3339(job.created_at),
        estimated_cost_per_hour: price.map(Money::dollars),
        job_name: job.name,
    }
}
