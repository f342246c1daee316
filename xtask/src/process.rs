//! Running other programs: one place for how a failure reads.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// The cargo that started us, so that `cargo +toolchain xtask` stays with its toolchain.
pub fn cargo_program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Runs to the end with our own output; an unsuccessful exit is an error that shows the command.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Like [`run`], without a word unless it fails.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("`{}` ended with {}\n{out}{err}", shown(command), output.status);
    }
    Ok(())
}

/// Runs to the end and returns what it wrote to its standard output.
pub fn stdout(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        bail!("`{}` ended with {}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first of these programs that `PATH` knows.
pub fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    names
        .iter()
        .find_map(|name| env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_executable(file)))
}

pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The user id that we run as.
pub fn user_id() -> Result<u32> {
    id_of(None)
}

/// The user id of the named user, or ours.
pub fn id_of(user: Option<&str>) -> Result<u32> {
    number(Command::new("id").arg("-u").args(user))
}

/// The main group of the named user.
pub fn group_of(user: &str) -> Result<u32> {
    number(Command::new("id").args(["-g", user]))
}

fn number(command: &mut Command) -> Result<u32> {
    let output = command.stdin(Stdio::null()).output().context("cannot start `id`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().with_context(|| format!("`{}` named no number", shown(command)))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let error = run_quietly(Command::new("sh").args(["-c", "echo no space left; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit 3") && text.contains("no space left"), "{text}");
    }

    #[test]
    fn programs_are_found_in_the_order_of_preference() {
        assert_eq!(find_program(&["no-such-program", "sh"]).unwrap().file_name().unwrap(), "sh");
        assert_eq!(find_program(&["no-such-program"]), None);
    }
}
