//! Turns a page handler's error into a page: the error itself knows neither person, theme nor nonce.

use crate::web::{
    error::{PageError, Problem},
    page::PageRequest,
    state::AppState,
};
use axum::{
    extract::{FromRequestParts, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

pub async fn layer(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let accepts_html = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let machine = ["/api/", "/fn/", "/-/", "/pkg/"].iter().any(|prefix| parts.uri.path().starts_with(prefix));
    let copy = parts.clone();
    let response = next.run(Request::from_parts(std::mem::replace(&mut parts, copy), body)).await;

    let problem = match response.extensions().get::<PageError>() {
        // A script gets what the handler said, in its own shape.
        Some(_) if machine => return response,
        Some(error) => error.0.clone(),
        // An unknown address, or a layer below that refused in its own words.
        None if !machine && accepts_html && !is_html(&response) => match response.status() {
            StatusCode::NOT_FOUND => Problem::not_found("page"),
            StatusCode::BAD_REQUEST => {
                Problem::bad_request("This address has a part that can't be understood.")
            }
            _ => return response,
        },
        None => return response,
    };
    if problem.status == StatusCode::UNAUTHORIZED {
        return Redirect::to(&crate::web::session::sign_in_url(&parts.uri)).into_response();
    }
    let status = problem.status;
    match PageRequest::from_request_parts(&mut parts, &state).await {
        Ok(page) => (status, page.problem(&problem)).into_response(),
        // Not even who asks can be told (the database is away): the plain page needs nobody.
        Err(_) => (status, PageRequest::anonymous(&parts, &state).problem(&problem)).into_response(),
    }
}

fn is_html(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/html"))
}
