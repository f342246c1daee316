//! The trainer's process: how it is told from others, how it is started, and how it is signalled.
//!
//! The child's standard input is the job's `lock` file, which it holds locked from its first to its last moment without
//! knowing it. So there is no instant, not even with the server killed in the middle of starting it, in which a running
//! trainer looks dead or a second one could start on the same directory. `pid` only says whom to signal.

use rustix::process::{Pid, Signal, kill_process, kill_process_group, setpriority_process};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use tokio::process::{Child, Command};

/// What of the server's environment the trainer may see. Anything not named stays here: above all the secrets.
const ENVIRONMENT: &[&str] = &[
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "RAYON_NUM_THREADS",
    "ENGINE_TIER",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
];

/// `<job>/pid`: which try was started, and its process. A number alone could by now be somebody else's, so the start
/// time (clock ticks after boot, `/proc/<pid>/stat` field 22) belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub attempt: u32,
    pub process: Option<Process>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: i32,
    pub started: u64,
}

impl Record {
    pub fn read(job: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(job.join("pid")).ok()?).ok()
    }
    pub fn write(&self, job: &Path) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".pid").tempfile_in(job)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.as_file().sync_all()?;
        file.persist(job.join("pid"))?;
        Ok(())
    }
}

impl Process {
    /// The process with this number, if it lives (a zombie does not).
    pub fn find(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name (field 2) is in brackets and may hold anything, brackets too; field 3 follows the last of them.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(Self { pid, started })
    }
    pub fn is_alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }
    /// Asks the process to end.
    pub fn terminate(self) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
    /// Ends the process and what it started.
    pub fn kill(self) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Takes the job's lock; `None` where its process has it.
pub fn lock(job: &Path) -> io::Result<Option<File>> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(job.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

/// The process that holds the lock, where `pid` does not say: the server died between starting it and noting it.
pub fn holder(job: &Path) -> Option<Process> {
    let lock = fs::metadata(job.join("lock")).ok()?;
    let holds = |pid: &i32| {
        fs::metadata(format!("/proc/{pid}/fd/0"))
            .is_ok_and(|found| found.dev() == lock.dev() && found.ino() == lock.ino())
    };
    fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(holds)
        .filter_map(Process::find)
        .min_by_key(|process| process.started)
}

pub struct Launch<'a> {
    pub program: &'a Path,
    pub job: &'a Path,
    /// How far the trainer steps back for the site, as `nice` counts.
    pub nice: i32,
    pub environment: Vec<(OsString, OsString)>,
}

impl Launch<'_> {
    /// Starts `<program> train --dir <job>` in its own process group, so that what ends the server (Ctrl-C at its
    /// terminal) does not end the trainer. Output goes straight into the file: nothing is lost when the server dies.
    pub fn spawn(&self, lock: File) -> io::Result<(Child, Option<Process>)> {
        let log: PathBuf = self.job.join("output").join("log");
        // A new file: the log of an earlier try may still be open somewhere.
        match fs::remove_file(&log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let log = OpenOptions::new().append(true).create_new(true).mode(0o640).open(log)?;
        let child = Command::new(self.program)
            .arg("train")
            .arg("--dir")
            .arg(self.job)
            .current_dir(self.job)
            .env_clear()
            .envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(lock)
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(false)
            .spawn()?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid {
            // Neither is worth failing for. The trainer's threads come later and inherit both.
            let _ = setpriority_process(Pid::from_raw(pid), self.nice);
            let _ = fs::write(format!("/proc/{pid}/oom_score_adj"), "500");
        }
        Ok((child, pid.and_then(Process::find)))
    }
}
