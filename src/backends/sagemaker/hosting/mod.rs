//! Hosts models on SageMaker's real-time endpoints.
//!
//! - this file: makes, looks at and deletes the three things that an endpoint is made of
//! - [`request`] what they are made from            - [`errors`] what AWS says, in words for a person
//! - [`invoke`] a question and its answer           - [`reply`], `frames`: the text in the answer's bytes

mod errors;
mod frames;
mod invoke;
pub mod reply;
pub mod request;

use crate::{
    aws::Failure,
    backends::hosting::{
        Answer, Ask, Deletion, Deployment, Hosting, HostingError, HostingResult, Listed, NAME_PREFIX,
        Standing,
    },
    backends::sagemaker::{names::Bucket, tags},
    config::aws::AwsSettings,
    domain::{ids::EndpointId, time::Instant},
};
use async_trait::async_trait;
use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sagemaker::{Client, types::EndpointStatus};
use errors::{is_absent, is_there, is_under_way, of_call};
use request::Requests;
use std::time::Duration;

/// One try of a call that changes or shows something, and all its tries.
const TRY: Duration = Duration::from_secs(20);
const CALL: Duration = Duration::from_secs(60);
/// An invocation: a container has 60 s. It is tried once, because a model would answer twice.
const INVOCATION: Duration = Duration::from_secs(70);
const CONNECT: Duration = Duration::from_secs(4);

pub struct SageMakerHosting {
    client: Client,
    runtime: aws_sdk_sagemakerruntime::Client,
    settings: AwsSettings,
    role: String,
    region: String,
    /// Where storage keeps its keys.
    bucket: Bucket,
}

impl SageMakerHosting {
    /// Asks nothing of AWS yet.
    ///
    /// # Errors
    /// `NotConfigured` where no region or no role is set.
    pub fn new(config: &SdkConfig, settings: AwsSettings, bucket: &str, prefix: &str) -> HostingResult<Self> {
        let missing = |what: &str| HostingError::NotConfigured(what.to_owned());
        let region =
            config.region().ok_or_else(|| missing("No AWS region is set. Set AWS_REGION."))?.to_string();
        let role = settings.role_arn.clone().ok_or_else(|| {
            missing("SAGEMAKER_EXECUTION_ROLE_ARN is not set: the role that endpoints run with.")
        })?;
        let times = TimeoutConfig::builder().connect_timeout(CONNECT);
        let calls = times.clone().operation_attempt_timeout(TRY).operation_timeout(CALL).build();
        let invocations = times.read_timeout(INVOCATION).operation_timeout(INVOCATION).build();
        let client =
            Client::from_conf(aws_sdk_sagemaker::config::Builder::from(config).timeout_config(calls).build());
        let runtime = aws_sdk_sagemakerruntime::Client::from_conf(
            aws_sdk_sagemakerruntime::config::Builder::from(config)
                .timeout_config(invocations)
                .retry_config(RetryConfig::standard().with_max_attempts(1))
                .build(),
        );
        let bucket = Bucket::new(bucket, prefix);
        Ok(Self { client, runtime, settings, role, region, bucket })
    }

    async fn make_model(&self, requests: &Requests<'_>) -> Result<(), Failure> {
        let made = self
            .client
            .create_model()
            .model_name(&requests.deployment.name)
            .execution_role_arn(&self.role)
            .primary_container(requests.container())
            .enable_network_isolation(requests.isolated())
            .set_vpc_config(requests.network())
            .set_tags(Some(requests.tags()));
        there(made.send().await.map(drop).map_err(|error| Failure::of(&error)))
    }

    async fn make_configuration(&self, requests: &Requests<'_>) -> Result<(), Failure> {
        let made = self
            .client
            .create_endpoint_config()
            .endpoint_config_name(&requests.deployment.name)
            .production_variants(requests.variant())
            .set_kms_key_id(requests.disk_key())
            .set_tags(Some(requests.tags()));
        there(made.send().await.map(drop).map_err(|error| Failure::of(&error)))
    }

    async fn make_endpoint(&self, requests: &Requests<'_>) -> Result<(), Failure> {
        let name = &requests.deployment.name;
        let made = self.client.create_endpoint().endpoint_name(name).endpoint_config_name(name);
        let made = made.set_tags(Some(requests.tags()));
        there(made.send().await.map(drop).map_err(|error| Failure::of(&error)))
    }
}

/// What is there already is as good as made.
fn there(made: Result<(), Failure>) -> Result<(), Failure> {
    made.or_else(|failure| if is_there(&failure) { Ok(()) } else { Err(failure) })
}

/// Whether what was looked for is there.
fn present(found: Result<(), Failure>) -> Result<bool, Failure> {
    found.map(|()| true).or_else(|failure| if is_absent(&failure) { Ok(false) } else { Err(failure) })
}

/// What is not there is as good as deleted.
fn gone(deleted: Result<(), Failure>) -> Result<(), Failure> {
    deleted.or_else(|failure| if is_absent(&failure) { Ok(()) } else { Err(failure) })
}

#[async_trait]
impl Hosting for SageMakerHosting {
    fn missing(&self) -> Option<&str> {
        None
    }

