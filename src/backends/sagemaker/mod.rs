//! Runs jobs on AWS SageMaker, and hosts models there.

pub mod hosting;
pub mod request;
