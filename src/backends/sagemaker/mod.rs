//! Runs jobs on AWS SageMaker.

pub mod jumpstart;
pub mod request;
