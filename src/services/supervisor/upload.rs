//! Puts a job's result into storage and makes its model row. May be done again after a crash: the model's id is the
//! job's, the keys are the files' names, and the row replaces itself.

use super::{
    LetGo,
    explain::{self, Explained},
    lease::Held,
};
use crate::{
    backends::Artifact,
    domain::{
        ids::ModelId,
        model::{Model, ModelFile, ModelKind},
    },
    storage::StorageError,
};
use std::{
    io,
    path::{Path, PathBuf},
};

impl Held {
    pub(super) async fn upload(&mut self) -> Result<Result<(), Explained>, LetGo> {
        let root = match self.parts.backend.result(&self.job).await? {
            Artifact::Directory(root) => root,
            Artifact::Stored(prefix) => return self.take_over(&prefix).await,
            Artifact::Nothing => return Ok(Err(nothing())),
        };
        let found = {
            let root = root.clone();
            tokio::task::spawn_blocking(move || files(&root))
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        let paths = match found {
            Ok(paths) if !paths.is_empty() => paths,
            Ok(_) => {
                return Ok(Err(nothing()));
            }
            Err(error) => {
                return Ok(Err(explain::storage(&StorageError::Io(error.to_string()), "the finished model")));
            }
        };
        let prefix = format!("users/{}/models/{}", self.job.user_id, self.job.id);
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            match self.put(&format!("{prefix}/{path}"), &root.join(&path)).await {
                Ok(meta) => files.push(ModelFile { path, bytes: meta.bytes, sha256: meta.sha256 }),
                // The trained model stays where it is until somebody answers.
                Err(StorageError::Unavailable(why)) => return Err(LetGo::later(why)),
                Err(error) => {
                    if let Err(error) = self.parts.storage.delete_prefix(&prefix).await {
                        tracing::warn!(job = %self.job.id, %error, "a model's files could not be taken back");
                    }
                    return Ok(Err(explain::storage(&error, "the finished model")));
                }
            }
        }
        self.make_row(prefix, files).await
    }

    /// A result that its run put into storage by itself: only its row is missing.
    async fn take_over(&mut self, prefix: &str) -> Result<Result<(), Explained>, LetGo> {
        let listed = match self.parts.storage.list(prefix).await {
            Ok(listed) if !listed.is_empty() => listed,
            Ok(_) => return Ok(Err(nothing())),
            Err(StorageError::Unavailable(why)) => return Err(LetGo::later(why)),
            Err(error) => return Ok(Err(explain::storage(&error, "the finished model"))),
        };
        let mut files = Vec::with_capacity(listed.len());
        for path in listed {
            // Reads what has no checksum yet.
            match self.parts.storage.head(&format!("{prefix}/{path}")).await {
                Ok(meta) => files.push(ModelFile { path, bytes: meta.bytes, sha256: meta.sha256 }),
                Err(StorageError::Unavailable(why)) => return Err(LetGo::later(why)),
                Err(error) => return Ok(Err(explain::storage(&error, "the finished model"))),
            }
        }
        self.make_row(prefix.to_owned(), files).await
    }

    async fn make_row(
        &mut self,
        prefix: String,
        files: Vec<ModelFile>,
    ) -> Result<Result<(), Explained>, LetGo> {
        // Nothing but the job's id goes into it, so a second try makes the same model.
        let Some(id) = ModelId::parse(self.job.id.as_str()) else {
            return Ok(Err(explain::engine("The job's id can't name a model.".into(), None)));
        };
        let adapter = files.iter().any(|file| file.path == "adapter_config.json");
        let job = &self.job;
        let model = Model {
            id,
            user_id: job.user_id.clone(),
            job_id: job.id.clone(),
            job_name: job.name.clone(),
            name: if job.title.is_empty() { job.name.clone() } else { job.title.clone() },
            kind: if adapter { ModelKind::Adapter } else { ModelKind::Full },
            base_name: job.spec.base_name.clone(),
            base: job.spec.base.clone(),
            dataset_names: job.spec.dataset_names.clone(),
            train_loss: job.train_loss,
            eval_loss: job.eval_loss,
            prefix,
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
            created_at: self.now(),
        };
        self.parts.store.create_model(&model).await?;
        Ok(Ok(()))
    }

    /// A full disk is waited for a while: the training is done, and what is missing is only room.
    async fn put(&self, key: &str, path: &Path) -> Result<crate::storage::ObjectMeta, StorageError> {
        let settings = &self.parts.settings;
        for _ in 1..settings.upload_tries {
            match self.parts.storage.put_file(key, path).await {
                Err(StorageError::Full) => {
                    tracing::warn!(job = %self.job.id, "no room for a finished model; trying again");
                    tokio::time::sleep(settings.upload_pause).await;
                }
                other => return other,
            }
        }
        self.parts.storage.put_file(key, path).await
    }
}

fn nothing() -> Explained {
    explain::engine("The engine ended without leaving a model.".into(), None)
}

/// The plain files below a directory as `/`-separated relative paths, in order. Links are left out: a result has none.
fn files(root: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        let entries = match std::fs::read_dir(root.join(&directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, directory.join(entry.file_name()));
            match path.to_str() {
                Some(_) if kind.is_dir() => open.push(path),
                Some(text) if kind.is_file() => found.push(text.to_owned()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_its_plain_files() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(files(&root.path().join("nowhere")).unwrap(), Vec::<String>::new());
        std::fs::create_dir(root.path().join("adapter")).unwrap();
        for file in ["config.json", "adapter/adapter_config.json"] {
            std::fs::write(root.path().join(file), "{}").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("link")).unwrap();
        assert_eq!(files(root.path()).unwrap(), ["adapter/adapter_config.json", "config.json"]);
    }
}
