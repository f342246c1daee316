//! `POST /api/upload`: files as multipart, streamed to storage one after the other in constant memory. The same
//! handler answers scripts (JSON) and plain forms (a redirect with a notice).

use super::datasets::DatasetView;
use crate::{
    domain::dataset::{Dataset, DatasetState},
    services::{
        context::Actor,
        error::{ServiceError, ServiceResult},
    },
    web::{
        error::{ApiError, ErrorBody, Problem},
        flash::Flash,
        session::{ApiActor, sign_in_url},
        state::AppState,
    },
};
use axum::{
    Json,
    extract::{
        Multipart, State,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::cookie::CookieJar;
use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc};
use serde::Serialize;
use std::{io, time::Duration};
use utoipa_axum::{router::OpenApiRouter, routes};

/// A sender that is silent for this long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// Chunks on their way from the socket to the disk.
const CHUNKS: usize = 4;
/// Characters of `contentPreview`.
const PREVIEW: usize = 200;
/// Files in one request.
const MAX_FILES: usize = 100;

/// Routes without the time limit and the body limit of all others.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(upload)).layer(axum::extract::DefaultBodyLimit::disable())
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct UploadBody {
    message: String,
    files: Vec<UploadedFile>,
    /// Files that were not kept, each with its reason; the others were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FailedFile>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct UploadedFile {
    #[serde(rename = "originalName")]
    original_name: String,
    /// Bytes.
    size: u64,
    /// As the sender named it.
    #[serde(rename = "type")]
    media_type: String,
    /// The first characters.
    #[serde(rename = "contentPreview")]
    content_preview: String,
    /// Where the server keeps it.
    s3_key: String,
    dataset_id: String,
    #[serde(flatten)]
    dataset: DatasetView,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct FailedFile {
    #[serde(rename = "originalName")]
    original_name: String,
    /// Stable, for scripts.
    code: &'static str,
    message: String,
    next_step: String,
}

/// Body of the request, for the description.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the multipart body; it is read as a stream")]
struct UploadForm {
    /// One or many files.
    #[schema(value_type = Vec<String>, format = Binary)]
    files: Vec<Vec<u8>>,
}

/// Stores files as datasets and begins their check. Small files are checked in the answer; for larger ones ask
/// `GET /api/datasets/{id}` until `state` is no longer `checking`. A file that fails does not lose the others.
#[utoipa::path(post, path = "/api/upload", tag = "Datasets",
    request_body(content = inline(UploadForm), content_type = "multipart/form-data"),
    responses((status = 200, body = UploadBody), (status = 401, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 507, body = ErrorBody)))]
async fn upload(
    State(state): State<AppState>,
    actor: Result<ApiActor, ApiError>,
    headers: HeaderMap,
    form: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Response {
    let by_form = wants_page(&headers);
    let actor = match actor {
        Ok(ApiActor(actor)) => actor,
        Err(_) if by_form => return Redirect::to(&sign_in_url(&Uri::from_static("/data"))).into_response(),
        Err(error) => return error.into_response(),
    };
    let Ok(form) = form else {
        let what = "Send the files as multipart/form-data, in the field “files”.";
        return ApiError::bad_request(what).into_response();
    };
    let taken = take(&state, &actor, form).await;
    if by_form { answer_page(&state, taken) } else { answer_json(taken) }
}

/// What became of each file of a request, in order.
#[derive(Default)]
struct Taken {
    kept: Vec<UploadedFile>,
    failed: Vec<(String, Problem)>,
    /// The request itself broke off.
    broken: Option<Problem>,
}

async fn take(state: &AppState, actor: &Actor, mut form: Multipart) -> Taken {
    let mut taken = Taken::default();
    loop {
        let field = match tokio::time::timeout(SILENCE, form.next_field()).await {
            Ok(Ok(Some(field))) => field,
            Ok(Ok(None)) => return taken,
            Ok(Err(error)) => {
                taken.broken =
                    Some(Problem::bad_request(format!("The upload can't be read: {}", error.body_text())));
                return taken;
            }
            Err(_) => {
                taken.broken = Some(silent());
                return taken;
            }
        };
        let Some(file_name) = field.file_name().map(str::to_owned) else { continue };
        // What a form sends whose file button was not used.
        if file_name.is_empty() && field.content_type() == Some("application/octet-stream") {
            continue;
        }
        if taken.kept.len() + taken.failed.len() >= MAX_FILES {
            taken.broken = Some(Problem::bad_request(format!("One upload takes at most {MAX_FILES} files.")));
            return taken;
        }
        let media_type = field.content_type().unwrap_or("application/octet-stream").to_owned();
        match store(state, actor, &file_name, field).await {
            Ok((dataset, content_preview)) => taken.kept.push(uploaded(dataset, media_type, content_preview)),
            Err(error) => {
                taken
                    .failed
                    .push((crate::services::datasets::name::clean_file_name(&file_name), error.into()));
            }
        }
    }
}

async fn store(
    state: &AppState,
    actor: &Actor,
    file_name: &str,
    field: Field<'_>,
) -> ServiceResult<(Dataset, String)> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    // The field borrows the request, and storage wants a stream of its own: chunks are handed over.
    let ((), stored) =
        tokio::join!(forward(field, sender), state.datasets.upload(actor, file_name, receiver.boxed()));
    let dataset = stored?;
    let glimpse = state.datasets.glimpse(actor, &dataset.id, PREVIEW + 1).await?;
    let shortened = glimpse.chars().count() > PREVIEW;
    let text: String = glimpse.chars().take(PREVIEW).collect();
    Ok((dataset, if shortened { format!("{text}...") } else { text }))
}

