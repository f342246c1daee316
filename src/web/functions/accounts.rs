//! Forms of accounts: register, sign in, sign out, profile, password, sessions, theme.

use leptos::prelude::*;

use super::{Call, Then, reply};
use crate::{
    services::{accounts::NewAccount, error::ServiceError},
    web::session,
};

#[server(prefix = "/fn", endpoint = "register")]
pub async fn register(full_name: String, email: String, password: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let new = NewAccount { email: email.clone(), password, full_name: full_name.clone() };
    let result = call.state.accounts.register(new, &call.origin).await.map(|signed_in| {
        let cookie = session::session_cookie(&call.state.config, &signed_in, call.state.env.now());
        Then::to("/").cookie(&cookie)
    });
    reply(&call, "register", &[("full_name", &full_name), ("email", &email)], result)
}

#[server(prefix = "/fn", endpoint = "sign_in")]
pub async fn sign_in(
    email: String,
    password: String,
    #[server(default)] next: String,
) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = call.state.accounts.sign_in(&email, &password, &call.origin).await.map(|signed_in| {
        let cookie = session::session_cookie(&call.state.config, &signed_in, call.state.env.now());
        Then::to(session::local_path(&next)).cookie(&cookie)
    });
    reply(&call, "sign-in", &[("email", &email)], result)
}

#[server(prefix = "/fn", endpoint = "sign_out")]
pub async fn sign_out() -> Result<(), ServerFnError> {
    let call = Call::new();
    let ended = match call.actor().await {
        Ok(actor) => call.state.accounts.sign_out(&actor).await,
        // Already over: signing out twice is no error.
        Err(ServiceError::SignInNeeded) => Ok(()),
        Err(error) => Err(error),
    };
    let result = ended.map(|()| Then::to("/sign-in").cookie(&session::removal_cookie(&call.state.config)));
    reply(&call, "", &[], result)
}

#[server(prefix = "/fn", endpoint = "set_full_name")]
pub async fn set_full_name(full_name: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.accounts.set_full_name(&actor, &full_name).await?;
        Ok(Then::to("/settings").notice("Your name was saved."))
    };
    let result = result.await;
    reply(&call, "profile", &[("full_name", &full_name)], result)
}

#[server(prefix = "/fn", endpoint = "change_password")]
pub async fn change_password(old_password: String, new_password: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.accounts.change_password(&actor, &old_password, &new_password).await?;
        Ok(Then::to("/settings").notice("Your password was changed. All other sessions were ended."))
    };
    let result = result.await;
    reply(&call, "password", &[], result)
}

#[server(prefix = "/fn", endpoint = "end_session")]
pub async fn end_session(id: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        let id = crate::domain::ids::SessionId::parse(&id).ok_or(ServiceError::NotFound("session"))?;
        call.state.accounts.end_session(&actor, &id).await?;
        Ok(Then::to("/settings").notice("The session was ended."))
    };
    let result = result.await;
    reply(&call, "sessions", &[], result)
}

#[server(prefix = "/fn", endpoint = "end_other_sessions")]
pub async fn end_other_sessions() -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        let ended = call.state.accounts.end_other_sessions(&actor).await?;
        Ok(Then::to("/settings").notice(match ended {
            0 => "There was no other session.".to_owned(),
            1 => "One other session was ended.".to_owned(),
            n => format!("{n} other sessions were ended."),
        }))
    };
    let result = result.await;
    reply(&call, "sessions", &[], result)
}

/// Kept in a cookie and rendered on the server, so that nothing flashes. Works signed in or not.
#[server(prefix = "/fn", endpoint = "set_theme")]
pub async fn set_theme(theme: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let year = 365 * 24 * 3600;
    let result = match theme.as_str() {
        "light" | "dark" => Ok(Then::to(call.back()).cookie(&session::cookie(
            &call.state.config,
            "theme",
            theme.clone(),
            year,
        ))),
        "system" => {
            Ok(Then::to(call.back()).cookie(&session::cookie(&call.state.config, "theme", String::new(), 0)))
        }
        _ => Err(ServiceError::invalid("theme", "The theme is light, dark or system.")),
    };
    reply(&call, "theme", &[], result)
}
