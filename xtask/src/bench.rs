//! `cargo xtask bench`: the measurements behind `docs/PERFORMANCE.md`, always optimised.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{process, workspace::Workspace};

struct Bench {
    name: &'static str,
    about: &'static str,
    cargo: &'static [&'static str],
}

const BENCHES: [Bench; 1] = [Bench {
    name: "dataset",
    about: "megabytes per second of validation, by format",
    cargo: &["--package=llm-tuner-dataset", "--example=throughput"],
}];

pub fn run(workspace: &Workspace, name: Option<&str>, args: &[String]) -> Result<ExitCode> {
    let Some(name) = name else {
        BENCHES.iter().for_each(|bench| println!("{:12} {}", bench.name, bench.about));
        return Ok(ExitCode::SUCCESS);
    };
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        bail!("there is no benchmark {name:?}; `cargo xtask bench` lists them");
    };
    process::run(workspace.cargo().args(["run", "--release"]).args(bench.cargo).arg("--").args(args))?;
    Ok(ExitCode::SUCCESS)
}
