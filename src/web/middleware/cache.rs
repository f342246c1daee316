//! Who may keep an answer. Hashed files: everybody, for ever. Everything else that says nothing: nobody.

use axum::{
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// A name of ours with a hash in it never changes its content.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Other static files: ask again, an unchanged one costs a 304.
const REVALIDATE: &str = "public, no-cache";
/// Pages and API answers show one person's things.
const PRIVATE: &str = "private, no-store";

pub async fn layer(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let policy = if path.starts_with("/pkg/") {
        FOREVER
    } else if path.rsplit('/').next().is_some_and(|file| file.contains('.')) && !path.starts_with("/api/") {
        REVALIDATE
    } else {
        PRIVATE
    };
    let mut response = next.run(request).await;
    let policy =
        if response.status().is_success() || response.status().as_u16() == 304 { policy } else { PRIVATE };
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static(policy));
    response
}
