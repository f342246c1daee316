//! What a job will take, before it starts: tokens, share truncated, steps, memory, time. Mistakes are errors and stop
//! it; doubts are warnings and can be accepted.

mod elsewhere;
mod here;

use super::{
    Request,
    automatic::Automatic,
    bases::{Base, words},
    cloud::{Asked, Cloud},
    names,
    tokens::Counter,
};
use crate::{
    domain::{
        dataset::{Dataset, DatasetState},
        field::FieldError,
        job::{BaseModel, JobSpec},
    },
    services::{
        context::{Actor, Environment},
        datasets::samples,
        error::{ServiceError, ServiceResult},
        policy::{Action, Resource, authorize},
    },
    storage::Storage,
    store::Store,
};
use here::{choose, reckon};
use llm_tuner_engine::{
    config::{Gpt2Config, ModelConfig},
    files::huggingface,
    hyperparameters::{self, Hyperparameters},
    lora::check_modules,
};
use std::{path::PathBuf, sync::Arc};

/// Rows held out where the person said nothing.
const DEFAULT_SHARE: f64 = 0.1;
/// Fewer rows than this are doubtful.
const FEW_ROWS: u64 = 50;
/// Tokens that a model may read at once whose configuration is not here.
const LONGEST: usize = 1 << 17;

/// Datasets that one job may train on.
const MAX_DATASETS: usize = 20;

/// A checked request, and what it will take.
#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: JobSpec,
    /// `None` for a JumpStart model, which has settings of its own.
    pub hyperparameters: Option<Hyperparameters>,
    /// How often such a model goes through the data, as its settings have it; `None` where they don't say.
    pub own_epochs: Option<f64>,
    /// Settings that the person left open and that were chosen by the data.
    pub automatic: Vec<Automatic>,
    /// Rows trained on, the held-out ones not counted.
    pub rows: u64,
    pub tokens_per_epoch: u64,
    /// Share of the rows that are longer than the maximum sequence length.
    pub truncated_share: f64,
    pub steps: u64,
    pub trainable_parameters: u64,
    /// 0 where it is not ours to reckon: on a machine elsewhere.
    pub memory_bytes: u64,
    /// What this machine has free; `None` where it can't be told.
    pub memory_available: Option<u64>,
    /// `None`: unknown.
    pub seconds: Option<u64>,
    pub warnings: Vec<String>,
    /// Those of them that hold on any machine.
    warnings_of_data: Vec<String>,
    /// Tokens gone through in all.
    trained_tokens: f64,
    /// Operations of the whole run.
    flops: f64,
}

pub struct Planner {
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    counter: Counter,
    /// Where the files of a finished model are laid out to read its tokenizer.
    cache: PathBuf,
    pub(super) cloud: Cloud,
}

impl Planner {
    pub fn new(
        store: Arc<dyn Store>,
        storage: Arc<dyn Storage>,
        cache: PathBuf,
        cloud: Cloud,
        env: Environment,
    ) -> Self {
        Self { store, storage, counter: Counter::new(env), cache, cloud }
    }

    /// # Errors
    /// `Invalid` with every wrong field at once.
    pub async fn plan(&self, actor: &Actor, request: &Request, base: Base) -> ServiceResult<Plan> {
        let route = match request.place.asked(&base)? {
            Asked::Local => None,
            Asked::Container(route) => {
                self.cloud.check()?;
                Some(route)
            }
            Asked::JumpStart => {
                self.cloud.check()?;
                return self.jumpstart(actor, request, base).await;
            }
        };
        let mut errors = Vec::new();
        let settings = settings(request, &base, &mut errors);
        let share = share(&request.validation_share, &mut errors);
        if let Err(error) = names::parse_title(&request.title) {
            errors.push(error);
        }
        let datasets = self.datasets(actor, request, &mut errors).await?;
        let (Some(settings), Some(share), true) = (settings, share, errors.is_empty()) else {
            return Err(ServiceError::Invalid(errors));
        };
        let (tokenizer, config) = self.base_files(&base).await?;
        let counts = self.counter.count(&self.storage, &datasets, tokenizer).await?;
        let settings = match &config {
            Some(config) => with_modules(settings, config)?,
            // The container knows the layers of its model.
            None => settings,
        };
        let config = config.unwrap_or_else(|| stand_in(&base, counts.vocabulary));
        if counts.vocabulary > config.vocab_size() {
            let message = format!(
                "The tokenizer of {} has {} tokens, and its config.json says {} (vocab_size). Use the tokenizer that the model was trained with.",
                base.name,
                counts.vocabulary,
                config.vocab_size()
            );
            return Err(ServiceError::invalid("base_model", message));
        }
        let limit = u32::try_from(config.positions()).unwrap_or(u32::MAX);
        if request.sets("max_sequence_length") && settings.max_sequence_length > limit {
            let message = format!("{} reads at most {limit} tokens at once.", base.name);
            return Err(ServiceError::invalid("max_sequence_length", message));
        }
        // A sample with held-out rows of its own holds out those, and trains on all the others.
        let own = datasets.iter().all(|dataset| {
            dataset.sample.as_deref().is_some_and(|sample| samples::held_out(sample).is_some())
        });
        let share = if own { 0.0 } else { share };
        let (settings, automatic) = choose(request, &base, settings, share, &counts, limit);
        let plan = Plan { automatic, ..reckon(&base, &datasets, &settings, share, config, &counts) };
        match route {
            None => Ok(plan),
            Some(route) => self.elsewhere(request, &base, &datasets, plan, route).await,
        }
    }

