//! JumpStart models against the fake SageMaker, through the SDK's own client.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/fake_sagemaker.rs"]
mod fake_sagemaker;
#[path = "../support/moto.rs"]
mod moto;

mod catalogue;
mod requests;
