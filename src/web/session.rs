//! The cookie session at the web edge: cookie in, [`Actor`] out. Who a session belongs to is the accounts service's
//! business.

use super::{
    error::{ApiError, FragmentError, PageError},
    middleware::request_id::RequestId,
    state::AppState,
};
use crate::{
    config::Config,
    services::{
        accounts::SignedIn,
        context::{Actor, Origin},
        error::{ServiceError, ServiceResult},
    },
};
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, Uri, header, request::Parts},
};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use std::net::{IpAddr, SocketAddr};

/// `__Host-` binds the cookie to this host and to https; on plain-http loopback browsers would refuse it.
fn cookie_name(config: &Config) -> &'static str {
    if config.secure_cookies() { "__Host-session" } else { "session" }
}

/// A cookie of ours: HttpOnly, SameSite=Lax, `Secure` wherever the site is https.
pub fn cookie(config: &Config, name: &'static str, value: String, max_age_seconds: i64) -> Cookie<'static> {
    let mut cookie = Cookie::new(name, value);
    cookie.set_path("/");
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Lax);
    cookie.set_secure(config.secure_cookies());
    cookie.set_max_age(time::Duration::seconds(max_age_seconds));
    cookie
}

/// The cookie that carries a fresh session's secret.
pub fn session_cookie(
    config: &Config,
    signed_in: &SignedIn,
    now: crate::domain::time::Instant,
) -> Cookie<'static> {
    let age = signed_in.expires_at.since(now).as_secs();
    cookie(config, cookie_name(config), signed_in.secret.clone(), i64::try_from(age).unwrap_or(0))
}

/// The cookie that removes the session's.
pub fn removal_cookie(config: &Config) -> Cookie<'static> {
    cookie(config, cookie_name(config), String::new(), 0)
}

/// Where to sign in, and come back to afterwards.
pub fn sign_in_url(uri: &Uri) -> String {
    let back = uri.path_and_query().map_or("/", |path| path.as_str());
    if back == "/" {
        return "/sign-in".to_owned();
    }
    let next = percent_encoding::utf8_percent_encode(back, percent_encoding::NON_ALPHANUMERIC);
    format!("/sign-in?next={next}")
}

/// A path of this site to go to after signing in; anything else is `/`. Never another host: `//host`, `/\host` and
/// absolute URLs are refused.
pub fn local_path(next: &str) -> &str {
    let plain = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(char::is_control);
    if plain { next } else { "/" }
}

/// Where the request came from. `X-Forwarded-For` counts only from a configured proxy.
pub fn origin(parts: &Parts, config: &Config) -> Origin {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let ip = match peer {
        Some(peer) if config.trusted_proxies.contains(&peer) => forwarded(&parts.headers).unwrap_or(peer),
        Some(peer) => peer,
        None => IpAddr::from([0, 0, 0, 0]),
    };
    Origin {
        ip: ip.to_string(),
        user_agent: text(&parts.headers, header::USER_AGENT),
        request_id: parts.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
    }
}

/// The last address in `X-Forwarded-For`: the one our own proxy saw.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    headers.get("x-forwarded-for")?.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// The session's secret in the cookie jar: for streams, which ask again while they last.
pub fn secret(jar: &CookieJar, config: &Config) -> Option<String> {
    jar.get(cookie_name(config)).map(|cookie| cookie.value().to_owned())
}

/// The person who asks.
///
/// # Errors
/// `SignInNeeded` without a live session.
pub async fn actor(parts: &Parts, state: &AppState) -> ServiceResult<Actor> {
    let jar = CookieJar::from_headers(&parts.headers);
    let secret = jar.get(cookie_name(&state.config)).ok_or(ServiceError::SignInNeeded)?;
    state.accounts.authenticate(secret.value(), &origin(parts, &state.config)).await
}

macro_rules! signed_in {
    ($(#[$doc:meta])* $name:ident, $rejection:ty) => {
        $(#[$doc])*
        pub struct $name(pub Actor);

        impl FromRequestParts<AppState> for $name {
            type Rejection = $rejection;
            async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, $rejection> {
                Ok(Self(actor(parts, state).await?))
            }
        }
    };
}

signed_in!(/// A page's reader; without a session they are sent to sign in.
    PageActor, PageError);
signed_in!(/// A fragment's reader; without a session 401.
    FragmentActor, FragmentError);
signed_in!(/// A caller of the JSON API; without a session 401.
    ApiActor, ApiError);

/// Where any request came from, signed in or not.
pub struct ClientOrigin(pub Origin);

impl FromRequestParts<AppState> for ClientOrigin {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Self::Rejection> {
        Ok(Self(origin(parts, &state.config)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_followed() {
        for (next, path) in [
            ("/data?x=1", "/data?x=1"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
        ] {
            assert_eq!(local_path(next), path, "{next}");
        }
    }

    #[test]
    fn the_way_back_survives_sign_in() {
        let uri: Uri = "/training/x?tab=log".parse().unwrap();
        assert_eq!(sign_in_url(&uri), "/sign-in?next=%2Ftraining%2Fx%3Ftab%3Dlog");
    }
}
