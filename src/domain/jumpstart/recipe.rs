//! What training and hosting a model take: containers, files, machines. Addresses hold for one region.
//!
//! Machines differ: a [`Variant`] overrides for a family (`g5`) or, before it, for one type (`ml.g5.48xlarge`).

use super::Hyperparameter;
use crate::domain::instance::family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one family or type of machines has of its own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Variant {
    pub image: Option<String>,
    /// Where the container fetches the weights of a gated model from, once the licence is accepted.
    pub gated_uri: Option<String>,
    /// Only where it is another than the recipe's.
    pub artifact_uri: Option<String>,
    pub environment: BTreeMap<String, String>,
    /// Other defaults.
    pub hyperparameters: Vec<Hyperparameter>,
}

/// A figure that the container writes into its log, and how to find it there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    pub name: String,
    pub regex: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecipe {
    pub image: Option<String>,
    /// By family or instance type.
    pub variants: BTreeMap<String, Variant>,
    /// The training script, packed.
    pub script_uri: String,
    /// The weights to begin with, where they are handed over as a channel.
    pub artifact_uri: Option<String>,
    pub environment: BTreeMap<String, String>,
    pub default_instance_type: String,
    pub instance_types: Vec<String>,
    pub metrics: Vec<Metric>,
    pub network_isolation: bool,
    pub encrypt_traffic: bool,
    pub volume_gb: u32,
    /// The container is stopped after so long, whatever happens; days, where JumpStart alone decides.
    pub max_runtime_seconds: u64,
    /// The result is one `model.tar.gz`; else a folder of files.
    pub compressed_output: bool,
}

/// An example of a question that the container understands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    pub content_type: String,
    /// Under which key of the body the prompt stands.
    pub prompt_key: Option<String>,
    /// Where the answer is, as a path of JSON: `[0].generated_text`.
    pub answer_path: Option<String>,
    pub body: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostingRecipe {
    pub image: Option<String>,
    pub variants: BTreeMap<String, Variant>,
    /// The base model's own files; a tuned model brings its own.
    pub artifact_uri: Option<String>,
    /// `S3Prefix` or `S3Object`.
    pub artifact_data_type: String,
    /// `None` or `Gzip`.
    pub artifact_compression: String,
    /// Code for the container, where the files do not hold it.
    pub script_uri: Option<String>,
    pub default_instance_type: String,
    pub instance_types: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub network_isolation: bool,
    pub download_timeout_seconds: u32,
    pub startup_timeout_seconds: u32,
    pub payload: Option<Payload>,
}

/// The family's first, then the type's own, which wins.
fn variants_of<'a>(variants: &'a BTreeMap<String, Variant>, instance_type: &str) -> Vec<&'a Variant> {
    [family(instance_type), instance_type].into_iter().filter_map(|key| variants.get(key)).collect()
}

fn environment(common: &BTreeMap<String, String>, variants: &[&Variant]) -> BTreeMap<String, String> {
    let mut all = common.clone();
    all.extend(variants.iter().flat_map(|variant| variant.environment.clone()));
    all
}

impl TrainingRecipe {
    pub fn variants_of(&self, instance_type: &str) -> Vec<&Variant> {
        variants_of(&self.variants, instance_type)
    }
    pub fn image_on(&self, instance_type: &str) -> Option<&str> {
        let own =
            self.variants_of(instance_type).into_iter().rev().find_map(|variant| variant.image.as_deref());
        own.or(self.image.as_deref())
    }
    pub fn gated_uri_on(&self, instance_type: &str) -> Option<&str> {
        self.variants_of(instance_type).into_iter().rev().find_map(|variant| variant.gated_uri.as_deref())
    }
    pub fn artifact_uri_on(&self, instance_type: &str) -> Option<&str> {
        let variants = self.variants_of(instance_type);
        let own = variants.into_iter().rev().find_map(|variant| variant.artifact_uri.as_deref());
        own.or(self.artifact_uri.as_deref())
    }
    pub fn environment_on(&self, instance_type: &str) -> BTreeMap<String, String> {
        environment(&self.environment, &self.variants_of(instance_type))
    }
}

impl HostingRecipe {
    pub fn image_on(&self, instance_type: &str) -> Option<&str> {
        let variants = variants_of(&self.variants, instance_type);
        let own = variants.into_iter().rev().find_map(|variant| variant.image.as_deref());
        own.or(self.image.as_deref())
    }
    pub fn environment_on(&self, instance_type: &str) -> BTreeMap<String, String> {
        environment(&self.environment, &variants_of(&self.variants, instance_type))
    }
}
