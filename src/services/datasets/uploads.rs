//! Files that come in pieces, over many requests, lost connections and starts of the server.
//!
//! The bytes lie with `storage`, which knows how many there are; the row in `store` says whose they are and what they
//! become. An upload has the id of the dataset that it becomes, and ends in the transaction that makes the dataset: so
//! finishing may be tried again at any point and makes one dataset.

use super::{
    Dataset, DatasetId, Datasets, ServiceError, ServiceResult,
    add::{Origin, object_key},
    name,
    turns::Turn,
};
use crate::{
    domain::{ids::UserId, upload::Upload},
    services::{
        context::Actor,
        policy::{Action, Resource, authorize},
    },
    storage::ByteStream,
};
use futures::StreamExt;
use std::time::Duration;

/// How long an upload is kept after its last piece.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// Characters of what a sender may note about an upload.
const MAX_METADATA: usize = 4096;
/// Uploads removed between two questions to the database.
const SWEEP: usize = 100;

/// How far an upload is.
#[derive(Debug)]
pub enum Progress {
    /// `offset` bytes are kept for good.
    Incoming { upload: Upload, offset: u64 },
    /// All came, and this is what became of them.
    Done(Box<Dataset>),
}

impl Progress {
    pub fn id(&self) -> &DatasetId {
        match self {
            Self::Incoming { upload, .. } => &upload.id,
            Self::Done(dataset) => &dataset.id,
        }
    }
}

/// What an id stands for.
enum Found {
    Upload(Upload),
    Dataset(Box<Dataset>),
}

impl Datasets {
    /// Announces a file of `bytes`; an empty one is done with that. `metadata` is given back as it is.
    ///
    /// # Errors
    /// `TooLarge` at once, before a byte is sent.
    pub async fn begin_upload(
        &self,
        actor: &Actor,
        file_name: &str,
        bytes: u64,
        metadata: &str,
    ) -> ServiceResult<Progress> {
        let limit = self.inner.settings.max_upload_bytes;
        if bytes > limit {
            return Err(ServiceError::TooLarge { limit });
        }
        if metadata.chars().count() > MAX_METADATA {
            let words = format!("The notes about an upload have at most {MAX_METADATA} characters.");
            return Err(ServiceError::invalid("metadata", words));
        }
        let (id, now) = (self.new_id(), self.inner.env.now());
        let upload = Upload {
            user_id: actor.user.id.clone(),
            original_name: name::clean_file_name(file_name),
            object_key: object_key(&actor.user.id, &id),
            bytes,
            metadata: metadata.to_owned(),
            created_at: now,
            expires_at: now.plus(KEEP),
            id,
        };
        let audit = actor.audit(now, "upload.begin", upload.id.as_str());
        self.inner.store.create_upload(&upload, &audit).await?;
        if bytes > 0 {
            return Ok(Progress::Incoming { upload, offset: 0 });
        }
        self.append_upload(actor, &upload.id, 0, futures::stream::empty().boxed()).await
    }

