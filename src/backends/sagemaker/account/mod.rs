//! The account port on AWS: tries, with the server's own credentials and settings, all that it needs.
//!
//! First whose credentials these are, since without them nothing else says anything; then all the rest side by side,
//! each call with a short time of its own.
//!
//! - this file: settings, credentials, region, bucket, tables, and the order of things
//! - [`trying`]: what AWS's answer means for a right      - [`training`], [`hosting`], [`limits`]: what is tried
//! - [`running`]: what runs under our tag

mod hosting;
mod limits;
mod running;
mod training;
mod trying;

use crate::{
    aws::{self, Tried},
    backends::account::{Account, AllRunning, Examined, Machines, Running},
    config::aws::AwsSettings,
    domain::checkup::{Area, Finding},
    storage::s3::S3Storage,
    store::dynamodb::DynamoStore,
};
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sagemaker::types::TrainingJobStatus;
use aws_sdk_sts::config::ProvideCredentials;
use std::time::Duration;
use trying::{finding, step};

/// For finding credentials: a metadata service that is not there must not hold anybody up.
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(3);

/// What of AWS an installation uses.
pub struct AwsAccount {
    /// `None`: nothing of it.
    sdk: Option<SdkConfig>,
    settings: AwsSettings,
    bucket: Option<S3Storage>,
    /// Its folder, as `s3://bucket/prefix/`.
    root: String,
    tables: Option<DynamoStore>,
    /// Why nothing runs on SageMaker.
    missing: Option<String>,
}

/// The parts that an [`AwsAccount`] looks at.
pub struct Parts {
    /// Patient or not: an impatient copy is used.
    pub sdk: Option<SdkConfig>,
    pub settings: AwsSettings,
    pub bucket: Option<(String, String)>,
    pub tables: Option<crate::store::dynamodb::Address>,
    pub missing: Option<String>,
}

impl AwsAccount {
    /// Asks nothing of AWS yet.
    pub fn new(parts: Parts) -> Self {
        let sdk = parts.sdk.as_ref().map(aws::impatient);
        let bucket = sdk.as_ref().zip(parts.bucket.as_ref());
        let root = match &parts.bucket {
            Some((bucket, prefix)) => super::names::Bucket::new(bucket, prefix).uri(""),
            None => String::new(),
        };
        Self {
            bucket: bucket.map(|(sdk, (bucket, prefix))| S3Storage::new(sdk, bucket, prefix)),
            tables: sdk.as_ref().zip(parts.tables).map(|(sdk, address)| DynamoStore::new(sdk, &address)),
            sdk,
            settings: parts.settings,
            root,
            missing: parts.missing,
        }
    }

    fn region(&self) -> &str {
        self.sdk.as_ref().and_then(SdkConfig::region).map_or("", |region| region.as_ref())
    }

    fn root(&self) -> &str {
        &self.root
    }

    /// A job of ours that is over.
    async fn a_job(&self, client: &aws_sdk_sagemaker::Client, status: TrainingJobStatus) -> Option<String> {
        running::over(self, client, status).await
    }

    /// The SDK and the role, where SageMaker is used.
    fn sagemaker(&self) -> Option<(&SdkConfig, &str)> {
        let role = self.settings.role_arn.as_deref().filter(|_| self.missing.is_none())?;
        self.sdk.as_ref().filter(|sdk| sdk.region().is_some()).map(|sdk| (sdk, role))
    }

    fn region_finding(&self) -> Finding {
        let purpose = "bucket, jobs and endpoints are in one region";
        match self.region() {
            "" if self.bucket.is_none() => {
                Finding::skip(Area::Region, "AWS region", purpose, "none is set, and none is needed", None)
            }
            "" => Finding::fail(
                Area::Region,
                "AWS region",
                purpose,
                "none is set",
                "Set AWS_REGION to the bucket's region, as in AWS_REGION=eu-central-1.",
            ),
            region => Finding::ok(Area::Region, "AWS region", purpose, region),
        }
    }

