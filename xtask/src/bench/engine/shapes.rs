//! The shapes that are measured: `engine/benches/shapes.json`, the one list of them.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::workspace::Workspace;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    pub name: String,
    pub about: String,
    /// Its directory below `engine/benches/models`.
    pub model: String,
    pub sequences: usize,
    /// In each sequence.
    pub tokens: usize,
    /// What LoRA adapts.
    pub lora: Vec<String>,
    #[serde(default)]
    pub quick: bool,
}

impl Shape {
    pub fn config(&self, workspace: &Workspace) -> PathBuf {
        workspace.root.join("engine/benches/models").join(&self.model).join("config.json")
    }
}

pub fn all(workspace: &Workspace) -> Result<Vec<Shape>> {
    let path = workspace.root.join("engine/benches/shapes.json");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a list of shapes", path.display()))
}

/// The named ones, in the list's order.
pub fn choose(all: &[Shape], names: &[String]) -> Result<Vec<Shape>> {
    let known = || all.iter().map(|shape| shape.name.as_str()).collect::<Vec<_>>().join(", ");
    for name in names.iter().filter(|name| *name != "all") {
        all.iter()
            .find(|shape| shape.name == *name)
            .with_context(|| format!("there is no shape {name:?}, only {}", known()))?;
    }
    let wanted = |shape: &&Shape| {
        if names.is_empty() {
            shape.quick
        } else {
            names.iter().any(|name| name == "all" || *name == shape.name)
        }
    };
    Ok(all.iter().filter(wanted).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Result<Vec<String>> {
        let all = all(&Workspace::find()?)?;
        let of: Vec<String> = of.iter().map(|name| (*name).to_owned()).collect();
        Ok(choose(&all, &of)?.into_iter().map(|shape| shape.name).collect())
    }

    #[test]
    fn the_quick_ones_are_measured_unless_others_are_named() {
        assert_eq!(names(&[]).unwrap(), ["gpt2-small", "gpt2-256"]);
        assert_eq!(names(&["smollm2", "gpt2-512"]).unwrap(), ["gpt2-512", "smollm2"]);
        assert!(names(&["gpt5"]).unwrap_err().to_string().contains("gpt2-small"));
    }

    #[test]
    fn every_shape_has_a_model() {
        let workspace = Workspace::find().unwrap();
        for shape in all(&workspace).unwrap() {
            let text = fs::read_to_string(shape.config(&workspace)).unwrap();
            let config: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert!(config["vocab_size"].is_u64(), "{}", shape.name);
        }
    }
}
