//! The bundled samples, made a person's own dataset by one press.

use super::{Datasets, Origin, ServiceError, ServiceResult};
use crate::{
    domain::dataset::{Dataset, DatasetState},
    services::context::Actor,
    storage::ByteStream,
    store::PageRequest,
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use llm_tuner_dataset::samples::{self, Bundled};

/// The rows that belong to a sample but are kept out of it, for finding out what was learned: JSON Lines.
pub fn held_out(slug: &str) -> Option<&'static [u8]> {
    find(slug)?.held_out
}

fn find(slug: &str) -> Option<Bundled> {
    samples::bundled().find(|bundled| bundled.sample.slug == slug)
}

/// How far back a sample that was added before is looked for.
const RECENT: usize = 200;

impl Datasets {
    /// All that ship with the server, the one to begin with first.
    pub fn samples(&self) -> Vec<Bundled> {
        samples::bundled().collect()
    }

    /// Adds a sample to the person's datasets. Where they have it already, that one is answered: a second press makes
    /// no second copy.
    pub async fn add_sample(&self, actor: &Actor, slug: &str) -> ServiceResult<Dataset> {
        let Bundled { sample, content, .. } = find(slug).ok_or(ServiceError::NotFound("sample"))?;
        let page = PageRequest { cursor: None, limit: RECENT };
        let recent = self.list(actor, &page).await?.items;
        let known = recent.into_iter().find(|dataset| {
            dataset.sample.as_deref() == Some(slug)
                && !matches!(dataset.state, DatasetState::Failed | DatasetState::Refused)
        });
        if let Some(dataset) = known {
            return Ok(dataset);
        }
        let origin = Origin {
            name: sample.title.to_owned(),
            original_name: sample.file_name.to_owned(),
            family: None,
            sample: Some(slug.to_owned()),
            mapping: None,
            action: "dataset.add_sample",
        };
        let content: ByteStream = stream::iter([Ok(Bytes::from_static(content))]).boxed();
        self.add(actor, origin, content).await
    }
}
