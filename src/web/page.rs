//! One page's answer: gathers what the frame needs (person, theme, nonce, flash), and draws the page into it.
//!
//! A handler takes a [`PageRequest`], asks a service, and ends with `page.show(…)`. All awaits come before: drawing
//! is plain, synchronous code.

use super::{
    assets::Island,
    error::{PageError, Problem},
    flash::Flash,
    middleware::{csp::Nonce, request_id},
    render::render,
    session,
    shell::{self, Assets, ErrorPage, IslandModule, Nav, PageCtx, ShellUser, Theme},
    state::AppState,
};
use crate::services::{context::Actor, error::ServiceError};
use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{Html, IntoResponse, Response},
};
use axum_extra::extract::cookie::CookieJar;
use leptos::prelude::*;

/// Anybody's page: signed in or not.
pub struct PageRequest {
    pub actor: Option<Actor>,
    pub flash: Option<Flash>,
    ctx: PageCtx,
    state: AppState,
}

impl FromRequestParts<AppState> for PageRequest {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, PageError> {
        let mut page = Self::anonymous(parts, state);
        match session::actor(parts, state).await {
            Ok(actor) => {
                page.ctx.running_jobs = state.running_jobs(&actor).await?;
                page.ctx.user = Some(ShellUser {
                    name: actor.user.full_name.clone(),
                    email: actor.user.email.to_string(),
                    is_admin: actor.is_admin(),
                });
                page.actor = Some(actor);
            }
            Err(ServiceError::SignInNeeded) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(page)
    }
}

/// A page for people who are signed in; others are sent to sign in, and back here afterwards.
pub struct SignedPage {
    pub actor: Actor,
    pub page: PageRequest,
}

impl FromRequestParts<AppState> for SignedPage {
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, PageError> {
        let page = PageRequest::from_request_parts(parts, state).await?;
        let actor = page.actor.clone().ok_or(ServiceError::SignInNeeded)?;
        Ok(Self { actor, page })
    }
}

impl PageRequest {
    /// What can be told without asking the database.
    pub fn anonymous(parts: &Parts, state: &AppState) -> Self {
        let jar = CookieJar::from_headers(&parts.headers);
        let theme = jar.get("theme").and_then(|cookie| Theme::parse(cookie.value())).unwrap_or_default();
        let ctx = PageCtx {
            theme,
            nonce: parts.extensions.get::<Nonce>().map(|nonce| nonce.0.clone()).unwrap_or_default(),
            assets: assets(state),
            folded: jar.get(shell::FOLDED_COOKIE).is_some_and(|cookie| cookie.value() == "1"),
            ..PageCtx::default()
        };
        Self { actor: None, flash: Flash::from_jar(&jar), ctx, state: state.clone() }
    }

    /// Where the page stands in the navigation, and its way down from the area, as (label, href).
    #[must_use]
    pub fn at(mut self, nav: Nav, breadcrumbs: &[(&str, &str)]) -> Self {
        self.ctx.active = nav;
        self.ctx.breadcrumbs =
            breadcrumbs.iter().map(|(label, href)| ((*label).to_owned(), (*href).to_owned())).collect();
        self
    }

    /// The page shows this island: load its WASM.
    #[must_use]
    pub fn with_island(mut self, island: Island) -> Self {
        let (glue, wasm) = island.module();
        let built = &self.state.assets;
        self.ctx.island = Some(IslandModule { glue: built.href(glue), wasm: built.href(wasm) });
        self
    }

    pub fn theme(&self) -> Theme {
        self.ctx.theme
    }

    pub fn now(&self) -> crate::domain::time::Instant {
        self.state.env.now()
    }

    /// Draws the page in its frame, under the flash notice of the page before.
    pub fn show<V: IntoView>(self, title: &str, view: impl FnOnce() -> V) -> Response {
        let html = render(|| {
            let notice = flash_notice(self.flash.as_ref());
            shell::document(&self.ctx, title, (), view! { {notice} {view()} })
        });
        self.answer(html)
    }

    /// Draws a page of one narrow column: sign in, register.
    pub fn show_centred<V: IntoView>(self, title: &str, view: impl FnOnce() -> V) -> Response {
        let html = render(|| {
            let notice = flash_notice(self.flash.as_ref());
            shell::centred(&self.ctx, title, view! { {notice} {view()} })
        });
        self.answer(html)
    }

    /// Draws what went wrong. The caller sets the status.
    pub fn problem(self, problem: &Problem) -> Response {
        let way_out =
            if self.ctx.user.is_some() { ("Go to the overview", "/") } else { ("Sign in", "/sign-in") };
        let error = ErrorPage {
            status: problem.status.as_u16(),
            title: title_of(problem),
            cause: problem.message.clone(),
            next_step: problem.next_step.clone(),
            way_out: (way_out.0.to_owned(), way_out.1.to_owned()),
            request_id: request_id::current(),
        };
        Html(render(|| shell::error_document(&self.ctx, &error))).into_response()
    }

    fn answer(self, html: String) -> Response {
        // A flash is shown once.
        let jar = CookieJar::new();
        let jar = if self.flash.is_some() { jar.add(Flash::removal(&self.state)) } else { jar };
        (jar, Html(html)).into_response()
    }
}

fn title_of(problem: &Problem) -> String {
    match problem.status.as_u16() {
        404 => "Not found",
        409 => "That can't be done now",
        413 => "Too large",
        429 => "Too many tries",
        503 => "The server is busy",
        507 => "No room left",
        status if status < 500 => "That did not work",
        _ => "Something went wrong",
    }
    .to_owned()
}

/// The notice of the page before, and an error that belongs to no form of this page.
fn flash_notice(flash: Option<&Flash>) -> Option<AnyView> {
    use super::components::{Notice, Severity};
    let flash = flash?;
    if let Some(text) = flash.notice.clone() {
        return Some(view! { <Notice severity=Severity::Good title=text/> }.into_any());
    }
    let (message, next_step) = flash.problem.clone()?;
    Some(view! { <Notice severity=Severity::Error title=message next_step=next_step focus=true/> }.into_any())
}

fn assets(state: &AppState) -> Assets {
    let built = &state.assets;
    Assets {
        css: built.href("css"),
        htmx: built.href("htmx"),
        app_js: built.href("app"),
        islands_js: built.href("islands"),
        favicon: "/favicon.svg".to_owned(),
    }
}
