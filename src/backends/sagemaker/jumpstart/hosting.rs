//! How a JumpStart model that was tuned wants to be hosted: as its base is, with files of its own.

use crate::backends::{
    catalogue::Catalogue,
    hosting::{Recipe, Recipes},
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
    ) -> Option<Recipe> {
        let model = self.0.model(model, version).await.ok()?.model;
        let hosting = model.hosting?;
        let instance_type = instance_type.unwrap_or(&hosting.default_instance_type);
        // The usual one first.
        let mut instance_types = hosting.instance_types.clone();
        instance_types.sort_by_key(|kind| *kind != hosting.default_instance_type);
        Some(Recipe {
            image: hosting.image_on(instance_type).map(str::to_owned),
            environment: hosting.environment_on(instance_type),
            instance_types,
            prompt_key: hosting.payload.and_then(|payload| payload.prompt_key),
            gated: model.gated,
        })
    }
}
