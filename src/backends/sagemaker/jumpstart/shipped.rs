//! The catalogue without AWS: the list that ships with the program, and why it is that.

use super::snapshot;
use crate::{
    backends::catalogue::{Catalogue, CatalogueError, Found, Listing},
    domain::jumpstart::Model,
};
use async_trait::async_trait;
use std::sync::Arc;

/// Where AWS is not set up. Answers at once.
pub struct Shipped {
    region: String,
    why: String,
}

impl Shipped {
    /// `why` AWS is not asked, in words for a person.
    pub fn new(region: impl Into<String>, why: impl Into<String>) -> Self {
        Self { region: region.into(), why: why.into() }
    }
}

#[async_trait]
impl Catalogue for Shipped {
    async fn list(&self) -> Listing {
        listing(&self.region, self.why.clone())
    }
    async fn model(&self, id: &str, version: Option<&str>) -> Result<Found, CatalogueError> {
        // There is nobody else to ask: this list is the whole catalogue.
        find(&self.region, id, version, self.why.clone()).map_err(|_| CatalogueError::Unknown)
    }
    fn known(&self, id: &str) -> Option<Model> {
        snapshot::models(&self.region).into_iter().find(|model| model.id == id)
    }
}

pub(super) fn listing(region: &str, problem: String) -> Listing {
    let models = snapshot::models(region).iter().map(Model::listed).collect();
    Listing { models: Arc::new(models), source: snapshot::source(), problem: Some(problem) }
}

/// The shipped model; where there is none of this name and version, what is wrong with AWS.
pub(super) fn find(
    region: &str,
    id: &str,
    version: Option<&str>,
    problem: String,
) -> Result<Found, CatalogueError> {
    let mut models = snapshot::models(region).into_iter();
    match models.find(|model| model.id == id && version.is_none_or(|version| version == model.version)) {
        Some(model) => Ok(Found { model, problem: Some(problem) }),
        None => Err(CatalogueError::NoAnswer(problem)),
    }
}
