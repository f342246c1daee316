//! JumpStart models against the fake SageMaker, through the SDK's own client.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/fake_sagemaker.rs"]
mod fake_sagemaker;
#[path = "../support/moto.rs"]
#[expect(dead_code, reason = "shared with other test programs, and each uses a part")]
mod moto;

mod catalogue;
mod requests;
