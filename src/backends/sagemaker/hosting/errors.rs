//! What AWS says when it refuses or gives up, in words for a person: what happened, and what to do. AWS's own words,
//! with their account numbers and ARNs, go into the log only.

use crate::{
    aws::Failure,
    backends::hosting::{HostingError, Refusal, Standing},
};

/// The server's own credentials are at fault; an operator mends them, and nothing is lost until then.
const CREDENTIALS: [&str; 5] = [
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "IncompleteSignature",
];
const DENIED: [&str; 3] = ["AccessDeniedException", "AccessDenied", "UnauthorizedOperation"];
/// No person reads more of a container's words than this.
const LONGEST: usize = 400;

/// There is already one of this name. All names are ours alone: they hold an id with 80 random bits.
pub fn is_there(failure: &Failure) -> bool {
    said(failure, "already exist") || failure.code() == Some("ResourceInUse")
}

/// There is none of this name.
pub fn is_absent(failure: &Failure) -> bool {
    said(failure, "could not find")
        || said(failure, "not found")
        || failure.code() == Some("ResourceNotFound")
}

/// AWS changes it right now and lets nobody else do so.
pub fn is_under_way(failure: &Failure) -> bool {
    said(failure, "in-progress") || said(failure, "in progress")
}

fn said(failure: &Failure, words: &str) -> bool {
    matches!(failure, Failure::Refused { message, code }
        if code != "AccessDeniedException" && message.to_lowercase().contains(words))
}

fn refused(kind: Refusal, cause: impl Into<String>, next_step: impl Into<String>) -> HostingError {
    HostingError::Refused { kind, cause: cause.into(), next_step: next_step.into() }
}

/// A call of SageMaker itself.
pub fn of_call(failure: Failure, instance_type: &str) -> HostingError {
    let passing = failure.may_pass();
    let (code, message) = match failure {
        Failure::Refused { code, message } => (code, message),
        Failure::NoAnswer(why) => return HostingError::NoAnswer(why),
    };
    tracing::warn!(code, message, "SageMaker refused");
    let code = code.as_str();
    if passing {
        return HostingError::NoAnswer("it has trouble of its own just now".to_owned());
    }
    if CREDENTIALS.contains(&code) {
        return HostingError::NoAnswer("it does not take the server's credentials".to_owned());
    }
    if DENIED.contains(&code) {
        return denied(&message);
    }
    if code == "ResourceLimitExceeded" {
        return quota(&message, instance_type);
    }
    if let Some((cause, next_step)) = capacity(&message, instance_type) {
        return refused(Refusal::Capacity, cause, next_step);
    }
    refused(
        Refusal::Invalid,
        format!("AWS does not take this: {}", plain(&message)),
        "Choose another instance type, or tell the operator what AWS says.",
    )
}

fn denied(message: &str) -> HostingError {
    let action = message.split("perform: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let cause = match action {
        Some(action) => format!("The server's AWS credentials lack the right {action}."),
        None => "The server's AWS credentials lack a right that this needs.".to_owned(),
    };
    refused(Refusal::Access, cause, "Ask the operator to allow it, then deploy again.")
}

/// "The account-level service limit 'ml.g5.2xlarge for endpoint usage' is 0 Instances, with current utilization of 0
/// Instances and a request delta of 1 Instances. …"
fn quota(message: &str, instance_type: &str) -> HostingError {
    let name = message
        .split('\'')
        .nth(1)
        .map_or_else(|| format!("{instance_type} for endpoint usage"), str::to_owned);
    let number = |after: &str| -> Option<u64> {
        let rest = message.split(after).nth(1)?;
        rest.split_whitespace().next()?.parse().ok()
    };
    let (limit, used) = (number("' is "), number("utilization of "));
    let cause = match (limit, used) {
        (Some(0), _) => {
            format!("This AWS account may run no machine of this type: its quota \"{name}\" is 0.")
        }
        (Some(limit), Some(used)) => {
            format!("This AWS account has used up its quota \"{name}\": {used} of {limit} run already.")
        }
        _ => format!("This AWS account has used up its quota \"{name}\"."),
    };
    let next_step = if used.is_some_and(|used| used > 0) {
        "Delete another endpoint, choose another instance type, or ask AWS for a higher quota in the Service Quotas console."
    } else {
        "Choose another instance type, or ask AWS for a higher quota in the Service Quotas console, and deploy again."
    };
    refused(Refusal::Quota, cause, next_step)
}

