//! What a page hands to its frame: plain data.

use crate::web::icons::Icon;

/// What one request knows about its page. Plain data: build it once per request.
#[derive(Debug, Clone, Default)]
pub struct PageCtx {
    pub theme: Theme,
    /// Of this response's Content-Security-Policy; every script carries it.
    pub nonce: String,
    pub assets: Assets,
    /// Nobody on the pages that come before signing in.
    pub user: Option<ShellUser>,
    pub active: Nav,
    /// How many jobs of this person are under way; 0 shows no pill.
    pub running_jobs: usize,
    /// From the area down to this page, as (label, href); the last one is this page.
    pub breadcrumbs: Vec<(String, String)>,
    /// The island that the page shows; without one it loads no WASM.
    pub island: Option<IslandModule>,
    /// The person folded the sidebar (see [`super::FOLDED_COOKIE`]).
    pub folded: bool,
}

/// Hashed names of the static files, resolved once at start.
#[derive(Debug, Clone, Default)]
pub struct Assets {
    pub css: String,
    pub htmx: String,
    /// `public/app.js`.
    pub app_js: String,
    /// The script that loads an [`IslandModule`] and wakes the islands. It reads the module's names from its
    /// own element: `document.getElementById("islands").dataset.{module,wasm}`.
    pub islands_js: String,
    pub favicon: String,
}

/// An island compiled for the browser: hashed names of its WASM and of the glue that wasm-bindgen wrote.
#[derive(Debug, Clone, Default)]
pub struct IslandModule {
    pub glue: String,
    pub wasm: String,
}

#[derive(Debug, Clone)]
pub struct ShellUser {
    pub name: String,
    pub email: String,
    pub is_admin: bool,
}

/// The colours a person chose; kept in a cookie and rendered here, so that nothing flashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    #[default]
    System,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == text)
    }
    /// What the button in the sidebar changes to.
    pub fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }
    pub fn icon(self) -> Icon {
        match self {
            Self::System => Icon::ThemeSystem,
            Self::Light => Icon::ThemeLight,
            Self::Dark => Icon::ThemeDark,
        }
    }
}

/// The places of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nav {
    Overview,
    Data,
    Training,
    Models,
    Playground,
    Costs,
    Settings,
    /// A page outside the navigation.
    #[default]
    Elsewhere,
}