    /// Whose credentials these are, or what is wrong with them.
    async fn caller(&self, sdk: &SdkConfig) -> Result<(String, Finding), Finding> {
        let (what, purpose) = ("AWS credentials", "every call is signed with them");
        let none = |why: &str| {
            let next = "Give the server credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role). Away from EC2 set AWS_EC2_METADATA_DISABLED=true.";
            Err(Finding::fail(Area::Credentials, what, purpose, why, next))
        };
        let Some(provider) = sdk.credentials_provider() else { return none("there are none") };
        match tokio::time::timeout(CREDENTIALS_WITHIN, provider.provide_credentials()).await {
            Err(_) => return none("none were found within 3 seconds"),
            Ok(Err(error)) => return none(&format!("there are none: {error}")),
            Ok(Ok(_)) => {}
        }
        // STS has an answer in every region; with tables alone only theirs may be known.
        let sdk = match sdk.region() {
            Some(_) => sdk.clone(),
            None => sdk.to_builder().region(aws_config::Region::new("us-east-1")).build(),
        };
        match aws::caller(&sdk).await {
            Ok(arn) => Ok((arn.clone(), Finding::ok(Area::Credentials, what, purpose, arn))),
            Err(failure) => {
                let next = step(&failure, "sts:GetCallerIdentity", "these credentials");
                Err(Finding::fail(Area::Credentials, what, purpose, failure.to_string(), &next))
            }
        }
    }

    async fn bucket_findings(&self, caller: &str) -> Vec<Finding> {
        let Some(bucket) = &self.bucket else { return Vec::new() };
        let (tried, region) = tokio::join!(bucket.try_permissions(), bucket.bucket_region());
        let on = format!(" on {}", bucket.bucket());
        let mut found = Vec::new();
        if let Some(region) = region {
            let purpose = "SageMaker reads only from a bucket of its own region";
            let what = format!("bucket {}", bucket.bucket());
            found.push(if region == self.region() {
                Finding::ok(Area::Bucket, what, purpose, format!("is there, in {region}"))
            } else {
                let words = format!("is in {region}, but AWS_REGION is {}", self.region());
                let next = "Set AWS_REGION to the region that the bucket is in.";
                Finding::fail(Area::Bucket, what, purpose, words, next)
            });
        }
        found.extend(tried.into_iter().map(|tried| finding(Area::Bucket, &on, tried, caller)));
        found
    }

    async fn table_findings(&self, caller: &str) -> Vec<Finding> {
        let Some(tables) = &self.tables else { return Vec::new() };
        let tried: Vec<Tried> = tables.try_permissions().await;
        tried.into_iter().map(|tried| finding(Area::Tables, " on the tables", tried, caller)).collect()
    }

    async fn sagemaker_findings(&self, caller: &str) -> Vec<Finding> {
        let Some((sdk, role)) = self.sagemaker() else { return Vec::new() };
        let (training, hosting, catalogue, logs, quotas) = tokio::join!(
            training::findings(self, sdk, role, caller),
            hosting::findings(self, sdk, role, caller),
            hosting::catalogue(sdk, caller),
            training::logs(sdk, caller),
            limits::findings(sdk, caller),
        );
        [training, hosting, catalogue, logs, quotas].concat()
    }
}

#[async_trait]
impl Account for AwsAccount {
    fn is_used(&self) -> bool {
        self.sdk.is_some()
    }

