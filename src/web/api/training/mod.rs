//! Training by script: the seeds' paths and words.
//!
//! - [`start`] from a body to a plan or a job, and what a job can start from
//! - [`aws`] the same on SageMaker, with the seeds' answer
//! - [`jobs`] what becomes of jobs: lists, figures, logs, stop and resume

mod aws;
mod jobs;
mod start;

use crate::web::state::AppState;
use utoipa_axum::router::OpenApiRouter;

pub fn router() -> OpenApiRouter<AppState> {
    start::router().merge(aws::router()).merge(jobs::router())
}
