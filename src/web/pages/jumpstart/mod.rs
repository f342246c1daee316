//! The catalogue of JumpStart models: search, and one model with its settings, machines, data and licence.

pub mod detail;
pub mod list;

use crate::{
    domain::jumpstart::{Model, Source},
    web::components::{Notice, Severity},
};
use leptos::prelude::*;

/// Where the facts come from, and why they are not AWS's of today.
pub fn problem_notice(source: &Source, problem: Option<String>) -> Option<AnyView> {
    let cause = problem?;
    let title = match source {
        Source::Hub => "This is an older list of AWS's".to_owned(),
        Source::Snapshot { date } => format!("This is from the list of {date} that came with the server"),
    };
    let next = "You can look around. Starting a training on SageMaker needs AWS.";
    Some(view! { <Notice severity=Severity::Warning title=title cause=cause next_step=next/> }.into_any())
}

pub fn source_label(source: &Source) -> String {
    match source {
        Source::Hub => "AWS".to_owned(),
        Source::Snapshot { date } => format!("list of {date}"),
    }
}

/// `Text generation`
pub fn task_label(task: &str) -> String {
    let mut words = task.replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    if words.is_empty() { "–".to_owned() } else { words }
}

pub fn licence_label(model: &Model, accepted: bool) -> String {
    match (model.gated, accepted) {
        (false, _) => "open".to_owned(),
        (true, true) => "accepted".to_owned(),
        (true, false) => "to be accepted".to_owned(),
    }
}
