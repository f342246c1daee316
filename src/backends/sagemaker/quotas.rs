//! How many machines of a kind the account may run, from AWS's Service Quotas: by the quota's name, since its code
//! differs from machine to machine and is nowhere listed.

use super::{
    super::prices::{Quota, Quotas, Usage},
    remembered::Remembered,
};
use crate::{aws::Failure, domain::time::Clock};
use async_trait::async_trait;
use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_servicequotas::{Client, config::Builder, types::ServiceQuota};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Short enough that a quota which was raised is soon seen.
const KEEP: Duration = Duration::from_secs(600);
/// For one page of the list; nobody waits for it as long as that.
const TIMEOUT: Duration = Duration::from_secs(20);
/// SageMaker has well over a thousand quotas, and a page holds 100.
const PAGES: usize = 100;

/// Quotas of the account and region that `sdk` leads to.
pub fn new(sdk: &SdkConfig, clock: Arc<dyn Clock>) -> Arc<dyn Quotas> {
    let timeouts = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
    let config = Builder::from(sdk)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts)
        .build();
    Arc::new(AwsQuotas {
        client: Client::from_conf(config),
        region: sdk.region().map(ToString::to_string),
        remembered: Remembered::new("AWS's Service Quotas", KEEP, clock),
    })
}

/// Without AWS nothing is known of its quotas.
pub fn unknown() -> Arc<dyn Quotas> {
    Arc::new(NoQuotas)
}

struct NoQuotas;

#[async_trait]
impl Quotas for NoQuotas {
    async fn limit(&self, _: &str, _: Usage) -> Result<Option<Quota>, String> {
        Err("AWS is not configured.".to_owned())
    }
}

/// A quota's limit and its code, by its name.
pub(super) type Limits = Arc<HashMap<String, (f64, String)>>;

struct AwsQuotas {
    client: Client,
    region: Option<String>,
    remembered: Remembered<Limits>,
}

/// Which of AWS's two lists: what was set for this account, or what holds for everybody until then.
#[derive(Debug, Clone, Copy)]
pub(super) enum List {
    Applied,
    Default,
}

#[async_trait]
impl Quotas for AwsQuotas {
    async fn limit(&self, instance_type: &str, usage: Usage) -> Result<Option<Quota>, String> {
        let region = self.region.as_deref().ok_or("No AWS region is set: set AWS_REGION.")?;
        let name = name(instance_type, usage);
        for list in [List::Applied, List::Default] {
            if let Some((limit, code)) = self.list(list).await?.get(&name) {
                return Ok(Some(Quota { limit: *limit, url: url(region, code), name }));
            }
        }
        Ok(None)
    }
}

impl AwsQuotas {
    async fn list(&self, list: List) -> Result<Limits, String> {
        let client = self.client.clone();
        let answer = self.remembered.get(&format!("{list:?}"), move || ask(client, list)).await;
        let why = answer.problem.unwrap_or_else(|| "AWS's Service Quotas have not answered yet.".to_owned());
        answer.value.map(|(limits, _)| limits).ok_or(why)
    }
}

async fn ask(client: Client, list: List) -> Result<Limits, String> {
    read(client, list).await.map_err(|failure| failure.to_string())
}

/// The whole list, page by page.
pub(super) async fn read(client: Client, list: List) -> Result<Limits, Failure> {
    let mut limits = HashMap::new();
    let mut token = None;
    for _ in 0..PAGES {
        let (quotas, next) = page(&client, list, token).await?;
        limits.extend(quotas.iter().filter_map(|quota| {
            let code = quota.quota_code().unwrap_or_default().to_owned();
            Some((quota.quota_name()?.to_owned(), (quota.value()?, code)))
        }));
        token = next;
        if token.is_none() {
            break;
        }
    }
    Ok(Arc::new(limits))
}

pub(super) async fn page(
    client: &Client,
    list: List,
    token: Option<String>,
) -> Result<(Vec<ServiceQuota>, Option<String>), Failure> {
    const SERVICE: &str = "sagemaker";
    Ok(match list {
        List::Applied => {
            let question = client.list_service_quotas().service_code(SERVICE).max_results(100);
            let page = question.set_next_token(token).send().await.map_err(|error| Failure::of(&error))?;
            (page.quotas.unwrap_or_default(), page.next_token)
        }
        List::Default => {
            let question = client.list_aws_default_service_quotas().service_code(SERVICE).max_results(100);
            let page = question.set_next_token(token).send().await.map_err(|error| Failure::of(&error))?;
            (page.quotas.unwrap_or_default(), page.next_token)
        }
    })
}

/// Where a larger one is asked for.
pub(super) fn url(region: &str, code: &str) -> String {
    format!("https://{region}.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/{code}")
}

/// As AWS names it.
pub fn name(instance_type: &str, usage: Usage) -> String {
    let used = match usage {
        Usage::Training => "training job",
        Usage::SpotTraining => "spot training job",
        Usage::Hosting => "endpoint",
    };
    format!("{instance_type} for {used} usage")
}
