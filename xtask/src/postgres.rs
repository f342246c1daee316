//! One PostgreSQL server for one run of the tests: a fresh cluster in a temporary directory, on a
//! port that was free. The tests make their own databases in it.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{process, setup};

pub struct Postgres {
    server: Child,
    dir: PathBuf,
    port: u16,
}

impl Postgres {
    pub fn start() -> Result<Self> {
        let programs = setup::postgres_programs()?;
        let owner = owner()?;
        let dir = std::env::temp_dir().join(format!("llm-tuner-postgres-{}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        if let Some((user, group)) = owner {
            chown(&dir, Some(user), Some(group))?;
        }
        let data = dir.join("data");
        let command = |name: &str| {
            let mut command = Command::new(programs.join(name));
            if let Some((user, group)) = owner {
                command.uid(user).gid(group);
            }
            command.current_dir(&dir).stdin(Stdio::null());
            command
        };
        let mut initdb = command("initdb");
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        process::run_quietly(initdb.arg("--pgdata").arg(&data))?;

        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = fs::File::create(dir.join("log"))?;
        let mut postgres = command("postgres");
        postgres.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k"]).arg(&dir);
        // A crash may lose this cluster, so nothing waits for the disk.
        for setting in [
            "listen_addresses=127.0.0.1",
            "max_connections=200",
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
        ] {
            postgres.args(["-c", setting]);
        }
        postgres.stdout(log.try_clone()?).stderr(log);
        let server = postgres.spawn().context("cannot start postgres")?;
        let mut started = Self { server, dir, port };
        started.wait()?;
        Ok(started)
    }

    /// The URL of the maintenance database, whose user may create others.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn wait(&mut self) -> Result<()> {
        for _ in 0..300 {
            if let Some(status) = self.server.try_wait()? {
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                bail!("postgres ended with {status} while it started:\n{log}");
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() && self.is_ready() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("postgres did not answer within 30 s")
    }

    /// The listener opens before recovery ends; the server says when it is done.
    fn is_ready(&self) -> bool {
        fs::read_to_string(self.dir.join("log"))
            .is_ok_and(|log| log.contains("database system is ready to accept connections"))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is postgres's fast shutdown; a plain kill would leave its shared memory behind.
        let stopped = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status();
        if stopped.is_err() {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
        remove(&self.dir);
    }
}

fn remove(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir) {
        eprintln!("cannot remove {}: {error}", dir.display());
    }
}

/// PostgreSQL refuses to run as root, so root hands it to a user without rights.
fn owner() -> Result<Option<(u32, u32)>> {
    if process::user_id()? != 0 {
        return Ok(None);
    }
    for user in ["postgres", "nobody"] {
        if let (Ok(id), Ok(group)) = (process::id_of(Some(user)), process::group_of(user)) {
            return Ok(Some((id, group)));
        }
    }
    bail!("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as")
}
