//! Logs: one JSON object a line on stdout, filtered by `RUST_LOG` (default `info`). Request ids come from the web's
//! request span. Secrets never go in: types that hold one have a `Debug` that hides it.

use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

/// Call once, at start.
pub fn init() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx::query=warn"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_span_events(FmtSpan::NONE)
        .with_env_filter(filter)
        .init();
}
