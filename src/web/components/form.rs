//! What a form says about itself when it comes back with mistakes.

use super::{Notice, Severity};
use crate::domain::field::FieldError;
use leptos::prelude::*;

/// The message for one field, where it has one.
pub fn error_for(errors: &[FieldError], field: &str) -> Option<String> {
    errors.iter().find(|error| error.field == field).map(|error| error.message.clone())
}

/// The summary above a form: takes the focus, and each line leads to its field. Nothing without errors.
///
/// Field ids are the fields' names, as [`super::TextField`] gives them.
#[component]
pub fn FormErrors(
    errors: Vec<FieldError>,
    #[prop(default = "Please check the form")] title: &'static str,
) -> impl IntoView {
    (!errors.is_empty()).then(|| {
        let lines = errors
            .into_iter()
            .map(|error| {
                let href = format!("#{}", error.field);
                view! { <li><a class="link" href=href>{error.message}</a></li> }
            })
            .collect_view();
        view! { <Notice severity=Severity::Error title=title focus=true><ul>{lines}</ul></Notice> }.into_any()
    })
}
