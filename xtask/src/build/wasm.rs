//! The islands: the library compiled to WASM once for each, its JavaScript glue, made small.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use wasm_bindgen_cli_support::Bindgen;

use super::Mode;
use crate::{
    process, setup,
    workspace::{Workspace, digest, files_below},
};

const TARGET: &str = "wasm32-unknown-unknown";

/// What Rust's WASM target uses; wasm-opt refuses input that needs more than it was told.
const WASM_OPT: [&str; 8] = [
    "-Oz",
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-multivalue",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--strip-producers",
];

/// The islands by name: each is compiled by itself (feature `island-<name>`), so that a page loads the code of no other.
pub const ISLANDS: [&str; 3] = ["chat", "job", "uploader"];

/// One island's WASM and what belongs to it, under the names that wasm-bindgen gave.
pub struct Wasm {
    pub island: &'static str,
    pub module: Vec<u8>,
    /// The glue, which loads `app_bg.wasm` and imports from `./snippets/`.
    pub glue: String,
    /// JavaScript that crates brought along: path below `snippets/`, content.
    pub snippets: Vec<(PathBuf, Vec<u8>)>,
}

/// The name that the glue has for the module.
pub const MODULE_NAME: &str = "app_bg.wasm";

pub fn build(workspace: &Workspace, mode: Mode) -> Result<Vec<Wasm>> {
    ISLANDS.iter().map(|island| build_island(workspace, mode, island)).collect()
}

fn build_island(workspace: &Workspace, mode: Mode, island: &'static str) -> Result<Wasm> {
    let optimise = mode != Mode::Watch;
    let profile = if optimise { "wasm-release" } else { "wasm-dev" };
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package=llm-tuner", "--lib", "--no-default-features"]);
    cargo.arg(format!("--features=island-{island}")).args(["--target", TARGET, "--profile", profile]);
    if optimise {
        cargo.arg("--config").arg(format!("target.{TARGET}.rustflags={:?}", without_paths(workspace)));
    }
    process::run(&mut cargo)?;

    let compiled = workspace.target.join(TARGET).join(profile).join("llm_tuner.wasm");
    let bytes = fs::read(&compiled).with_context(|| format!("cannot read {}", compiled.display()))?;
    let lock = fs::read(workspace.root.join("package-lock.json"))?;
    let made = workspace.scratch().join("wasm").join(profile).join(island);
    // Bindgen and wasm-opt take seconds, so they run only for a module that they have not seen.
    let stamp = digest(&[&bytes, &lock, WASM_OPT.join(" ").as_bytes()]);
    let stamp_file = made.join("stamp");
    if fs::read_to_string(&stamp_file).ok().as_deref() != Some(&stamp) {
        if made.exists() {
            fs::remove_dir_all(&made)?;
        }
        bind(&compiled, &made, optimise)?;
        if optimise {
            shrink(workspace, &made.join(MODULE_NAME))?;
        }
        fs::write(&stamp_file, &stamp)?;
    }
    read(island, &made)
}

/// Panic messages name source files. What the browser gets should not depend on where somebody
/// keeps their sources, nor tell it.
fn without_paths(workspace: &Workspace) -> Vec<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let registry = home.map(|home| home.join("registry/src"));
    let prefixes = registry.iter().chain([&workspace.root]);
    prefixes.map(|prefix| format!("--remap-path-prefix={}=", prefix.display())).collect()
}

fn bind(compiled: &Path, out: &Path, optimise: bool) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(compiled).web(true)?.out_name("app").typescript(false);
    bindgen.remove_name_section(optimise).remove_producers_section(optimise);
    bindgen.generate(out).with_context(|| format!("wasm-bindgen cannot read {}", compiled.display()))
}

fn shrink(workspace: &Workspace, module: &Path) -> Result<()> {
    let tool = workspace.root.join("node_modules/binaryen/bin/wasm-opt");
    let mut node = Command::new(setup::node()?);
    process::run_quietly(node.arg(tool).args(WASM_OPT).arg(module).arg("-o").arg(module))
}

fn read(island: &'static str, made: &Path) -> Result<Wasm> {
    let snippets_dir = made.join("snippets");
    let snippets = files_below(&snippets_dir)?
        .into_iter()
        .map(|path| Ok((path.strip_prefix(&snippets_dir)?.to_path_buf(), fs::read(&path)?)))
        .collect::<Result<_>>()?;
    Ok(Wasm {
        island,
        module: fs::read(made.join(MODULE_NAME))?,
        glue: fs::read_to_string(made.join("app.js"))?,
        snippets,
    })
}
