//! `/api/endpoints`: models on machines of AWS.

use super::{
    extract::{ApiJson, PageQuery, rfc3339},
    models::Answer,
};
use crate::{
    domain::{endpoint::Endpoint, time::Instant},
    services::{
        hosting::{Wanted, cost, idle_left},
        playground::{Question, Turn},
        talk::name_of_endpoint,
    },
    web::{
        error::{ApiError, ErrorBody},
        session::ApiActor,
        state::AppState,
    },
};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, deploy)).routes(routes!(show, delete))
}

/// An answer takes as long as the model does.
pub fn patient() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(invoke))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct EndpointsBody {
    endpoints: Vec<EndpointView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// Since when AWS does not answer; what is told of endpoints is then as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_silent_since: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct EndpointView {
    id: String,
    /// Its name at AWS.
    name: String,
    model_id: String,
    model_name: String,
    instance_type: String,
    /// `creating`, `in_service`, `deleting`, `failed` or `deleted`. What failed is deleted at AWS by itself, and keeps
    /// its `failure`.
    state: &'static str,
    /// The state in words.
    phase: String,
    failure: Option<String>,
    next_step: Option<String>,
    /// Deleted after so many minutes without a question.
    idle_minutes: u64,
    /// How much of them is left, while it answers.
    idle_seconds_left: Option<u64>,
    /// US dollars; null where the price is unknown.
    price_per_hour_usd: Option<f64>,
    /// US dollars so far; null where the price is unknown.
    cost_usd: Option<f64>,
    created_at: String,
    in_service_at: Option<String>,
    last_used_at: String,
    ended_at: Option<String>,
}

impl EndpointView {
    fn of(endpoint: &Endpoint, now: Instant) -> Self {
        Self {
            id: endpoint.id.to_string(),
            name: endpoint.name.clone(),
            model_id: endpoint.model_id.to_string(),
            model_name: endpoint.model_name.clone(),
            instance_type: endpoint.instance_type.clone(),
            state: endpoint.shown_state().as_str(),
            phase: endpoint.phase.clone(),
            failure: endpoint.failure.clone(),
            next_step: endpoint.next_step.clone(),
            idle_minutes: endpoint.idle_seconds / 60,
            idle_seconds_left: idle_left(endpoint, now).map(|left| left.as_secs()),
            price_per_hour_usd: endpoint.price_per_hour.map(|price| price.dollars()),
            cost_usd: cost(endpoint, now).map(|cost| cost.dollars()),
            created_at: rfc3339(endpoint.created_at),
            in_service_at: endpoint.in_service_at.map(rfc3339),
            last_used_at: rfc3339(endpoint.last_used_at),
            ended_at: endpoint.ended_at.map(rfc3339),
        }
    }
}

/// The caller's endpoints, newest first, those that are over included.
#[utoipa::path(get, path = "/api/endpoints", tag = "Endpoints", params(PageQuery),
    responses((status = 200, body = EndpointsBody)))]
async fn list(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Query(page): Query<PageQuery>,
) -> Result<Json<EndpointsBody>, ApiError> {
    let endpoints = state.endpoints.list(&actor, &page.into()).await?;
    let now = state.env.now();
    Ok(Json(EndpointsBody {
        endpoints: endpoints.items.iter().map(|one| EndpointView::of(one, now)).collect(),
        next_cursor: endpoints.next,
        aws_silent_since: state.endpoints.silence().map(|silence| rfc3339(silence.since)),
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployBody {
    model_id: String,
    /// Such as `ml.g5.2xlarge`.
    instance_type: String,
    /// Deleted after so many minutes without a question: 15 to 1440, 60 by default.
    idle_minutes: Option<u64>,
    /// A repeated call with the same key answers with the endpoint of the first.
    idempotency_key: Option<String>,
}

/// Puts a model on a machine of AWS. Answers at once; it takes five to fifteen minutes until it is `in_service`.
/// Where the caller has an endpoint of this model already, that one is answered.
#[utoipa::path(post, path = "/api/endpoints", tag = "Endpoints", request_body = DeployBody,
    responses((status = 202, body = EndpointView), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
async fn deploy(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    ApiJson(body): ApiJson<DeployBody>,
) -> Result<(StatusCode, Json<EndpointView>), ApiError> {
    let wanted = Wanted {
        model: body.model_id,
        instance_type: body.instance_type,
        idle_minutes: body.idle_minutes.unwrap_or(60),
        key: body.idempotency_key,
    };
    let endpoint = state.endpoints.deploy(&actor, &wanted).await?;
    Ok((StatusCode::ACCEPTED, Json(EndpointView::of(&endpoint, state.env.now()))))
}

/// One endpoint.
#[utoipa::path(get, path = "/api/endpoints/{id}", tag = "Endpoints", params(("id" = String, Path)),
    responses((status = 200, body = EndpointView), (status = 404, body = ErrorBody)))]
async fn show(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
) -> Result<Json<EndpointView>, ApiError> {
    Ok(Json(EndpointView::of(&state.endpoints.endpoint(&actor, &id).await?, state.env.now())))
}

/// Deletes the endpoint with all that was made for it at AWS, which takes a minute or two.
#[utoipa::path(delete, path = "/api/endpoints/{id}", tag = "Endpoints", params(("id" = String, Path)),
    responses((status = 202, body = EndpointView), (status = 404, body = ErrorBody)))]
async fn delete(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<EndpointView>), ApiError> {
    let endpoint = state.endpoints.delete(&actor, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(EndpointView::of(&endpoint, state.env.now()))))
}

/// Exactly one of `prompt` and `messages`.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InvokeBody {
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    messages: Vec<Turn>,
    #[serde(default)]
    parameters: Parameters,
}

/// Those of `POST /api/playground/generate`, with the same limits and defaults.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    max_new_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<usize>,
    repetition_penalty: Option<f32>,
    #[serde(default)]
    stop: Vec<String>,
    seed: Option<u64>,
}

/// Asks the endpoint and waits for the whole answer. The template that its model was trained with is applied. For an
/// answer piece by piece ask `POST /api/playground/generate` with `"model": "endpoint:<id>"`.
#[utoipa::path(post, path = "/api/endpoints/{id}/invoke", tag = "Endpoints", params(("id" = String, Path)),
    request_body = InvokeBody,
    responses((status = 200, body = Answer), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
async fn invoke(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
    ApiJson(body): ApiJson<InvokeBody>,
) -> Result<Json<Answer>, ApiError> {
    let endpoint = state.endpoints.endpoint(&actor, &id).await?;
    let Parameters { max_new_tokens, temperature, top_p, top_k, repetition_penalty, stop, seed } =
        body.parameters;
    let question = Question {
        model: name_of_endpoint(&endpoint),
        prompt: body.prompt,
        messages: body.messages,
        max_new_tokens,
        temperature,
        top_p,
        top_k,
        repetition_penalty,
        stop,
        seed,
        ..Question::default()
    };
    let (text, end) = state.answer(&actor, &question).await?;
    Ok(Json(Answer::of(text, end)))
}
