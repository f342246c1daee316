//! Pieces of pages that htmx asks for, under `/-/`. GET only; each renders the same view function as its page.

pub mod datasets;

use super::state::AppState;
use axum::Router;

pub fn router() -> Router<AppState> {
    Router::new().merge(datasets::router())
}
