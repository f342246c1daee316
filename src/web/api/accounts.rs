//! `/api/auth/…`: register, sign in and out, who am I, sessions.

use super::extract::{ApiJson, rfc3339};
use crate::{
    domain::{
        account::{Session, User},
        ids::SessionId,
    },
    services::{
        accounts::{NewAccount, SignedIn},
        error::ServiceError,
    },
    web::{
        error::{ApiError, ErrorBody},
        session::{ApiActor, ClientOrigin, removal_cookie, session_cookie},
        state::AppState,
    },
};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use axum_extra::extract::cookie::CookieJar;
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(logout))
        .routes(routes!(me))
        .routes(routes!(list_sessions))
        .routes(routes!(end_session))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBody {
    email: String,
    /// 8 to 256 characters.
    password: String,
    full_name: String,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginBody {
    email: String,
    password: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct UserBody {
    user: UserView,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct UserView {
    user_id: String,
    email: String,
    full_name: String,
    /// `user`, `lab` or `admin`.
    role: &'static str,
    created_at: String,
    /// How the account signs in: `email`.
    provider: &'static str,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            user_id: user.id.to_string(),
            email: user.email.to_string(),
            full_name: user.full_name.clone(),
            role: user.role.as_str(),
            created_at: rfc3339(user.created_at),
            provider: "email",
        }
    }
}

fn signed_in(state: &AppState, jar: CookieJar, signed_in: &SignedIn) -> (CookieJar, Json<UserBody>) {
    let cookie = session_cookie(&state.config, signed_in, state.env.now());
    (jar.add(cookie), Json(UserBody { user: UserView::from(&signed_in.user) }))
}

/// Makes an account and signs it in: the session cookie is set. The first account becomes Admin.
#[utoipa::path(post, path = "/api/auth/register", tag = "Accounts", request_body = RegisterBody,
    responses((status = 201, body = UserBody), (status = 422, body = ErrorBody), (status = 429, body = ErrorBody)))]
async fn register(
    State(state): State<AppState>,
    ClientOrigin(origin): ClientOrigin,
    jar: CookieJar,
    ApiJson(body): ApiJson<RegisterBody>,
) -> Result<(StatusCode, (CookieJar, Json<UserBody>)), ApiError> {
    let new = NewAccount { email: body.email, password: body.password, full_name: body.full_name };
    let session = state.accounts.register(new, &origin).await?;
    Ok((StatusCode::CREATED, signed_in(&state, jar, &session)))
}

/// Signs in: the session cookie is set.
#[utoipa::path(post, path = "/api/auth/login", tag = "Accounts", request_body = LoginBody,
    responses((status = 200, body = UserBody), (status = 401, body = ErrorBody), (status = 429, body = ErrorBody)))]
async fn login(
    State(state): State<AppState>,
    ClientOrigin(origin): ClientOrigin,
    jar: CookieJar,
    ApiJson(body): ApiJson<LoginBody>,
) -> Result<(CookieJar, Json<UserBody>), ApiError> {
    let session = state.accounts.sign_in(&body.email, &body.password, &origin).await?;
    Ok(signed_in(&state, jar, &session))
}

/// Ends the session.
#[utoipa::path(post, path = "/api/auth/logout", tag = "Accounts", responses((status = 204)))]
async fn logout(
    State(state): State<AppState>,
    actor: Result<ApiActor, ApiError>,
    jar: CookieJar,
) -> Result<(StatusCode, CookieJar), ApiError> {
    if let Ok(ApiActor(actor)) = actor {
        match state.accounts.sign_out(&actor).await {
            Ok(()) | Err(ServiceError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((StatusCode::NO_CONTENT, jar.add(removal_cookie(&state.config))))
}

/// The person who is signed in.
#[utoipa::path(get, path = "/api/auth/me", tag = "Accounts",
    responses((status = 200, body = UserView), (status = 401, body = ErrorBody)))]
async fn me(ApiActor(actor): ApiActor) -> Json<UserView> {
    Json(UserView::from(&actor.user))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct SessionsBody {
    sessions: Vec<SessionView>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct SessionView {
    id: String,
    created_at: String,
    last_seen_at: String,
    expires_at: String,
    ip: String,
    user_agent: String,
    /// The session of this very request.
    current: bool,
}

impl SessionView {
    fn new(session: &Session, current: &SessionId) -> Self {
        Self {
            id: session.id.to_string(),
            created_at: rfc3339(session.created_at),
            last_seen_at: rfc3339(session.last_seen_at),
            expires_at: rfc3339(session.expires_at),
            ip: session.ip.clone(),
            user_agent: session.user_agent.clone(),
            current: session.id == *current,
        }
    }
}

/// The caller's live sessions, newest first.
#[utoipa::path(get, path = "/api/auth/sessions", tag = "Accounts", responses((status = 200, body = SessionsBody)))]
async fn list_sessions(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
) -> Result<Json<SessionsBody>, ApiError> {
    let sessions = state.accounts.sessions(&actor).await?;
    Ok(Json(SessionsBody {
        sessions: sessions.iter().map(|s| SessionView::new(s, &actor.session)).collect(),
    }))
}

/// Ends one of the caller's sessions.
#[utoipa::path(delete, path = "/api/auth/sessions/{id}", tag = "Accounts", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn end_session(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = SessionId::parse(&id).ok_or(ServiceError::NotFound("session"))?;
    state.accounts.end_session(&actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
