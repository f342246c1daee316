//! Rows of a checked dataset, page by page. The check keeps the place of every thousandth row beside the data, so that
//! a page far into a large file is read from near where it begins, in constant memory.

use super::{
    Datasets, ServiceError, ServiceResult, parts_prefix, report_of, still_checking, stored::StoredReader,
};
use crate::{
    domain::{dataset::Dataset, ids::DatasetId},
    services::context::Actor,
    storage::{ByteStream, Storage, StorageError, StorageResult},
};
use futures::{StreamExt, stream};
use llm_tuner_dataset::{LineIndex, Page, Report, preview};

/// Rows on one page.
pub const PAGE_ROWS: u64 = 20;
/// The index of a billion rows is smaller.
const MAX_INDEX_BYTES: u64 = 256 * 1024 * 1024;

fn index_key(dataset: &Dataset) -> String {
    format!("{}/index", parts_prefix(dataset))
}

/// Keeps where rows begin.
pub(super) async fn keep_index(
    storage: &dyn Storage,
    dataset: &Dataset,
    index: &LineIndex,
) -> StorageResult<()> {
    let json = serde_json::to_vec(index).map_err(|error| StorageError::Io(error.to_string()))?;
    let content: ByteStream = stream::iter([Ok(bytes::Bytes::from(json))]).boxed();
    storage.put(&index_key(dataset), content, MAX_INDEX_BYTES).await.map(drop)
}

impl Datasets {
    /// The page that begins with row `first` (from 0); past the end, the last page.
    pub async fn preview(&self, actor: &Actor, id: &DatasetId, first: u64) -> ServiceResult<Page> {
        let dataset = self.get(actor, id).await?;
        let report = report_of(&dataset)?.ok_or_else(|| still_checking(&dataset))?;
        let Some(schema) = report.schema.clone() else {
            return Ok(Page { first: 0, total: 0, rows: Vec::new() });
        };
        let first = first.min(last_page(&report));
        let index = self.index(&dataset).await?;
        let reader = StoredReader::new(self.inner.storage.clone(), dataset.object_key.clone(), dataset.bytes);
        let count = usize::try_from(PAGE_ROWS).unwrap_or(usize::MAX);
        tokio::task::spawn_blocking(move || preview(reader, &schema, &index, first, count))
            .await
            .map_err(|panic| ServiceError::Internal(panic.to_string()))?
            .map_err(|error| ServiceError::Unavailable(error.to_string()))
    }

    async fn index(&self, dataset: &Dataset) -> ServiceResult<LineIndex> {
        let mut content = match self.inner.storage.get(&index_key(dataset), None).await {
            Ok(content) => content,
            Err(StorageError::NotFound) => {
                return Err(ServiceError::Internal("no index beside a checked dataset".to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let mut json = Vec::new();
        while let Some(chunk) = content.next().await {
            json.extend_from_slice(&chunk.map_err(|error| ServiceError::Unavailable(error.to_string()))?);
        }
        serde_json::from_slice(&json)
            .map_err(|error| ServiceError::Internal(format!("stored index: {error}")))
    }
}

/// The row that the last page begins with.
fn last_page(report: &Report) -> u64 {
    report.rows.saturating_sub(1) / PAGE_ROWS * PAGE_ROWS
}
