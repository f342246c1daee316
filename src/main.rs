//! The command line: `serve` (the default), `train`, `validate`, `migrate`, `doctor`, `health`. Thin: each command calls the library.

use clap::{Parser, Subcommand};
use llm_tuner::{commands, telemetry};
use std::{path::PathBuf, process::ExitCode};

#[derive(Parser)]
#[command(name = "llm-tuner", version, about = "Tune language models on your own data.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the site and run training jobs (the default).
    Serve,
    /// Run one training job's directory, in SageMaker's container layout.
    Train {
        /// The directory with input/, checkpoints/, model/ and output/.
        #[arg(long, default_value = "/opt/ml")]
        dir: PathBuf,
    },
    /// Check a dataset file, as the site does before an upload. `-` reads the standard input.
    Validate {
        file: PathBuf,
        /// Print the whole report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Bring the database up to date and end. `serve` does this by itself.
    Migrate,
    /// Try everything that `serve` needs (folders, pages, database, files, all of AWS), and say what is wrong.
    Doctor {
        /// Print everything as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ask the running server at LEPTOS_SITE_ADDR whether it is alive; for container health checks.
    Health,
}

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or(Command::Serve);
    // A missing .env is the usual case; a broken one is told. The trainer gets what it needs from the server, and none
    // of the secrets that such a file holds.
    if !matches!(command, Command::Train { .. })
        && let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        eprintln!("the file .env can't be read: {error}");
        return ExitCode::FAILURE;
    }
    match command {
        Command::Serve => {
            telemetry::init();
            commands::serve::run()
        }
        Command::Train { dir } => commands::train::run(&dir),
        Command::Validate { file, json } => commands::validate::run(&file, json),
        Command::Migrate => commands::migrate::run(),
        Command::Doctor { json } => commands::doctor::run(json),
        Command::Health => commands::health::run(),
    }
}
