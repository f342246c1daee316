//! Questions in front of the page, by the platform's own popovers: no script opens or closes them.

use super::{Button, ButtonKind};
use crate::web::icons::Icon;
use leptos::prelude::*;

/// Opened by `<Button r#type="button" popovertarget="delete-7">`, closed by Escape, by a press outside,
/// or by a button with the same target. Children usually hold a form with an `.actions` row.
#[component]
pub fn Dialog(
    #[prop(into)] id: String,
    #[prop(into)] title: String,
    /// Open from the beginning, where there is JavaScript: a form in it came back with mistakes.
    #[prop(optional)]
    open: bool,
    children: Children,
) -> impl IntoView {
    let title_id = format!("{id}-title");
    let (own_id, labelled_by) = (id.clone(), title_id.clone());
    view! {
        <div class="dialog" id=own_id popover="auto" role="dialog" aria-labelledby=labelled_by
            data-open=open.then_some("")>
            <h2 id=title_id>{title}</h2>
            <Button kind=ButtonKind::Quiet icon=Icon::Close label="Close" small=true r#type="button"
                popovertarget=id class="dialog-close"/>
            {children()}
        </div>
    }
    .into_any()
}
