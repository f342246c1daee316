//! The one place that builds AWS clients and reads AWS errors. Adapters of the ports use it; nothing above floor 2 does.
//!
//! Credentials and region come from the SDK's own chain (environment, profile, web identity, container, instance), and
//! endpoints from its own variables (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3` …).

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::{error::Error, time::Duration};

/// A call is tried this often before its failure is told.
const ATTEMPTS: u32 = 5;
/// For a connection; then for the first byte of an answer, which waits for the whole of a part to be sent.
const CONNECT: Duration = Duration::from_secs(4);
const ANSWER: Duration = Duration::from_secs(90);

/// Reads credentials, region and endpoints where the SDK looks for them. Asks no service before the first call.
pub async fn config() -> SdkConfig {
    // ring is here already for PostgreSQL; the SDK's default would bring a second library, built in C.
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build())
        .load()
        .await
}

/// For calls that ask or tell something small: one that hangs is given up, and no page waits for it.
pub fn brief() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(Duration::from_secs(15))
        .operation_timeout(Duration::from_secs(45))
        .build()
}

/// A permission, as a policy names it, and whether it is there.
#[derive(Debug)]
pub struct Tried {
    pub permission: &'static str,
    /// What the server needs it for.
    pub purpose: &'static str,
    pub outcome: Result<(), Failure>,
}

/// For somebody who looks whether AWS answers: they would rather be told soon that it does not.
pub fn impatient(config: &SdkConfig) -> SdkConfig {
    let times = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(6))
        .operation_timeout(Duration::from_secs(8));
    let retries = RetryConfig::standard().with_max_attempts(2);
    config.to_builder().timeout_config(times.build()).retry_config(retries).build()
}

/// Why a call failed, as far as anybody can act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No request was sent, or no answer came: no credentials, no network, a wrong endpoint.
    NoAnswer(String),
    /// The service's own code and words.
    Refused { code: String, message: String },
}

impl Failure {
    pub fn of<E, R>(error: &SdkError<E, R>) -> Self
    where
        E: Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        match error.code() {
            Some(code) => Self::Refused {
                code: code.to_owned(),
                message: error.message().unwrap_or("no reason was given").to_owned(),
            },
            None => Self::NoAnswer(chain(error)),
        }
    }

    /// Is it worth the same call again, later? Credentials are renewed by others, services get well.
    pub fn may_pass(&self) -> bool {
        const PASSING: [&str; 14] = [
            "ThrottlingException",
            "Throttling",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "SlowDown",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
            "InternalError",
            "RequestTimeout",
            "ExpiredToken",
            "ExpiredTokenException",
        ];
        self.code().is_none_or(|code| PASSING.contains(&code))
    }

    /// A right is missing, or a policy forbids it.
    pub fn is_denied(&self) -> bool {
        const DENIED: [&str; 3] = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"];
        self.code().is_some_and(|code| DENIED.contains(&code))
    }

    /// The credentials themselves are not taken.
    pub fn is_of_credentials(&self) -> bool {
        const CREDENTIALS: [&str; 9] = [
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationTokenException",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ];
        self.code().is_some_and(|code| CREDENTIALS.contains(&code))
    }

    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            Self::NoAnswer(_) => None,
        }
    }
}

/// An error's words and those of its causes; the SDK's own words alone say no more than "dispatch failure".
fn chain(error: &dyn Error) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    words.dedup();
    words.join(": ")
}

/// Whose credentials these are, as AWS names them (an ARN). The one call that everybody may make.
///
/// # Errors
/// `NoAnswer` where there are no credentials or no way to AWS.
pub async fn caller(config: &SdkConfig) -> Result<String, Failure> {
    let identity = aws_sdk_sts::Client::new(config).get_caller_identity().send().await;
    Ok(identity.map_err(|error| Failure::of(&error))?.arn.unwrap_or_default())
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoAnswer(why) => write!(f, "AWS did not answer: {why}"),
            Self::Refused { code, message } => write!(f, "AWS refused ({code}): {message}"),
        }
    }
}
