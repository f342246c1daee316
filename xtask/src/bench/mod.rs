//! `cargo xtask bench`: the measurements behind `docs/PERFORMANCE.md`, always optimised.

mod engine;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{process, workspace::Workspace};

struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace, &[String]) -> Result<ExitCode>,
}

const BENCHES: [Bench; 2] = [
    Bench { name: "dataset", about: "megabytes per second of validation, by format", run: dataset },
    Bench {
        name: "engine",
        about: "training and generation beside PyTorch, transformers, peft and llama.cpp",
        run: engine::run,
    },
];

pub fn run(workspace: &Workspace, name: Option<&str>, args: &[String]) -> Result<ExitCode> {
    let Some(name) = name else {
        BENCHES.iter().for_each(|bench| println!("{:12} {}", bench.name, bench.about));
        return Ok(ExitCode::SUCCESS);
    };
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == name) else {
        bail!("there is no benchmark {name:?}; `cargo xtask bench` lists them");
    };
    (bench.run)(workspace, args)
}

fn dataset(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let throughput = ["run", "--release", "--package=llm-tuner-dataset", "--example=throughput"];
    process::run(workspace.cargo().args(throughput).arg("--").args(args))?;
    Ok(ExitCode::SUCCESS)
}
