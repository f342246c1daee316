//! AWS's words for what went wrong, made plain: what happened and what to do. Nothing that only the operator should
//! see (account numbers, names of roles) reaches the person whose job it was.

use crate::{
    aws::Failure,
    backends::{BackendError, RunOutcome},
};
use regex::Regex;
use std::sync::LazyLock;

const DOCTOR: &str = "Ask your administrator: `llm-tuner doctor` and the settings page show what is missing.";
const LATER: &str = "Start it again later, choose another instance type, or allow others when you start it.";
const MEMORY: &str = "Choose a smaller batch size, a shorter maximum length or a larger instance type, then start the job again.";

#[expect(clippy::unwrap_used, reason = "the patterns are constants; a test uses each")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static LIMIT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"service limit '([^']+)' is ([0-9.]+) Instances, with current utilization of ([0-9.]+) Instances",
    )
});
static ARN: LazyLock<Regex> = LazyLock::new(|| pattern(r"arn:aws[a-z-]*:[^\s,;'\x22)]+"));
static EXIT_CODE: LazyLock<Regex> = LazyLock::new(|| pattern(r",? ?exit code: -?\d+\s*$"));
static SCRIPT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?s)ExecuteUserScriptError:\s*ExitCode \d+\s*ErrorMessage "(.*?)"\s*Command "#)
});

/// A call that failed, to one who wanted to `act`.
pub fn of_call(failure: &Failure, act: &str) -> BackendError {
    if failure.may_pass() {
        return BackendError::Unavailable(unavailable(failure));
    }
    let Failure::Refused { code, message } = failure else {
        return BackendError::Unavailable(unavailable(failure));
    };
    match code.as_str() {
        "ResourceLimitExceeded" => quota(message),
        "AccessDeniedException" | "AccessDenied" if message.contains("iam:PassRole") => {
            refused("The server may not give SageMaker the role that jobs run with (iam:PassRole).", DOCTOR)
        }
        "AccessDeniedException" | "AccessDenied" => {
            refused(&format!("AWS does not let the server {act}."), DOCTOR)
        }
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "InvalidClientTokenId"
        | "IncompleteSignature"
        | "MissingAuthenticationTokenException" => {
            refused("AWS does not know the server's credentials.", DOCTOR)
        }
        "ValidationException" => refused(
            &format!("SageMaker refused to {act}: {}", plain(message)),
            "Change what it names, then start the job again.",
        ),
        _ => refused(&format!("AWS refused to {act} ({code}): {}", plain(message)), DOCTOR),
    }
}

fn refused(cause: &str, next_step: &str) -> BackendError {
    BackendError::Refused { cause: cause.to_owned(), next_step: next_step.to_owned() }
}

/// Words that end as a sentence does.
pub fn sentence(words: &str) -> String {
    format!("{}.", words.trim().trim_end_matches('.'))
}

/// One sentence for a call that got no answer, or one that may pass.
pub fn unavailable(failure: &Failure) -> String {
    match failure {
        Failure::Refused { code, .. } if code.contains("Throttl") || code.contains("TooMany") => {
            format!("AWS asks to be asked less often ({code}).")
        }
        Failure::Refused { code, .. } if code.starts_with("ExpiredToken") => {
            "The server's AWS credentials have expired.".to_owned()
        }
        Failure::Refused { code, .. } => format!("AWS has a problem of its own ({code})."),
        Failure::NoAnswer(why) if why.contains("credentials") => {
            "The server has no AWS credentials.".to_owned()
        }
        Failure::NoAnswer(_) => "AWS does not answer.".to_owned(),
    }
}

