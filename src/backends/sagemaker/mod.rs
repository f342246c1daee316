//! Runs jobs on AWS SageMaker.
//!
//! - [`request`]: a request for a training job.
//! - [`prices`], [`quotas`]: what machines cost and how many may run; [`remembered`] keeps a slow service's answers.

pub mod prices;
pub mod quotas;
pub mod remembered;
pub mod request;
