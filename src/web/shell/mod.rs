//! The HTML document and the frame around every page. Pages hand in a [`PageCtx`] of plain data and a
//! body; this is the one place that knows the head, the navigation and the scripts.
//!
//! Everything works without JavaScript: the sidebar folds by a checkbox, the drawer and the command
//! list are popovers, theme and sign-out are forms. `public/app.js` only adds keys and comfort.

mod context;

pub use context::{Assets, IslandModule, Nav, PageCtx, ShellUser, Theme};

use super::{
    components::{Button, ButtonKind, LinkButton},
    icons::{Icon, icon, mark},
};
use leptos::prelude::*;

/// Where the theme form posts `theme=system|light|dark`.
pub const SET_THEME: &str = "/fn/set_theme";
/// Where the sign-out form posts nothing.
pub const SIGN_OUT: &str = "/fn/sign_out";
/// The cookie that app.js sets to `1` when the sidebar is folded; read it into [`PageCtx::folded`].
pub const FOLDED_COOKIE: &str = "folded";

const PLACES: [(Nav, &str, &str, Icon, &str); 6] = [
    (Nav::Overview, "Overview", "/", Icon::Overview, "O"),
    (Nav::Data, "Data", "/data", Icon::Data, "D"),
    (Nav::Training, "Training", "/training", Icon::Training, "T"),
    (Nav::Models, "Models", "/models", Icon::Models, "M"),
    (Nav::Playground, "Playground", "/playground", Icon::Playground, "P"),
    (Nav::Costs, "Costs", "/costs", Icon::Costs, "C"),
];

/// What the command list offers beyond the places above.
const COMMANDS: [(&str, &str, Icon); 5] = [
    ("New training", "/training/new", Icon::Plus),
    ("Endpoints", "/endpoints", Icon::Models),
    ("Upload data", "/data#files", Icon::Upload),
    ("Settings", "/settings", Icon::Settings),
    ("API documentation", "/api/docs", Icon::File),
];

/// A whole page with sidebar and top bar.
///
/// `title` is the page's own name; `head_extra` is for what leptos_meta or an island needs in the
/// head, `()` otherwise. Whoever is not signed in gets the frame without navigation.
pub fn document(ctx: &PageCtx, title: &str, head_extra: impl IntoView, body: impl IntoView) -> AnyView {
    // Types are erased early here and in every component: nested view types overflow the compiler's depth limit.
    let body = body.into_any();
    if ctx.user.is_none() {
        let main = view! { <main id="main" class="page" tabindex="-1">{body}</main> };
        return html(ctx, title, head_extra.into_any(), "", main.into_any());
    }
    let frame = view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        {sidebar(ctx)}
        <div class="main-column">
            {topbar(ctx)}
            <main id="main" class="page" tabindex="-1">{body}</main>
        </div>
        {command_list()}
        {shortcuts()}
    };
    html(ctx, title, head_extra.into_any(), "app", frame.into_any())
}

/// One narrow column in the middle: sign in, register, reset.
pub fn centred(ctx: &PageCtx, title: &str, body: impl IntoView) -> AnyView {
    let (heading, body) = (title.to_owned(), body.into_any());
    let main = view! {
        <main id="main">
            <a class="brand" href="/">{mark()}<span class="brand-name">"LLM Tuner"</span></a>
            <h1>{heading}</h1>
            {body}
        </main>
    };
    html(ctx, title, ().into_any(), "centred", main.into_any())
}

/// What the error page says: what happened, why, and what to do next.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    /// HTTP status, shown small.
    pub status: u16,
    pub title: String,
    pub cause: String,
    pub next_step: String,
    /// Where the button leads, as (label, href).
    pub way_out: (String, String),
    pub request_id: String,
}

/// The error in the frame that the person was in.
pub fn error_document(ctx: &PageCtx, error: &ErrorPage) -> AnyView {
    let (label, href) = error.way_out.clone();
    let body = view! {
        <div class="error-page">
            <p class="muted figure">{error.status}</p>
            <h1 class="t-28">{error.title.clone()}</h1>
            <p>{error.cause.clone()}</p>
            <p>{error.next_step.clone()}</p>
            <div class="actions">
                <LinkButton kind=ButtonKind::Primary href=href>{label}</LinkButton>
            </div>
            <p class="muted t-12">"Request " <code>{error.request_id.clone()}</code></p>
        </div>
    };
    document(ctx, &error.title, (), body)
}