    fn settings(&self) -> Vec<Finding> {
        let area = Area::Settings;
        let mut found = vec![self.region_finding()];
        let storage = ("STORAGE_URL", "uploads, models and what jobs read");
        found.push(match &self.bucket {
            Some(_) => Finding::ok(area, storage.0, storage.1, self.root()),
            None => Finding::skip(
                area,
                storage.0,
                storage.1,
                "files are on this machine's disk",
                Some("For AWS set STORAGE_URL to s3://BUCKET/PREFIX, and AWS_REGION."),
            ),
        });
        let role = ("SAGEMAKER_EXECUTION_ROLE_ARN", "the role that training jobs and endpoints run with");
        found.push(match &self.settings.role_arn {
            Some(arn) => Finding::ok(Area::Role, role.0, role.1, arn),
            None => Finding::skip(
                Area::Role,
                role.0,
                role.1,
                "not set: nothing runs on SageMaker",
                Some("Set it to the role's ARN, arn:aws:iam::ACCOUNT:role/NAME."),
            ),
        });
        let tag = "tags what runs there; the policies ask for it";
        found.push(Finding::ok(area, "SAGEMAKER_INSTALLATION", tag, &self.settings.installation));
        let set = |name: &str, purpose: &str, value: Option<&str>, without: &str| match value {
            Some(value) => Finding::ok(area, name, purpose, value),
            None => Finding::skip(area, name, purpose, without, None),
        };
        let network = (!self.settings.subnets.is_empty())
            .then(|| [&self.settings.subnets[..], &self.settings.security_groups[..]].concat().join(", "));
        found.extend([
            set(
                "SAGEMAKER_TRAINING_IMAGE",
                "training with an image of our own",
                self.settings.training_image.as_deref(),
                "not set: that way of training is not offered",
            ),
            set(
                "SAGEMAKER_KMS_KEY_ID",
                "encrypts results and volumes",
                self.settings.kms_key_id.as_deref(),
                "not set: AWS's own key is used",
            ),
            set(
                "SAGEMAKER_SUBNETS, SAGEMAKER_SECURITY_GROUPS",
                "the network that jobs run in",
                network.as_deref(),
                "not set: SageMaker's own network is used",
            ),
        ]);
        for (name, url) in &self.settings.endpoints {
            found.push(if url.starts_with("https://") {
                Finding::ok(area, *name, "another address for AWS", url)
            } else {
                let words = format!("{url}: not AWS itself, and not encrypted");
                let next = "Right for tests alone. With an https BASE_URL the server does not start so.";
                Finding::skip(area, *name, "another address for AWS", words, Some(next))
            });
        }
        found
    }

    async fn examine(&self) -> Examined {
        let mut findings = self.settings();
        let lacks_region = findings.iter().any(|one| one.area == Area::Region && one.is_fail());
        let Some(sdk) = self.sdk.as_ref().filter(|_| !lacks_region) else {
            return Examined { findings, limits: Vec::new() };
        };
        let caller = match self.caller(sdk).await {
            Ok((caller, found)) => {
                findings.push(found);
                caller
            }
            Err(found) => {
                findings.push(found);
                let words = "not tried: there are no credentials that AWS takes";
                findings.push(Finding::skip(
                    Area::Bucket,
                    "permissions",
                    "what the server does",
                    words,
                    None,
                ));
                return Examined { findings, limits: Vec::new() };
            }
        };
        let quotas = async {
            match self.sagemaker() {
                Some((sdk, _)) => limits::limits(sdk, self.region()).await,
                None => Vec::new(),
            }
        };
        let (bucket, tables, sagemaker, limits) = tokio::join!(
            self.bucket_findings(&caller),
            self.table_findings(&caller),
            self.sagemaker_findings(&caller),
            quotas
        );
        findings.extend(bucket.into_iter().chain(tables).chain(sagemaker));
        findings.sort_by_key(|finding| finding.area);
        Examined { findings, limits }
    }

    async fn running(&self) -> AllRunning {
        match self.sagemaker() {
            Some((sdk, _)) => running::all(self, &aws_sdk_sagemaker::Client::new(sdk)).await,
            None => AllRunning::default(),
        }
    }

    async fn machines(&self, running: &Running) -> Option<Machines> {
        let (sdk, _) = self.sagemaker()?;
        running::machines(&aws_sdk_sagemaker::Client::new(sdk), running).await
    }
}