fn capacity(message: &str, instance_type: &str) -> Option<(String, String)> {
    let words = message.to_lowercase();
    let none = words.contains("capacityerror")
        || words.contains("insufficient capacity")
        || words.contains("insufficientinstancecapacity")
        || words.contains("unable to provision requested ml compute capacity");
    none.then(|| {
        (
            format!("AWS has no {instance_type} free in this region just now."),
            "Deploy it on another instance type, or try again later.".to_owned(),
        )
    })
}

/// An endpoint that AWS gave up, by the reason that it gives.
pub fn given_up(reason: &str, instance_type: &str, name: &str) -> Standing {
    let words = reason.to_lowercase();
    let (cause, next_step) = if let Some(told) = capacity(reason, instance_type) {
        told
    } else if words.contains("ping health check") || words.contains("failed to pass") {
        (
            "The model's container did not come up: it never said that it was ready.".to_owned(),
            format!(
                "The model may be too large for this machine: deploy it on a larger instance type. What the container \
                 said is in CloudWatch, log group /aws/sagemaker/Endpoints/{name}."
            ),
        )
    } else if words.contains("model data") || words.contains("s3") {
        (
            format!("AWS could not fetch the model's files: {}", plain(reason)),
            "Ask the operator whether SageMaker's role may read the bucket, then deploy again.".to_owned(),
        )
    } else if words.contains("internalservererror") || words.contains("internal error") {
        ("AWS had an error of its own while it made the endpoint.".to_owned(), "Deploy it again.".to_owned())
    } else {
        (
            format!("AWS gave the endpoint up: {}", plain(reason)),
            format!(
                "Deploy it again, perhaps on a larger instance type. What the container said is in CloudWatch, log \
                 group /aws/sagemaker/Endpoints/{name}."
            ),
        )
    };
    Standing::Failed { cause, next_step }
}

/// An invocation.
pub fn of_invocation(failure: Failure) -> HostingError {
    let passing = failure.may_pass();
    let (code, message) = match failure {
        Failure::Refused { code, message } => (code, message),
        Failure::NoAnswer(why) => return HostingError::NoAnswer(why),
    };
    tracing::warn!(code, message, "an endpoint did not answer");
    let busy = |cause: &str| refused(Refusal::Busy, cause, "Wait a minute and ask again.");
    match code.as_str() {
        "ModelError" => of_container(&message),
        "ModelNotReadyException" => busy("The model is not ready to answer yet."),
        "ServiceUnavailable" | "ServiceUnavailableException" | "InternalDependencyException" => {
            busy("The endpoint can't answer just now: its machine is busy or being replaced.")
        }
        "ModelStreamError" | "InternalStreamFailure" => broke_off(),
        "ValidationError" | "ValidationException" if message.contains("not found") => absent(),
        code if DENIED.contains(&code) => denied(&message),
        _ if passing => busy("AWS has trouble of its own just now."),
        code if CREDENTIALS.contains(&code) => {
            HostingError::NoAnswer("it does not take the server's credentials".to_owned())
        }
        _ => refused(
            Refusal::Invalid,
            format!("AWS did not take the question: {}", plain(&message)),
            "Shorten the prompt, and ask again.",
        ),
    }
}

pub fn broke_off() -> HostingError {
    let cause = "The answer broke off: the model's container stopped sending.";
    refused(Refusal::Model, cause, "Ask again. If it stays, the container's log in CloudWatch says more.")
}

fn absent() -> HostingError {
    refused(
        Refusal::Absent,
        "AWS has no such endpoint, or it does not answer yet.",
        "Look at the endpoint's page.",
    )
}

/// `Received server error (500) from primary with message "…". See https://… for more information.`
fn of_container(message: &str) -> HostingError {
    let status: Option<u16> = message
        .split('(')
        .nth(1)
        .and_then(|rest| rest.split(')').next())
        .and_then(|status| status.parse().ok());
    let begin = message.find("with message \"").map(|at| at + "with message \"".len());
    let inner = begin.and_then(|begin| message[begin..].rsplit_once('"').map(|(inner, _)| inner));
    container_said(inner.unwrap_or(message), status)
}

