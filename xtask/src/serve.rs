//! `cargo xtask run` and `cargo xtask watch`: the product on this machine.

use std::{
    collections::BTreeMap,
    env,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};

use crate::{
    build::{self, Mode},
    workspace::{Workspace, files_below},
};

/// What a change of makes another build necessary.
const WATCHED: [&str; 9] =
    ["src", "dataset", "engine", "migrations", "public", "style", "Cargo.toml", "Cargo.lock", "Leptos.toml"];
const POLL: Duration = Duration::from_millis(500);

/// Builds, then becomes the server, so that signals and the exit status are the server's own.
pub fn run(workspace: &Workspace, mode: Mode, args: &[String]) -> Result<ExitCode> {
    let binary = build::everything(workspace, mode)?;
    announce();
    let error = server(workspace, &binary, args).exec();
    Err(error).with_context(|| format!("cannot start {}", binary.display()))
}

/// Builds and serves, and again after every change; a build that fails leaves the old server up.
pub fn watch(workspace: &Workspace, args: &[String]) -> Result<ExitCode> {
    let mut running: Option<Child> = None;
    loop {
        let seen = snapshot(workspace)?;
        match build::everything(workspace, Mode::Watch) {
            Ok(binary) => {
                if let Some(old) = running.take() {
                    stop(old)?;
                }
                announce();
                running = Some(server(workspace, &binary, args).spawn().context("cannot start the server")?);
            }
            Err(error) => eprintln!("error: {error:#}\nwaiting for a change"),
        }
        while snapshot(workspace)? == seen {
            thread::sleep(POLL);
            if let Some(child) = &mut running
                && let Some(status) = child.try_wait()?
            {
                eprintln!("the server ended with {status}; waiting for a change");
                running = None;
            }
        }
    }
}

fn server(workspace: &Workspace, binary: &Path, args: &[String]) -> Command {
    let mut server = Command::new(binary);
    server.args(args).current_dir(&workspace.root).env("LEPTOS_SITE_ROOT", workspace.site());
    server
}

fn announce() {
    let url = env::var("BASE_URL").unwrap_or_else(|_| {
        format!("http://{}", env::var("LEPTOS_SITE_ADDR").unwrap_or_else(|_| "127.0.0.1:5000".into()))
    });
    eprintln!("serving on {url}");
}

/// Lets the server end its work, as a supervisor would.
fn stop(mut server: Child) -> Result<()> {
    Command::new("kill").arg(server.id().to_string()).status().context("cannot start `kill`")?;
    server.wait()?;
    Ok(())
}

fn snapshot(workspace: &Workspace) -> Result<BTreeMap<PathBuf, SystemTime>> {
    let mut seen = BTreeMap::new();
    for name in WATCHED {
        let path = workspace.root.join(name);
        let files = if path.is_dir() { files_below(&path)? } else { vec![path] };
        for file in files {
            // A file that an editor is just replacing counts as changed in the next round.
            if let Ok(modified) = file.metadata().and_then(|meta| meta.modified()) {
                seen.insert(file, modified);
            }
        }
    }
    Ok(seen)
}
