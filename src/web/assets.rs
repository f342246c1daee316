//! Names of the built files, hash included, read once at start from `pkg/manifest.json`, which the build writes.

use std::{collections::BTreeMap, path::Path};

#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Assets(BTreeMap<String, String>);

/// The islands, each compiled to a module of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Island {
    Chat,
    Job,
    Uploader,
}

impl Island {
    pub const ALL: [Self; 3] = [Self::Chat, Self::Job, Self::Uploader];

    /// What the manifest calls the island's glue and its WASM.
    pub fn module(self) -> (&'static str, &'static str) {
        match self {
            Self::Chat => ("chat-js", "chat-wasm"),
            Self::Job => ("job-js", "job-wasm"),
            Self::Uploader => ("uploader-js", "uploader-wasm"),
        }
    }
}

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
        let modules = Island::ALL.iter().flat_map(|island| <[&str; 2]>::from(island.module()));
        for name in ["css", "htmx", "app", "islands"].into_iter().chain(modules) {
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