fn html(ctx: &PageCtx, title: &str, head_extra: AnyView, body_class: &'static str, body: AnyView) -> AnyView {
    let theme = (ctx.theme != Theme::System).then(|| ctx.theme.as_str());
    let Assets { css, htmx, app_js, favicon, .. } = ctx.assets.clone();
    let nonce = ctx.nonce.clone();
    view! {
        <!DOCTYPE html>
        <html lang="en" data-theme=theme>
            <head>
                <meta charset="utf-8"/>
                <meta name="viewport" content="width=device-width, initial-scale=1"/>
                <meta name="color-scheme" content="light dark"/>
                <title>{format!("{title} · LLM Tuner")}</title>
                <link rel="icon" href=favicon type="image/svg+xml"/>
                <link rel="stylesheet" href=css/>
                <script type="module" src=app_js nonce=nonce.clone()></script>
                <script defer src=htmx nonce=nonce></script>
                {ctx.island.clone().map(|island| island_scripts(ctx, island))}
                {head_extra}
            </head>
            <body class=body_class>{body}</body>
        </html>
    }
    .into_any()
}

fn island_scripts(ctx: &PageCtx, IslandModule { glue, wasm }: IslandModule) -> AnyView {
    let islands_js = ctx.assets.islands_js.clone();
    let nonce = ctx.nonce.clone();
    view! {
        <link rel="modulepreload" href=glue.clone() nonce=nonce.clone()/>
        <link rel="preload" href=wasm.clone() r#as="fetch" r#type="application/wasm" crossorigin="anonymous"/>
        <script id="islands" type="module" src=islands_js data-module=glue data-wasm=wasm nonce=nonce></script>
    }
    .into_any()
}

fn sidebar(ctx: &PageCtx) -> AnyView {
    let items = PLACES
        .map(|(nav, label, href, drawing, _)| nav_item(nav == ctx.active, label, href, drawing).into_any());
    let theme = ctx.theme;
    let theme_label = format!("Theme: {}", theme.as_str());
    let person = ctx.user.clone().map(|user| {
        let initial: String =
            user.name.chars().next().or(user.email.chars().next()).unwrap_or('?').to_uppercase().collect();
        let title = format!("{} ({})", user.name, user.email);
        view! {
            <div class="person" title=title>
                <span class="avatar" aria-hidden="true">{initial}</span>
                <div class="label">
                    <div class="ellipsis strong"><bdi>{user.name}</bdi></div>
                    <div class="ellipsis muted t-12">
                        {user.is_admin.then_some("Admin · ")} {user.email}
                    </div>
                </div>
            </div>
        }
    });
    view! {
        <aside class="sidebar" id="sidebar" popover="auto" aria-label="Navigation">
            <a class="brand" href="/" title="LLM Tuner">{mark()}<span class="brand-name">"LLM Tuner"</span></a>
            <nav class="nav" aria-label="Main">{items.into_iter().collect_view()}</nav>
            <div class="nav nav-foot">
                {person}
                <form method="post" action=SET_THEME>
                    <button class="nav-item" name="theme" value=theme.next().as_str()
                        title=format!("{theme_label}. Change to {}", theme.next().as_str())>
                        {icon(theme.icon())}<span class="label">{theme_label.clone()}</span>
                    </button>
                </form>
                {nav_item(ctx.active == Nav::Settings, "Settings", "/settings", Icon::Settings)}
                <label class="nav-item fold-item" title="Fold the sidebar">
                    <input type="checkbox" id="fold" class="visually-hidden" autocomplete="off" checked=ctx.folded/>
                    {icon(Icon::Fold)}<span class="label">"Fold"</span>
                    <span class="visually-hidden">"Fold the sidebar"</span>
                </label>
                <form method="post" action=SIGN_OUT>
                    <button class="nav-item" title="Sign out">
                        {icon(Icon::SignOut)}<span class="label">"Sign out"</span>
                    </button>
                </form>
            </div>
        </aside>
    }
    .into_any()
}

fn nav_item(active: bool, label: &'static str, href: &'static str, drawing: Icon) -> AnyView {
    view! {
        <a class="nav-item" href=href title=label aria-current=active.then_some("page")>
            {icon(drawing)}<span class="label">{label}</span>
        </a>
    }
    .into_any()
}

fn topbar(ctx: &PageCtx) -> AnyView {
    let running = (ctx.running_jobs > 0).then(|| {
        let words = format!("{} running", ctx.running_jobs);
        view! {
            <a class="pill tone-active" href="/training?state=running" title="Jobs that run now">
                {super::icons::icon_turning(Icon::Working)}{words}
            </a>
        }
    });
    view! {
        <header class="topbar">
            <Button kind=ButtonKind::Quiet icon=Icon::Menu label="Navigation" popovertarget="sidebar"
                r#type="button" class="drawer-button"/>
            {breadcrumb(&ctx.breadcrumbs)}
            <div class="topbar-end">
                {running}
                <button type="button" class="search-button" popovertarget="commands" aria-label="Search and commands">
                    {icon(Icon::Search)}<span>"Go to …"</span><kbd class="needs-js">"Ctrl K"</kbd>
                </button>
            </div>
        </header>
    }
    .into_any()
}

