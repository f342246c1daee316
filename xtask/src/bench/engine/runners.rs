//! Who is measured: the engine and its peers, and the command that starts each.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::{measure::Line, shapes::Shape};
use crate::{process, workspace::Workspace};

/// Of one answer in `generate`.
const PROMPT: usize = 128;
const NEW_TOKENS: usize = 64;

/// What the engine reads its choice of kernels from.
const TIER: &str = "ENGINE_TIER";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Full,
    Lora,
    Generate,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Full, Self::Lora, Self::Generate];

    pub fn named(word: &str) -> Result<Self> {
        let mode = Self::ALL.into_iter().find(|mode| mode.name() == word);
        mode.with_context(|| format!("there is no mode {word:?}, only full, lora and generate"))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Lora => "lora",
            Self::Generate => "generate",
        }
    }

    /// What is done to a shape, for a heading.
    pub fn about(self, shape: &Shape) -> String {
        let (sequences, tokens) = (shape.sequences, shape.tokens);
        match self {
            Self::Full => format!("all weights, {sequences} × {tokens} tokens"),
            Self::Lora => format!("LoRA r = 8 on {}, {sequences} × {tokens} tokens", shape.lora.join(", ")),
            Self::Generate => format!("generation, a prompt of {PROMPT} and {NEW_TOKENS} new tokens"),
        }
    }
}

pub struct Peer {
    /// What `pytorch.py` reads its traits from, and `--peers`.
    pub id: &'static str,
    pub title: &'static str,
    pub generates: bool,
}

const fn trains(id: &'static str, title: &'static str) -> Peer {
    Peer { id, title, generates: false }
}

const fn generates(id: &'static str, title: &'static str) -> Peer {
    Peer { id, title, generates: true }
}

pub const COMPILED: &str = "loop-compile-bf16";
pub const FP32_LOOP: &str = "loop-fp32";
pub const TRANSFORMERS: &str = "transformers-bf16";
pub const LLAMA_CPP: &str = "llama-cpp-bf16";

pub const PEERS: [Peer; 10] = [
    trains(FP32_LOOP, "PyTorch loop, fp32"),
    trains("loop-bf16", "PyTorch loop, bf16 autocast"),
    trains(COMPILED, "PyTorch loop, bf16 autocast, torch.compile"),
    trains("loop-pure-bf16", "PyTorch loop, weights in bf16"),
    trains("loop-bf16-checkpointing", "PyTorch loop, bf16 autocast, gradient checkpointing"),
    trains("loop-pure-bf16-checkpointing", "PyTorch loop, weights in bf16, gradient checkpointing"),
    trains("trainer-fp32", "transformers Trainer, fp32"),
    trains("trainer-bf16", "transformers Trainer, bf16"),
    generates(TRANSFORMERS, "transformers generate, bf16"),
    generates(LLAMA_CPP, "llama.cpp, bf16"),
];

/// The programs that peers run in, or why they cannot.
pub struct Programs {
    pub engine: PathBuf,
    pub python: Result<PathBuf, String>,
    pub llama_cpp: Result<PathBuf, String>,
}

#[derive(Debug, Clone)]
pub enum Runner {
    /// With this choice of kernels, and with gradient checkpointing or without.
    Engine { tier: String, checkpointing: bool },
    /// By its id.
    Peer(&'static str),
}

/// What one run is about.
pub struct Task<'t> {
    pub workspace: &'t Workspace,
    pub shape: &'t Shape,
    pub mode: Mode,
    /// A directory with the model's description and, to generate, its random weights.
    pub model: &'t Path,
    pub steps: usize,
    pub threads: usize,
}

impl Runner {
    pub fn title(&self) -> String {
        match self {
            Self::Engine { tier, checkpointing } => {
                let tier = if tier == "auto" { String::new() } else { format!(", {tier}") };
                let how = if *checkpointing { ", gradient checkpointing" } else { "" };
                format!("the engine{tier}{how}")
            }
            Self::Peer(id) => {
                let peer = PEERS.iter().find(|peer| peer.id == *id);
                peer.map_or(*id, |peer| peer.title).to_owned()
            }
        }
    }

    pub fn id(&self) -> String {
        match self {
            Self::Engine { tier, checkpointing: false } => format!("engine-{tier}"),
            Self::Engine { tier, checkpointing: true } => format!("engine-{tier}-checkpointing"),
            Self::Peer(id) => (*id).to_owned(),
        }
    }

