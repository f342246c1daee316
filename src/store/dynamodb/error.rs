//! What DynamoDB's errors mean to the port, and how long somebody waits for a turn.

use super::super::{StoreError, StoreResult};
use crate::aws::Failure;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use std::{error::Error, time::Duration};

/// A call that failed for good: the SDK has tried again already where that could help.
pub(super) fn failed<E, R>(error: SdkError<E, R>) -> StoreError
where
    E: Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    meaning(&Failure::of(&error))
}

pub(super) fn meaning(failure: &Failure) -> StoreError {
    match failure.code() {
        Some("ResourceNotFoundException") => {
            StoreError::Unavailable("a table is missing: run `llm-tuner migrate`".to_owned())
        }
        // Too large for an item, or not as the table's keys are.
        Some("ValidationException" | "TransactionCanceledException") => {
            StoreError::Corrupt("an item", failure.to_string())
        }
        _ => StoreError::Unavailable(failure.to_string()),
    }
}

/// A request that we did not make whole: a bug.
pub(super) fn incomplete(error: impl Error) -> StoreError {
    StoreError::Corrupt("a request", error.to_string())
}

/// Is it only that others write to the same items just now?
pub(super) fn is_conflict(code: Option<&str>) -> bool {
    const CONFLICTS: [&str; 6] = [
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
        "ThrottlingError",
        "ThrottlingException",
        "ProvisionedThroughputExceeded",
    ];
    code.is_some_and(|code| CONFLICTS.contains(&code))
}

/// How often somebody reads and writes again because others were quicker: together some seconds.
const TURNS: u32 = 60;
const FIRST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(250);

/// Counts turns, with growing waits of random length between them.
#[derive(Default)]
pub(super) struct Turns(u32);

impl Turns {
    /// # Errors
    /// `Unavailable` after so many turns that something else must be wrong.
    pub async fn next(&mut self) -> StoreResult<()> {
        self.0 += 1;
        if self.0 > TURNS {
            return Err(StoreError::Unavailable("too many others write to the same rows".to_owned()));
        }
        let most = FIRST.saturating_mul(1 << self.0.min(10)).min(LONGEST);
        tokio::time::sleep(most.mul_f64(rand::random::<f64>())).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> StoreError {
        meaning(&Failure::Refused { code: code.to_owned(), message: "why".to_owned() })
    }

    #[test]
    fn an_item_that_cannot_be_is_told_from_a_service_that_does_not_answer() {
        assert!(matches!(refused("ValidationException"), StoreError::Corrupt(..)));
        for code in ["ThrottlingException", "InternalServerError", "AccessDeniedException"] {
            assert!(matches!(refused(code), StoreError::Unavailable(_)), "{code}");
        }
        assert!(refused("ResourceNotFoundException").to_string().contains("migrate"));
        assert!(matches!(meaning(&Failure::NoAnswer("x".to_owned())), StoreError::Unavailable(_)));
    }
}
