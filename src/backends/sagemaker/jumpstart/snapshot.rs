//! The list that ships with the program, for when AWS does not answer: facts about a few models, as the hub has them,
//! with `{region}` and `{registry}` (the host of AWS's containers in that region) in their addresses.

use super::document::{Entry, parse};
use crate::{
    backends::sagemaker::images::registry,
    domain::jumpstart::{Model, Source},
};
use serde_json::Value;

/// The day on which the list was made.
pub const DATE: &str = "2026-11-21";

const MODELS: [(&str, &str); 4] = [
    ("huggingface-text2text-flan-t5-base", include_str!("snapshot/huggingface-text2text-flan-t5-base.json")),
    ("meta-textgeneration-llama-2-13b-f", include_str!("snapshot/meta-textgeneration-llama-2-13b-f.json")),
    ("meta-textgeneration-llama-2-7b", include_str!("snapshot/meta-textgeneration-llama-2-7b.json")),
    ("meta-textgeneration-llama-3-1-70b", include_str!("snapshot/meta-textgeneration-llama-3-1-70b.json")),
];

pub fn source() -> Source {
    Source::Snapshot { date: DATE.to_owned() }
}

/// The models with the addresses of this region. Where the list does not know the region's registry, their containers
/// are unknown, and so they can neither be trained nor hosted from it.
pub fn models(region: &str) -> Vec<Model> {
    let registry = registry(region);
    MODELS.iter().filter_map(|(id, file)| model(id, file, region, registry.as_deref())).collect()
}

fn model(id: &str, file: &str, region: &str, registry: Option<&str>) -> Option<Model> {
    let mut file: Value = serde_json::from_str(file).ok()?;
    localise(&mut file, region, registry);
    let text = |name: &str| file[name].as_str().unwrap_or_default();
    let keywords = file["HubContentSearchKeywords"].as_array()?;
    let keywords: Vec<String> = keywords.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let entry = Entry {
        id,
        version: text("HubContentVersion"),
        name: text("HubContentDisplayName"),
        description: text("HubContentDescription"),
        keywords: &keywords,
    };
    parse(&entry, &file["HubContentDocument"], region, source()).ok()
}

fn localise(value: &mut Value, region: &str, registry: Option<&str>) {
    match value {
        Value::String(text) if text.starts_with("{registry}") => {
            *value = registry.map_or(Value::Null, |registry| text.replacen("{registry}", registry, 1).into());
        }
        Value::String(text) if text.contains("{region}") => *text = text.replace("{region}", region),
        Value::Array(all) => all.iter_mut().for_each(|one| localise(one, region, registry)),
        Value::Object(all) => all.values_mut().for_each(|one| localise(one, region, registry)),
        _ => {}
    }
}
