//! The JSON API: the seeds' paths and field names, the session cookie in place of their token. Each handler calls one
//! service method; described by OpenAPI at `/api/openapi.json`, browsable at `/api/docs`.

pub mod accounts;
pub mod aws;
pub mod costs;
pub mod datasets;
pub mod docs;
pub mod endpoints;
pub mod extract;
pub mod health;
pub mod jumpstart;
pub mod models;
pub mod training;
mod tus;
pub mod upload;
pub mod uploads;

use super::state::AppState;
use utoipa_axum::router::OpenApiRouter;

/// The routes under `/api` that answer quickly; uploads stand apart.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(health::router())
        .merge(accounts::router())
        .merge(datasets::router())
        .merge(training::router())
        .merge(models::router())
        .merge(jumpstart::router())
        .merge(endpoints::router())
        .merge(costs::router())
        .merge(aws::router())
}

/// The API as the route table takes it in.
pub struct Parts {
    pub quick: axum::Router<AppState>,
    /// Those that wait for a model's whole answer.
    pub patient: axum::Router<AppState>,
    /// Without the usual limits of time and size.
    pub uploads: axum::Router<AppState>,
    pub description: utoipa::openapi::OpenApi,
}

/// The routes, and their description built from the routes themselves.
pub fn parts() -> Parts {
    let (quick, mut paths) = router().split_for_parts();
    let (patient, more) = models::patient().merge(endpoints::patient()).split_for_parts();
    paths.merge(more);
    let (uploads, more) = upload::router().merge(uploads::router()).split_for_parts();
    paths.merge(more);
    Parts { quick, patient, uploads, description: docs::describe(paths) }
}
