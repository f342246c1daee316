//! What hosting needs: a model, a configuration and an endpoint, made, asked and deleted; and JumpStart's catalogue.

use super::{
    AwsAccount,
    training::{BY_TAG, NOBODY, tag},
    trying::{Outcome, beyond_rights, finding, outcome},
};
use crate::{
    aws::{Failure, Tried},
    domain::checkup::{Area, Finding},
};
use aws_config::SdkConfig;
use aws_sdk_sagemaker::{
    Client,
    types::{HubContentType, ProductionVariant, ProductionVariantInstanceType},
};
use aws_sdk_sagemakerruntime::primitives::Blob;

const HUB: &str = "SageMakerPublicHub";

pub async fn findings(account: &AwsAccount, sdk: &SdkConfig, role: &str, caller: &str) -> Vec<Finding> {
    let client = Client::new(sdk);
    let runtime = aws_sdk_sagemakerruntime::Client::new(sdk);
    let (model, config, endpoint, described, configured, named, listed) = tokio::join!(
        create_model(account, &client, role),
        create_config(account, &client),
        create_endpoint(account, &client),
        client.describe_endpoint().endpoint_name(NOBODY).send(),
        client.describe_endpoint_config().endpoint_config_name(NOBODY).send(),
        client.describe_model().model_name(NOBODY).send(),
        client.list_endpoints().max_results(1).send(),
    );
    let (no_endpoint, no_config, no_model, asked, streamed) = tokio::join!(
        client.delete_endpoint().endpoint_name(NOBODY).send(),
        client.delete_endpoint_config().endpoint_config_name(NOBODY).send(),
        client.delete_model().model_name(NOBODY).send(),
        runtime.invoke_endpoint().endpoint_name(NOBODY).body(Blob::new("{}")).send(),
        runtime.invoke_endpoint_with_response_stream().endpoint_name(NOBODY).body(Blob::new("{}")).send(),
    );
    let tried = |permission, purpose, outcome| {
        finding(Area::Hosting, "", Tried { permission, purpose, outcome }, caller)
    };
    let by_tag = |permission, purpose, outcome: Outcome| {
        let outcome = beyond_rights(outcome);
        if outcome.as_ref().is_err_and(Failure::is_denied) {
            let next = "Where it is refused on a real endpoint, the endpoint's page says so.";
            return Finding::skip(Area::Hosting, permission, purpose, BY_TAG, Some(next));
        }
        tried(permission, purpose, outcome)
    };
    vec![
        tried("sagemaker:CreateModel", "names the files and the container", model),
        tried("sagemaker:CreateEndpointConfig", "names the machine", config),
        tried("sagemaker:CreateEndpoint", "starts the machine", endpoint),
        tried("sagemaker:DescribeEndpoint", "how an endpoint stands", beyond_rights(outcome(described))),
        tried(
            "sagemaker:DescribeEndpointConfig",
            "which machine an endpoint has",
            beyond_rights(outcome(configured)),
        ),
        tried(
            "sagemaker:DescribeModel",
            "whether there is a model to clear away",
            beyond_rights(outcome(named)),
        ),
        tried("sagemaker:ListEndpoints", "finds endpoints that run without a row here", outcome(listed)),
        by_tag("sagemaker:InvokeEndpoint", "asks a model", outcome(asked)),
        by_tag("sagemaker:InvokeEndpointWithResponseStream", "asks a model word by word", outcome(streamed)),
        by_tag("sagemaker:DeleteEndpoint", "ends what costs money", outcome(no_endpoint)),
        by_tag("sagemaker:DeleteEndpointConfig", "clears away", outcome(no_config)),
        by_tag("sagemaker:DeleteModel", "clears away", outcome(no_model)),
    ]
}

/// A model without a container.
async fn create_model(account: &AwsAccount, client: &Client, role: &str) -> Outcome {
    let asked = client.create_model().model_name(NOBODY).execution_role_arn(role).tags(tag(account));
    let made = outcome(asked.send().await);
    if made.is_ok() {
        let _ = client.delete_model().model_name(NOBODY).send().await;
    }
    beyond_rights(made)
}

/// A configuration of a model that is not there.
async fn create_config(account: &AwsAccount, client: &Client) -> Outcome {
    let variant = ProductionVariant::builder()
        .variant_name("AllTraffic")
        .model_name(format!("{NOBODY}-none"))
        .instance_type(ProductionVariantInstanceType::MlM5Large)
        .initial_instance_count(1)
        .build();
    let asked = client
        .create_endpoint_config()
        .endpoint_config_name(NOBODY)
        .production_variants(variant)
        .tags(tag(account));
    let made = outcome(asked.send().await);
    if made.is_ok() {
        let _ = client.delete_endpoint_config().endpoint_config_name(NOBODY).send().await;
    }
    beyond_rights(made)
}

/// An endpoint of a configuration that is not there.
async fn create_endpoint(account: &AwsAccount, client: &Client) -> Outcome {
    let config = format!("{NOBODY}-none");
    let asked =
        client.create_endpoint().endpoint_name(NOBODY).endpoint_config_name(config).tags(tag(account));
    let made = outcome(asked.send().await);
    if made.is_ok() {
        let _ = client.delete_endpoint().endpoint_name(NOBODY).send().await;
    }
    beyond_rights(made)
}

pub async fn catalogue(sdk: &SdkConfig, caller: &str) -> Vec<Finding> {
    let client = Client::new(sdk);
    let listed =
        client.list_hub_contents().hub_name(HUB).hub_content_type(HubContentType::Model).max_results(1);
    let described = client
        .describe_hub_content()
        .hub_name(HUB)
        .hub_content_type(HubContentType::Model)
        .hub_content_name(NOBODY);
    let (listed, described) = tokio::join!(listed.send(), described.send());
    [
        ("sagemaker:ListHubContents", "which JumpStart models there are", outcome(listed)),
        ("sagemaker:DescribeHubContent", "one JumpStart model", beyond_rights(outcome(described))),
    ]
    .into_iter()
    .map(|(permission, purpose, outcome)| {
        finding(Area::Catalogue, "", Tried { permission, purpose, outcome }, caller)
    })
    .collect()
}
