//! `/api/models`: finished models, their files, their archive; and asking them.

use super::extract::{ApiJson, PageQuery, rfc3339};
use crate::{
    domain::model::Model,
    services::playground::{Piece, Question},
    web::{
        download,
        error::{ApiError, ErrorBody},
        session::ApiActor,
        state::AppState,
    },
};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, rename, delete))
        .routes(routes!(archive))
        .routes(routes!(file))
}

/// An answer takes as long as the model does.
pub fn patient() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(generate))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ModelsBody {
    models: Vec<ModelView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ModelView {
    id: String,
    name: String,
    /// `full`: all weights; `adapter`: a PEFT adapter that needs its base.
    kind: &'static str,
    job_name: String,
    base_model: String,
    datasets: Vec<String>,
    train_loss: Option<f64>,
    eval_loss: Option<f64>,
    bytes: u64,
    created_at: String,
    files: Vec<FileView>,
    archive_url: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct FileView {
    path: String,
    bytes: u64,
    sha256: String,
    url: String,
}

impl From<&Model> for ModelView {
    fn from(model: &Model) -> Self {
        Self {
            id: model.id.to_string(),
            name: model.name.clone(),
            kind: model.kind.as_str(),
            job_name: model.job_name.clone(),
            base_model: model.base_name.clone(),
            datasets: model.dataset_names.clone(),
            train_loss: model.train_loss,
            eval_loss: model.eval_loss,
            bytes: model.bytes,
            created_at: rfc3339(model.created_at),
            files: model
                .files
                .iter()
                .map(|file| FileView {
                    path: file.path.clone(),
                    bytes: file.bytes,
                    sha256: file.sha256.clone(),
                    url: format!("/api/models/{}/files/{}", model.id, file.path),
                })
                .collect(),
            archive_url: format!("/api/models/{}/archive", model.id),
        }
    }
}

/// The caller's models, newest first.
#[utoipa::path(get, path = "/api/models", tag = "Models", params(PageQuery), responses((status = 200, body = ModelsBody)))]
async fn list(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Query(page): Query<PageQuery>,
) -> Result<Json<ModelsBody>, ApiError> {
    let models = state.models.list(&actor, &page.into()).await?;
    Ok(Json(ModelsBody {
        models: models.items.iter().map(ModelView::from).collect(),
        next_cursor: models.next,
    }))
}

/// One model with its files.
#[utoipa::path(get, path = "/api/models/{id}", tag = "Models", params(("id" = String, Path)),
    responses((status = 200, body = ModelView), (status = 404, body = ErrorBody)))]
async fn show(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
) -> Result<Json<ModelView>, ApiError> {
    Ok(Json(ModelView::from(&state.models.model(&actor, &id).await?)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameBody {
    name: String,
}

/// Gives the model another name.
#[utoipa::path(patch, path = "/api/models/{id}", tag = "Models", params(("id" = String, Path)), request_body = RenameBody,
    responses((status = 200, body = ModelView), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn rename(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
    ApiJson(body): ApiJson<RenameBody>,
) -> Result<Json<ModelView>, ApiError> {
    state.models.rename(&actor, &id, &body.name).await?;
    Ok(Json(ModelView::from(&state.models.model(&actor, &id).await?)))
}

/// Deletes the model with its files.
#[utoipa::path(delete, path = "/api/models/{id}", tag = "Models", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn delete(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.delete_model(&actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All files as one ZIP, with SHA256SUMS. Single byte ranges. From 64 MiB on, where files lie in S3, the answer is 307
/// with an address in the bucket that holds for five minutes.
#[utoipa::path(get, path = "/api/models/{id}/archive", tag = "Models", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 206), (status = 307), (status = 404, body = ErrorBody)))]
async fn archive(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file = state.models.archive(&actor, &id).await?;
    Ok(download::answer(&state.models, &file, &headers).await?)
}

/// One file of the model. Single byte ranges; `Repr-Digest` and `X-SHA256` carry its hash. A large one as the archive.
#[utoipa::path(get, path = "/api/models/{id}/files/{path}", tag = "Models",
    params(("id" = String, Path), ("path" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 206), (status = 307), (status = 404, body = ErrorBody)))]
async fn file(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path((id, path)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let file = state.models.file(&actor, &id, &path).await?;
    Ok(download::answer(&state.models, &file, &headers).await?)
}

/// The whole answer of a model, for callers that do not ask for `text/event-stream`.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Answer {
    text: String,
    /// 0 where a container does not count them.
    tokens: usize,
    tokens_per_second: f64,
    /// `stop`, `length`, `context` or `cancelled`.
    finish_reason: String,
}

impl Answer {
    pub fn of(text: String, end: Option<Piece>) -> Self {
        let (tokens, tokens_per_second, finish_reason) = match end {
            Some(Piece::End { tokens, tokens_per_second, finish_reason, .. }) => {
                (tokens, tokens_per_second, finish_reason)
            }
            _ => (0, 0.0, "cancelled"),
        };
        Self { text, tokens, tokens_per_second, finish_reason: finish_reason.to_owned() }
    }
}

/// Asks a model, or an endpoint. With `Accept: text/event-stream` the answer comes piece by piece: events `text` (a JSON string),
/// then `end` or `failed`; else as one JSON object. Ending the request ends the answer.
#[utoipa::path(post, path = "/api/playground/generate", tag = "Models", request_body = Question,
    responses((status = 200, body = Answer), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn generate(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    headers: HeaderMap,
    ApiJson(question): ApiJson<Question>,
) -> Result<Response, ApiError> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/event-stream") {
        let (text, end) = state.answer(&actor, &question).await?;
        return Ok(Json(Answer::of(text, end)).into_response());
    }
    let mut pieces = state.ask(&actor, &question).await?;
    let stop = state.stop.clone();
    let stream = async_stream::stream! {
        while let Some(Some(piece)) = stop.run_until_cancelled(pieces.recv()).await {
            let event = match piece {
                Piece::Text(text) => Event::default().event("text").json_data(text),
                Piece::End { tokens, tokens_per_second, finish_reason, dropped_prompt_tokens } => Event::default()
                    .event("end")
                    .json_data(serde_json::json!({
                        "tokens": tokens,
                        "tokens_per_second": tokens_per_second,
                        "finish_reason": finish_reason,
                        "dropped_prompt_tokens": dropped_prompt_tokens,
                    })),
                Piece::Failed(why) => Event::default().event("failed").json_data(why),
            };
            yield event;
        }
    };
    let mut response = Sse::new(stream).into_response();
    // Proxies must not hold pieces back.
    response.headers_mut().insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    Ok(response)
}
