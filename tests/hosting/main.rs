//! Hosted models against the fake SageMaker: the adapter's calls, the keeper through every crash, the pages and the API.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../http/app.rs"]
#[expect(dead_code, reason = "shared with another test program, and each uses a part")]
mod app;
#[path = "../support/fake_sagemaker.rs"]
mod fake_sagemaker;
#[path = "../support/make.rs"]
#[expect(dead_code, reason = "shared with other test programs, and each uses a part")]
mod make;
#[path = "../support/moto.rs"]
mod moto;
#[path = "../support/tight.rs"]
mod tight;

mod adapter;
mod answers;
mod keeper;
mod pages;
mod world;
