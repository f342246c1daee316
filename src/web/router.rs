//! The whole route table, on one screen, and the layers around it.

use super::{
    api,
    error::{ApiError, PageError, Problem},
    fragments, middleware, pages,
    state::AppState,
};
use crate::services::error::ServiceError;
use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use leptos::prelude::provide_context;
use std::time::Duration;
use tower::util::option_layer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, CompressionLevel,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    csrf::CsrfLayer,
    services::ServeDir,
    timeout::TimeoutLayer,
};

/// A form's body; uploads have a limit of their own.
const FORM_LIMIT: usize = 2 * 1024 * 1024;
/// How long an answer may take to begin.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The same, where a whole answer of a model is waited for: an endpoint at AWS has 70 s.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn router(state: AppState) -> Router {
    let api::Parts { quick: api, patient, uploads, description } = api::parts();
    let quick = Router::new()
        // Pages: GET, whole without JavaScript.
        .route("/", get(pages::overview::page))
        .route("/sign-in", get(pages::accounts::sign_in))
        .route("/register", get(pages::accounts::register))
        .route("/settings", get(pages::accounts::settings))
        .route("/settings/aws", get(pages::aws::page))
        .route("/data", get(pages::datasets::list::page))
        .route("/data/{id}", get(pages::datasets::detail::page))
        .route("/training", get(pages::training::list))
        .route("/training/new", get(pages::training::new))
        .route("/training/{name}", get(pages::training::show))
        .route("/models", get(pages::models::list))
        .route("/models/jumpstart", get(pages::jumpstart::list::page))
        .route("/models/jumpstart/{id}", get(pages::jumpstart::detail::page))
        .route("/models/{id}", get(pages::models::show))
        .route("/models/{id}/deploy", get(pages::endpoints::deploy))
        .route("/endpoints", get(pages::endpoints::list))
        .route("/endpoints/{id}", get(pages::endpoints::show))
        .route("/playground", get(pages::playground::page))
        .route("/costs", get(pages::costs::page))
        .route("/costs.csv", get(pages::costs::download))
        .route("/api/docs", get(pages::api_docs::page))
        // Fragments: what htmx asks for, GET only.
        .nest("/-", fragments::router())
        // Server functions: what forms post to.
        .route("/fn/{*path}", post(server_function))
        // Operations.
        .route("/ready", get(api::health::ready))
        .merge(api)
        .route("/api/openapi.json", get(|| async move { axum::Json(description) }))
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, TIMEOUT));

    // Without JavaScript the playground's page holds the answer.
    let patient = patient
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, PATIENCE));

    let secure = state.config.secure_cookies();
    quick
        .merge(patient)
        // Uploads: as long and as large as they are.
        .merge(uploads)
        .fallback_service(static_files(&state))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), middleware::error_pages::layer))
        .layer(from_fn(middleware::cache::layer))
        .layer(from_fn(middleware::headers::layer))
        .layer(option_layer(secure.then(|| from_fn(middleware::headers::hsts))))
        .layer(from_fn(middleware::csp::layer))
        .layer(CsrfLayer::new().with_rejection_response(|_| {
            ApiError::with_status(
                StatusCode::FORBIDDEN,
                "cross_site",
                "This request came from another site and was refused.",
            )
            .into_response()
        }))
        .layer(compression())
        .layer(from_fn(middleware::request_id::layer))
        .with_state(state)
}

/// Answers a form or an island; `web::functions` has them.
async fn server_function(State(state): State<AppState>, request: Request<Body>) -> Response {
    leptos_axum::handle_server_fns_with_context(move || provide_context(state.clone()), request)
        .await
        .into_response()
}

/// The built site: hashed files under `/pkg`, icons and samples beside it, compressed ahead of time.
fn static_files(state: &AppState) -> Router {
    let files = ServeDir::new(&state.config.site_root)
        .precompressed_br()
        .precompressed_gzip()
        .append_index_html_on_directories(false)
        .call_fallback_on_method_not_allowed(false);
    Router::new().fallback_service(files)
}

/// Pages and JSON, not what is compressed already, and never an event stream: it would be held back.
fn compression() -> CompressionLayer<impl Predicate> {
    let predicate = SizeAbove::new(1_400)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("application/zip"))
        .and(NotForContentType::const_new("application/x-ndjson"));
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(predicate)
}

/// The last resort: a panic is a bug, told in the log, and answered like any other internal error.
fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let words = cause
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default();
    tracing::error!(panic = %words, "a handler panicked");
    let problem = Problem::from(ServiceError::Internal("panic".to_owned()));
    let mut response = ApiError(problem.clone()).into_response();
    // Where a page was asked for, `middleware::error_pages` draws one of it.
    response.extensions_mut().insert(PageError(problem));
    response
}
