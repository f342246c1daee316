//! Why a service refused or failed, in words a person can use. The web edge gives it its status and shape.

use crate::{domain::field::FieldError, storage::StorageError, store::StoreError};
use std::time::Duration;

pub type ServiceResult<T> = Result<T, ServiceError>;

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Fields to correct; nothing was changed.
    #[error("{}", .0.first().map_or("invalid input", |error| error.message.as_str()))]
    Invalid(Vec<FieldError>),
    /// Nobody is signed in, or the session is over.
    #[error("Sign in to go on.")]
    SignInNeeded,
    /// E-mail or password is wrong: one text for both.
    #[error("The e-mail address or the password is not right.")]
    WrongCredentials,
    /// There is none, or the caller may not know of it.
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// Understood, but not now or not like this; `code` is stable for scripts.
    #[error("{message}")]
    Refused { code: &'static str, message: String, next_step: String },
    #[error("Too many tries. Wait {} seconds and try again.", .retry_after.as_secs().max(1))]
    TooMany { retry_after: Duration },
    #[error("The upload is larger than {limit} bytes.")]
    TooLarge { limit: u64 },
    #[error("There is no room left on the server's disk. Nothing was changed.")]
    NoRoom,
    /// A part we need does not answer; may work again soon.
    #[error("The server can't do this right now.")]
    Unavailable(String),
    /// A mistake of ours.
    #[error("Something went wrong on the server.")]
    Internal(String),
}

impl ServiceError {
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field, message)])
    }
    pub fn refused(code: &'static str, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into(), next_step: next_step.into() }
    }
}

impl From<FieldError> for ServiceError {
    fn from(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(what) => Self::NotFound(what),
            StoreError::Full => Self::NoRoom,
            StoreError::Unavailable(why) => Self::Unavailable(why),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<StorageError> for ServiceError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotFound => Self::NotFound("file"),
            StorageError::Full => Self::NoRoom,
            StorageError::TooLarge(limit) => Self::TooLarge { limit },
            StorageError::Interrupted(_) => Self::refused(
                "upload_interrupted",
                "The upload broke off before it was complete.",
                "Upload the file again.",
            ),
            StorageError::Unavailable(why) | StorageError::Io(why) => Self::Unavailable(why),
        }
    }
}
