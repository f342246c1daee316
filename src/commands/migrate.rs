//! `llm-tuner migrate`: brings the database up to date and ends.

use crate::config::Config;
use std::process::ExitCode;

pub fn run() -> ExitCode {
    let config = match Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::FAILURE;
        }
    };
    let done = tokio::runtime::Runtime::new()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(config.database.migrate()).map_err(|error| error.to_string()));
    match done {
        Ok(said) => {
            said.iter().for_each(|line| println!("{line}"));
            println!("The database is up to date.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("The database could not be brought up to date: {error}");
            ExitCode::FAILURE
        }
    }
}