async fn forward(mut field: Field<'_>, mut to: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let chunk = match tokio::time::timeout(SILENCE, field.chunk()).await {
            Ok(Ok(Some(chunk))) => Ok(chunk),
            Ok(Ok(None)) => return,
            Ok(Err(error)) => Err(io::Error::other(words(&error))),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the sender fell silent")),
        };
        let last = chunk.is_err();
        // The receiver is gone where storage refused the rest: the next field is read after skipping it.
        if to.send(chunk).await.is_err() || last {
            return;
        }
    }
}

fn words(error: &MultipartError) -> String {
    error.body_text()
}

fn silent() -> Problem {
    ServiceError::refused(
        "upload_interrupted",
        "The upload fell silent and was ended.",
        "Upload the file again.",
    )
    .into()
}

fn uploaded(dataset: Dataset, media_type: String, content_preview: String) -> UploadedFile {
    UploadedFile {
        original_name: dataset.original_name.clone(),
        size: dataset.bytes,
        media_type,
        content_preview,
        s3_key: dataset.object_key.clone(),
        dataset_id: dataset.id.to_string(),
        dataset: DatasetView::from(&dataset),
    }
}

fn nothing_sent() -> Problem {
    ServiceError::invalid("files", "Choose at least one file to upload.").into()
}

fn answer_json(taken: Taken) -> Response {
    if taken.kept.is_empty() {
        let mut failed = taken.failed.into_iter().map(|(_, problem)| problem);
        let problem = failed.next().or(taken.broken).unwrap_or_else(nothing_sent);
        return ApiError(problem).into_response();
    }
    let broken = taken.broken.map(|problem| (String::new(), problem));
    let errors: Vec<_> = taken.failed.into_iter().chain(broken).map(failed_file).collect();
    let refused = taken.kept.iter().find(|file| file.dataset.state == DatasetState::Refused);
    let message = match (errors.len(), refused) {
        (0, None) => "Files uploaded and processed successfully".to_owned(),
        (0, Some(file)) => {
            let reason = file.dataset.reason.as_deref().unwrap_or_default();
            format!("Files uploaded, but “{}” can't be trained on: {reason}", file.original_name)
        }
        (n, _) => format!("{} of {} files were uploaded.", taken.kept.len(), taken.kept.len() + n),
    };
    Json(UploadBody { message, files: taken.kept, errors }).into_response()
}

fn failed_file((original_name, problem): (String, Problem)) -> FailedFile {
    FailedFile { original_name, code: problem.code, message: problem.message, next_step: problem.next_step }
}

/// A plain form's answer: back to the list, or to the one dataset where there is just one to look at.
fn answer_page(state: &AppState, taken: Taken) -> Response {
    let failed: Vec<_> =
        taken.failed.into_iter().chain(taken.broken.map(|problem| (String::new(), problem))).collect();
    let (to, flash) = match (taken.kept.as_slice(), failed.as_slice()) {
        ([], []) => ("/data".to_owned(), problem_flash(String::new(), &nothing_sent())),
        ([one], []) => (
            format!("/data/{}", one.dataset_id),
            Flash::notice(format!("“{}” was uploaded.", one.original_name)),
        ),
        (many, []) => ("/data".to_owned(), Flash::notice(summary(many))),
        (kept, [(name, problem), more @ ..]) => {
            let mut flash = problem_flash(name.clone(), problem);
            if let Some((_, next_step)) = &mut flash.problem {
                if !more.is_empty() {
                    next_step.push_str(&format!(" {} more files were not kept either.", more.len()));
                }
                if !kept.is_empty() {
                    next_step.push_str(&format!(" {}", summary(kept)));
                }
            }
            ("/data".to_owned(), flash)
        }
    };
    let cookie = flash.to_cookie(state);
    (CookieJar::new().add(cookie), (StatusCode::SEE_OTHER, [(header::LOCATION, to)])).into_response()
}

fn summary(kept: &[UploadedFile]) -> String {
    let of = |state: DatasetState| kept.iter().filter(|file| file.dataset.state == state).count();
    let (ready, checking) = (of(DatasetState::Ready), of(DatasetState::Checking));
    let rest = kept.len() - ready - checking;
    let mut parts = vec![match kept.len() {
        1 => "1 file was uploaded".to_owned(),
        n => format!("{n} files were uploaded"),
    }];
    for (count, words) in [(ready, "ready"), (checking, "being checked"), (rest, "to be looked at")] {
        if count > 0 && count < kept.len() {
            parts.push(format!("{count} {words}"));
        }
    }
    format!("{}.", parts.join(", "))
}

fn problem_flash(name: String, problem: &Problem) -> Flash {
    let message =
        if name.is_empty() { problem.message.clone() } else { format!("“{name}”: {}", problem.message) };
    Flash { problem: Some((message, problem.next_step.clone())), ..Flash::default() }
}

/// A browser that follows a form, not a script.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}
