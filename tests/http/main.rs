//! The server as scripts see it: the whole route table with real SQLite and disk, asked over HTTP.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]
#[path = "../../engine/tests/support/python.rs"]
mod python;
#[path = "../../engine/tests/support/theirs.rs"]
mod theirs;

mod app;
mod base_models;
mod checkup;
mod costs;
mod datasets;
mod every_route;
#[path = "../support/fake_sagemaker.rs"]
mod fake_sagemaker;
mod headers;
mod jumpstart;
#[path = "../support/make.rs"]
#[expect(dead_code, reason = "shared by test programs, each of which uses a part")]
mod make;
#[path = "../support/moto.rs"]
mod moto;
mod resumable;
mod resume;
mod sagemaker;
mod sessions;
#[path = "../support/tight.rs"]
mod tight;
mod training;
mod uploads;
mod visibility;
