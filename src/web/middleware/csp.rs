//! The Content-Security-Policy, each directive with its reason, and the nonce it names.

use axum::{
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use base64::Engine;

/// This request's nonce: minted per request, named by the policy, carried by our own `<script>` elements.
#[derive(Clone, Debug)]
pub struct Nonce(pub String);

impl Nonce {
    fn mint() -> Self {
        let mut bytes = [0; 16];
        rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
        Self(base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes))
    }
}

/// Puts a nonce into the request and the policy on the answer.
pub async fn layer(mut request: Request, next: Next) -> Response {
    let nonce = Nonce::mint();
    request.extensions_mut().insert(nonce.clone());
    let mut response = next.run(request).await;
    if !response.headers().contains_key(header::CONTENT_SECURITY_POLICY)
        && let Ok(value) = HeaderValue::from_str(&policy(&nonce.0))
    {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, value);
    }
    response
}

fn policy(nonce: &str) -> String {
    [
        // Nothing, unless a line below allows it.
        "default-src 'none'",
        // Our own scripts carry the nonce; what they import is trusted; islands are WASM. No inline, no eval.
        &format!("script-src 'nonce-{nonce}' 'strict-dynamic' 'wasm-unsafe-eval'"),
        // One stylesheet, ours. No inline styles anywhere.
        "style-src 'self'",
        // Icons and the favicon.
        "img-src 'self' data:",
        "font-src 'self'",
        // htmx, islands, server-sent events.
        "connect-src 'self'",
        "manifest-src 'self'",
        // Forms post home only.
        "form-action 'self'",
        // No <base> can redirect relative links.
        "base-uri 'none'",
        // Nobody frames us.
        "frame-ancestors 'none'",
    ]
    .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_nonce_and_allows_nothing_unsafe() {
        let nonce = Nonce::mint();
        let policy = policy(&nonce.0);
        assert!(policy.contains(&nonce.0));
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
        assert_ne!(nonce.0, Nonce::mint().0);
    }
}
