//! Names of the built files, hash included, read once at start from `pkg/manifest.json`, which the build writes.

use std::{collections::BTreeMap, path::Path};

#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Assets(BTreeMap<String, String>);

/// The site was not built, or only in part.
#[derive(Debug, thiserror::Error)]
#[error(
    "the built site is missing or broken ({path}: {why}). Run `cargo xtask build`, or set LEPTOS_SITE_ROOT."
)]
pub struct AssetsError {
    path: String,
    why: String,
}

impl Assets {
    pub fn load(site_root: &Path) -> Result<Self, AssetsError> {
        let path = site_root.join("pkg/manifest.json");
        let fail = |why: String| AssetsError { path: path.display().to_string(), why };
        let text = std::fs::read_to_string(&path).map_err(|error| fail(error.to_string()))?;
        let assets: Self = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
        for name in ["css", "js", "wasm", "htmx"] {
            if !assets.0.contains_key(name) {
                return Err(fail(format!("it does not name the {name} file")));
            }
        }
        Ok(assets)
    }

    /// The path on the site of a named file; the bare folder where the manifest does not know it (start-up checked
    /// the ones that pages need).
    pub fn href(&self, name: &str) -> String {
        format!("/pkg/{}", self.0.get(name).map_or("", String::as_str))
    }
}