    /// Runs it once, in a process of its own.
    pub fn run(&self, programs: &Programs, task: &Task<'_>) -> Result<Line> {
        let mut command = self.command(programs, task)?;
        quiet(&mut command, task.threads);
        // After the caller's own choice was taken away.
        if let Self::Engine { tier, .. } = self
            && tier != "auto"
        {
            command.env(TIER, tier);
        }
        command.env("TORCHINDUCTOR_CACHE_DIR", scratch(task.workspace).join("inductor"));
        let output = command.stdin(Stdio::null()).output().context("it cannot be started")?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("it ended with {}: {}", output.status, last_words(&errors));
        }
        Line::find(&String::from_utf8_lossy(&output.stdout))
    }

    fn command(&self, programs: &Programs, task: &Task<'_>) -> Result<Command> {
        let (shape, mode) = (task.shape, task.mode);
        let work = match mode {
            Mode::Full | Mode::Lora => [shape.sequences, shape.tokens, task.steps],
            Mode::Generate => [PROMPT, NEW_TOKENS, task.steps],
        }
        .map(|number| number.to_string());
        let of = |program: &Result<PathBuf, String>| program.clone().map_err(anyhow::Error::msg);
        let mut command;
        match self {
            Self::Engine { checkpointing, .. } => {
                command = Command::new(&programs.engine);
                command.arg(shape.config(task.workspace)).arg(mode.name());
                command.args(work).arg(shape.lora.join(",")).args(checkpointing.then_some("recompute"));
            }
            Self::Peer(LLAMA_CPP) => {
                command = python(task.workspace, &of(&programs.llama_cpp)?, "llama_cpp_bf16.py");
                let file = task.model.join(GGUF);
                command.arg(file).args(work).arg(vocabulary(&shape.config(task.workspace))?);
            }
            Self::Peer(id) => {
                if *id == COMPILED && !has_cpp_compiler() {
                    bail!("torch.compile needs a C++ compiler, and neither g++ nor clang++ is on PATH");
                }
                command = python(task.workspace, &of(&programs.python)?, "pytorch.py");
                command.args([id, mode.name()]).arg(task.model).args(work).arg(shape.lora.join(","));
            }
        }
        Ok(command)
    }
}

pub fn scratch(workspace: &Workspace) -> PathBuf {
    workspace.scratch().join("bench-engine")
}

const GGUF: &str = "model.gguf";

/// Random weights in bf16 for those who generate: for transformers, and the same for llama.cpp.
/// Who can't have them is missing in the programs that come back.
pub fn with_weights(workspace: &Workspace, programs: &Programs, model: &Path) -> Programs {
    let run = |interpreter: PathBuf, script: &str, args: [&Path; 2]| {
        let mut command = python(workspace, &interpreter, script);
        quiet(&mut command, 2);
        let made = process::run_quietly(command.args(args));
        made.map(|()| interpreter).map_err(|error| last_words(&format!("{error:#}")))
    };
    let python = programs.python.clone();
    let python = python.and_then(|python| run(python, "pytorch.py", [Path::new("weights"), model]));
    let llama_cpp = programs.llama_cpp.clone().and_then(|llama_cpp| {
        python.as_ref().map_err(|reason| format!("it has no weights: {reason}"))?;
        run(llama_cpp, "to_gguf.py", [model, &model.join(GGUF)])
    });
    Programs { engine: programs.engine.clone(), python, llama_cpp }
}

fn python(workspace: &Workspace, interpreter: &Path, script: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg("-B").arg(workspace.root.join("engine/benches/peers").join(script));
    command
}

/// The same threads for all, no GPU and no hub.
fn quiet(command: &mut Command, threads: usize) {
    for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
        command.env(name, threads.to_string());
    }
    let settings = [
        ("CUDA_VISIBLE_DEVICES", ""),
        ("HF_HUB_OFFLINE", "1"),
        ("PYTHONWARNINGS", "ignore"),
        ("TOKENIZERS_PARALLELISM", "false"),
    ];
    command.envs(settings).env_remove(TIER);
}

pub fn has_cpp_compiler() -> bool {
    std::env::var_os("CXX").is_some() || process::find_program(&["g++", "clang++", "c++"]).is_some()
}

fn vocabulary(config: &Path) -> Result<String> {
    let text = std::fs::read_to_string(config)?;
    let config: serde_json::Value = serde_json::from_str(&text)?;
    Ok(config["vocab_size"].as_u64().context("config.json has no vocab_size")?.to_string())
}

/// A traceback's last line says what happened.
fn last_words(errors: &str) -> String {
    let line = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("without a word");
    line.trim().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_its_last_words() {
        let traceback = "Traceback (most recent call last):\n  File \"x\"\nMemoryError: no room\n\n";
        assert_eq!(last_words(traceback), "MemoryError: no room");
        assert_eq!(last_words(""), "without a word");
    }

    #[test]
    fn modes_have_names() {
        assert_eq!(Mode::named("lora").unwrap(), Mode::Lora);
        assert!(Mode::named("fast").unwrap_err().to_string().contains("generate"));
    }
}
