//! Base models: the built-in nano preset, the person's finished models, and directories that the operator put under
//! `MODELS_DIR`. A directory that is broken is listed with what is wrong with it, and can't be chosen.

use crate::{
    domain::{
        ids::ModelId,
        job::BaseModel,
        model::{Model, ModelKind},
    },
    services::{
        context::Actor,
        error::{ServiceError, ServiceResult},
        policy::{Action, Resource, authorize},
    },
    store::{PageRequest, Store},
};
use llm_tuner_engine::{
    config::ModelConfig,
    error::{FileError, NextStep},
    files,
    tokenizer::TokenizerFiles,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// One thing that a job can start from.
#[derive(Debug, Clone)]
pub struct Base {
    /// `nano`, `model:<id>` or `dir:<name>`: what a form sends.
    pub key: String,
    pub base: BaseModel,
    pub name: String,
    /// One line for the card.
    pub about: String,
    /// `GPT-2`, `Llama`; empty where it is not known.
    pub family: &'static str,
    /// As its card or operator states it.
    pub licence: String,
    pub parameters: Option<u64>,
    pub bytes: u64,
    /// Unknown for nano (its vocabulary comes from the data) and for finished models until they are opened.
    pub config: Option<ModelConfig>,
    /// Where its files are on this machine, for a directory.
    pub directory: Option<PathBuf>,
    /// Why it can't be used: what is missing or wrong, in which file, and what to do about it.
    pub problem: Option<String>,
}

pub struct Bases {
    store: Arc<dyn Store>,
    models_dir: PathBuf,
}

impl Bases {
    pub fn new(store: Arc<dyn Store>, models_dir: PathBuf) -> Self {
        Self { store, models_dir }
    }

    /// All that this person can start from, nano first.
    pub async fn list(&self, actor: &Actor) -> ServiceResult<Vec<Base>> {
        let mut bases = vec![nano()];
        bases.extend(self.directories().await);
        let models =
            self.store.list_models(&actor.user.id, &PageRequest { cursor: None, limit: 100 }).await?;
        bases.extend(models.items.iter().map(of_model));
        Ok(bases)
    }

    /// The base of this key.
    ///
    /// # Errors
    /// `Invalid("base_model")` where there is none or it can't be used.
    pub async fn find(&self, actor: &Actor, key: &str) -> ServiceResult<Base> {
        let unknown =
            || ServiceError::invalid("base_model", "There is no such base model. Choose one from the list.");
        let base = match key.split_once(':') {
            None if key == "nano" || key.is_empty() => nano(),
            Some(("model", id)) => {
                let id = ModelId::parse(id).ok_or_else(unknown)?;
                let model = self.store.model(&id).await?;
                let model = model
                    .filter(|model| authorize(actor, Action::Read, Resource::Owned(&model.user_id)))
                    .ok_or_else(unknown)?;
                of_model(&model)
            }
            Some(("hub", id)) => of_hub(id).ok_or_else(|| {
                ServiceError::invalid(
                    "base_model",
                    "A model of the Hugging Face Hub is named like Qwen/Qwen2.5-0.5B.",
                )
            })?,
            Some(("jumpstart", id)) => of_jumpstart(id).ok_or_else(unknown)?,
            Some(("dir", name)) => {
                self.directories().await.into_iter().find(|base| base.name == name).ok_or_else(unknown)?
            }
            // The API also takes a directory's or model's plain name.
            _ => self.list(actor).await?.into_iter().find(|base| base.name == key).ok_or_else(unknown)?,
        };
        match &base.problem {
            Some(problem) => Err(ServiceError::invalid("base_model", problem.clone())),
            None => Ok(base),
        }
    }

    /// The model directories of this machine, by name.
    async fn directories(&self) -> Vec<Base> {
        let root = self.models_dir.clone();
        tokio::task::spawn_blocking(move || read_directories(&root)).await.unwrap_or_default()
    }
}

/// The key of what a job started from.
pub fn key_of(base: &BaseModel) -> String {
    match base {
        BaseModel::Nano => "nano".to_owned(),
        BaseModel::Model { id } => format!("model:{id}"),
        BaseModel::Directory { name } => format!("dir:{name}"),
        BaseModel::Hub { id } => format!("hub:{id}"),
        BaseModel::JumpStart { id } => format!("jumpstart:{id}"),
    }
}

fn nano() -> Base {
    Base {
        key: "nano".to_owned(),
        base: BaseModel::Nano,
        name: "nano".to_owned(),
        about: "Built in. A small model, of two to three million parameters, that learns your data from nothing, \
                in minutes, on any machine."
            .to_owned(),
        family: "GPT-2",
        licence: "No weights: none needed".to_owned(),
        // The data decides: on the vocabulary and on the longest row.
        parameters: None,
        bytes: 0,
        config: None,
        directory: None,
        problem: None,
    }
}

/// A model that a container fetches from the Hub. Whether it is there shows when it does.
fn of_hub(id: &str) -> Option<Base> {
    let id = id.trim();
    let part = |part: &str| {
        (1..=96).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            && !part.starts_with(['.', '-'])
            && !part.contains("..")
    };
    (id.split('/').count() <= 2 && id.split('/').all(part)).then(|| {
        elsewhere(BaseModel::Hub { id: id.to_owned() }, id, "A model of the Hugging Face Hub.", "On its card")
    })
}

fn of_jumpstart(id: &str) -> Option<Base> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    ((1..=63).contains(&id.len()) && id.bytes().all(plain)).then(|| {
        elsewhere(BaseModel::JumpStart { id: id.to_owned() }, id, "A JumpStart model.", "In the catalogue")
    })
}

