//! `llm-tuner train --dir D`: runs one job's directory, here or in a SageMaker container, and leaves its last word in
//! `output/exit` (see `backends::exit`) after everything else is on the disk.
//!
//! Exit codes are the engine's: 0 completed, 1 failed, 3 stopped on SIGTERM.

use crate::backends::exit::Exit;
use std::{fs, path::Path, process::ExitCode};

/// What the engine answers when it was stopped and could write what it was to keep.
const STOPPED: u8 = 3;

pub fn run(dir: &Path) -> ExitCode {
    let code = llm_tuner_engine::job::main(dir);
    if let Err(error) = exit(dir, code).write(dir) {
        eprintln!("output/exit can't be written: {error}");
    }
    code
}

fn exit(dir: &Path, code: ExitCode) -> Exit {
    if code == ExitCode::SUCCESS {
        return Exit::Completed;
    }
    if code == ExitCode::from(STOPPED) {
        return Exit::Stopped;
    }
    // What happened, and in the last line what to do.
    let text = fs::read_to_string(dir.join("output/failure")).unwrap_or_default();
    match text.trim().rsplit_once('\n') {
        Some((message, next_step)) => {
            Exit::Failed { message: message.trim().to_owned(), next_step: Some(next_step.trim().to_owned()) }
        }
        None => Exit::Failed { message: text.trim().to_owned(), next_step: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_file_becomes_cause_and_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let failed = |message: &str, next_step: Option<&str>| Exit::Failed {
            message: message.to_owned(),
            next_step: next_step.map(str::to_owned),
        };
        assert_eq!(exit(dir.path(), ExitCode::FAILURE), failed("", None));
        fs::create_dir(dir.path().join("output")).unwrap();
        for (text, expected) in [
            ("It broke.\nMend it.\n", failed("It broke.", Some("Mend it."))),
            ("It broke.", failed("It broke.", None)),
            ("One.\nTwo.\nThree.", failed("One.\nTwo.", Some("Three."))),
        ] {
            fs::write(dir.path().join("output/failure"), text).unwrap();
            assert_eq!(exit(dir.path(), ExitCode::FAILURE), expected);
        }
        assert_eq!(exit(dir.path(), ExitCode::SUCCESS), Exit::Completed);
        assert_eq!(exit(dir.path(), ExitCode::from(3)), Exit::Stopped);
    }
}
