//! The JSON API: the seeds' paths and field names, the session cookie in place of their token. Each handler calls one
//! service method; described by OpenAPI at `/api/openapi.json`, browsable at `/api/docs`.

pub mod accounts;
pub mod docs;
pub mod extract;
pub mod health;

use super::state::AppState;
use utoipa_axum::router::OpenApiRouter;

/// All routes under `/api`.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().merge(health::router()).merge(accounts::router())
}

/// The routes, and their description built from the routes themselves.
pub fn parts() -> (axum::Router<AppState>, utoipa::openapi::OpenApi) {
    let (routes, paths) = router().split_for_parts();
    (routes, docs::describe(paths))
}
