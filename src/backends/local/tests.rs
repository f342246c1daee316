//! The local backend with shell scripts in the trainer's place. `tests/jobs` runs the real trainer.

use super::*;
use crate::backends::job_for_tests::job;
use std::os::unix::fs::PermissionsExt;

struct Setting {
    root: tempfile::TempDir,
    backend: LocalBackend,
    job: Job,
}

/// A backend whose trainer is this script; `$3` is the job's directory.
fn setting(script: &str) -> Setting {
    let root = tempfile::tempdir().unwrap();
    let program = root.path().join("trainer");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let backend = again(root.path());
    let job = job();
    fs::create_dir_all(backend.directory(&job).join("input")).unwrap();
    Setting { root, backend, job }
}

/// What a server that starts anew has.
fn again(root: &Path) -> LocalBackend {
    let mut settings = LocalSettings::new(root.join("trainer"), root.join("jobs"));
    settings.grace = Duration::from_millis(300);
    settings.environment = vec![("GIVEN".into(), "yes".into())];
    LocalBackend::new(settings).unwrap()
}

impl Setting {
    async fn end(&self) -> RunOutcome {
        loop {
            match self.backend.status(&self.job).await.unwrap().status {
                RunStatus::Ended(outcome) => return outcome,
                RunStatus::Absent => panic!("it was started"),
                RunStatus::Running(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }
    async fn lines(&self) -> Vec<String> {
        self.backend.output(&self.job, 0, 1 << 20).await.unwrap().0
    }
    /// Waits until the trainer has printed this line.
    async fn line(&self, line: &str) {
        while !self.lines().await.iter().any(|found| found == line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    fn path(&self, path: &str) -> PathBuf {
        self.backend.directory(&self.job).join(path)
    }
    fn process(&self) -> Process {
        Record::read(&self.path("")).unwrap().process.unwrap()
    }
}

#[tokio::test]
async fn a_job_runs_and_says_how_it_ended() {
    let mut setting = setting(
        r#"echo "$@"; echo oops >&2; printf 'no line feed'; echo '{"outcome":"completed"}' > "$3/output/exit""#,
    );
    assert_eq!(setting.backend.status(&setting.job).await.unwrap().status, RunStatus::Absent);
    setting.backend.start(&setting.job).await.unwrap();
    assert_eq!(setting.end().await, RunOutcome::Completed);
    let directory = setting.path("");
    let directory = directory.to_str().unwrap().trim_end_matches('/');
    assert_eq!(setting.lines().await, [&format!("train --dir {directory}"), "oops", "no line feed"]);
    setting.job.attempt += 1;
    assert_eq!(setting.backend.status(&setting.job).await.unwrap().status, RunStatus::Absent, "the next try");
    assert_eq!(setting.backend.present().await.unwrap(), [setting.job.id.clone()]);
    setting.backend.clean(&setting.job.id).await.unwrap();
    assert!(!setting.path("").exists());
    setting.backend.clean(&setting.job.id).await.unwrap();
}

#[tokio::test]
async fn the_trainer_sees_no_secret_and_steps_back() {
    // Every process has `PATH`-like variables; one that is not named must not pass. The test runner sets this one.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let setting = setting("env; sleep 0.1; cut -d' ' -f5,19 /proc/$$/stat; cat /proc/$$/oom_score_adj");
    setting.backend.start(&setting.job).await.unwrap();
    setting.end().await;
    let lines = setting.lines().await;
    assert!(lines.contains(&"GIVEN=yes".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "{lines:?}");
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let own: i32 = stat.rsplit_once(')').unwrap().1.split(' ').nth(17).unwrap().parse().unwrap();
    assert!(lines.contains(&format!("{} {}", setting.process().pid, 5.max(own))), "{lines:?}");
    assert!(lines.contains(&"500".to_owned()), "{lines:?}");
}

#[tokio::test]
async fn starting_twice_starts_once_also_after_a_restart() {
    let setting = setting("echo started >> \"$3/starts\"; echo ready; exec sleep 1000");
    setting.backend.start(&setting.job).await.unwrap();
    setting.line("ready").await;
    let restarted = again(setting.root.path());
    for backend in [&setting.backend, &restarted] {
        backend.start(&setting.job).await.unwrap();
        assert!(matches!(backend.status(&setting.job).await.unwrap().status, RunStatus::Running(_)));
    }
    assert_eq!(fs::read_to_string(setting.path("starts")).unwrap(), "started\n");
    assert!(matches!(setting.backend.clean(&setting.job.id).await, Err(BackendError::Io(_))));
    setting.process().kill();
    assert_eq!(setting.end().await, RunOutcome::Killed { signal: Some(9) });
    assert!(matches!(
        restarted.status(&setting.job).await.unwrap().status,
        RunStatus::Ended(RunOutcome::Killed { .. })
    ));
}

#[tokio::test]
async fn a_trainer_whose_number_was_never_noted_is_found_by_its_lock() {
    let setting = setting("echo ready; exec sleep 1000");
    setting.backend.start(&setting.job).await.unwrap();
    setting.line("ready").await;
    let process = setting.process();
    Record { attempt: 1, process: None }.write(&setting.path("")).unwrap();
    let restarted = again(setting.root.path());
    assert!(matches!(restarted.status(&setting.job).await.unwrap().status, RunStatus::Running(_)));
    assert_eq!(setting.process(), process);
    restarted.stop(&setting.job, false).await.unwrap();
    assert_eq!(setting.end().await, RunOutcome::Killed { signal: Some(15) });
}

#[tokio::test]
async fn somebody_elses_process_with_the_same_number_is_left_alone() {
    let setting = setting("true");
    setting.backend.start(&setting.job).await.unwrap();
    setting.end().await;
    let mut other = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = i32::try_from(other.id()).unwrap();
    Record { attempt: 1, process: Some(Process { pid, started: 1 }) }.write(&setting.path("")).unwrap();
    setting.backend.stop(&setting.job, false).await.unwrap();
    assert!(matches!(setting.end().await, RunOutcome::Killed { .. }));
    assert!(Process::find(pid).is_some());
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_stop_is_asked_for_and_the_wish_to_keep_is_told() {
    let setting = setting(
        r#"trap 'cat "$3/input/config/stop"; echo; echo "{\"outcome\":\"stopped\"}" > "$3/output/exit"; exit 3' TERM
        echo ready; while :; do sleep 0.01; done"#,
    );
    setting.backend.start(&setting.job).await.unwrap();
    setting.line("ready").await;
    setting.backend.stop(&setting.job, true).await.unwrap();
    assert_eq!(setting.end().await, RunOutcome::Stopped);
    assert_eq!(setting.lines().await, ["ready", "keep"]);
}

#[tokio::test]
async fn a_trainer_that_does_not_listen_is_killed_with_what_it_started() {
    let setting = setting("trap '' TERM; sleep 1000 & echo $!; echo ready; while :; do sleep 0.01; done");
    setting.backend.start(&setting.job).await.unwrap();
    setting.line("ready").await;
    let grandchild: i32 = setting.lines().await[0].parse().unwrap();
    setting.backend.stop(&setting.job, false).await.unwrap();
    assert_eq!(setting.end().await, RunOutcome::Killed { signal: Some(9) });
    while Process::find(grandchild).is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_next_try_ends_what_the_last_one_left_and_starts_with_an_empty_log() {
    let mut setting = setting("exec 3<&0; sleep 1000 <&3 & echo try $!; exec sleep 1000");
    setting.backend.start(&setting.job).await.unwrap();
    while setting.lines().await.is_empty() {
        tokio::task::yield_now().await;
    }
    let trainer = rustix::process::Pid::from_raw(setting.process().pid).unwrap();
    rustix::process::kill_process(trainer, rustix::process::Signal::KILL).unwrap();
    assert_eq!(setting.end().await, RunOutcome::Killed { signal: Some(9) });
    let left: i32 = setting.lines().await[0].trim_start_matches("try ").parse().unwrap();
    assert!(Process::find(left).is_some(), "it still holds the lock");
    setting.job.attempt = 2;
    setting.backend.start(&setting.job).await.unwrap();
    assert!(matches!(setting.backend.status(&setting.job).await.unwrap().status, RunStatus::Running(_)));
    while Process::find(left).is_some() {
        tokio::task::yield_now().await;
    }
    while setting.lines().await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(setting.lines().await.len(), 1);
    setting.process().kill();
}

#[tokio::test]
async fn a_program_that_is_not_there_is_a_clear_refusal() {
    let setting = setting("");
    fs::remove_file(setting.root.path().join("trainer")).unwrap();
    let refused = setting.backend.start(&setting.job).await;
    assert!(matches!(refused, Err(BackendError::Refused { .. })), "{refused:?}");
}
