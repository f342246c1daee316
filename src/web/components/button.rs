//! Buttons, and links that look like buttons. A button does something, a link goes somewhere.

use super::MaybeText;
use crate::web::icons::{Icon, icon};
use leptos::prelude::*;

/// How much a button asks for attention. At most one `Primary` in sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ButtonKind {
    Primary,
    #[default]
    Secondary,
    /// Without a border until pointed at: in rows and bars.
    Quiet,
    /// Destroys something; belongs in a dialog that names what.
    Danger,
}

impl ButtonKind {
    fn class(self) -> &'static str {
        match self {
            Self::Primary => "btn btn-primary",
            Self::Secondary => "btn",
            Self::Quiet => "btn btn-quiet",
            Self::Danger => "btn btn-danger",
        }
    }
}

fn classes(kind: ButtonKind, small: bool, wide: bool, icon_only: bool, extra: MaybeText) -> String {
    let mut class = kind.class().to_owned();
    for (on, name) in [(small, " btn-small"), (wide, " btn-wide"), (icon_only, " btn-icon")] {
        if on {
            class.push_str(name);
        }
    }
    if let Some(extra) = extra.0 {
        class.push(' ');
        class.push_str(&extra);
    }
    class
}

/// `<Button kind=ButtonKind::Primary icon=Icon::Play>"Start training"</Button>`; with an icon alone,
/// `<Button icon=Icon::Trash label="Delete"/>`. Submits its form unless `type="button"`.
#[component]
pub fn Button(
    #[prop(optional)] kind: ButtonKind,
    #[prop(optional)] icon: Option<Icon>,
    /// The accessible name and tooltip; needed where there are no children.
    #[prop(optional, into)]
    label: MaybeText,
    #[prop(default = "submit")] r#type: &'static str,
    #[prop(optional, into)] name: MaybeText,
    #[prop(optional, into)] value: MaybeText,
    /// The id of a form elsewhere on the page.
    #[prop(optional, into)]
    form: MaybeText,
    /// The id of the dialog that it opens or closes.
    #[prop(optional, into)]
    popovertarget: MaybeText,
    #[prop(optional)] small: bool,
    #[prop(optional)] wide: bool,
    #[prop(optional)] disabled: bool,
    /// Shows a spinner and says so; app.js sets it by itself after a submit.
    #[prop(optional)]
    busy: bool,
    #[prop(optional, into)] class: MaybeText,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let class = classes(kind, small, wide, children.is_none(), class);
    let title = label.0.clone();
    view! {
        <button class=class type=r#type name=name.0 value=value.0 form=form.0 popovertarget=popovertarget.0
            disabled=disabled aria-busy=busy.then_some("true") aria-label=label.0 title=title>
            {icon.map(self::icon)}
            {children.map(|children| children())}
        </button>
    }
    .into_any()
}

/// `<LinkButton href="/data/new" icon=Icon::Upload>"Upload my own"</LinkButton>`.
#[component]
pub fn LinkButton(
    #[prop(into)] href: String,
    #[prop(optional)] kind: ButtonKind,
    #[prop(optional)] icon: Option<Icon>,
    #[prop(optional, into)] label: MaybeText,
    #[prop(optional)] small: bool,
    #[prop(optional)] wide: bool,
    /// The target is a file to keep.
    #[prop(optional)]
    download: bool,
    #[prop(optional, into)] class: MaybeText,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let class = classes(kind, small, wide, children.is_none(), class);
    let title = label.0.clone();
    view! {
        <a class=class href=href download=download.then_some("") aria-label=label.0 title=title>
            {icon.map(self::icon)}
            {children.map(|children| children())}
        </a>
    }
    .into_any()
}
