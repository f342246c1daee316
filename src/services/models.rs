//! Finished models: list, rename, delete, download file by file or as one archive. Talking to them is `playground`.

use super::{
    context::{Actor, Environment},
    error::{ServiceError, ServiceResult},
    policy::{Action, Resource, authorize},
};
use crate::{
    domain::{
        ids::ModelId,
        model::{Model, ModelFile},
    },
    storage::{ByteStream, ObjectMeta, Storage, StorageError, blocking_reader},
    store::{Page, PageRequest, Store},
};
use std::{io::Write, ops::Range, path::PathBuf, sync::Arc, time::Duration};

/// Files from this size on are fetched from the bucket itself, where there is one.
const LARGE: u64 = 64 << 20;
const LINK_LIFETIME: Duration = Duration::from_secs(300);

pub struct Models {
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    env: Environment,
    /// Where an archive is put together before it goes into storage.
    scratch: PathBuf,
    /// One archive at a time is built: they are large.
    building: tokio::sync::Mutex<()>,
}

/// Something to download.
pub struct Download {
    /// As it is called on the person's disk.
    pub file_name: String,
    pub meta: ObjectMeta,
    key: String,
}

impl Models {
    pub fn new(store: Arc<dyn Store>, storage: Arc<dyn Storage>, env: Environment, scratch: PathBuf) -> Self {
        Self { store, storage, env, scratch, building: tokio::sync::Mutex::new(()) }
    }

    pub async fn list(&self, actor: &Actor, page: &PageRequest) -> ServiceResult<Page<Model>> {
        Ok(self.store.list_models(&actor.user.id, page).await?)
    }

    pub async fn model(&self, actor: &Actor, id: &str) -> ServiceResult<Model> {
        self.own(actor, Action::Read, id).await
    }