    /// Where the upload stands. A piece that is still being waited for ends with this question, and one whose last
    /// step a crash prevented is finished.
    pub async fn upload_progress(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<Progress> {
        self.find_upload(actor, id).await?;
        let turn = self.inner.turns.wait(id).await;
        let upload = match self.find_upload(actor, id).await? {
            Found::Upload(upload) => upload,
            Found::Dataset(dataset) => return Ok(Progress::Done(dataset)),
        };
        let offset = self.inner.storage.appended(&upload.object_key).await?;
        self.advance(actor, turn, upload, offset).await
    }

    /// Adds a piece at `offset`. What came stays, also where the connection is lost half-way. With the last byte the
    /// dataset is made as by [`Datasets::upload`].
    ///
    /// # Errors
    /// `Refused` as `upload_busy` while another piece comes, and as `wrong_offset`; `TooLarge` where more comes than
    /// was announced; `NoRoom`.
    pub async fn append_upload(
        &self,
        actor: &Actor,
        id: &DatasetId,
        offset: u64,
        content: ByteStream,
    ) -> ServiceResult<Progress> {
        self.find_upload(actor, id).await?;
        let turn = self.inner.turns.take(id).ok_or_else(busy)?;
        let (datasets, actor, id) = (self.clone(), actor.clone(), id.clone());
        // A task of its own: a sender that goes away takes nothing with it that had come, nor the last step.
        let work = async move { datasets.append(&actor, turn, &id, offset, content).await };
        let done = self.inner.tasks.spawn(work).await;
        done.map_err(|error| ServiceError::Internal(error.to_string()))?
    }

    async fn append(
        &self,
        actor: &Actor,
        turn: Turn,
        id: &DatasetId,
        offset: u64,
        content: ByteStream,
    ) -> ServiceResult<Progress> {
        let upload = match self.find_upload(actor, id).await? {
            Found::Upload(upload) => upload,
            // The answer to the last piece was lost, and the piece is sent again.
            Found::Dataset(dataset) if offset == dataset.bytes => return Ok(Progress::Done(dataset)),
            Found::Dataset(dataset) => return Err(wrong_offset(dataset.bytes, offset)),
        };
        let storage = &self.inner.storage;
        let kept = storage.appended(&upload.object_key).await?;
        if kept != offset {
            return Err(wrong_offset(kept, offset));
        }
        self.keep(&upload).await?;
        let wanted = turn.asked_to_end.clone();
        let content = content.take_until(wanted.cancelled_owned());
        let content = content.take_until(self.inner.stop.clone().cancelled_owned()).boxed();
        // Where all came and only the last step is missing, the object may be in place already.
        let kept = if kept == upload.bytes && kept > 0 {
            kept
        } else {
            storage.append(&upload.object_key, content, upload.bytes).await?
        };
        self.advance(actor, turn, upload, kept).await
    }

    async fn keep(&self, upload: &Upload) -> ServiceResult<()> {
        let until = self.inner.env.now().plus(KEEP);
        Ok(self.inner.store.keep_upload(&upload.id, until).await?)
    }

    /// The last step where all bytes are there.
    async fn advance(
        &self,
        actor: &Actor,
        turn: Turn,
        mut upload: Upload,
        offset: u64,
    ) -> ServiceResult<Progress> {
        if offset < upload.bytes {
            upload = self.inner.store.upload(&upload.id).await?.ok_or(ServiceError::NotFound("upload"))?;
            return Ok(Progress::Incoming { upload, offset });
        }
        let meta = self.inner.storage.complete(&upload.object_key).await?;
        let dataset = self.row(actor, upload.id, Origin::file(upload.original_name), meta);
        let audit = actor.audit(dataset.created_at, "dataset.create", dataset.id.as_str());
        self.inner.store.finish_upload(&dataset, &audit).await?;
        drop(turn);
        Ok(Progress::Done(Box::new(self.begin_check(dataset).await)))
    }

    /// Ends an upload and removes what came of it. A finished one is a dataset, and is deleted as such.
    pub async fn cancel_upload(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<()> {
        self.find_upload(actor, id).await?;
        let _turn = self.inner.turns.wait(id).await;
        let Found::Upload(upload) = self.find_upload(actor, id).await? else {
            return Err(ServiceError::refused(
                "upload_finished",
                "The upload is complete, so it can't be cancelled.",
                "Delete the dataset that was made of it.",
            ));
        };
        self.remove_pieces(&upload).await?;
        let audit = actor.audit(self.inner.env.now(), "upload.cancel", id.as_str());
        Ok(self.inner.store.delete_upload(id, Some(&audit)).await?)
    }

    /// Removes uploads that nobody went on with; returns how many.
    pub async fn sweep_uploads(&self) -> ServiceResult<u64> {
        let (now, mut swept) = (self.inner.env.now(), 0);
        loop {
            let expired = self.inner.store.expired_uploads(now, SWEEP).await?;
            let before = swept;
            for upload in &expired {
                // Somebody works on it: its end is later now.
                let Some(_turn) = self.inner.turns.take(&upload.id) else { continue };
                // Meanwhile it may have got a new piece, or have become a dataset.
                let still = self.inner.store.upload(&upload.id).await?;
                if still.is_some_and(|still| still.expires_at <= now) {
                    self.remove_pieces(upload).await?;
                    self.inner.store.delete_upload(&upload.id, None).await?;
                    swept += 1;
                }
            }
            if expired.len() < SWEEP || swept == before {
                return Ok(swept);
            }
        }
    }

    /// First the bytes, then (by the caller) the row: a crash in between leaves a row, which is swept.
    async fn remove_pieces(&self, upload: &Upload) -> ServiceResult<()> {
        self.inner.storage.abandon(&upload.object_key).await?;
        Ok(self.inner.storage.delete(&upload.object_key).await?)
    }

    async fn find_upload(&self, actor: &Actor, id: &DatasetId) -> ServiceResult<Found> {
        let mine = |owner: &UserId| authorize(actor, Action::Write, Resource::Owned(owner));
        match self.inner.store.upload(id).await? {
            Some(upload) if mine(&upload.user_id) && upload.expires_at > self.inner.env.now() => {
                return Ok(Found::Upload(upload));
            }
            Some(_) => return Err(ServiceError::NotFound("upload")),
            None => {}
        }
        let dataset = self.inner.store.dataset(id).await?;
        match dataset {
            Some(dataset) if mine(&dataset.user_id) => Ok(Found::Dataset(Box::new(dataset))),
            _ => Err(ServiceError::NotFound("upload")),
        }
    }
}

fn busy() -> ServiceError {
    ServiceError::refused(
        "upload_busy",
        "Another request is sending to this upload.",
        "Ask for its offset and go on from there.",
    )
}

fn wrong_offset(kept: u64, given: u64) -> ServiceError {
    ServiceError::refused(
        "wrong_offset",
        format!("The upload goes on at byte {kept}, not at byte {given}."),
        "Ask for its offset and go on from there.",
    )
}
