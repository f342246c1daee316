//! `/api/health`: the process is alive. `/ready`: database and storage answer.

use crate::web::state::AppState;
use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
    version: &'static str,
}

/// The process is alive. Asks nothing of the database.
#[utoipa::path(get, path = "/api/health", tag = "Operations", responses((status = 200, body = Health)))]
async fn health() -> Json<Health> {
    Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") })
}

#[derive(Serialize)]
pub struct Ready {
    database: &'static str,
    storage: &'static str,
}

/// 200 when every part answers, else 503 with the part that does not.
pub async fn ready(State(state): State<AppState>) -> (StatusCode, Json<Ready>) {
    let word = |good: bool| if good { "ok" } else { "unavailable" };
    let (database, storage) = state.ready().await;
    let status = if database && storage { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { database: word(database), storage: word(storage) }))
}
