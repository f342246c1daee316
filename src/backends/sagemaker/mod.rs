//! Runs jobs on AWS SageMaker.

pub mod request;
