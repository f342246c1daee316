//! What went wrong and what to do about it, in words for the person whose job it was.

use crate::{backends::BackendError, storage::StorageError};

const MEMORY: &str = "Choose a smaller batch size or a shorter maximum length, then start the job again.";
const ROOM: &str =
    "Free some space (delete datasets or models that you no longer need), then start the job again.";
const ADMIN: &str =
    "Start the job again. If it fails again, show your administrator this page and the server's log.";

/// A failure as a job keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Explained {
    pub cause: String,
    pub next_step: String,
}

pub(super) fn because(cause: impl Into<String>, next_step: impl Into<String>) -> Explained {
    Explained { cause: cause.into(), next_step: next_step.into() }
}

/// The trainer's own words.
pub(super) fn engine(message: String, next_step: Option<String>) -> Explained {
    let cause =
        if message.trim().is_empty() { "The engine failed without saying why.".into() } else { message };
    because(cause, next_step.unwrap_or_else(|| ADMIN.to_owned()))
}

pub(super) fn backend(error: BackendError) -> Explained {
    match error {
        BackendError::Refused { cause, next_step } => because(cause, next_step),
        BackendError::NoCapacity { cause, next_step, .. } => because(cause, next_step),
        BackendError::Unavailable(why) => because(why, ADMIN),
        BackendError::Full => because("There is no room left on the server's disk.", ROOM),
        BackendError::Io(error) => because(format!("The training process can't be started: {error}."), ADMIN),
    }
}

/// `what`: the thing that was to be read or written, as a person knows it.
pub(super) fn storage(error: &StorageError, what: &str) -> Explained {
    match error {
        StorageError::Full => because("There is no room left on the server's disk.", ROOM),
        StorageError::NotFound => because(
            format!("The file of {what} is missing."),
            "Upload it again, then start a new job with it.",
        ),
        other => because(format!("The file of {what} can't be handled: {other}."), ADMIN),
    }
}

/// Does this signal come from a mistake of the process itself? Then another try would end the same way.
pub(super) fn is_crash(signal: i32) -> bool {
    // SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS
    matches!(signal, 4 | 5 | 6 | 7 | 8 | 11 | 31)
}

/// `lines`: the last of the log.
pub(super) fn crashed(signal: i32, lines: &[String]) -> Explained {
    // What Rust's runtime prints before it aborts.
    if lines.iter().any(|line| line.starts_with("memory allocation of ")) {
        return because("The job needs more memory than this machine has.", MEMORY);
    }
    if signal == 7 {
        return because("The engine could not read or write its files: the disk may be full.", ROOM);
    }
    because(format!("The engine crashed (signal {signal})."), ADMIN)
}

pub(super) fn killed(signal: Option<i32>, tries: u32) -> Explained {
    match signal {
        Some(9) => because(
            format!("The training process was killed {tries} times, most likely because memory ran out."),
            MEMORY,
        ),
        _ => because(format!("The training process was ended from outside {tries} times."), ADMIN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_memory_is_recognised() {
        let lines = ["step 3".to_owned(), "memory allocation of 8589934592 bytes failed".to_owned()];
        assert_eq!(crashed(6, &lines).next_step, MEMORY);
        assert_eq!(crashed(6, &lines[..1]).next_step, ADMIN);
        assert_eq!(killed(Some(9), 3).next_step, MEMORY);
        assert_eq!(killed(Some(15), 3).next_step, ADMIN);
    }

    #[test]
    fn every_failure_has_a_cause_and_a_next_step() {
        let all = [
            engine("  ".into(), None),
            backend(BackendError::Full),
            backend(BackendError::Io("x".into())),
            storage(&StorageError::Full, "the model"),
            storage(&StorageError::NotFound, "the dataset \"a\""),
            storage(&StorageError::Io("x".into()), "the model"),
            crashed(11, &[]),
            crashed(7, &[]),
            killed(None, 3),
        ];
        for why in all {
            assert!(!why.cause.trim().is_empty() && why.next_step.ends_with('.'), "{why:?}");
        }
    }
}