    async fn datasets(
        &self,
        actor: &Actor,
        request: &Request,
        errors: &mut Vec<FieldError>,
    ) -> ServiceResult<Vec<Dataset>> {
        let mut datasets = Vec::new();
        let mut wrong = |message: String| errors.push(FieldError::new("dataset", message));
        if request.datasets.is_empty() {
            wrong("Choose a dataset.".to_owned());
        }
        if request.datasets.len() > MAX_DATASETS {
            wrong(format!("A job trains on at most {MAX_DATASETS} datasets."));
            return Ok(datasets);
        }
        for id in &request.datasets {
            let dataset = self.store.dataset(id).await?;
            match dataset.filter(|one| authorize(actor, Action::Read, Resource::Owned(&one.user_id))) {
                None => wrong("This dataset does not exist. Choose another.".to_owned()),
                Some(dataset) => match dataset.state {
                    DatasetState::Ready => datasets.push(dataset),
                    DatasetState::Checking => {
                        wrong(format!("{} is still being checked. It takes a moment.", dataset.name));
                    }
                    DatasetState::NeedsMapping => {
                        wrong(format!("Say what the columns of {} mean first.", dataset.name))
                    }
                    DatasetState::NeedsFixing => {
                        wrong(format!("{} has errors. Repair it first.", dataset.name))
                    }
                    DatasetState::Refused | DatasetState::Failed => {
                        wrong(format!("{} can't be used.", dataset.name))
                    }
                },
            }
        }
        Ok(datasets)
    }

    /// The base's tokenizer directory and configuration; neither for nano, which makes its own.
    async fn base_files(&self, base: &Base) -> ServiceResult<(Option<PathBuf>, Option<ModelConfig>)> {
        let broken = |error: String| ServiceError::invalid("base_model", error);
        match &base.base {
            BaseModel::Nano => Ok((None, None)),
            // Their files are not here: what they take is reckoned without (see `cloud`).
            BaseModel::Hub { .. } | BaseModel::JumpStart { .. } => Ok((None, None)),
            BaseModel::Directory { .. } => Ok((base.directory.clone(), base.config.clone())),
            BaseModel::Model { id } => {
                let model = self.store.model(id).await?.ok_or(ServiceError::NotFound("model"))?;
                let directory = self.cache.join(id.as_str());
                let small = model.files.iter().filter(|file| !file.path.ends_with(".safetensors"));
                for file in small {
                    let path = directory.join(&file.path);
                    if path.exists() {
                        continue;
                    }
                    let io = |error: std::io::Error| ServiceError::Unavailable(error.to_string());
                    tokio::fs::create_dir_all(path.parent().unwrap_or(&directory)).await.map_err(io)?;
                    self.storage.get_file(&format!("{}/{}", model.prefix, file.path), &path).await?;
                }
                let config = huggingface::read_config(&directory)
                    .map_err(|error| broken(words(&directory, &error)))?;
                Ok((Some(directory), Some(config)))
            }
        }
    }
}

/// nano for the data's vocabulary; also for a model of the Hub, whose configuration is not here.
fn stand_in(base: &Base, vocabulary: usize) -> ModelConfig {
    let mut config = Gpt2Config::nano(vocabulary);
    if matches!(base.base, BaseModel::Hub { .. }) {
        // How much it reads at once shows when the container has it.
        config.n_positions = LONGEST;
    }
    config.into()
}

/// Names the layers that get an adapter where the person left them open, and refuses those that the model lacks.
fn with_modules(mut settings: Hyperparameters, config: &ModelConfig) -> ServiceResult<Hyperparameters> {
    if let Some(lora) = &mut settings.lora {
        lora.target_modules = lora.on(config).target_modules;
        check_modules(config, &lora.target_modules)
            .map_err(|error| ServiceError::invalid("lora_target_modules", sentence(&error.to_string())))?;
    }
    Ok(settings)
}

/// The engine's words with a capital and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

fn settings(request: &Request, base: &Base, errors: &mut Vec<FieldError>) -> Option<Hyperparameters> {
    let kind =
        if base.base == BaseModel::Nano { hyperparameters::Base::Nano } else { hyperparameters::Base::Model };
    match Hyperparameters::parse(&request.hyperparameters, kind) {
        Ok(settings) => Some(settings),
        Err(wrong) => {
            errors.extend(wrong.into_iter().map(named));
            None
        }
    }
}

/// The engine's words begin with the verb: "must be above 0". Here the field's name comes before.
fn named(error: hyperparameters::FieldError) -> FieldError {
    let message = sentence(&format!("{} {}", error.field.replace('_', " "), error.message));
    FieldError::new(error.field, message)
}

fn share(text: &str, errors: &mut Vec<FieldError>) -> Option<f64> {
    if text.trim().is_empty() {
        return Some(DEFAULT_SHARE);
    }
    let share = text.trim().parse::<f64>().ok().filter(|share| (0.0..=0.5).contains(share));
    if share.is_none() {
        errors.push(FieldError::new("validation_share", "The share held out is a number from 0 to 0.5."));
    }
    share
}

fn few(rows: u64) -> String {
    format!("{rows} rows are few to learn from. Fifty and more give better results.")
}
