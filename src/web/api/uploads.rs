//! `/api/uploads`: large files in pieces that go on after a lost connection, by the tus protocol 1.0 with its
//! extensions creation, termination and expiration. Any tus client works; so does `curl`.

use super::tus::{self, Resumable};
use crate::{
    domain::ids::DatasetId,
    services::error::ServiceError,
    web::{
        error::{ApiError, ErrorBody},
        session::ApiActor,
        state::AppState,
    },
};
use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc};
use std::{io, time::Duration};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

/// A sender that is silent for this long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Chunks on their way from the socket to the disk.
const CHUNKS: usize = 4;
/// Read and thrown away where a piece is refused, so that its sender hears why and not a closed connection.
const DRAIN: usize = 64 * 1024 * 1024;

/// Routes without the time limit of all others; a piece is a stream, to which no limit of bodies applies.
pub fn router() -> OpenApiRouter<AppState> {
    let version = HeaderValue::from_static(tus::VERSION);
    OpenApiRouter::new()
        .routes(routes!(capabilities, create))
        .routes(routes!(progress, append, cancel))
        .layer(SetResponseHeaderLayer::overriding(tus::RESUMABLE, version))
}

fn id(text: &str) -> Result<DatasetId, ApiError> {
    Ok(DatasetId::parse(text).ok_or(ServiceError::NotFound("upload"))?)
}

/// What is spoken here: `Tus-Version`, `Tus-Extension`, and the limit of one file as `Tus-Max-Size`.
#[utoipa::path(options, path = "/api/uploads", tag = "Datasets", responses((status = 204)))]
async fn capabilities(State(state): State<AppState>, _: ApiActor) -> impl IntoResponse {
    let limit = state.config.max_upload_bytes.to_string();
    let headers = [
        (tus::SUPPORTED, tus::VERSION.to_owned()),
        (tus::EXTENSION, tus::EXTENSIONS.to_owned()),
        (tus::MAX_SIZE, limit),
    ];
    (StatusCode::NO_CONTENT, headers)
}

/// Announces a file; `Location` is where its pieces go. It is kept for a day after the last one (`Upload-Expires`).
#[utoipa::path(post, path = "/api/uploads", tag = "Datasets",
    params(("Tus-Resumable" = String, Header, description = "`1.0.0`"),
        ("Upload-Length" = u64, Header, description = "Bytes of the whole file."),
        ("Upload-Metadata" = Option<String>, Header, description = "`filename` and the name in Base64.")),
    responses((status = 201), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 412, body = ErrorBody), (status = 413, body = ErrorBody)))]
async fn create(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    _: Resumable,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let bytes = tus::count(&headers, &tus::LENGTH)?;
    let (metadata, file_name) = tus::metadata(&headers)?;
    let begun = state.datasets.begin_upload(&actor, &file_name, bytes, metadata).await?;
    let location = format!("/api/uploads/{}", begun.id());
    Ok((StatusCode::CREATED, tus::headers(&begun)?, [(header::LOCATION, location)]).into_response())
}

/// Where the upload stands: `Upload-Offset` of `Upload-Length`, and `Dataset-Id` when it is complete. A piece that
/// still comes ends with this question.
#[utoipa::path(head, path = "/api/uploads/{id}", tag = "Datasets",
    params(("id" = String, Path), ("Tus-Resumable" = String, Header, description = "`1.0.0`")),
    responses((status = 200), (status = 401), (status = 404), (status = 412)))]
async fn progress(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    _: Resumable,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let progress = state.datasets.upload_progress(&actor, &id(&text)?).await?;
    Ok(tus::headers(&progress)?.into_response())
}

/// Adds a piece at `Upload-Offset`. What came before a connection is lost stays. The piece that completes the file
/// makes the dataset, whose id `Dataset-Id` says; a small file is checked in the answer. 409 where the offset is
/// another (`wrong_offset`) or another piece comes just now (`upload_busy`).
#[utoipa::path(patch, path = "/api/uploads/{id}", tag = "Datasets",
    params(("id" = String, Path), ("Tus-Resumable" = String, Header, description = "`1.0.0`"),
        ("Upload-Offset" = u64, Header, description = "Bytes that are there already.")),
    request_body(content = String, content_type = "application/offset+octet-stream"),
    responses((status = 204), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 412, body = ErrorBody),
        (status = 413, body = ErrorBody), (status = 415, body = ErrorBody), (status = 507, body = ErrorBody)))]
async fn append(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    _: Resumable,
    Path(text): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let id = id(&text)?;
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != tus::PIECE) {
        let words = format!("Send the piece with Content-Type: {}.", tus::PIECE);
        return Err(ApiError::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_piece", words));
    }
    let offset = tus::count(&headers, &tus::OFFSET)?;
    let (sender, receiver) = mpsc::channel(CHUNKS);
    let adding = state.datasets.append_upload(&actor, &id, offset, receiver.boxed());
    let ((), added) = tokio::join!(forward(body, sender), adding);
    Ok((StatusCode::NO_CONTENT, tus::headers(&added?)?).into_response())
}

async fn forward(body: Body, to: mpsc::Sender<io::Result<Bytes>>) {
    let (mut body, mut to, mut drained) = (body.into_data_stream(), Some(to), 0);
    while drained < DRAIN {
        let chunk = match tokio::time::timeout(SILENCE, body.next()).await {
            Ok(Some(chunk)) => chunk.map_err(io::Error::other),
            Ok(None) => return,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the sender fell silent")),
        };
        let (bytes, broken) = (chunk.as_ref().map_or(0, Bytes::len), chunk.is_err());
        let taken = match &mut to {
            Some(sender) => sender.send(chunk).await.is_ok(),
            None => false,
        };
        if !taken {
            to = None;
            drained += bytes;
        }
        if broken {
            return;
        }
    }
}

/// Ends an upload and removes what came of it.
#[utoipa::path(delete, path = "/api/uploads/{id}", tag = "Datasets",
    params(("id" = String, Path), ("Tus-Resumable" = String, Header, description = "`1.0.0`")),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 412, body = ErrorBody)))]
async fn cancel(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    _: Resumable,
    Path(text): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.datasets.cancel_upload(&actor, &id(&text)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
