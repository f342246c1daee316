//! Server functions: the only way a page writes. Each is an ordinary form target that works without JavaScript: it
//! answers with a redirect, and errors come back with what was typed (see `web::flash`).
//!
//! A function names its form, calls one service method, and says where to go then. Nothing else.

pub mod accounts;
pub mod aws;
pub mod catalogue;
pub mod costs;
pub mod datasets;
pub mod endpoints;
pub mod models;
pub mod training;

pub use server::{Call, reply};

mod server {
    use crate::{
        services::{
            context::{Actor, Origin},
            error::{ServiceError, ServiceResult},
        },
        web::{error::Problem, flash::Flash, session, state::AppState},
    };
    use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts};
    use leptos::prelude::*;
    use leptos_axum::ResponseOptions;
    use std::collections::BTreeMap;

    /// What a server function knows about its caller.
    pub struct Call {
        pub state: AppState,
        pub origin: Origin,
        parts: Parts,
    }

    impl Call {
        /// From the context that the router provides.
        pub fn new() -> Self {
            let state = expect_context::<AppState>();
            let parts = expect_context::<Parts>();
            let origin = session::origin(&parts, &state.config);
            Self { state, origin, parts }
        }
        pub async fn actor(&self) -> ServiceResult<Actor> {
            session::actor(&self.parts, &self.state).await
        }
        /// The page that holds the form: path and query of the Referer, when it is ours.
        pub fn back(&self) -> String {
            referer(&self.parts.headers).unwrap_or_else(|| "/".to_owned())
        }
        fn is_form_post(&self) -> bool {
            let accept = self.parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
            accept.is_some_and(|accept| accept.contains("text/html"))
        }
    }

    impl Default for Call {
        fn default() -> Self {
            Self::new()
        }
    }

    fn referer(headers: &HeaderMap) -> Option<String> {
        let uri: Uri = headers.get(header::REFERER)?.to_str().ok()?.parse().ok()?;
        let path = uri.path_and_query()?.as_str();
        Some(session::local_path(path).to_owned())
    }

    /// Where a form's answer leads.
    pub struct Then {
        pub to: String,
        pub notice: Option<String>,
        pub cookies: Vec<String>,
    }

    impl Then {
        pub fn to(path: impl Into<String>) -> Self {
            Self { to: path.into(), notice: None, cookies: Vec::new() }
        }
        pub fn notice(mut self, text: impl Into<String>) -> Self {
            self.notice = Some(text.into());
            self
        }
        pub fn cookie(mut self, cookie: &axum_extra::extract::cookie::Cookie<'_>) -> Self {
            self.cookies.push(cookie.to_string());
            self
        }
    }

    /// Answers a form: on success a redirect to `then`, else back to the form with its errors and `typed` values.
    /// A script (no `text/html` in Accept) gets the error itself, with its status.
    pub fn reply(
        call: &Call,
        form: &str,
        typed: &[(&str, &str)],
        result: ServiceResult<Then>,
    ) -> Result<(), ServerFnError> {
        let response = expect_context::<ResponseOptions>();
        match result {
            Ok(then) => {
                for cookie in &then.cookies {
                    append_cookie(&response, cookie);
                }
                if let Some(notice) = then.notice {
                    append_cookie(&response, &Flash::notice(notice).to_cookie(&call.state).to_string());
                }
                redirect(&response, session::local_path(&then.to));
                Ok(())
            }
            Err(ServiceError::SignInNeeded) if call.is_form_post() => {
                let back: Uri = call.back().parse().unwrap_or_default();
                redirect(&response, &session::sign_in_url(&back));
                Ok(())
            }
            Err(error) => {
                let problem = Problem::from(error);
                if !call.is_form_post() {
                    response.set_status(problem.status);
                    return Err(ServerFnError::ServerError(problem.message));
                }
                let values: BTreeMap<_, _> =
                    typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                let general =
                    problem.fields.is_empty().then(|| (problem.message.clone(), problem.next_step.clone()));
                let flash = Flash {
                    form: form.to_owned(),
                    notice: None,
                    problem: general,
                    errors: problem.fields,
                    values,
                };
                append_cookie(&response, &flash.to_cookie(&call.state).to_string());
                redirect(&response, &call.back());
                Ok(())
            }
        }
    }

    fn append_cookie(response: &ResponseOptions, cookie: &str) {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            response.append_header(header::SET_COOKIE, value);
        }
    }

    /// 303: the browser goes on with a GET, and a reload does not post again.
    fn redirect(response: &ResponseOptions, to: &str) {
        if let Ok(value) = HeaderValue::from_str(to) {
            response.insert_header(header::LOCATION, value);
            response.set_status(StatusCode::SEE_OTHER);
        }
    }
}
pub use server::Then;
