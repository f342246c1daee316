//! The site (CSS, scripts, WASM) and the server.

mod css;
mod site;
mod wasm;

pub use wasm::ISLANDS;

use std::{path::PathBuf, time::Instant};

use anyhow::Result;

use crate::{process, setup, workspace::Workspace};

/// How much work a build puts into what it makes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// While somebody edits: quick WASM, nothing compressed.
    Watch,
    /// The site as it ships, the server with debug assertions.
    Default,
    /// The site as it ships, the server optimised.
    Release,
}

/// Builds site and server; returns the server's binary.
pub fn everything(workspace: &Workspace, mode: Mode) -> Result<PathBuf> {
    build_site(workspace, mode)?;
    build_server(workspace, mode)
}

/// Builds what the browser gets into `target/site`.
///
/// The server learns the hashed names from `pkg/manifest.json`, which maps `css`, `htmx`,
/// `hx-sse`, `<island>-js` and `<island>-wasm` of every island, and every script of `public/` by its name without `.js` to a file name in `pkg/`.
pub fn build_site(workspace: &Workspace, mode: Mode) -> Result<()> {
    let started = Instant::now();
    setup::wasm_target(workspace)?;
    setup::npm_packages(workspace, &workspace.root)?;
    let css = css::build(workspace)?;
    let islands = wasm::build(workspace, mode)?;
    let site = site::assemble(workspace, css, islands)?;
    site.write(&workspace.site(), mode != Mode::Watch)?;
    eprintln!("site: {} in {:.1} s", site.sizes(&workspace.site()), started.elapsed().as_secs_f64());
    Ok(())
}

/// Builds the server; returns its binary.
pub fn build_server(workspace: &Workspace, mode: Mode) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package=llm-tuner", "--bin=llm-tuner"]);
    let profile = if mode == Mode::Release {
        cargo.arg("--release");
        "release"
    } else {
        "debug"
    };
    process::run(&mut cargo)?;
    Ok(workspace.target.join(profile).join("llm-tuner"))
}
