//! Quotas of the usual machines, and the rights to read quotas and prices.

use super::trying::{finding, outcome};
use crate::{
    aws::Tried,
    backends::sagemaker::quotas::{Limits, List, name, page, read, url},
    domain::{
        checkup::{Area, Finding, Limit},
        instance::{InstanceType, Usage},
    },
};
use aws_config::{Region, SdkConfig};
use std::time::Duration;

/// What people begin with, and what the larger models want.
const USUAL: [&str; 8] = [
    "ml.m5.xlarge",
    "ml.g4dn.xlarge",
    "ml.g5.xlarge",
    "ml.g5.2xlarge",
    "ml.g5.12xlarge",
    "ml.g5.48xlarge",
    "ml.g6.xlarge",
    "ml.p4d.24xlarge",
];
const USAGES: [Usage; 3] = [Usage::Training, Usage::SpotTraining, Usage::Hosting];
/// The list has many pages.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn findings(sdk: &SdkConfig, caller: &str) -> Vec<Finding> {
    let quotas = aws_sdk_servicequotas::Client::new(sdk);
    let prices = aws_sdk_pricing::config::Builder::from(sdk).region(Region::new("us-east-1")).build();
    let prices = aws_sdk_pricing::Client::from_conf(prices);
    let (applied, default, priced) = tokio::join!(
        page(&quotas, List::Applied, None),
        page(&quotas, List::Default, None),
        prices.get_products().service_code("AmazonSageMaker").max_results(1).send(),
    );
    let tried = |area, permission, purpose, outcome| {
        finding(area, "", Tried { permission, purpose, outcome }, caller)
    };
    vec![
        tried(
            Area::Quotas,
            "servicequotas:ListServiceQuotas",
            "which machines the account may run",
            applied.map(drop),
        ),
        tried(
            Area::Quotas,
            "servicequotas:ListAWSDefaultServiceQuotas",
            "the same, where nothing was ever asked for",
            default.map(drop),
        ),
        tried(Area::Prices, "pricing:GetProducts", "today's prices", outcome(priced)),
    ]
}

/// Empty where AWS does not say.
pub async fn limits(sdk: &SdkConfig, region: &str) -> Vec<Limit> {
    let client = aws_sdk_servicequotas::Client::new(sdk);
    let both = async {
        tokio::try_join!(read(client.clone(), List::Applied), read(client.clone(), List::Default)).ok()
    };
    let Some((applied, default)) = tokio::time::timeout(PATIENCE, both).await.ok().flatten() else {
        return Vec::new();
    };
    let of = |list: &Limits, name: &str| list.get(name).cloned();
    let kinds = USUAL.into_iter().filter_map(InstanceType::find);
    kinds
        .flat_map(|kind| {
            USAGES.into_iter().filter(|usage| kind.serves(*usage)).map(move |usage| (kind, usage))
        })
        .map(|(kind, usage)| {
            let name = name(kind.name, usage);
            let found = of(&applied, &name).or_else(|| of(&default, &name));
            let (limit, url) = match found {
                Some((limit, code)) => (Some(limit), Some(url(region, &code))),
                None => (None, None),
            };
            Limit { instance_type: kind.name, usage, limit, url }
        })
        .collect()
}
