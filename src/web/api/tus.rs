//! The words of the tus protocol, version 1.0 (<https://tus.io/protocols/resumable-upload>): its headers, read and
//! written. What an upload is, is the business of `services::datasets::uploads`.

use crate::{
    domain::time::Instant,
    services::datasets::uploads::Progress,
    web::error::{ApiError, Problem},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};

pub const VERSION: &str = "1.0.0";
pub const EXTENSIONS: &str = "creation,termination,expiration";
/// Type of a piece.
pub const PIECE: &str = "application/offset+octet-stream";

pub const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub const SUPPORTED: HeaderName = HeaderName::from_static("tus-version");
pub const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// Ours: what a finished upload became.
const DATASET: HeaderName = HeaderName::from_static("dataset-id");

/// The sender speaks our version.
pub struct Resumable;

impl<S: Send + Sync> FromRequestParts<S> for Resumable {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        if parts.headers.get(RESUMABLE).is_some_and(|version| version == VERSION) {
            return Ok(Self);
        }
        let words = format!("Send the header Tus-Resumable: {VERSION}, the version spoken here.");
        let refused = ApiError::with_status(StatusCode::PRECONDITION_FAILED, "tus_version", words);
        Err(([(SUPPORTED, VERSION)], refused).into_response())
    }
}

/// A header that must be a count of bytes.
pub fn count(headers: &HeaderMap, name: &HeaderName) -> Result<u64, ApiError> {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    // `u64` would also read "+1".
    let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        ApiError::bad_request(format!("The header {} must be a number of bytes.", spelled(name)))
    })
}

/// `Upload-Metadata` as it came, and the file name in it.
pub fn metadata(headers: &HeaderMap) -> Result<(&str, String), ApiError> {
    let wrong = || {
        let words = "The header Upload-Metadata must be pairs of a key and a value in Base64, such as “filename bmFtZS50eHQ=”.";
        ApiError::bad_request(words)
    };
    let Some(value) = headers.get(METADATA) else { return Ok(("", String::new())) };
    let text = value.to_str().map_err(|_| wrong())?;
    let mut name = String::new();
    for pair in text.split(',') {
        let (key, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        let value = STANDARD.decode(value.trim()).map_err(|_| wrong())?;
        if key == "filename" {
            name = String::from_utf8(value).map_err(|_| wrong())?;
        }
    }
    Ok((text, name))
}

/// How far an upload is, as headers.
pub fn headers(progress: &Progress) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    // An old answer would send a sender to the wrong place.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match progress {
        Progress::Incoming { upload, offset } => {
            headers.insert(OFFSET, (*offset).into());
            headers.insert(LENGTH, upload.bytes.into());
            insert(&mut headers, EXPIRES, &http_date(upload.expires_at)?)?;
            if !upload.metadata.is_empty() {
                insert(&mut headers, METADATA, &upload.metadata)?;
            }
        }
        Progress::Done(dataset) => {
            headers.insert(OFFSET, dataset.bytes.into());
            headers.insert(LENGTH, dataset.bytes.into());
            insert(&mut headers, DATASET, dataset.id.as_str())?;
        }
    }
    Ok(headers)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), ApiError> {
    headers.insert(name, HeaderValue::from_str(value).map_err(|error| internal(error.to_string()))?);
    Ok(())
}

fn http_date(at: Instant) -> Result<String, ApiError> {
    jiff::Timestamp::from_microsecond(at.micros())
        .and_then(|at| jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at))
        .map_err(|error| internal(error.to_string()))
}

fn internal(cause: String) -> ApiError {
    ApiError(Problem::from(crate::services::error::ServiceError::Internal(cause)))
}

/// `upload-offset` as people write it.
fn spelled(name: &HeaderName) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.as_str().split('-').map(capital).collect::<Vec<_>>().join("-")
}
