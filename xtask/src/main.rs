//! `cargo xtask`: everything that turns the sources into something that runs, and checks it.
//!
//! This file only reads the command line. [`build`] makes the site and the server, [`setup`]
//! installs what a fresh machine lacks, [`test`] runs every check, [`serve`] runs the product.

mod bench;
mod build;
mod postgres;
mod process;
mod report;
mod serve;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{build::Mode, workspace::Workspace};

const HELP: &str = "\
LLM Tuner's build.

cargo xtask run [--release] [-- ARGS]     build everything and serve it on http://127.0.0.1:5000
cargo xtask watch [-- ARGS]               the same, and again after every change
cargo xtask build [--release]             only build: the server, and the site under target/site
cargo xtask test [lint|unit|e2e]… [-- A]  every check, or only the named ones; A goes to the test runner
cargo xtask bench [NAME] [ARGS]           run a benchmark, or list them; `bench engine --help` has options

Missing tools (the WASM target, htmx, Chromium, PostgreSQL, Python packages) are installed on the way.";

fn main() -> ExitCode {
    match dispatch(std::env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(mut args: Vec<String>) -> Result<ExitCode> {
    // Everything behind `--` belongs to the program that we start; a benchmark has options of its own.
    let rest = match args.iter().position(|arg| arg == "--") {
        Some(at) => args.split_off(at).split_off(1),
        None if args.first().is_some_and(|command| command == "bench") => args.split_off(args.len().min(2)),
        None => Vec::new(),
    };
    let release = take_flag(&mut args, "--release");
    let workspace = Workspace::find()?;
    let mut args = args.iter().map(String::as_str);
    let command = args.next();
    let names: Vec<&str> = args.collect();
    if let Some(option) = names.iter().find(|name| name.starts_with('-')) {
        bail!("unknown option {option}\n\n{HELP}");
    }
    if !names.is_empty() && !matches!(command, Some("test" | "bench")) {
        bail!("`{}` takes no {:?}\n\n{HELP}", command.unwrap_or_default(), names[0]);
    }
    let mode = if release { Mode::Release } else { Mode::Default };
    match command {
        Some("run") => serve::run(&workspace, mode, &rest),
        Some("watch") => serve::watch(&workspace, &rest),
        Some("build") => build::everything(&workspace, mode).map(|_| ExitCode::SUCCESS),
        Some("test") => test::run(&workspace, &names, &rest),
        Some("bench") => bench::run(&workspace, names.first().copied(), &rest),
        None | Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => bail!("unknown command {other:?}\n\n{HELP}"),
    }
}

fn take_flag(args: &mut Vec<String>, flag: &str) -> bool {
    let before = args.len();
    args.retain(|arg| arg != flag);
    args.len() != before
}