    pub async fn rename(&self, actor: &Actor, id: &str, name: &str) -> ServiceResult<()> {
        let model = self.own(actor, Action::Write, id).await?;
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            return Err(ServiceError::invalid("name", "A name is one line of 1 to 200 characters."));
        }
        let audit = actor.audit(self.env.now(), "model.rename", model.id.as_str());
        Ok(self.store.rename_model(&model.id, name, &audit).await?)
    }

    /// Removes the model and its files. The job that made it keeps its log.
    pub async fn delete(&self, actor: &Actor, id: &str) -> ServiceResult<()> {
        let model = self.own(actor, Action::Write, id).await?;
        let audit = actor.audit(self.env.now(), "model.delete", model.id.as_str());
        self.store.delete_model(&model.id, &audit).await?;
        // A result of SageMaker lies deeper, beside those of other tries.
        self.storage.delete_prefix(&model.prefix).await?;
        self.storage.delete_prefix(&format!("users/{}/models/{}", model.user_id, model.id)).await?;
        Ok(self.storage.delete(&archive_key(&model)).await?)
    }

    /// One file of the model.
    pub async fn file(&self, actor: &Actor, id: &str, path: &str) -> ServiceResult<Download> {
        let model = self.own(actor, Action::Read, id).await?;
        // Only what the model's own list names: a path never comes from outside.
        let file = model.files.iter().find(|file| file.path == path).ok_or(ServiceError::NotFound("file"))?;
        let key = format!("{}/{}", model.prefix, file.path);
        let meta = ObjectMeta { bytes: file.bytes, sha256: file.sha256.clone() };
        self.store
            .audit(&actor.audit(self.env.now(), "model.download", &format!("{}/{path}", model.id)))
            .await?;
        Ok(Download { file_name: file_name(&file.path), meta, key })
    }

    /// All files as one ZIP, not compressed (weights do not shrink). Built at the first download, then kept.
    pub async fn archive(&self, actor: &Actor, id: &str) -> ServiceResult<Download> {
        let model = self.own(actor, Action::Read, id).await?;
        let key = archive_key(&model);
        let meta = match self.storage.head(&key).await {
            Ok(meta) => meta,
            Err(StorageError::NotFound) => self.build_archive(&model, &key).await?,
            Err(error) => return Err(error.into()),
        };
        self.store.audit(&actor.audit(self.env.now(), "model.download", model.id.as_str())).await?;
        Ok(Download { file_name: format!("{}.zip", plain_name(&model.name)), meta, key })
    }

    /// Where a large file can be fetched directly, for five minutes; `None` where it comes through this server.
    pub async fn link(&self, download: &Download) -> ServiceResult<Option<String>> {
        if download.meta.bytes < LARGE {
            return Ok(None);
        }
        Ok(self.storage.link(&download.key, &download.file_name, LINK_LIFETIME).await?)
    }

    /// The bytes of a download, or a part of them.
    pub async fn read(&self, download: &Download, range: Option<Range<u64>>) -> ServiceResult<ByteStream> {
        Ok(self.storage.get(&download.key, range).await?)
    }

    async fn build_archive(&self, model: &Model, key: &str) -> ServiceResult<ObjectMeta> {
        let _one = self.building.lock().await;
        // Somebody else may have built it while we waited.
        match self.storage.head(key).await {
            Err(StorageError::NotFound) => {}
            other => return Ok(other?),
        }
        let io = |error: std::io::Error| ServiceError::from(storage_error(&error));
        tokio::fs::create_dir_all(&self.scratch).await.map_err(io)?;
        let scratch = tempfile::NamedTempFile::new_in(&self.scratch).map_err(io)?;
        let mut sources = Vec::new();
        for file in &model.files {
            let stream = self.storage.get(&format!("{}/{}", model.prefix, file.path), None).await?;
            sources.push((file.clone(), stream));
        }
        let folder = plain_name(&model.name);
        let scratch = tokio::task::spawn_blocking(move || write_zip(scratch, &folder, sources))
            .await
            .map_err(|error| ServiceError::Internal(error.to_string()))?
            .map_err(|error| ServiceError::from(storage_error(&error)))?;
        Ok(self.storage.put_file(key, scratch.path()).await?)
    }

    async fn own(&self, actor: &Actor, action: Action, id: &str) -> ServiceResult<Model> {
        let id = ModelId::parse(id).ok_or(ServiceError::NotFound("model"))?;
        self.store
            .model(&id)
            .await?
            .filter(|model| authorize(actor, action, Resource::Owned(&model.user_id)))
            .ok_or(ServiceError::NotFound("model"))
    }
}

fn write_zip(
    scratch: tempfile::NamedTempFile,
    folder: &str,
    sources: Vec<(ModelFile, ByteStream)>,
) -> std::io::Result<tempfile::NamedTempFile> {
    let mut zip = zip::ZipWriter::new(std::io::BufWriter::new(scratch.reopen()?));
    // The same model gives the same archive, byte for byte: no time of today in it.
    let plain = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    let mut sums = String::new();
    for (file, stream) in sources {
        let options = plain.large_file(file.bytes > u64::from(u32::MAX) / 2);
        zip.start_file(format!("{folder}/{}", file.path), options)?;
        std::io::copy(&mut blocking_reader(stream), &mut zip)?;
        sums.push_str(&format!("{}  {}\n", file.sha256, file.path));
    }
    // For `sha256sum --check SHA256SUMS`.
    zip.start_file(format!("{folder}/SHA256SUMS"), plain)?;
    zip.write_all(sums.as_bytes())?;
    zip.finish()?.flush()?;
    Ok(scratch)
}

fn storage_error(error: &std::io::Error) -> StorageError {
    if error.kind() == std::io::ErrorKind::StorageFull {
        StorageError::Full
    } else {
        StorageError::Io(error.to_string())
    }
}

fn archive_key(model: &Model) -> String {
    format!("users/{}/archives/{}.zip", model.user_id, model.id)
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// A name that any file system takes: letters, digits, `-` and `_`.
fn plain_name(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(80).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "model".to_owned() } else { name.to_owned() }
}
