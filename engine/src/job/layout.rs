//! Where things lie in a job's directory.

use std::path::{Path, PathBuf};

use crate::error::FileError;
use crate::files::atomic;

/// What to do with the result when a job is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// Write the model as it is.
    Keep,
    /// Write nothing but the checkpoint.
    Checkpoint,
    /// Write nothing at all.
    Discard,
}

/// A job's directory; see [`crate::job`].
#[derive(Debug, Clone)]
pub struct JobDirectory {
    root: PathBuf,
}

impl JobDirectory {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub fn hyperparameters(&self) -> PathBuf {
        self.root.join("input/config/hyperparameters.json")
    }

    pub fn input_data_config(&self) -> PathBuf {
        self.root.join("input/config/inputdataconfig.json")
    }

    pub fn resource_config(&self) -> PathBuf {
        self.root.join("input/config/resourceconfig.json")
    }

    pub fn stop(&self) -> PathBuf {
        self.root.join("input/config/stop")
    }

    pub fn training(&self) -> PathBuf {
        self.root.join("input/data/training")
    }

    pub fn validation(&self) -> PathBuf {
        self.root.join("input/data/validation")
    }

    pub fn base_model(&self) -> PathBuf {
        self.root.join("input/data/model")
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    pub fn model(&self) -> PathBuf {
        self.root.join("model")
    }

    pub fn failure(&self) -> PathBuf {
        self.root.join("output/failure")
    }

    /// What `input/config/stop` asks for; without it the model is kept, as SageMaker does when it stops a job.
    pub fn on_stop(&self) -> OnStop {
        match std::fs::read_to_string(self.stop()).unwrap_or_default().trim() {
            "discard" => OnStop::Discard,
            "checkpoint" => OnStop::Checkpoint,
            _ => OnStop::Keep,
        }
    }

    /// Removes the failure of an earlier run.
    pub fn clear_failure(&self) -> Result<(), FileError> {
        let path = self.failure();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    pub fn write_failure(&self, text: &str) -> Result<(), FileError> {
        let path = self.failure();
        let directory = self.root.join("output");
        std::fs::create_dir_all(&directory).map_err(FileError::io("create", &directory))?;
        atomic::write_file(&path, text.as_bytes())
    }
}
