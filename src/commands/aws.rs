//! What of AWS an installation uses, built from its settings: by `serve`, and by `doctor`, which tries it.

use crate::{
    backends::{
        Folders,
        account::Account,
        catalogue::Catalogue,
        sagemaker::{
            SageMakerBackend,
            account::{AwsAccount, Parts},
            hosting::SageMakerHosting,
            jumpstart::{hosting::FromCatalogue, hub::Hub, shipped::Shipped},
            names::Bucket,
            prices, quotas,
        },
    },
    config::{Config, StorageLocation},
    domain::time::Clock,
    services::{all::Elsewhere, hosting::Outside},
    storage::Storage,
    store::Location,
};
use aws_config::SdkConfig;
use std::sync::Arc;

/// Ports that answer from AWS where SageMaker is set up, and otherwise at once from what ships with the program.
pub fn elsewhere(config: &Config, sdk: Option<&SdkConfig>, clock: Arc<dyn Clock>) -> Elsewhere {
    let missing = missing(config, sdk);
    let account = account(config, sdk);
    let own_image = config.aws.training_image.is_some();
    match (sdk, missing) {
        (Some(sdk), None) => {
            let catalogue: Arc<dyn Catalogue> = Arc::new(Hub::new(sdk, clock.clone()));
            Elsewhere {
                missing: None,
                own_image,
                folders: bucket(config).map(|bucket| Arc::new(bucket) as Arc<dyn Folders>),
                catalogue: catalogue.clone(),
                prices: prices::new(sdk, clock.clone()),
                quotas: quotas::new(sdk, clock),
                hosting: hosting(config, sdk, catalogue),
                account,
            }
        }
        (_, missing) => {
            let why = missing.unwrap_or_else(|| "There are no settings for AWS.".to_owned());
            Elsewhere {
                catalogue: Arc::new(Shipped::new("us-east-1", format!("SageMaker is not set up. {why}"))),
                own_image,
                folders: None,
                hosting: Outside::none(why.clone()),
                prices: prices::listed(),
                quotas: quotas::unknown(),
                missing: Some(why),
                account,
            }
        }
    }
}

/// Why nothing runs on SageMaker.
fn missing(config: &Config, sdk: Option<&SdkConfig>) -> Option<String> {
    config.aws.missing(&config.storage).or_else(|| match sdk.and_then(SdkConfig::region) {
        Some(_) => None,
        None => Some("AWS_REGION is not set.".to_owned()),
    })
}

/// Who tries what the server may do on AWS.
pub fn account(config: &Config, sdk: Option<&SdkConfig>) -> Arc<dyn Account> {
    let bucket = match &config.storage {
        StorageLocation::S3 { bucket, prefix } => Some((bucket.clone(), prefix.clone())),
        StorageLocation::Disk(_) => None,
    };
    let tables = match &config.database {
        Location::DynamoDb(address) => Some(address.clone()),
        Location::Sql(_) => None,
    };
    let (sdk, missing) = (sdk.cloned(), missing(config, sdk));
    Arc::new(AwsAccount::new(Parts { sdk, settings: config.aws.clone(), bucket, tables, missing }))
}

fn hosting(config: &Config, sdk: &SdkConfig, catalogue: Arc<dyn Catalogue>) -> Outside {
    let StorageLocation::S3 { bucket, prefix } = &config.storage else {
        return Outside::none("Files are kept on this machine's disk.");
    };
    match SageMakerHosting::new(sdk, config.aws.clone(), bucket, prefix) {
        Ok(hosting) => Outside {
            hosting: Arc::new(hosting),
            recipes: Some(Arc::new(FromCatalogue(catalogue))),
            poll: config.aws.poll,
        },
        Err(error) => Outside::none(error.to_string()),
    }
}

/// The part of the bucket that is ours.
fn bucket(config: &Config) -> Option<Bucket> {
    match &config.storage {
        StorageLocation::S3 { bucket, prefix } => Some(Bucket::new(bucket, prefix)),
        StorageLocation::Disk(_) => None,
    }
}

/// The backend for jobs on SageMaker; `None` where it is not set up.
pub fn backend(
    config: &Config,
    sdk: Option<&SdkConfig>,
    elsewhere: &Elsewhere,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
) -> Result<Option<SageMakerBackend>, crate::backends::BackendError> {
    let (Some(sdk), None, Some(bucket)) = (sdk, &elsewhere.missing, bucket(config)) else {
        return Ok(None);
    };
    let backend = SageMakerBackend::new(
        sdk,
        config.aws.clone(),
        storage,
        elsewhere.catalogue.clone(),
        bucket,
        config.data_dir.join("jobs-on-sagemaker"),
        clock,
    )?;
    Ok(Some(backend))
}

/// The SDK's settings, where anything of AWS is used at all: finding them may ask the machine's metadata service.
pub async fn sdk(config: &Config) -> Option<SdkConfig> {
    match (&config.storage, &config.database) {
        (StorageLocation::S3 { .. }, _) | (_, Location::DynamoDb(_)) => Some(crate::aws::config().await),
        (StorageLocation::Disk(_), Location::Sql(_)) => None,
    }
}
