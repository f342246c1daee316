//! Jobs on SageMaker, from the API to the model: the program itself, led by the SDK's own variables to moto (S3, logs)
//! and to the SageMaker of `tests/aws/fake_sagemaker`, which really runs what the training containers would run.
//!
//! - [`server`] the program under test       - [`routes`] the three ways to train
//! - [`endings`] stops, failures, machines   - [`adversity`] lost answers, broken networks, kills

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/bucket.rs"]
mod bucket;
#[path = "../support/fake_sagemaker.rs"]
mod fake_sagemaker;
#[path = "../support/moto.rs"]
mod moto;

#[path = "../support/proxy.rs"]
mod proxy;

mod adversity;
mod checkup;
mod endings;
mod routes;
mod server;
