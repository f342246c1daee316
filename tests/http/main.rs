//! The server as scripts see it: the whole route table with real SQLite and disk, asked over HTTP.

mod app;
mod datasets;
mod uploads;
mod visibility;