fn breadcrumb(crumbs: &[(String, String)]) -> AnyView {
    let last = crumbs.len().saturating_sub(1);
    let items = crumbs
        .iter()
        .cloned()
        .enumerate()
        .map(|(at, (label, href))| {
            if at == last {
                let title = label.clone();
                view! { <li><span aria-current="page" title=title><bdi>{label}</bdi></span></li> }.into_any()
            } else {
                view! { <li><a href=href><bdi>{label}</bdi></a></li> }.into_any()
            }
        })
        .collect_view();
    view! { <nav class="breadcrumb" aria-label="Breadcrumb"><ol>{items}</ol></nav> }.into_any()
}

/// A plain list of links without JavaScript; app.js adds the filter, arrows and Ctrl K.
fn command_list() -> AnyView {
    let entries = PLACES
        .map(|(_, label, href, drawing, _)| (label, href, drawing))
        .into_iter()
        .chain(COMMANDS)
        .map(|(label, href, drawing)| {
            view! { <li><a class="nav-item" href=href>{icon(drawing)}<span>{label}</span></a></li> }
        })
        .collect_view();
    view! {
        <div class="dialog commands" id="commands" popover="auto" role="dialog" aria-label="Search and commands">
            <input class="needs-js" type="search" autofocus placeholder="Type a page or an action"
                aria-label="Type a page or an action" aria-controls="command-entries" autocomplete="off"/>
            <ul id="command-entries">{entries}</ul>
            <p class="needs-js" hidden>"Nothing by that name."</p>
        </div>
    }
    .into_any()
}

fn shortcuts() -> AnyView {
    let places = PLACES
        .map(|(_, label, _, _, key)| {
            view! {
                <dt><kbd>"G"</kbd> " then " <kbd>{key}</kbd></dt>
                <dd>{label}</dd>
            }
        })
        .into_iter()
        .collect_view();
    view! {
        <div class="dialog shortcuts" id="shortcuts" popover="auto" role="dialog" aria-labelledby="shortcuts-title">
            <h2 id="shortcuts-title">"Keyboard shortcuts"</h2>
            <Button kind=ButtonKind::Quiet icon=Icon::Close label="Close" small=true r#type="button"
                popovertarget="shortcuts" class="dialog-close"/>
            <dl>
                <dt><kbd>"Ctrl"</kbd> " " <kbd>"K"</kbd></dt>
                <dd>"Search and commands"</dd>
                <dt><kbd>"?"</kbd></dt>
                <dd>"This list"</dd>
                <dt><kbd>"["</kbd></dt>
                <dd>"Fold the sidebar"</dd>
                {places}
            </dl>
        </div>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::render::render;

    fn signed_in() -> PageCtx {
        PageCtx {
            user: Some(ShellUser { name: "Ada".into(), email: "ada@example.org".into(), is_admin: false }),
            nonce: "n0nce".into(),
            ..PageCtx::default()
        }
    }

    #[test]
    fn no_inline_style_or_handler() {
        let html = render(|| document(&signed_in(), "Data", (), view! { <h1>"Data"</h1> }));
        assert!(html.starts_with("<!DOCTYPE html><html lang=\"en\""), "{html}");
        assert!(!html.contains(" style="), "{html}");
        assert!(!html.contains(" on"), "{html}");
        assert_eq!(html.matches("<script").count(), html.matches("nonce=\"n0nce\"").count());
    }

    #[test]
    fn a_page_without_an_island_names_no_wasm() {
        let mut ctx = signed_in();
        ctx.assets.islands_js = "/islands.js".into();
        let html = render(|| document(&ctx, "Data", (), ()));
        assert!(!html.contains("wasm") && !html.contains("/islands.js"), "{html}");
        ctx.island = Some(IslandModule { glue: "/chat.js".into(), wasm: "/chat.wasm".into() });
        let html = render(|| document(&ctx, "Data", (), ()));
        assert!(html.contains("/chat.wasm") && html.contains("/islands.js"), "{html}");
    }

    #[test]
    fn a_chosen_theme_is_on_the_root_element() {
        let ctx = PageCtx { theme: Theme::Dark, ..signed_in() };
        assert!(render(|| document(&ctx, "Data", (), ())).contains("<html lang=\"en\" data-theme=\"dark\">"));
        assert!(!render(|| document(&signed_in(), "Data", (), ())).contains("data-theme"));
    }
}
