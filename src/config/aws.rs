//! What the server is told about AWS. Credentials and region are not here: the SDK finds them by itself.

use super::{Reader, StorageLocation};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsSettings {
    /// `SAGEMAKER_EXECUTION_ROLE_ARN` (or the older `SAGEMAKER_EXECUTION_ROLE`): whose rights training jobs and
    /// endpoints have.
    pub role_arn: Option<String>,
    /// `SAGEMAKER_TRAINING_IMAGE`: our own image in a registry that SageMaker can read.
    pub training_image: Option<String>,
    /// `SAGEMAKER_HF_IMAGE`: in the place of the Hugging Face container that we know of.
    pub hugging_face_image: Option<String>,
    /// `SAGEMAKER_INFERENCE_IMAGE`: in the place of the serving container that we know of.
    pub inference_image: Option<String>,
    /// `SAGEMAKER_KMS_KEY_ID`: encrypts results and volumes.
    pub kms_key_id: Option<String>,
    /// `SAGEMAKER_SUBNETS` and `SAGEMAKER_SECURITY_GROUPS`, comma-separated: the network that jobs run in.
    pub subnets: Vec<String>,
    pub security_groups: Vec<String>,
    /// `SAGEMAKER_POLL_SECONDS`: how often a running job is asked about.
    pub poll: Duration,
    /// `SAGEMAKER_INSTALLATION`: tags what we make, so that two installations in one account keep apart.
    pub installation: String,
    /// `AWS_ENDPOINT_URL` and its like, which the SDK reads by itself: name and address, where one is set.
    pub endpoints: Vec<(&'static str, String)>,
}

/// The variables by which the SDK is led to another address than AWS's, as far as we use the service.
const ENDPOINTS: [&str; 9] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_PRICING",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SAGEMAKER",
    "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
    "AWS_ENDPOINT_URL_SERVICE_QUOTAS",
    "AWS_ENDPOINT_URL_STS",
];

impl AwsSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let optional = |name: &str| Some(reader.text(name, "")).filter(|text| !text.is_empty());
        let role_arn =
            optional("SAGEMAKER_EXECUTION_ROLE_ARN").or_else(|| optional("SAGEMAKER_EXECUTION_ROLE"));
        let training_image = optional("SAGEMAKER_TRAINING_IMAGE");
        let hugging_face_image = optional("SAGEMAKER_HF_IMAGE");
        let inference_image = optional("SAGEMAKER_INFERENCE_IMAGE");
        let kms_key_id = optional("SAGEMAKER_KMS_KEY_ID");
        let endpoints = ENDPOINTS.into_iter().filter_map(|name| Some((name, without_user(&optional(name)?))));
        let endpoints = endpoints.collect();
        let list = |name: &str| -> Vec<String> {
            let text = reader.text(name, "");
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let (subnets, security_groups) = (list("SAGEMAKER_SUBNETS"), list("SAGEMAKER_SECURITY_GROUPS"));
        let installation = reader.text("SAGEMAKER_INSTALLATION", "llm-tuner");
        let poll: Option<f64> = reader.parsed("SAGEMAKER_POLL_SECONDS", "10", "a number of seconds");
        let poll = poll.filter(|seconds| (0.05..=600.0).contains(seconds)).unwrap_or_else(|| {
            reader.mistakes.push("SAGEMAKER_POLL_SECONDS must be from 0.05 to 600.".to_owned());
            10.0
        });
        if let Some(role) = role_arn.as_deref().filter(|role| !is_role(role)) {
            reader.mistakes.push(format!(
                "SAGEMAKER_EXECUTION_ROLE_ARN is \"{role}\", but must be like arn:aws:iam::123456789012:role/NAME."
            ));
        }
        if subnets.is_empty() != security_groups.is_empty() {
            reader.mistakes.push(
                "SAGEMAKER_SUBNETS and SAGEMAKER_SECURITY_GROUPS go together: set both or none.".to_owned(),
            );
        }
        if !is_tag_value(&installation) {
            reader.mistakes.push(format!(
                "SAGEMAKER_INSTALLATION is \"{installation}\", but may have letters, digits and -_. only, at most 40."
            ));
        }
        Self {
            endpoints,
            role_arn,
            training_image,
            hugging_face_image,
            inference_image,
            kms_key_id,
            subnets,
            security_groups,
            poll: Duration::from_secs_f64(poll),
            installation,
        }
    }

    /// Signed requests and people's data must not travel in the clear in production.
    pub(super) fn refuse_plain_endpoints(&self, mistakes: &mut Vec<String>) {
        for (name, _) in self.endpoints.iter().filter(|(_, url)| !url.starts_with("https://")) {
            mistakes.push(format!(
                "{name} does not begin with https://, which only a server on loopback may do: unset it, or use https."
            ));
        }
    }

    /// Why nothing can run on SageMaker with these settings; `None` where it can, as far as settings go.
    pub fn missing(&self, storage: &StorageLocation) -> Option<String> {
        if matches!(storage, StorageLocation::Disk(_)) {
            return Some("Files are kept on this machine's disk, where SageMaker can't read them. Set STORAGE_URL to s3://BUCKET/PREFIX.".to_owned());
        }
        if self.role_arn.is_none() {
            return Some(
                "SAGEMAKER_EXECUTION_ROLE_ARN is not set: the role that training jobs run with.".to_owned(),
            );
        }
        None
    }
}

/// An address as it may be shown: what stands before an `@` may be a password.
fn without_user(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => address.to_owned(),
    }
}

/// `arn:aws:iam::123456789012:role/path/name`, in any partition.
fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", partition, "iam", "", account, role]
        if partition.starts_with("aws") && account.len() == 12 && role.len() > 5 && role.starts_with("role/"))
}

fn is_tag_value(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
