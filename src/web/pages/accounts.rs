//! Sign in, register, settings.

use crate::{
    domain::{account::Session, time::Instant},
    services::context::Actor,
    web::{
        components::{
            Button, ButtonKind, Card, Column, DataTable, FormErrors, PageHeader, RelativeTime, TextField,
            error_for,
        },
        error::PageError,
        flash::Flash,
        page::{PageRequest, SignedPage},
        session::local_path,
        shell::{Nav, Theme},
        state::AppState,
    },
};
use axum::{
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;

#[derive(serde::Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

pub async fn sign_in(
    State(state): State<AppState>,
    Query(Next { next }): Query<Next>,
    page: PageRequest,
) -> Result<Response, PageError> {
    if page.actor.is_some() {
        return Ok(Redirect::to(local_path(&next)).into_response());
    }
    // A fresh server has nobody who could sign in.
    if state.accounts.nobody_yet().await? {
        return Ok(Redirect::to("/register").into_response());
    }
    let open = state.accounts.registration_open().await?;
    let flash = Flash::of(page.flash.as_ref(), "sign-in");
    Ok(page.show_centred("Sign in", move || sign_in_view(flash, next, open)))
}

fn sign_in_view(flash: Flash, next: String, registration_open: bool) -> impl IntoView {
    view! {
        <Card>
            <form method="post" action="/fn/sign_in" class="stack">
                <FormErrors errors=flash.errors.clone()/>
                <input type="hidden" name="next" value=next/>
                <TextField label="E-mail" name="email" kind="email" autocomplete="username" required=true
                    autofocus=true value=flash.value("email") error=flash.error("email")/>
                <TextField label="Password" name="password" kind="password" autocomplete="current-password"
                    required=true error=flash.error("password")/>
                <Button kind=ButtonKind::Primary wide=true>"Sign in"</Button>
            </form>
        </Card>
        {registration_open.then(|| view! {
            <p class="muted">"No account yet? " <a class="link" href="/register">"Create one"</a></p>
        })}
    }
}

pub async fn register(State(state): State<AppState>, page: PageRequest) -> Result<Response, PageError> {
    if page.actor.is_some() {
        return Ok(Redirect::to("/").into_response());
    }
    let open = state.accounts.registration_open().await?;
    let first = state.accounts.nobody_yet().await?;
    let flash = Flash::of(page.flash.as_ref(), "register");
    Ok(page.show_centred("Create your account", move || register_view(flash, open, first)))
}

fn register_view(flash: Flash, open: bool, first: bool) -> impl IntoView {
    if !open {
        return view! {
            <Card>
                <p>"Registration is closed on this server. Ask its administrator for an account."</p>
                <p><a class="link" href="/sign-in">"Sign in"</a></p>
            </Card>
        }
        .into_any();
    }
    view! {
        {first.then(|| view! { <p class="muted">"The first account of a server is its administrator."</p> })}
        <Card>
            <form method="post" action="/fn/register" class="stack">
                <FormErrors errors=flash.errors.clone()/>
                <TextField label="Full name" name="full_name" autocomplete="name" required=true autofocus=true
                    value=flash.value("full_name") error=flash.error("full_name")/>
                <TextField label="E-mail" name="email" kind="email" autocomplete="username" required=true
                    value=flash.value("email") error=flash.error("email")/>
                <TextField label="Password" name="password" kind="password" autocomplete="new-password" required=true
                    hint="At least 8 characters. A short sentence is good." error=flash.error("password")/>
                <Button kind=ButtonKind::Primary wide=true>"Create account"</Button>
            </form>
        </Card>
        <p class="muted">"You have an account? " <a class="link" href="/sign-in">"Sign in"</a></p>
    }
    .into_any()
}

pub async fn settings(
    State(state): State<AppState>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let sessions = state.accounts.sessions(&actor).await?;
    let flash = page.flash.clone();
    let now = page.now();
    let theme = page.theme();
    let page = page.at(Nav::Settings, &[("Settings", "/settings")]);
    Ok(page.show("Settings", move || settings_view(&actor, &sessions, flash.as_ref(), now, theme)))
}

fn settings_view(
    actor: &Actor,
    sessions: &[Session],
    flash: Option<&Flash>,
    now: Instant,
    theme: Theme,
) -> impl IntoView + use<> {
    let profile = Flash::of(flash, "profile");
    let password = Flash::of(flash, "password");
    let name =
        if profile.errors.is_empty() { actor.user.full_name.clone() } else { profile.value("full_name") };
    let rows = sessions.iter().map(|session| session_row(session, actor, now)).collect_view();
    let several = sessions.len() > 1;
    let admin = actor.is_admin();
    let email = actor.user.email.to_string();
    view! {
        <PageHeader title="Settings" lead=email.clone()/>
        <div class="stack-lg">
            {admin.then(|| view! {
                <Card title="AWS">
                    <p>"Whether AWS is as this server needs it, and what runs there without anybody knowing. "
                        <a class="link" href="/settings/aws">"Check AWS"</a></p>
                </Card>
            })}
            <Card title="Profile">
                <form method="post" action="/fn/set_full_name" class="stack form-narrow">
                    <FormErrors errors=profile.errors.clone()/>
                    <TextField label="Full name" name="full_name" autocomplete="name" required=true value=name
                        error=error_for(&profile.errors, "full_name")/>
                    <div class="actions"><Button>"Save name"</Button></div>
                </form>
            </Card>
            <Card title="Password">
                <form method="post" action="/fn/change_password" class="stack form-narrow">
                    <FormErrors errors=password.errors.clone()/>
                    <input type="text" name="username" autocomplete="username" hidden value=email/>
                    <TextField label="Present password" name="old_password" kind="password"
                        autocomplete="current-password" required=true error=password.error("old_password")/>
                    <TextField label="New password" name="new_password" kind="password" autocomplete="new-password"
                        required=true hint="At least 8 characters. All your other sessions end."
                        error=password.error("new_password")/>
                    <div class="actions"><Button>"Change password"</Button></div>
                </form>
            </Card>
            <Card title="Appearance">
                <form method="post" action="/fn/set_theme" class="actions" aria-label="Theme">
                    {Theme::ALL.map(|choice| theme_button(choice, choice == theme)).into_iter().collect_view()}
                </form>
            </Card>
            <Card title="Sessions" flush=true actions=several.then(end_others).into_any()>
                <DataTable caption="Your sessions" columns=vec![
                    Column::text("Browser"), Column::text("Address"), Column::text("Signed in"),
                    Column::text("Last used"), Column::hidden("Actions"),
                ]>{rows}</DataTable>
            </Card>
        </div>
    }
}

fn theme_button(theme: Theme, chosen: bool) -> impl IntoView {
    let label = match theme {
        Theme::System => "As the system",
        Theme::Light => "Light",
        Theme::Dark => "Dark",
    };
    view! {
        <button class="btn" name="theme" value=theme.as_str() aria-pressed=if chosen { "true" } else { "false" }>{label}</button>
    }
}

fn end_others() -> impl IntoView {
    view! {
        <form method="post" action="/fn/end_other_sessions"><Button small=true>"End all others"</Button></form>
    }
}

fn session_row(session: &Session, actor: &Actor, now: Instant) -> impl IntoView + use<> {
    let current = session.id == actor.session;
    let browser = browser_of(&session.user_agent);
    let agent = session.user_agent.clone();
    let id = session.id.to_string();
    let action = if current {
        view! { <span class="muted">"This one"</span> }.into_any()
    } else {
        view! {
            <form method="post" action="/fn/end_session">
                <input type="hidden" name="id" value=id/>
                <Button kind=ButtonKind::Danger small=true>"End"</Button>
            </form>
        }
        .into_any()
    };
    view! {
        <tr>
            <td title=agent>{browser}</td>
            <td class="mono">{session.ip.clone()}</td>
            <td><RelativeTime at=session.created_at now=now/></td>
            <td><RelativeTime at=session.last_seen_at now=now/></td>
            <td class="row-actions">{action}</td>
        </tr>
    }
}

/// A short name for a browser; the whole header is shown on hover.
fn browser_of(user_agent: &str) -> String {
    let browser = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]
    .into_iter()
    .find(|(mark, _)| user_agent.contains(mark))
    .map(|(_, name)| name);
    let system = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]
    .into_iter()
    .find(|(mark, _)| user_agent.contains(mark))
    .map(|(_, name)| name);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        _ if user_agent.is_empty() => "Unknown".to_owned(),
        _ => user_agent.chars().take(40).collect(),
    }
}
