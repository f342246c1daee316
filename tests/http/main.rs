//! The server as scripts see it: the whole route table with real SQLite and disk, asked over HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod app;
mod datasets;
mod every_route;
mod headers;
mod resumable;
mod training;
mod uploads;
mod visibility;