    async fn deploy(&self, deployment: &Deployment) -> HostingResult<()> {
        let requests =
            Requests { deployment, settings: &self.settings, region: &self.region, bucket: &self.bucket };
        let told = |failure| of_call(failure, &deployment.instance_type);
        self.make_model(&requests).await.map_err(told)?;
        self.make_configuration(&requests).await.map_err(told)?;
        self.make_endpoint(&requests).await.map_err(told)
    }

    async fn look(&self, name: &str) -> HostingResult<Standing> {
        let shown = match self.client.describe_endpoint().endpoint_name(name).send().await {
            Ok(shown) => shown,
            Err(error) => {
                let failure = Failure::of(&error);
                return if is_absent(&failure) { Ok(Standing::Absent) } else { Err(of_call(failure, "")) };
            }
        };
        let since = shown.last_modified_time.and_then(|at| i64::try_from(at.as_nanos() / 1_000).ok());
        Ok(match shown.endpoint_status {
            Some(EndpointStatus::Creating) => Standing::Creating,
            Some(EndpointStatus::Deleting) => Standing::Deleting,
            Some(
                EndpointStatus::Failed | EndpointStatus::OutOfService | EndpointStatus::UpdateRollbackFailed,
            ) => {
                let kind = self.instance_type(name).await;
                errors::given_up(&shown.failure_reason.unwrap_or_default(), &kind, name)
            }
            // While AWS patches the machine, the endpoint answers.
            _ => Standing::InService { since: since.map(Instant) },
        })
    }

    async fn delete(&self, name: &str) -> HostingResult<Deletion> {
        let told = |failure| of_call(failure, "");
        // Looked for first: deleting is allowed by our tag, so of what is gone AWS may say that it is forbidden.
        let found = self.client.describe_endpoint().endpoint_name(name).send().await;
        let found = found.map_err(|error| Failure::of(&error));
        let leaving =
            matches!(&found, Ok(found) if found.endpoint_status() == Some(&EndpointStatus::Deleting));
        if leaving {
            return Ok(Deletion::UnderWay);
        }
        if present(found.map(drop)).map_err(told)? {
            let deleted = self.client.delete_endpoint().endpoint_name(name).send().await;
            match deleted.map_err(|error| Failure::of(&error)) {
                // What it is made from goes when it is gone: until then AWS may need it.
                Ok(_) => return Ok(Deletion::UnderWay),
                Err(failure) if is_under_way(&failure) => return Ok(Deletion::UnderWay),
                Err(failure) if is_absent(&failure) => {}
                Err(failure) => return Err(told(failure)),
            }
        }
        let found = self.client.describe_endpoint_config().endpoint_config_name(name).send().await;
        if present(found.map(drop).map_err(|error| Failure::of(&error))).map_err(told)? {
            let deleted = self.client.delete_endpoint_config().endpoint_config_name(name).send().await;
            gone(deleted.map(drop).map_err(|error| Failure::of(&error))).map_err(told)?;
        }
        let found = self.client.describe_model().model_name(name).send().await;
        if present(found.map(drop).map_err(|error| Failure::of(&error))).map_err(told)? {
            let deleted = self.client.delete_model().model_name(name).send().await;
            gone(deleted.map(drop).map_err(|error| Failure::of(&error))).map_err(told)?;
        }
        Ok(Deletion::Done)
    }

    async fn ask(&self, name: &str, ask: &Ask) -> HostingResult<Answer> {
        invoke::ask(&self.runtime, name, ask).await
    }

    async fn list_ours(&self) -> HostingResult<Vec<Listed>> {
        let told = |failure| of_call(failure, "");
        let mut pages = self.client.list_endpoints().name_contains(NAME_PREFIX).into_paginator().send();
        let mut ours = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| told(Failure::of(&error)))?;
            for endpoint in page.endpoints.unwrap_or_default() {
                let (Some(name), Some(arn)) = (endpoint.endpoint_name, endpoint.endpoint_arn) else {
                    continue;
                };
                let found = match self.client.list_tags().resource_arn(arn).send().await {
                    Ok(tags) => tags.tags.unwrap_or_default(),
                    // Gone meanwhile.
                    Err(error) if is_absent(&Failure::of(&error)) => continue,
                    Err(error) => return Err(told(Failure::of(&error))),
                };
                let tag = |key: &str| {
                    found
                        .iter()
                        .find(|tag| tag.key.as_deref() == Some(key))
                        .and_then(|tag| tag.value.as_deref())
                };
                if tag(tags::INSTALLATION) == Some(self.settings.installation.as_str()) {
                    let endpoint = tag(tags::ENDPOINT).and_then(EndpointId::parse);
                    ours.push(Listed { name, endpoint });
                }
            }
        }
        Ok(ours)
    }
}

impl SageMakerHosting {
    /// For the words of a failure; empty where it can't be told.
    async fn instance_type(&self, name: &str) -> String {
        let shown = self.client.describe_endpoint_config().endpoint_config_name(name).send().await;
        let variant =
            shown.ok().and_then(|shown| shown.production_variants).and_then(|all| all.into_iter().next());
        let kind = variant.and_then(|variant| variant.instance_type);
        kind.map_or_else(|| "such machine".to_owned(), |kind| kind.as_str().to_owned())
    }
}