/// `The account-level service limit 'ml.g5.2xlarge for training job usage' is 0 Instances, with current utilization …`
fn quota(message: &str) -> BackendError {
    let Some(found) = LIMIT.captures(message) else {
        return BackendError::NoCapacity {
            cause: format!("Your AWS account has reached a limit: {}", plain(message)),
            next_step: "Ask for more under Service Quotas in the AWS console, or try again later.".to_owned(),
            busy: false,
        };
    };
    let (name, number) = (&found[1], |at: usize| found[at].parse::<f64>().unwrap_or(0.0));
    let (limit, used) = (number(2), number(3));
    let ask = format!(
        "Ask for a larger quota in the AWS console: Service Quotas, Amazon SageMaker, \"{name}\" (minutes to two days); or choose another instance type."
    );
    if used > 0.0 {
        let cause = format!("All that your AWS account may run at once are in use: \"{name}\" is {limit}.");
        return BackendError::NoCapacity { cause, next_step: ask, busy: true };
    }
    let cause = format!("Your AWS account may not run this: its quota \"{name}\" is {limit}.");
    BackendError::NoCapacity { cause, next_step: ask, busy: false }
}

/// What became of a job, by SageMaker's `FailureReason`.
pub fn of_job(reason: &str) -> RunOutcome {
    let (kind, words) = reason.split_once(':').unwrap_or(("", reason));
    let words = words.trim();
    let failed = |message: String, next_step: &str| RunOutcome::Failed {
        message,
        next_step: Some(next_step.to_owned()),
    };
    match kind.trim() {
        "CapacityError" => RunOutcome::NoCapacity {
            message: "AWS has no free machine of this type just now.".to_owned(),
            next_step: LATER.to_owned(),
        },
        "InternalServerError" => RunOutcome::Fault {
            message: "AWS had an internal error.".to_owned(),
            next_step: "Start the job again. If it fails again, look at the AWS Health Dashboard.".to_owned(),
        },
        "AlgorithmError" => of_trainer(words),
        "ClientError" if words.contains("more memory") => failed(plain(words), MEMORY),
        "ClientError" => failed(format!("SageMaker could not run the job: {}", plain(words)), DOCTOR),
        _ => failed(
            format!("The job failed on SageMaker: {}", plain(reason)),
            "Look at the end of its log, then start it again.",
        ),
    }
}

/// What the container left in `/opt/ml/output/failure`: its words, and in the last line what to do.
fn of_trainer(words: &str) -> RunOutcome {
    let words = EXIT_CODE.replace(words, "");
    let words = SCRIPT.captures(&words).map_or_else(|| words.to_string(), |found| found[1].to_owned());
    let words = plain(words.trim());
    let memory = ["out of memory", "OutOfMemory", "exit code: 137", "memory allocation of"];
    if memory.iter().any(|sign| words.contains(sign)) {
        let message = "The job needs more memory than its machine has.".to_owned();
        return RunOutcome::Failed { message, next_step: Some(MEMORY.to_owned()) };
    }
    let (message, next_step) = match words.rsplit_once('\n') {
        // A traceback's last line is the error itself.
        Some((_, last)) if words.contains("Traceback") => (last.trim().to_owned(), None),
        Some((message, next)) => (message.trim().to_owned(), Some(next.trim().to_owned())),
        None => (words.clone(), None),
    };
    let message = if message.is_empty() {
        "The training script failed without saying why.".to_owned()
    } else {
        message
    };
    let look = || "Look at the end of the log; mend what it names, then start the job again.".to_owned();
    RunOutcome::Failed { message, next_step: Some(next_step.unwrap_or_else(look)) }
}