fn elsewhere(base: BaseModel, name: &str, about: &str, licence: &str) -> Base {
    Base {
        key: key_of(&base),
        name: name.to_owned(),
        base,
        about: about.to_owned(),
        family: "",
        licence: licence.to_owned(),
        parameters: None,
        bytes: 0,
        config: None,
        directory: None,
        problem: None,
    }
}

fn of_model(model: &Model) -> Base {
    let problem = (model.kind == ModelKind::Adapter).then(|| {
        "This is an adapter. Tune its base instead, or tune again with \"merge the adapter\" switched on."
            .to_owned()
    });
    Base {
        key: format!("model:{}", model.id),
        base: BaseModel::Model { id: model.id.clone() },
        name: model.name.clone(),
        about: format!("Your model, tuned from {}.", model.base_name),
        // Its files tell, when they are opened.
        family: "",
        licence: "Yours".to_owned(),
        parameters: None,
        bytes: model.bytes,
        config: None,
        directory: None,
        problem,
    }
}

fn read_directories(root: &Path) -> Vec<Base> {
    let Ok(entries) = std::fs::read_dir(root) else {
        return Vec::new();
    };
    let mut bases: Vec<Base> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| !name.starts_with('.'))?;
            Some(read_directory(&entry.path(), name))
        })
        .collect();
    bases.sort_by(|a, b| a.name.cmp(&b.name));
    bases
}

/// What is wrong with a file of a model and what to do about it; the file as seen from where the models lie.
pub(super) fn words(directory: &Path, error: &(impl std::error::Error + NextStep)) -> String {
    let root = directory.parent().map(|root| format!("{}/", root.display())).unwrap_or_default();
    let next_step = error.next_step().replace(", then start the job again", "");
    format!("{}. {next_step}", error.to_string().replace(&root, ""))
}

/// Reads the configuration and the headers of the weights, not the weights; of the tokenizer, that it is there.
fn read_directory(path: &Path, name: String) -> Base {
    let read = || -> Result<(ModelConfig, u64), FileError> {
        let config = files::huggingface::read_config(path)?;
        let bytes = files::huggingface::weight_files(path)?
            .iter()
            .filter_map(|file| std::fs::metadata(file).ok())
            .map(|meta| meta.len())
            .sum();
        files::huggingface::check_shapes(path, &config)?;
        TokenizerFiles::find(path)?;
        Ok((config, bytes))
    };
    let (config, bytes, problem) = match read() {
        Ok((config, bytes)) => (Some(config), bytes, None),
        Err(error) => (None, 0, Some(words(path, &error))),
    };
    Base {
        key: format!("dir:{name}"),
        base: BaseModel::Directory { name: name.clone() },
        about: "A model on this machine, put there by its operator.".to_owned(),
        family: config.as_ref().map_or("", ModelConfig::family),
        licence: "As published with the model".to_owned(),
        parameters: config.as_ref().map(|config| config.parameter_count() as u64),
        bytes,
        config,
        directory: Some(path.to_owned()),
        problem,
        name,
    }
}
