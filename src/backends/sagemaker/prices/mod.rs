//! What SageMaker's machines cost: AWS's price list, asked once a day for each machine, and the list that ships with the
//! product for when AWS does not answer.
//!
//! - [`product`]: a document of AWS's list.  - [`listed`]: our own list.

mod listed;
mod product;

pub use listed::ListedPrices;

use super::{
    super::prices::{Prices, Quote, Usage},
    remembered::Remembered,
};
use crate::{
    aws::Failure,
    domain::time::{Clock, Instant},
};
use async_trait::async_trait;
use aws_config::{Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_pricing::{
    Client,
    config::Builder,
    types::{Filter, FilterType},
};
use product::Rates;
use std::{sync::Arc, time::Duration};

/// The region of the price list itself; it has the prices of all regions.
const LIST_REGION: &str = "us-east-1";
/// AWS changes a price now and then, not by the hour.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// Nobody waits for it as long as that; see [`Remembered`].
const TIMEOUT: Duration = Duration::from_secs(20);
/// One machine has a dozen products, and a page holds 100.
const PAGES: usize = 5;

/// Prices of the region that `sdk` is set to, from AWS; from our own list where AWS does not answer.
pub fn new(sdk: &SdkConfig, clock: Arc<dyn Clock>) -> Arc<dyn Prices> {
    let Some(region) = sdk.region().map(ToString::to_string) else {
        return Arc::new(ListedPrices::new(None, "AWS is not asked for prices without a region."));
    };
    let timeouts = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
    let config = Builder::from(sdk)
        .region(Region::new(LIST_REGION))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts)
        .build();
    Arc::new(AwsPrices {
        client: Client::from_conf(config),
        remembered: Remembered::new("AWS's price list", KEEP, clock.clone()),
        list: ListedPrices::new(Some(region.clone()), ""),
        region,
    })
}

/// Prices without AWS: those of our own list.
pub fn listed() -> Arc<dyn Prices> {
    Arc::new(ListedPrices::new(None, "AWS is not configured."))
}

struct AwsPrices {
    client: Client,
    region: String,
    remembered: Remembered<Rates>,
    list: ListedPrices,
}

#[async_trait]
impl Prices for AwsPrices {
    async fn per_hour(&self, instance_type: &str, usage: Usage) -> Quote {
        if !is_name(instance_type) {
            return self.list.quote(instance_type, usage, "That is no name of an instance type.");
        }
        let (client, region, kind) = (self.client.clone(), self.region.clone(), instance_type.to_owned());
        let answer = self.remembered.get(instance_type, move || ask(client, region, kind)).await;
        let Some((rates, at)) = answer.value else {
            let why = answer.problem.unwrap_or_else(|| "AWS's price list has not answered yet.".to_owned());
            return self.list.quote(instance_type, usage, &why);
        };
        let per_hour = rates.of(usage);
        let missing = || format!("AWS's price list has no price of {instance_type} in {}.", self.region);
        Quote {
            per_hour,
            as_of: day(at),
            region: self.region.clone(),
            live: true,
            problem: if per_hour.is_none() { Some(missing()) } else { answer.problem },
        }
    }
}

/// All that AWS asks for one machine in one region. What it is used for is picked out here: AWS names it by more than
/// one attribute, and has all prices of a machine on one page.
async fn ask(client: Client, region: String, instance_type: String) -> Result<Rates, String> {
    let filter = |field: &str, value: &str| {
        Filter::builder().r#type(FilterType::TermMatch).field(field).value(value).build()
    };
    let filters = [filter("regionCode", &region), filter("instanceName", &instance_type)];
    let filters: Vec<Filter> =
        filters.into_iter().collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let question = client.get_products().service_code("AmazonSageMaker").set_filters(Some(filters));
    let mut pages = question.into_paginator().page_size(100).send();
    let mut rates = Rates::default();
    for _ in 0..PAGES {
        let Some(page) = pages.next().await else { break };
        let page = page.map_err(|error| Failure::of(&error).to_string())?;
        for document in page.price_list() {
            rates.read(document, &instance_type, &region);
        }
    }
    Ok(rates)
}

/// `ml.g5.2xlarge`, `ml.p6-b200.48xlarge`.
fn is_name(text: &str) -> bool {
    let mut parts = text.split('.');
    let plain = |part: &str| {
        (1..=20).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    parts.next() == Some("ml")
        && parts.next().is_some_and(plain)
        && parts.next().is_some_and(plain)
        && parts.next().is_none()
}

/// `2026-11-21`, in UTC.
fn day(at: Instant) -> String {
    jiff::Timestamp::from_microsecond(at.micros())
        .map(|at| at.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}
