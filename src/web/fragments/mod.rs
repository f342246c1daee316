//! Pieces of pages that htmx asks for, under `/-/`. GET only; each renders the same view function as its page.

pub mod datasets;
pub mod jobs;
pub mod jumpstart;

use super::{pages, state::AppState};
use axum::{Router, routing::get};

pub fn router() -> Router<AppState> {
    Router::new()
        .merge(datasets::router())
        .merge(jobs::router())
        .merge(jumpstart::router())
        .route("/training/plan", get(pages::training::plan_fragment))
}
