//! How a JumpStart model that was tuned wants to be hosted: as its base is, with files of its own.

use crate::backends::{
    catalogue::{Catalogue, CatalogueError},
    hosting::{HostingError, HostingResult, Recipe, Recipes},
};
use async_trait::async_trait;
use std::sync::Arc;

pub struct FromCatalogue(pub Arc<dyn Catalogue>);

#[async_trait]
impl Recipes for FromCatalogue {
    async fn recipe(
        &self,
        model: &str,
        version: Option<&str>,
        instance_type: Option<&str>,
    ) -> HostingResult<Option<Recipe>> {
        let model = match self.0.model(model, version).await {
            Ok(found) => found.model,
            Err(CatalogueError::NoAnswer(why)) => return Err(HostingError::NoAnswer(why)),
            Err(CatalogueError::Unknown | CatalogueError::Unusable(_)) => return Ok(None),
        };
        let gated = model.gated;
        Ok(model.hosting.map(|hosting| {
            let on = instance_type.unwrap_or(&hosting.default_instance_type);
            // The usual one first.
            let mut instance_types = hosting.instance_types.clone();
            instance_types.sort_by_key(|kind| *kind != hosting.default_instance_type);
            Recipe {
                version: model.version,
                image: hosting.image_on(on).map(str::to_owned),
                environment: hosting.environment_on(on),
                patience_seconds: Some(hosting.download_timeout_seconds.max(hosting.startup_timeout_seconds)),
                needs_network: !hosting.network_isolation,
                prompt_key: hosting.payload.and_then(|payload| payload.prompt_key),
                instance_types,
                gated,
            }
        }))
    }
}
