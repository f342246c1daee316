//! Runs a training job and nothing else: what the engine's own tests start, stop and kill.
//!
//! The product's way to do the same is `llm-tuner train --dir DIRECTORY`.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1) {
        Some(directory) => llm_tuner_engine::job::main(&PathBuf::from(directory)),
        None => {
            eprintln!("usage: engine-train DIRECTORY");
            ExitCode::from(2)
        }
    }
}
