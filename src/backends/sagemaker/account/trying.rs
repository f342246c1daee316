//! A call, what AWS said, and what that means for a right.
//!
//! AWS looks at rights first, so a request that it refuses for any other reason was allowed. That is how rights are
//! tried here without an effect: what is asked for does not exist, or contradicts itself.

use crate::{
    aws::{Failure, Tried},
    domain::checkup::{Area, Finding},
};
use aws_sdk_sagemaker::error::{ProvideErrorMetadata, SdkError};

pub type Outcome = Result<(), Failure>;

pub fn outcome<T, E, R>(result: Result<T, SdkError<E, R>>) -> Outcome
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    result.map(drop).map_err(|error| Failure::of(&error))
}

/// A call that AWS was bound to refuse: refused for another reason than rights, it was allowed.
pub fn beyond_rights(outcome: Outcome) -> Outcome {
    match outcome {
        Err(failure) if !(failure.is_denied() || failure.is_of_credentials() || failure.may_pass()) => Ok(()),
        other => other,
    }
}

/// What was tried, as a finding. `on` follows the permission's name.
pub fn finding(area: Area, on: &str, tried: Tried, caller: &str) -> Finding {
    let what = format!("{}{on}", tried.permission);
    match tried.outcome {
        Ok(()) => Finding::ok(area, what, tried.purpose, "allowed"),
        Err(failure) => {
            let next = step(&failure, tried.permission, caller);
            Finding::fail(area, what, tried.purpose, failure.to_string(), &next)
        }
    }
}

/// What to do about a failed call.
pub fn step(failure: &Failure, permission: &str, caller: &str) -> String {
    match failure {
        Failure::NoAnswer(_) => "Give the server credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role) and a way to AWS; then look again.".to_owned(),
        denied if denied.is_denied() => format!("Allow {permission} in the policy of {caller}. docs/AWS_SETUP.md says on what, and infra/ has the policies."),
        wrong if wrong.is_of_credentials() => "The credentials are wrong or too old: make new ones.".to_owned(),
        Failure::Refused { code, .. } => match code.as_str() {
            "NoSuchBucket" => "Make the bucket, or correct STORAGE_URL.".to_owned(),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" => "Set AWS_REGION to the region that the bucket is in.".to_owned(),
            "ResourceNotFoundException" => "Run `llm-tuner migrate` with credentials that may make tables, or correct DATABASE_URL.".to_owned(),
            _ if failure.may_pass() => "AWS has trouble just now, or was asked too often: look again in a minute.".to_owned(),
            _ => "Look the code up in the AWS documentation of this service.".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Outcome {
        Err(Failure::Refused { code: code.to_owned(), message: "why".to_owned() })
    }

    #[test]
    fn only_what_says_nothing_of_rights_counts_as_allowed() {
        for code in ["ValidationException", "ResourceLimitExceeded", "ResourceNotFound", "ValidationError"] {
            assert_eq!(beyond_rights(refused(code)), Ok(()), "{code}");
        }
        for code in
            ["AccessDeniedException", "ExpiredTokenException", "ThrottlingException", "InternalFailure"]
        {
            assert_eq!(beyond_rights(refused(code)), refused(code), "{code}");
        }
        let silent = Err(Failure::NoAnswer("no way".to_owned()));
        assert_eq!(beyond_rights(silent.clone()), silent);
    }
}
