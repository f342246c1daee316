//! States: always a word and a mark, and a colour that only repeats them.

use crate::{
    domain::{dataset::DatasetState, endpoint::EndpointState, job::JobState},
    web::icons::{Icon, icon, icon_turning},
};
use leptos::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    #[default]
    Neutral,
    Active,
    Good,
    Warn,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Neutral => "pill",
            Self::Active => "pill tone-active",
            Self::Good => "pill tone-good",
            Self::Warn => "pill tone-warn",
            Self::Bad => "pill tone-bad",
        }
    }
}

/// How a state looks: its word, its mark, its tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub word: &'static str,
    pub icon: Icon,
    pub tone: Tone,
    /// Work goes on right now.
    pub turning: bool,
}

impl Mark {
    const fn still(word: &'static str, icon: Icon, tone: Tone) -> Self {
        Self { word, icon, tone, turning: false }
    }
    const fn working(word: &'static str) -> Self {
        Self { word, icon: Icon::Working, tone: Tone::Active, turning: true }
    }
}

impl From<JobState> for Mark {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Queued => Self::still("queued", Icon::Waiting, Tone::Neutral),
            JobState::Starting => Self::working("starting"),
            JobState::Downloading => Self::working("downloading"),
            JobState::Training => Self::working("training"),
            JobState::Uploading => Self::working("uploading"),
            JobState::Stopping => {
                Self { word: "stopping", icon: Icon::Working, tone: Tone::Warn, turning: true }
            }
            JobState::Completed => Self::still("completed", Icon::Check, Tone::Good),
            JobState::Failed => Self::still("failed", Icon::Error, Tone::Bad),
            JobState::Stopped => Self::still("stopped", Icon::Stopped, Tone::Neutral),
            JobState::Lost => Self::still("lost", Icon::Lost, Tone::Warn),
        }
    }
}

impl From<DatasetState> for Mark {
    fn from(state: DatasetState) -> Self {
        match state {
            DatasetState::Checking => Self::working("checking"),
            DatasetState::Ready => Self::still("ready", Icon::Check, Tone::Good),
            DatasetState::NeedsMapping => Self::still("needs columns", Icon::Edit, Tone::Warn),
            DatasetState::NeedsFixing => Self::still("needs fixing", Icon::Warning, Tone::Warn),
            DatasetState::Refused => Self::still("refused", Icon::Error, Tone::Bad),
            DatasetState::Failed => Self::still("check failed", Icon::Error, Tone::Bad),
        }
    }
}

impl From<EndpointState> for Mark {
    fn from(state: EndpointState) -> Self {
        match state {
            EndpointState::Creating => Self::working("starting"),
            EndpointState::InService => Self::still("answers", Icon::Check, Tone::Good),
            EndpointState::Deleting => {
                Self { word: "deleting", icon: Icon::Working, tone: Tone::Warn, turning: true }
            }
            EndpointState::Failed => Self::still("failed", Icon::Error, Tone::Bad),
            EndpointState::Deleted => Self::still("deleted", Icon::Stopped, Tone::Neutral),
        }
    }
}

/// `<StatePill state=job.state/>`, `<StatePill state=dataset.state percent=42/>` → "checking 42 %".
#[component]
pub fn StatePill(#[prop(into)] state: Mark, #[prop(optional_no_strip)] percent: Option<u8>) -> impl IntoView {
    let words = match percent {
        Some(percent) => format!("{} {percent} %", state.word),
        None => state.word.to_owned(),
    };
    let drawing = if state.turning { icon_turning(state.icon) } else { icon(state.icon) };
    view! { <span class=state.tone.class()>{drawing}{words}</span> }.into_any()
}

/// Any other short label.
#[component]
pub fn Pill(
    #[prop(optional)] tone: Tone,
    #[prop(optional)] icon: Option<Icon>,
    children: Children,
) -> impl IntoView {
    view! { <span class=tone.class()>{icon.map(self::icon)}{children()}</span> }.into_any()
}
