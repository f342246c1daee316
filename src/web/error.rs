//! The web edge of errors: a service's error becomes a [`Problem`] (status, code, words), and that a page, a fragment
//! or JSON. The cause goes into the log, never to the browser.

use super::components::{Notice, Severity};
use crate::{domain::field::FieldError, services::error::ServiceError};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use leptos::prelude::*;

/// What went wrong, ready to be shown.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    /// Stable, for scripts.
    pub code: &'static str,
    /// What happened and why.
    pub message: String,
    /// What to do next; may be empty.
    pub next_step: String,
    pub fields: Vec<FieldError>,
    pub retry_after_seconds: Option<u64>,
}

impl Problem {
    fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        next_step: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            next_step: next_step.into(),
            fields: Vec::new(),
            retry_after_seconds: None,
        }
    }
    pub fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("There is no such {what}."),
            "It may have been deleted, or the address is mistyped.",
        )
    }
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message, "Correct the request and send it again.")
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let words = error.to_string();
        match error {
            ServiceError::Invalid(fields) => {
                let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", words, "");
                problem.fields = fields;
                problem
            }
            ServiceError::SignInNeeded => Self::new(StatusCode::UNAUTHORIZED, "sign_in_needed", words, ""),
            ServiceError::WrongCredentials => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong_credentials", words, "")
            }
            ServiceError::NotFound(what) => Self::not_found(what),
            ServiceError::Refused { code, message, next_step } => {
                Self::new(StatusCode::CONFLICT, code, message, next_step)
            }
            ServiceError::TooMany { retry_after } => {
                let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", words, "");
                problem.retry_after_seconds = Some(retry_after.as_secs().max(1));
                problem
            }
            ServiceError::TooLarge { .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                words,
                "Split the file and upload the parts.",
            ),
            ServiceError::NoRoom => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "no_room",
                words,
                "Delete datasets or models that are no longer needed, or ask the server's administrator for more room.",
            ),
            ServiceError::Unavailable(cause) => {
                tracing::error!(%cause, "a part of the server does not answer");
                let mut problem = Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    words,
                    "Try again in a moment.",
                );
                problem.retry_after_seconds = Some(2);
                problem
            }
            ServiceError::Internal(cause) => {
                tracing::error!(%cause, "internal error");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    words,
                    "Try again. If it stays, tell the administrator the request id.",
                )
            }
        }
    }
}

fn retry_after(problem: &Problem, response: &mut Response) {
    if let Some(seconds) = problem.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// An error of a page handler. `middleware::error_pages` draws the page.
#[derive(Debug, Clone)]
pub struct PageError(pub Problem);

impl<E: Into<ServiceError>> From<E> for PageError {
    fn from(error: E) -> Self {
        Self(error.into().into())
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        retry_after(&self.0, &mut response);
        response.extensions_mut().insert(self);
        response
    }
}

/// An error of a fragment handler: a short notice where the fragment would stand, with the right status.
#[derive(Debug)]
pub struct FragmentError(pub Problem);

impl<E: Into<ServiceError>> From<E> for FragmentError {
    fn from(error: E) -> Self {
        Self(error.into().into())
    }
}

impl IntoResponse for FragmentError {
    fn into_response(self) -> Response {
        let problem = self.0;
        let (message, next_step) = (problem.message.clone(), problem.next_step.clone());
        let html = super::render::render(|| {
            view! { <Notice severity=Severity::Error title=message next_step=next_step/> }
        });
        let mut response = (problem.status, Html(html)).into_response();
        retry_after(&problem, &mut response);
        response
    }
}

/// An error of the JSON API: `{"error": {"code", "message", "field"?, "request_id"}}`.
#[derive(Debug)]
pub struct ApiError(pub Problem);

/// The body of every error answer.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    pub error: ErrorDetail,
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ErrorDetail {
    /// Stable, for scripts.
    pub code: String,
    pub message: String,
    /// The field the error is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next_step: String,
    /// All wrong fields, where there is more than one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldMessage>,
    pub request_id: String,
}

#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct FieldMessage {
    pub field: String,
    pub message: String,
}

impl<E: Into<ServiceError>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into().into())
    }
}

impl ApiError {
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self(Problem::bad_request(message))
    }
    pub fn with_status(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self(Problem::new(status, code, message, ""))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = self.0;
        let field = problem.fields.first().map(|error| error.field.clone());
        let fields = if problem.fields.len() > 1 {
            problem
                .fields
                .iter()
                .map(|error| FieldMessage { field: error.field.clone(), message: error.message.clone() })
                .collect()
        } else {
            Vec::new()
        };
        let body = ErrorBody {
            error: ErrorDetail {
                code: problem.code.to_owned(),
                message: problem.message.clone(),
                field,
                next_step: problem.next_step.clone(),
                fields,
                request_id: super::middleware::request_id::current(),
            },
        };
        let mut response = (problem.status, Json(body)).into_response();
        retry_after(&problem, &mut response);
        response
    }
}
