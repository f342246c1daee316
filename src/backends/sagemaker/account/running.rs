//! What runs on SageMaker under the installation's tag.

use super::AwsAccount;
use crate::{
    aws::Failure,
    backends::{
        account::{AllRunning, Machines, Running},
        sagemaker::tags,
    },
    domain::{checkup::LeftoverKind, time::Instant},
};
use aws_sdk_sagemaker::{
    Client,
    primitives::DateTime,
    types::{EndpointStatus, Tag, TrainingJobStatus},
};
use futures::StreamExt;

/// More than this are not looked at: an account with so many is looked at elsewhere.
const MOST: usize = 300;
/// Tags asked for side by side: SageMaker allows a few calls a second.
const SIDE_BY_SIDE: usize = 4;
/// Jobs that are over, among which one of ours is looked for.
const RECENT: i32 = 20;

/// Something that runs, whoever's it is.
struct Candidate {
    kind: LeftoverKind,
    name: String,
    arn: String,
    since: Option<Instant>,
}

pub async fn all(account: &AwsAccount, client: &Client) -> AllRunning {
    let (jobs, endpoints) = tokio::join!(jobs(client), endpoints(client));
    let mut problem = None;
    let mut candidates = Vec::new();
    for listed in [jobs, endpoints] {
        match listed {
            Ok((some, whole)) => {
                candidates.extend(some);
                if !whole {
                    let words = "The account runs more than was looked through.".to_owned();
                    problem.get_or_insert(words);
                }
            }
            Err(failure) => problem = Some(failure.to_string()),
        }
    }
    let tagged = futures::stream::iter(candidates)
        .map(|candidate| async move { (tags(client, &candidate.arn).await, candidate) })
        .buffered(SIDE_BY_SIDE)
        .collect::<Vec<_>>();
    let mut running = Vec::new();
    for (tags, candidate) in tagged.await {
        match tags {
            Ok(tags) => running.extend(ours(account, candidate, &tags)),
            Err(failure) if failure.is_denied() || failure.may_pass() => problem = Some(failure.to_string()),
            // Gone meanwhile.
            Err(_) => {}
        }
    }
    AllRunning { running, problem }
}

type Listed = Result<(Vec<Candidate>, bool), Failure>;

async fn jobs(client: &Client) -> Listed {
    let asked = client.list_training_jobs().status_equals(TrainingJobStatus::InProgress);
    let mut pages = asked.max_results(100).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::of(&error))?;
        for job in page.training_job_summaries.unwrap_or_default() {
            if let (Some(name), Some(arn)) = (job.training_job_name, job.training_job_arn) {
                let since = job.creation_time.and_then(instant);
                found.push(Candidate { kind: LeftoverKind::Job, name, arn, since });
            }
        }
        if found.len() > MOST {
            found.truncate(MOST);
            return Ok((found, false));
        }
    }
    Ok((found, true))
}

async fn endpoints(client: &Client) -> Listed {
    let mut pages = client.list_endpoints().max_results(100).into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::of(&error))?;
        for one in page.endpoints.unwrap_or_default() {
            if one.endpoint_status == Some(EndpointStatus::Deleting) {
                continue;
            }
            if let (Some(name), Some(arn)) = (one.endpoint_name, one.endpoint_arn) {
                let since = one.creation_time.and_then(instant);
                found.push(Candidate { kind: LeftoverKind::Endpoint, name, arn, since });
            }
        }
        if found.len() > MOST {
            found.truncate(MOST);
            return Ok((found, false));
        }
    }
    Ok((found, true))
}

async fn tags(client: &Client, arn: &str) -> Result<Vec<Tag>, Failure> {
    let tags = client.list_tags().resource_arn(arn).send().await;
    Ok(tags.map_err(|error| Failure::of(&error))?.tags.unwrap_or_default())
}

fn ours(account: &AwsAccount, candidate: Candidate, tags: &[Tag]) -> Option<Running> {
    let value =
        |key: &str| tags.iter().find(|tag| tag.key.as_deref() == Some(key)).and_then(|tag| tag.value.clone());
    (value(tags::INSTALLATION)? == account.settings.installation).then_some(())?;
    let row = match candidate.kind {
        LeftoverKind::Job => value(tags::JOB),
        LeftoverKind::Endpoint => value(tags::ENDPOINT),
    };
    Some(Running { kind: candidate.kind, name: candidate.name, row, since: candidate.since })
}

/// One of our jobs that is over so, among the newest.
pub async fn over(account: &AwsAccount, client: &Client, status: TrainingJobStatus) -> Option<String> {
    let listed = client.list_training_jobs().status_equals(status).max_results(RECENT).send().await.ok()?;
    for job in listed.training_job_summaries.unwrap_or_default() {
        let (Some(name), Some(arn)) = (job.training_job_name, job.training_job_arn) else { continue };
        let candidate = Candidate { kind: LeftoverKind::Job, name, arn, since: None };
        let tags = tags(client, &candidate.arn).await.ok()?;
        if let Some(ours) = ours(account, candidate, &tags) {
            return Some(ours.name);
        }
    }
    None
}

pub async fn machines(client: &Client, running: &Running) -> Option<Machines> {
    let (kind, count) = match running.kind {
        LeftoverKind::Job => {
            let job = client.describe_training_job().training_job_name(&running.name).send().await.ok()?;
            let resources = job.resource_config?;
            (resources.instance_type?.as_str().to_owned(), resources.instance_count?)
        }
        LeftoverKind::Endpoint => {
            let shown = client.describe_endpoint().endpoint_name(&running.name).send().await.ok()?;
            let config = shown.endpoint_config_name?;
            let shown = client.describe_endpoint_config().endpoint_config_name(config).send().await.ok()?;
            let variant = shown.production_variants?.into_iter().next()?;
            (variant.instance_type?.as_str().to_owned(), variant.initial_instance_count.unwrap_or(1))
        }
    };
    Some(Machines { instance_type: kind, count: u32::try_from(count).ok()? })
}

fn instant(at: DateTime) -> Option<Instant> {
    i64::try_from(at.as_nanos() / 1_000).ok().map(Instant)
}
