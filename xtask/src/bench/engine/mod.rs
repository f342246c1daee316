//! `cargo xtask bench engine`: the engine beside its peers, one after another in the same window of time, several
//! rounds, each run a process of its own. Prints tables and writes them into `docs/PERFORMANCE.md`.

mod machine;
mod measure;
mod options;
mod results;
mod runners;
mod shapes;
mod table;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};

use crate::{process, setup, workspace::Workspace};
use machine::Watch;
use measure::{Line, Row, Sample, median, order};
use options::{HELP, Options};
use results::Group;
use runners::{LLAMA_CPP, Mode, PEERS, Programs, Runner, Task};
use shapes::Shape;

const REQUIREMENTS: &str = "engine/benches/peers/requirements.txt";
const LLAMA_CPP_REQUIREMENTS: &str = "engine/benches/peers/requirements-llama-cpp.txt";

/// When others have more of the processors, figures say little: threads that wait for each other suffer most.
const QUIET: f64 = 0.05;

pub fn run(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    let options = Options::parse(args)?;
    let all = shapes::all(workspace)?;
    let chosen = shapes::choose(&all, &options.shapes)?;
    let programs = programs(workspace, &options)?;
    let command = ["cargo xtask bench engine"].into_iter().chain(args.iter().map(String::as_str));
    let command = command.filter(|word| *word != "--no-page").collect::<Vec<_>>().join(" ");
    let mut engine_failed = false;
    for shape in &chosen {
        for mode in &options.modes {
            let (group, failed) = measure_group(workspace, &options, &programs, shape, *mode, &command)?;
            engine_failed |= failed;
            println!("\n{}", table::page(std::slice::from_ref(&group)));
            if options.page {
                results::publish(workspace, &all, group)?;
            }
        }
    }
    Ok(if engine_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Builds the engine and installs its peers. A peer that cannot be installed is told in the table.
fn programs(workspace: &Workspace, options: &Options) -> Result<Programs> {
    let example = ["build", "--release", "--package=llm-tuner-engine", "--example=training_speed"];
    process::run(workspace.cargo().args(example))?;
    let wants = |generates: bool, but: &str| {
        let of_the_mode = options.modes.iter().any(|mode| (*mode == Mode::Generate) == generates);
        let mut peers = PEERS.iter().filter(|peer| peer.generates == generates && peer.id != but);
        of_the_mode && peers.any(|peer| options.peers.contains(&peer.id))
    };
    let not_wanted = || Err("it was not asked for".to_owned());
    let wants_llama_cpp = options.modes.contains(&Mode::Generate) && options.peers.contains(&LLAMA_CPP);
    // Its weights come from PyTorch.
    let python = if wants(false, "") || wants(true, LLAMA_CPP) || wants_llama_cpp {
        match env::var_os("LLM_TUNER_BENCH_PYTHON") {
            Some(python) => Ok(PathBuf::from(python)),
            None => setup::python_with(workspace, "bench-venv", REQUIREMENTS, &[]).map_err(not_installed),
        }
    } else {
        not_wanted()
    };
    let llama_cpp = if wants_llama_cpp { llama_cpp(workspace).map_err(not_installed) } else { not_wanted() };
    Ok(Programs { engine: workspace.target.join("release/examples/training_speed"), python, llama_cpp })
}

/// There is no built package of it, so pip compiles llama.cpp, for this very processor.
fn llama_cpp(workspace: &Workspace) -> Result<PathBuf> {
    if !runners::has_cpp_compiler() {
        anyhow::bail!("pip compiles it, and neither g++ nor clang++ is on PATH");
    }
    let settings = env::var("CMAKE_ARGS").unwrap_or_else(|_| "-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF".into());
    setup::python_with(
        workspace,
        "bench-llama-cpp-venv",
        LLAMA_CPP_REQUIREMENTS,
        &[("CMAKE_ARGS", settings.as_str())],
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn not_installed(error: anyhow::Error) -> String {
    eprintln!("warning: {error:#}");
    format!("not installed: {error:#}")
}

/// All runners on one shape in one mode, and whether the engine failed at what it supports.
fn measure_group(
    workspace: &Workspace,
    options: &Options,
    programs: &Programs,
    shape: &Shape,
    mode: Mode,
    command: &str,
) -> Result<(Group, bool)> {
    let heading = format!("{}: {}", shape.about, mode.about(shape));
    eprintln!("\n── {} {}: {heading}", shape.name, mode.name());
    let runners: Vec<Runner> = engines(options, mode).chain(peers(options, mode)).collect();
    let model = model_directory(workspace, shape)?;
    let with_weights = (mode == Mode::Generate
        && runners.iter().any(|runner| matches!(runner, Runner::Peer(_))))
    .then(|| runners::with_weights(workspace, programs, &model));
    let programs = with_weights.as_ref().unwrap_or(programs);
    let (steps, threads) = (options.steps, options.threads);
    let task = Task { workspace, shape, mode, model: &model, steps, threads };

    let watch = Watch::start();
    let mut rows: Vec<Row> = runners.iter().map(empty_row).collect();
    let (mut versions, mut engine_failed) = (BTreeMap::new(), false);
    for round in 0..options.rounds {
        for i in order(round, runners.len()) {
            if rows[i].missing.is_some() {
                continue;
            }
            eprint!("{} of {}  {:55}", round + 1, options.rounds, rows[i].title);
            match runners[i].run(programs, &task) {
                Ok(Line::Measured { step_seconds, tokens, peak_mib, loss, versions: named }) => {
                    let step = median(step_seconds);
                    let loss = loss.map(|loss| format!("  loss {loss:.3}")).unwrap_or_default();
                    eprintln!("{:9.1} ms {peak_mib:6} MiB{loss}", step * 1e3);
                    rows[i].tokens = tokens;
                    rows[i].samples.push(Sample { step, peak_mib: peak_mib as f64 });
                    versions.extend(named);
                }
                Ok(Line::Unsupported { unsupported }) => {
                    eprintln!("not supported: {unsupported}");
                    rows[i].missing = Some("not supported by the engine".into());
                }
                Err(error) => {
                    eprintln!("{error:#}");
                    engine_failed |= rows[i].engine;
                    rows[i].missing = Some(format!("{error:#}"));
                }
            }
        }
    }
    let others = watch.others();
    let busy = if others > QUIET { "**The machine was busy, so these figures say little.** " } else { "" };
    let _ = fs::remove_dir_all(&model);
    let conditions = format!(
        "{busy}{}; {threads} threads; medians of {} × {steps} steps; other work had {:.0} % of the \
         processors. {}. `{command}`.",
        machine::describe(),
        options.rounds,
        others * 100.0,
        machine::versions(workspace, &versions)
    );
    let name = shape.name.clone();
    Ok((
        Group { shape: name, mode, heading: format!("{heading} (`{}`)", shape.name), rows, conditions },
        engine_failed,
    ))
}

/// As it trains unless told, and as it trains in the least memory.
fn engines(options: &Options, mode: Mode) -> impl Iterator<Item = Runner> {
    let ways: &[bool] = if mode == Mode::Generate { &[false] } else { &[false, true] };
    let of = |tier: &String, &checkpointing: &bool| Runner::Engine { tier: tier.clone(), checkpointing };
    options.tiers.iter().flat_map(move |tier| ways.iter().map(move |way| of(tier, way)))
}

fn peers(options: &Options, mode: Mode) -> impl Iterator<Item = Runner> {
    let peers = PEERS.iter().filter(move |peer| peer.generates == (mode == Mode::Generate));
    peers.filter(|peer| options.peers.contains(&peer.id)).map(|peer| Runner::Peer(peer.id))
}

fn empty_row(runner: &Runner) -> Row {
    Row {
        id: runner.id(),
        title: runner.title(),
        engine: matches!(runner, Runner::Engine { .. }),
        tokens: 0,
        samples: Vec::new(),
        missing: None,
    }
}

/// A fresh directory with the shape's description, for weights to lie beside it.
fn model_directory(workspace: &Workspace, shape: &Shape) -> Result<PathBuf> {
    let dir = runners::scratch(workspace).join(&shape.name);
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let config: &Path = &shape.config(workspace);
    fs::copy(config, dir.join("config.json")).with_context(|| format!("cannot copy {}", config.display()))?;
    Ok(dir)
}
