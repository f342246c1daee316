//! The Python interpreter with `transformers` and `peft`. The application's tests use this file too.

use std::path::PathBuf;
use std::process::Command;

fn interpreter() -> PathBuf {
    if let Some(path) = std::env::var_os("LLM_TUNER_TEST_PYTHON") {
        return path.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    cache.unwrap_or_default().join("llm-tuner/pytest-venv/bin/python")
}

/// Runs a script, without network, and reads the JSON of its last line.
///
/// # Panics
/// When the interpreter is missing (the test must not pass unseen) or the script fails.
pub fn python(script: &str, arguments: &[&str]) -> serde_json::Value {
    let interpreter = interpreter();
    let output = Command::new(&interpreter)
        .args(["-W", "error::UserWarning", "-c", script])
        .args(arguments)
        .env("HF_HUB_OFFLINE", "1")
        .env("TOKENIZERS_PARALLELISM", "false")
        .output()
        .unwrap_or_else(|error| {
            panic!(
                "{}: {error}. Run `cargo xtask test`, which installs Python with transformers and peft, or \
                 point LLM_TUNER_TEST_PYTHON at one.",
                interpreter.display()
            )
        });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the Python script failed:\n{stderr}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error} in: {stdout}\n{stderr}"))
}
