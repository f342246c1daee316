//! Forms of training: start, stop, resume, describe, delete, and the sample that starts with one press.

use leptos::prelude::*;
use std::collections::BTreeMap;

use super::{Call, Then, reply};
use crate::{domain::job::StopMode, services::error::ServiceError, web::typed::Typed};

#[server(prefix = "/fn", endpoint = "start_training")]
pub async fn start_training(#[server(default)] form: BTreeMap<String, String>) -> Result<(), ServerFnError> {
    let call = Call::new();
    let typed = Typed(form);
    let result = async {
        let actor = call.actor().await?;
        let now = call.state.env.now();
        let job = call.state.training.start(&actor, &typed.request()).await?;
        let then = Then::to(format!("/training/{}", job.name));
        let again = job.created_at < now;
        Ok(if again {
            then.notice("This form has started this job already. It was not started again.")
        } else {
            then
        })
    };
    let result = result.await;
    let kept: Vec<(&str, &str)> =
        typed.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    reply(&call, "training", &kept, result)
}

#[server(prefix = "/fn", endpoint = "stop_job")]
pub async fn stop_job(name: String, mode: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        let mode = StopMode::parse(&mode).ok_or_else(|| {
            ServiceError::invalid("mode", "Choose whether to keep what was learned so far.")
        })?;
        call.state.training.stop(&actor, &name, mode).await?;
        Ok(Then::to(format!("/training/{name}")))
    };
    let result = result.await;
    reply(&call, "stop", &[], result)
}

#[server(prefix = "/fn", endpoint = "resume_job")]
pub async fn resume_job(name: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.training.resume(&actor, &name).await?;
        Ok(Then::to(format!("/training/{name}")))
    };
    let result = result.await;
    reply(&call, "resume", &[], result)
}

#[server(prefix = "/fn", endpoint = "describe_job")]
pub async fn describe_job(name: String, title: String, notes: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.training.describe(&actor, &name, &title, &notes).await?;
        Ok(Then::to(format!("/training/{name}?tab=settings")).notice("Saved."))
    };
    let result = result.await;
    reply(&call, "describe", &[("title", &title), ("notes", &notes)], result)
}

#[server(prefix = "/fn", endpoint = "delete_job")]
pub async fn delete_job(name: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.training.delete(&actor, &name).await?;
        Ok(Then::to("/training").notice("The job and its log were deleted. Its model stays."))
    };
    let result = result.await;
    reply(&call, "delete", &[], result)
}

/// Adds the bundled sample to the person's data, if it is not there, and opens the filled-in form.
#[server(prefix = "/fn", endpoint = "try_sample")]
pub async fn try_sample() -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        let dataset = call.state.datasets.add_sample(&actor, "sentences-to-commands").await?;
        Ok(Then::to(format!("/training/new?dataset={}", dataset.id)))
    };
    let result = result.await;
    reply(&call, "", &[], result)
}