/// AWS's words without names of accounts and roles.
fn plain(words: &str) -> String {
    let text = ARN.replace_all(words, "(a resource of this account)");
    text.chars().filter(|c| *c == '\n' || !c.is_control()).take(600).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(code: &str, message: &str) -> Failure {
        Failure::Refused { code: code.to_owned(), message: message.to_owned() }
    }

    fn limit(limit: u32, used: u32) -> BackendError {
        let words = format!(
            "The account-level service limit 'ml.g5.2xlarge for training job usage' is {limit} Instances, with current \
             utilization of {used} Instances and a request delta of 1 Instances. Please use AWS Service Quotas to \
             request an increase for this quota."
        );
        of_call(&refused("ResourceLimitExceeded", &words), "start the job")
    }

    #[test]
    fn a_quota_of_nothing_is_told_from_one_in_use() {
        let BackendError::NoCapacity { cause, next_step, busy: false } = limit(0, 0) else { panic!() };
        assert!(cause.contains("ml.g5.2xlarge for training job usage") && cause.contains("is 0"), "{cause}");
        assert!(next_step.contains("Service Quotas"), "{next_step}");
        assert!(matches!(limit(2, 2), BackendError::NoCapacity { busy: true, .. }));
        let odd = of_call(&refused("ResourceLimitExceeded", "Too much of it."), "start the job");
        assert!(matches!(odd, BackendError::NoCapacity { busy: false, .. }), "{odd:?}");
    }

    #[test]
    fn what_passes_is_waited_for_and_what_is_wrong_is_told() {
        for code in ["ThrottlingException", "InternalFailure", "ServiceUnavailable", "ExpiredTokenException"]
        {
            assert!(matches!(of_call(&refused(code, ""), "x"), BackendError::Unavailable(_)), "{code}");
        }
        assert!(matches!(of_call(&Failure::NoAnswer("timeout".into()), "x"), BackendError::Unavailable(_)));
        let words = "User: arn:aws:sts::123456789012:assumed-role/app/i-1 is not authorized to perform: iam:PassRole on \
                     resource: arn:aws:iam::123456789012:role/Secret because no identity-based policy allows it";
        for code in ["AccessDeniedException", "ValidationException", "SomethingElse"] {
            let BackendError::Refused { cause, next_step } = of_call(&refused(code, words), "start the job")
            else {
                panic!("{code}")
            };
            assert!(!cause.contains("123456789012") && !cause.contains("Secret"), "{cause}");
            assert!(next_step.ends_with('.'));
        }
    }

    #[test]
    fn failures_of_jobs_are_told_apart() {
        let capacity = "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.";
        assert!(matches!(of_job(capacity), RunOutcome::NoCapacity { .. }));
        let fault = "InternalServerError: We encountered an internal error. Please try again.";
        assert!(matches!(of_job(fault), RunOutcome::Fault { .. }));
        let words = |reason: &str| match of_job(reason) {
            RunOutcome::Failed { message, next_step } => (message, next_step.unwrap()),
            other => panic!("{other:?}"),
        };
        let own = "AlgorithmError: The loss is not a number at step 3.\nMake the learning rate smaller., exit code: 1";
        assert_eq!(
            words(own),
            ("The loss is not a number at step 3.".into(), "Make the learning rate smaller.".into())
        );
        let memory = "AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage \"torch.cuda.OutOfMemoryError: CUDA out of memory.\"\nCommand \"python\", exit code: 1";
        assert_eq!(words(memory).1, MEMORY);
        let traceback = "AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage \"Traceback\n  File x\nValueError: bad rows\"\nCommand \"python\", exit code: 1";
        assert_eq!(words(traceback).0, "ValueError: bad rows");
        let role = "ClientError: Cannot assume arn:aws:iam::123456789012:role/Secret";
        assert!(!words(role).0.contains("Secret"));
        assert!(words("what is this").0.contains("what is this"));
    }

    proptest! {
        /// Whatever AWS says, there are words and a next step, and no account's number.
        #[test]
        fn nothing_is_left_without_words(reason in "(AlgorithmError|ClientError|Odd|)(: )?(.|\n){0,80}(arn:aws:iam::123456789012:role/R)?") {
            match of_job(&reason) {
                RunOutcome::Failed { message, next_step } => {
                    prop_assert!(!message.trim().is_empty() && next_step.is_some());
                    prop_assert!(!message.contains("arn:aws:iam::123456789012"));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
