//! A job as a process of its own: exit codes, signals, kill, a full disk.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use support::jobs::Job;

const LONG: [(&str, &str); 4] =
    [("max_steps", "40"), ("batch_size", "4"), ("checkpoint_steps", "2"), ("learning_rate", "0.001")];

/// Starts the job and waits until it has printed a line that contains `text`.
fn start_until(job: &Job, text: &str) -> Child {
    let mut child = job.command().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(text)), "the job never printed {text}");
    // Nobody listens any more from here on, as when the server dies: the job must not mind.
    drop(lines);
    child
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn killed_at_any_moment_it_goes_on_and_ends_the_same() {
    let whole = Job::new(&LONG);
    assert_eq!(whole.command().stdout(Stdio::null()).status().unwrap().code(), Some(0));
    let killed = Job::new(&LONG);
    for moment in ["\"event\":\"checkpoint\"", "\"event\":\"checkpoint\""] {
        let mut child = start_until(&killed, moment);
        signal(&child, "KILL");
        assert_eq!(child.wait().unwrap().code(), None);
        assert!(!killed.path("model").exists(), "no half-written model");
    }
    assert_eq!(killed.command().stdout(Stdio::null()).status().unwrap().code(), Some(0));
    assert_eq!(killed.bytes("model/model.safetensors"), whole.bytes("model/model.safetensors"));
}

#[test]
fn sigterm_ends_with_a_checkpoint_a_model_and_code_3() {
    let job = Job::new(&LONG);
    let mut child = start_until(&job, "\"metric\":\"train_loss\"");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(job.path("model/model.safetensors").is_file());
    assert!(std::fs::read_dir(job.path("checkpoints")).unwrap().count() >= 1);
    assert!(!job.path("output/failure").exists());
}

#[test]
fn a_failure_is_left_in_plain_words_with_code_1() {
    let job = Job::new(&[("learning_rate", "abc"), ("epochs", "1000000000")]);
    assert_eq!(job.command().stderr(Stdio::null()).output().unwrap().status.code(), Some(1));
    let text = std::fs::read_to_string(job.path("output/failure")).unwrap();
    assert!(text.contains("learning_rate: must be a number above 0 and below 1, not \"abc\""), "{text}");
    assert!(text.contains("epochs: must be above 0, at most 1000"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("Correct these settings"), "{text}");
    // Repaired and started again, the failure is gone.
    job.settings(&[("max_steps", "1")]);
    assert_eq!(job.command().stdout(Stdio::null()).status().unwrap().code(), Some(0));
    assert!(!job.path("output/failure").exists());
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_half() {
    let job = Job::new(&[("max_steps", "2"), ("batch_size", "2")]);
    // A limit on the size of files stands for the full disk: the weights do not fit.
    let script = "trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$1\"";
    let command = job.command();
    let status = Command::new("bash")
        .args(["-c", script])
        .arg(command.get_program())
        .args(command.get_args())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
    let text = std::fs::read_to_string(job.path("output/failure")).unwrap();
    assert!(text.contains("safetensors: cannot write") && text.contains("Free some disk space"), "{text}");
    assert!(!job.path("model").exists());
    let left: Vec<_> = std::fs::read_dir(job.path("checkpoints")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
