//! Where things lie: the sources, the target directory and the site in it.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::process;

pub struct Workspace {
    /// The directory of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target directory, wherever `CARGO_TARGET_DIR` or a Cargo configuration put it.
    pub target: PathBuf,
}

impl Workspace {
    pub fn find() -> Result<Self> {
        // Cargo sets the variable for `cargo xtask`; the constant serves a binary started by hand.
        let manifest_dir =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&manifest_dir)
            .parent()
            .context("the xtask package has no parent directory")?
            .to_path_buf();
        let mut metadata = Command::new(process::cargo_program());
        metadata.args(["metadata", "--no-deps", "--format-version=1"]).current_dir(&root);
        let metadata: serde_json::Value = serde_json::from_str(&process::stdout(&mut metadata)?)
            .context("`cargo metadata` wrote no JSON")?;
        let target = metadata["target_directory"].as_str().context("`cargo metadata` named no target")?;
        Ok(Self { root, target: PathBuf::from(target) })
    }

    /// What the server serves as static files.
    pub fn site(&self) -> PathBuf {
        self.target.join("site")
    }

    /// Our own intermediate files.
    pub fn scratch(&self) -> PathBuf {
        self.target.join("xtask")
    }

    /// `cargo` in the workspace's root, without what the cargo that started us left in the
    /// environment: build scripts such as ring's watch those variables, and would run again
    /// whenever a build by hand and a build by us alternate.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(process::cargo_program());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let of_the_package = ["CARGO_PKG_", "CARGO_BIN_", "CARGO_MANIFEST_", "CARGO_CRATE_"]
                .iter()
                .any(|prefix| text.starts_with(prefix));
            if of_the_package || text == "CARGO_PRIMARY_PACKAGE" || text == "OUT_DIR" {
                command.env_remove(&name);
            }
        }
        command.current_dir(&self.root);
        command
    }
}

/// All files below `dir`, sorted, so that what is made from them does not depend on the disk.
/// A missing directory has no files.
pub fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(dir) = pending.pop() {
        if !dir.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// [`files_below`] with one of these extensions.
pub fn files_with_extension(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = files_below(dir)?;
    files.retain(|path| path.extension() == Some(OsStr::new(extension)));
    Ok(files)
}

/// The first 16 hexadecimal digits of the SHA-256 over all parts: short enough for a file name,
/// long enough never to meet by chance.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_tells_apart_where_one_part_ends() {
        assert_eq!(digest(&[b"ab", b"c"]).len(), 16);
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }

    #[test]
    fn leptos_toml_and_cargo_toml_agree() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let section = |file: &str| {
            let text = fs::read_to_string(root.join(file)).unwrap();
            let (_, after) = text.split_once("[package.metadata.leptos]").unwrap();
            let lines = after.lines().map(str::trim).take_while(|line| !line.starts_with('['));
            lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert!(!section("Leptos.toml").is_empty());
        assert_eq!(section("Leptos.toml"), section("Cargo.toml"));
    }

    #[test]
    fn a_missing_directory_has_no_files() {
        assert!(files_below(Path::new("no such directory")).unwrap().is_empty());
    }
}
