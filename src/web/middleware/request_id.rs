//! One id a request: in the log, in the answer's `x-request-id`, on error pages, in the audit log.

use axum::{extract::Request, http::HeaderValue, middleware::Next, response::Response};
use tracing::Instrument;

/// The id, as request extension. Always our own: a client's is not taken over.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers; empty outside one.
pub fn current() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

pub async fn layer(mut request: Request, next: Next) -> Response {
    let mut bytes = [0; 8];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
    let id = hex::encode(bytes);
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    // The path without its query: a query may hold what a person typed.
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", request.id = %id, http.method = %method, http.path = %path);
    async move {
        let begin = std::time::Instant::now();
        let mut response = CURRENT.scope(id.clone(), next.run(request)).await;
        let status = response.status().as_u16();
        let millis = begin.elapsed().as_secs_f64() * 1000.0;
        if status >= 500 {
            tracing::error!(http.status = status, duration_ms = millis, "request failed");
        } else {
            tracing::info!(http.status = status, duration_ms = millis, "request");
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-request-id", value);
        }
        response
    }
    .instrument(span)
    .await
}