/// The container's own complaint, of this HTTP status where there is one.
pub fn container_said(words: &str, status: Option<u16>) -> HostingError {
    let json: Option<serde_json::Value> = serde_json::from_str(words).ok();
    let error = json.as_ref().map(|json| json.get("error").or(json.get("message")).unwrap_or(json));
    let words = error.and_then(serde_json::Value::as_str).unwrap_or(words);
    let memory = words.to_lowercase().contains("out of memory");
    let next_step = if memory {
        "Ask for fewer new tokens or shorten the prompt; or deploy the model on a larger instance type."
    } else if words.contains("accept_eula") {
        "Accept the model's licence in the catalogue, and ask again."
    } else if status.is_some_and(|status| (400..500).contains(&status)) {
        "Shorten the prompt, or change the parameters, and ask again."
    } else {
        "Ask again. If it stays, the container's log in CloudWatch says more."
    };
    let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
    refused(Refusal::Model, format!("The model's container failed{status}: {}", plain(words)), next_step)
}

/// AWS's words without what is nobody's business, and not too many of them.
fn plain(words: &str) -> String {
    let shown: Vec<&str> = words
        .split_whitespace()
        .map(|word| if word.contains("arn:") || word.contains("https://") { "…" } else { word })
        .collect();
    shown.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(code: &str, message: &str) -> Failure {
        Failure::Refused { code: code.to_owned(), message: message.to_owned() }
    }

    fn words(error: HostingError) -> (Refusal, String) {
        match error {
            HostingError::Refused { kind, cause, next_step } => (kind, format!("{cause} {next_step}")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_quota_is_told_by_name_and_number() {
        let said = |limit, used| {
            let message = format!(
                "The account-level service limit 'ml.g5.2xlarge for endpoint usage' is {limit} Instances, with \
                 current utilization of {used} Instances and a request delta of 1 Instances. Please use AWS Service \
                 Quotas to request an increase for this quota."
            );
            words(of_call(refusal("ResourceLimitExceeded", &message), "ml.g5.2xlarge"))
        };
        let (kind, none) = said(0, 0);
        assert_eq!(kind, Refusal::Quota);
        assert!(none.contains("\"ml.g5.2xlarge for endpoint usage\" is 0"), "{none}");
        let (_, full) = said(2, 2);
        assert!(full.contains("2 of 2") && full.contains("Delete another endpoint"), "{full}");
    }

    #[test]
    fn no_arn_reaches_a_person() {
        let arn = "arn:aws:iam::123456789012:role/SageMakerRole";
        let told = [
            words(of_call(
                refusal(
                    "AccessDeniedException",
                    &format!("User: {arn} is not authorized to perform: iam:PassRole on resource: {arn}"),
                ),
                "ml.g5.xlarge",
            )),
            words(of_call(
                refusal("ValidationException", &format!("Invalid role \"{arn}\".")),
                "ml.g5.xlarge",
            )),
            words(of_invocation(refusal(
                "ModelError",
                &format!(
                    "Received server error (500) from primary with message \"{arn} failed\". See https://x"
                ),
            ))),
        ];
        assert_eq!(told[0].0, Refusal::Access);
        assert!(told[0].1.contains("iam:PassRole"));
        for (_, words) in told {
            assert!(!words.contains("arn:") && !words.contains("123456789012"), "{words}");
        }
    }

    #[test]
    fn a_containers_complaint_is_unpacked() {
        let message = "Received client error (422) from primary with message \"{\"error\": \"too long\"}\". See https://a for more information.";
        let (kind, told) = words(of_invocation(refusal("ModelError", message)));
        assert_eq!(kind, Refusal::Model);
        assert!(told.starts_with("The model's container failed (422): too long Shorten"), "{told}");
        let message =
            "Received server error (500) from primary with message \"CUDA out of memory\". See https://a.";
        assert!(words(of_invocation(refusal("ModelError", message))).1.contains("larger instance type"));
    }

    #[test]
    fn passing_trouble_is_no_refusal() {
        for code in ["ThrottlingException", "InternalFailure", "ServiceUnavailable", "ExpiredTokenException"]
        {
            assert!(
                matches!(of_call(refusal(code, "x"), "ml.g5.xlarge"), HostingError::NoAnswer(_)),
                "{code}"
            );
        }
    }

    #[test]
    fn what_aws_gave_up_is_explained() {
        let told = |reason: &str| match given_up(reason, "ml.g5.xlarge", "llm-tuner-1") {
            Standing::Failed { cause, next_step } => format!("{cause} {next_step}"),
            other => panic!("{other:?}"),
        };
        assert!(
            told("CapacityError: Unable to provision requested ML compute capacity.")
                .contains("no ml.g5.xlarge free")
        );
        assert!(
            told(
                "The primary container for production variant AllTraffic did not pass the ping health check."
            )
            .contains("/aws/sagemaker/Endpoints/llm-tuner-1")
        );
        assert!(told("Failed to download model data for container").contains("bucket"));
    }
}
