//! Training by script: the seeds' paths and words, for jobs on this machine.
//!
//! - [`start`] from a body to a plan or a job, and what a job can start from
//! - [`jobs`] what becomes of jobs: lists, figures, logs, stop and resume

mod jobs;
mod start;

use crate::web::state::AppState;
use utoipa_axum::router::OpenApiRouter;

pub fn router() -> OpenApiRouter<AppState> {
    start::router().merge(jobs::router())
}
