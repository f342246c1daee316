//! The trainer's last word: `<job>/output/exit`, one JSON object, written after everything else is whole on the disk.
//!
//! Where this file is missing, the process was killed before it could finish, whatever else the directory holds.

use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Exit {
    /// `model/` is whole.
    Completed,
    /// Ended on request; `model/` is whole where it was to be kept.
    Stopped,
    Failed {
        message: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next_step: Option<String>,
    },
}

impl Exit {
    pub fn path(job: &Path) -> PathBuf {
        job.join("output").join("exit")
    }

    /// Whole or not at all; on the disk when this returns.
    pub fn write(&self, job: &Path) -> io::Result<()> {
        let path = Self::path(job);
        let directory = path.parent().unwrap_or(job);
        fs::create_dir_all(directory)?;
        let mut file = tempfile::Builder::new().prefix(".exit").tempfile_in(directory)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        fs::File::open(directory)?.sync_all()
    }

    /// `None` where the process left none, or one that can't be read.
    pub fn read(job: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path(job)).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let job = tempfile::tempdir().unwrap();
        assert_eq!(Exit::read(job.path()), None);
        for exit in [
            Exit::Completed,
            Exit::Stopped,
            Exit::Failed { message: "no room".into(), next_step: Some("make some".into()) },
        ] {
            exit.write(job.path()).unwrap();
            assert_eq!(Exit::read(job.path()), Some(exit));
        }
        fs::write(Exit::path(job.path()), "{").unwrap();
        assert_eq!(Exit::read(job.path()), None);
    }
}
