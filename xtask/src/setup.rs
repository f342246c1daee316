//! Installs what a fresh machine lacks, through the ordinary package managers, and says so.
//!
//! Every function returns at once when the thing is there, so calling them costs nothing.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    process,
    workspace::{Workspace, digest},
};

/// What the Python side of the tests needs, pinned.
const PYTHON_REQUIREMENTS: &str = "tests/python-requirements.txt";

/// Playwright supports no older one.
const OLDEST_NODE: u32 = 20;

/// Rust's standard library for the browser.
pub fn wasm_target(workspace: &Workspace) -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]);
    rustc.current_dir(&workspace.root);
    if Path::new(process::stdout(&mut rustc)?.trim()).exists() {
        return Ok(());
    }
    say("the WASM target of the Rust toolchain");
    process::run(
        Command::new("rustup").args(["target", "add", "wasm32-unknown-unknown"]).current_dir(&workspace.root),
    )
    .context("install the target wasm32-unknown-unknown for this toolchain, then try again")
}

/// `cargo fmt` and `cargo clippy`, which rustup's minimal profile leaves out.
pub fn rust_components(workspace: &Workspace) -> Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if process::run_quietly(workspace.cargo().args([subcommand, "--version"])).is_err() {
            say(component);
            process::run(
                Command::new("rustup").args(["component", "add", component]).current_dir(&workspace.root),
            )?;
        }
    }
    Ok(())
}

/// cargo-nextest, if it is there or can be installed; without it the tests run under `cargo test`.
pub fn has_nextest(workspace: &Workspace) -> bool {
    let version = || process::run_quietly(workspace.cargo().args(["nextest", "--version"]));
    if version().is_ok() {
        return true;
    }
    say("cargo-nextest (once, some minutes)");
    let mut install = workspace.cargo();
    // In a target directory of its own: its profile differs from ours.
    install.args(["install", "cargo-nextest", "--locked"]).env_remove("CARGO_TARGET_DIR");
    process::run(&mut install).is_ok() && version().is_ok()
}

/// Node.js runs wasm-opt, npm and the browser tests.
pub fn node() -> Result<PathBuf> {
    let node = process::find_program(&["node"])
        .context("the build needs Node.js 20 or later, with npm: `node` is not on PATH")?;
    let version = process::stdout(Command::new(&node).arg("--version"))?;
    if node_major(&version).is_none_or(|major| major < OLDEST_NODE) {
        bail!("the build needs Node.js {OLDEST_NODE} or later, and {} is {}", node.display(), version.trim());
    }
    Ok(node)
}

/// `v20.20.2` → 20
fn node_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// `npm ci` in a directory with a `package-lock.json`, when that changed since the last time.
pub fn npm_packages(workspace: &Workspace, dir: &Path) -> Result<()> {
    node()?;
    let lock = dir.join("package-lock.json");
    let wanted = digest(&[&fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?]);
    let stamp = dir.join("node_modules/.stamp");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let shown = dir.strip_prefix(&workspace.root).unwrap_or(dir).display().to_string();
    say(&format!("npm packages{}", if shown.is_empty() { String::new() } else { format!(" of {shown}") }));
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(dir);
    // Playwright drives the system's Chromium.
    npm.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    process::run_quietly(&mut npm)?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// A Chromium for the browser tests. `CHROMIUM` names another one.
pub fn chromium() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM") {
        return Ok(path.into());
    }
    let find =
        || process::find_program(&["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]);
    if let Some(found) = find() {
        return Ok(found);
    }
    apt_install("Chromium", &["chromium"], "set CHROMIUM to a Chromium or Chrome")?;
    find().context("Chromium was installed, but PATH does not know it")
}

/// The directory of PostgreSQL's server programs (`initdb`, `postgres`). `POSTGRES_BIN` names another.
pub fn postgres_programs() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("POSTGRES_BIN") {
        return Ok(dir.into());
    }
    if let Some(found) = find_postgres() {
        return Ok(found);
    }
    apt_install("PostgreSQL", &["postgresql"], "set POSTGRES_BIN to the directory that holds initdb")?;
    find_postgres().context("PostgreSQL was installed, but initdb is not where Debian puts it")
}

fn find_postgres() -> Option<PathBuf> {
    let on_path = process::find_program(&["initdb"]).and_then(|initdb| {
        // Through a link to the place where the other programs lie, too.
        let initdb = initdb.canonicalize().ok()?;
        initdb.parent().map(Path::to_path_buf)
    });
    // Debian keeps the server's programs off PATH, one directory for each major version.
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut candidates: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    candidates.sort_by_key(|dir| {
        let version = dir.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    });
    candidates.extend(on_path);
    candidates
        .into_iter()
        .rev()
        .find(|dir| ["initdb", "postgres"].iter().all(|name| process::is_executable(&dir.join(name))))
}

/// A Python that has PyTorch and transformers, which the engine's tests compare with.
pub fn python(workspace: &Workspace) -> Result<PathBuf> {
    python_with(workspace, "pytest-venv", PYTHON_REQUIREMENTS, &[])
}

/// A Python with what a file of requirements names, in a virtual environment of this name. It lies
/// in the user's cache directory: it is large, and one serves every checkout. pip's own settings
/// hold: who names an index with smaller builds in them gets those.
pub fn python_with(
    workspace: &Workspace,
    name: &str,
    requirements: &str,
    environment: &[(&str, &str)],
) -> Result<PathBuf> {
    let path = workspace.root.join(requirements);
    let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let wanted = digest(&[&content]);
    let venv = cache_dir()?.join(name);
    let python = venv.join("bin/python");
    let stamp = venv.join("requirements.stamp");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    say(&format!("Python packages of {requirements} (once, some minutes)"));
    // A venv without pip is one that could not be finished.
    if !venv.join("bin/pip").exists() {
        create_venv(&venv)?;
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&path);
    process::run(pip.envs(environment.iter().copied()))?;
    fs::write(stamp, wanted)?;
    Ok(python)
}

fn create_venv(venv: &Path) -> Result<()> {
    let create = || process::run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv));
    if create().is_ok() {
        return Ok(());
    }
    // Debian's python3 comes without the part that fills a virtual environment.
    apt_install("Python", &["python3", "python3-venv"], "install Python 3.10 or later with its venv module")?;
    create()
}

fn cache_dir() -> Result<PathBuf> {
    let base = env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("llm-tuner"))
}

fn apt_install(what: &str, packages: &[&str], otherwise: &str) -> Result<()> {
    let names = packages.join(" ");
    if process::find_program(&["apt-get"]).is_none() {
        bail!(
            "{what} is missing and this system has no apt-get to install {names}: install it, or {otherwise}"
        );
    }
    let sudo = process::user_id()? != 0;
    if sudo && process::find_program(&["sudo"]).is_none() {
        bail!("{what} is missing: run `apt-get install {names}` as root, or {otherwise}");
    }
    say(&format!("{what} (apt-get install {names})"));
    let apt = |args: &[&str]| {
        let mut words: Vec<OsString> = Vec::new();
        if sudo {
            words.push("sudo".into());
        }
        words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-qq"].map(OsString::from));
        words.extend(args.iter().map(OsString::from));
        process::run(Command::new(&words[0]).args(&words[1..]))
    };
    apt(&["update"])?;
    apt(&[&["install", "--no-install-recommends"], packages].concat())
        .with_context(|| format!("could not install {what}: install it by hand, or {otherwise}"))
}

fn say(what: &str) {
    eprintln!("installing {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node() {
        assert_eq!(node_major("v20.20.2\n"), Some(20));
        assert_eq!(node_major("no version"), None);
    }
}
