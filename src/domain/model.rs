//! A finished model: what it was tuned from and on, and its files.

use super::{
    ids::{JobId, ModelId, UserId},
    time::Instant,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub id: ModelId,
    pub user_id: UserId,
    pub job_id: JobId,
    pub job_name: String,
    pub name: String,
    pub kind: ModelKind,
    /// What it was tuned from, as shown.
    pub base_name: String,
    /// JSON of `BaseModel`: where the base's files are, for the playground.
    pub base: super::job::BaseModel,
    pub dataset_names: Vec<String>,
    pub train_loss: Option<f64>,
    pub eval_loss: Option<f64>,
    /// Where the files lie in storage; each file's key is `prefix/path`.
    pub prefix: String,
    pub files: Vec<ModelFile>,
    /// Sum over the files.
    pub bytes: u64,
    pub created_at: Instant,
}

impl Model {
    /// Can this machine's own engine answer with it? A JumpStart model comes packed for a machine of AWS.
    pub fn answers_here(&self) -> bool {
        !matches!(self.base, super::job::BaseModel::JumpStart { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelKind {
    /// All weights.
    Full,
    /// A PEFT adapter: needs its base.
    Adapter,
}

impl ModelKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Adapter => "adapter",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Full, Self::Adapter].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Relative, `/`-separated, e.g. `model.safetensors`.
    pub path: String,
    pub bytes: u64,
    /// Hexadecimal.
    pub sha256: String,
}
