//! The port that tells which JumpStart models there are, and everything about one of them.

use crate::domain::jumpstart::{Listed, Model, Source};
use async_trait::async_trait;
use std::sync::Arc;

/// All models of the catalogue.
#[derive(Debug, Clone)]
pub struct Listing {
    /// In the order of their ids.
    pub models: Arc<Vec<Listed>>,
    pub source: Source,
    /// Why it is not AWS's list of today, in words for a person; `None` where it is.
    pub problem: Option<String>,
}

/// One model.
#[derive(Debug, Clone)]
pub struct Found {
    pub model: Model,
    /// Why it is not what AWS says today; `None` where it is.
    pub problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// There is none of this name, or none of this version.
    #[error("there is no such JumpStart model")]
    Unknown,
    /// AWS describes it in a way that we can't use; says what is missing.
    #[error("{0}")]
    Unusable(String),
    /// AWS does not answer, and our own list does not have it; says why.
    #[error("{0}")]
    NoAnswer(String),
}

/// Answers at once or within seconds, whatever AWS does.
#[async_trait]
pub trait Catalogue: Send + Sync {
    async fn list(&self) -> Listing;
    /// The newest version, or the one that is asked for.
    async fn model(&self, id: &str, version: Option<&str>) -> Result<Found, CatalogueError>;
    /// The newest version, where it is known without asking AWS.
    fn known(&self, id: &str) -> Option<Model>;
}
