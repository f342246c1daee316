//! Talking to a finished model, and to the base it was tuned from. Models are opened from storage once and kept while
//! they are used; answers come piece by piece and end when nobody listens.

mod question;

pub use question::{Question, Side, Turn};

use super::{
    context::{Actor, Environment},
    error::{ServiceError, ServiceResult},
    policy::{Action, Resource, authorize},
};
use crate::{
    domain::{
        event::EventBody,
        ids::ModelId,
        job::BaseModel,
        model::{Model, ModelKind},
        time::Instant,
    },
    storage::Storage,
    store::Store,
};
use llm_tuner_engine::{
    data::rows::Kind,
    error::NextStep,
    inference::{FinishReason, GenerateParams, Generation, LoadedModel, Prompt},
};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc};

/// Sets of weights kept open; the longest unused is closed when one more is opened. Adapters over one base count once.
const WEIGHTS_KEPT: usize = 3;
/// Models kept open, however little each adds to the weights under it.
const KEPT: usize = 12;
/// A model that nobody has asked for this long is closed.
const IDLE: Duration = Duration::from_secs(600);

pub struct Playground {
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
    /// Where models are laid out as directories, one per model.
    cache: PathBuf,
    models_dir: PathBuf,
    env: Environment,
    /// The most recently used one last.
    open: Mutex<Vec<Open>>,
    opening: tokio::sync::Mutex<()>,
    /// Answers made at once; further ones wait.
    permits: Arc<Semaphore>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    model: ModelId,
    side: Side,
}

struct Open {
    slot: Slot,
    loaded: LoadedModel,
    used: Instant,
}

/// A piece of an answer, or its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(String),
    End { tokens: usize, tokens_per_second: f64, finish_reason: &'static str, dropped_prompt_tokens: usize },
    Failed(String),
}

/// What a person needs to know to talk to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Talk {
    pub model: TalkModel,
    /// `chat`, `completion` or `text`: what the model was trained on.
    pub kind: &'static str,
    /// How it answers where nothing else is asked for.
    pub defaults: GenerateParams,
    pub has_base: bool,
}

/// The model's id and names, for the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TalkModel {
    pub id: String,
    pub name: String,
    pub base_name: String,
}

impl Playground {
    pub fn new(
        store: Arc<dyn Store>,
        storage: Arc<dyn Storage>,
        cache: PathBuf,
        models_dir: PathBuf,
        env: Environment,
    ) -> Self {
        Self {
            store,
            storage,
            cache,
            models_dir,
            env,
            open: Mutex::default(),
            opening: tokio::sync::Mutex::new(()),
            permits: Arc::new(Semaphore::new(1)),
        }
    }

    /// Opens the model, so that the first answer comes at once, and tells how it wants to be asked.
    pub async fn talk(&self, actor: &Actor, id: &str) -> ServiceResult<Talk> {
        let model = self.own(actor, id).await?;
        let loaded = self.open(&model, Side::Tuned).await?;
        let trained_on = loaded.template().kind;
        Ok(Talk {
            kind: kind_name(trained_on),
            defaults: GenerateParams::for_kind(trained_on),
            has_base: has_base(&model),
            model: TalkModel { id: model.id.to_string(), name: model.name, base_name: model.base_name },
        })
    }

    /// Begins an answer. Dropping the receiver ends it.
    ///
    /// # Errors
    /// `Invalid` with every wrong field; `NotFound`; `Refused` where the model's files can't be opened.
    pub async fn ask(&self, actor: &Actor, question: &Question) -> ServiceResult<mpsc::Receiver<Piece>> {
        let model = self.own(actor, &question.model).await?;
        if question.side == Side::Base && !has_base(&model) {
            return Err(ServiceError::invalid(
                "side",
                "This model was trained from nothing: it has no base.",
            ));
        }
        let prompt = question.check()?;
        let loaded = self.open(&model, question.side).await?;
        let params = question.params(loaded.template().kind);
        let (sender, receiver) = mpsc::channel(64);
        let permits = Arc::clone(&self.permits);
        tokio::spawn(async move {
            let Ok(permit) = permits.acquire_owned().await else { return };
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                answer(&loaded, &prompt, &params, &sender);
            });
            if let Err(error) = work.await {
                tracing::error!(%error, "an answer was cut off");
            }
        });
        Ok(receiver)
    }

    /// A first prompt to try: a held-out row that the job answered, where there is one.
    pub async fn example(&self, actor: &Actor, id: &str) -> ServiceResult<String> {
        let model = self.own(actor, id).await?;
        let samples = self.store.last_events_of_kind(&model.job_id, "sample", 1).await?;
        Ok(samples
            .into_iter()
            .find_map(|event| match event.body {
                EventBody::Sample { prompt, .. } => Some(prompt),
                _ => None,
            })
            .unwrap_or_default())
    }

    /// Closes what was deleted.
    pub fn forget(&self, id: &ModelId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|open| open.slot.model != *id);
        let _ = std::fs::remove_dir_all(self.cache.join(id.as_str()));
    }

    async fn own(&self, actor: &Actor, id: &str) -> ServiceResult<Model> {
        let id = ModelId::parse(id).ok_or(ServiceError::NotFound("model"))?;
        self.store
            .model(&id)
            .await?
            .filter(|model| authorize(actor, Action::Read, Resource::Owned(&model.user_id)))
            .ok_or(ServiceError::NotFound("model"))
    }

    async fn open(&self, model: &Model, side: Side) -> ServiceResult<LoadedModel> {
        let slot = Slot { model: model.id.clone(), side };
        if let Some(loaded) = self.kept(&slot) {
            return Ok(loaded);
        }
        let _one = self.opening.lock().await;
        if let Some(loaded) = self.kept(&slot) {
            return Ok(loaded);
        }
        let tuned_dir = self.lay_out(model).await?;
        let base_dir = self.base_dir(model).await?;
        let adapter = model.kind == ModelKind::Adapter;
        let over = base_dir.as_deref().and_then(|base| self.kept_over(base));
        let work = move || -> Result<LoadedModel, String> {
            let words = |error: llm_tuner_engine::inference::InferenceError| {
                format!("{error}. {}", error.next_step())
            };
            if side == Side::Tuned || adapter {
                let tuned = match over {
                    Some(over) if adapter => over.load_adapter(&tuned_dir),
                    _ => LoadedModel::load(&tuned_dir, base_dir.as_deref()),
                };
                let tuned = tuned.map_err(words)?;
                // An adapter's base shares its weights.
                return Ok(if side == Side::Base { tuned.base().unwrap_or(tuned) } else { tuned });
            }
            // A base is asked in the way of what was tuned from it, so that the two can be compared.
            let template = LoadedModel::load(&tuned_dir, None).map_err(words)?.template().clone();
            let base_dir = base_dir.unwrap_or(tuned_dir);
            LoadedModel::load_asked_as(&base_dir, &template).map_err(words)
        };
        let loaded = tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| ServiceError::Internal(error.to_string()))?
            .map_err(|why| ServiceError::refused("model_broken", "This model can't be opened.", why))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push(Open { slot, loaded: loaded.clone(), used: self.env.now() });
        while open.len() > KEPT || sets_of_weights(&open) > WEIGHTS_KEPT {
            open.remove(0);
        }
        Ok(loaded)
    }

    /// An open model whose weights an adapter over this base can sit on.
    fn kept_over(&self, base_dir: &Path) -> Option<LoadedModel> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().find(|open| open.loaded.base_dir() == base_dir).map(|open| open.loaded.clone())
    }

    /// The open model, now the most recently used one.
    fn kept(&self, slot: &Slot) -> Option<LoadedModel> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let at = open.iter().position(|open| open.slot == *slot)?;
        let entry = Open { used: self.env.now(), ..open.remove(at) };
        let loaded = entry.loaded.clone();
        open.push(entry);
        Some(loaded)
    }

    /// Where the base's files are; `None` for a model trained from nothing.
    async fn base_dir(&self, model: &Model) -> ServiceResult<Option<PathBuf>> {
        match &model.base {
            BaseModel::Nano => Ok(None),
            BaseModel::Hub { id } | BaseModel::JumpStart { id } => Err(ServiceError::refused(
                "base_elsewhere",
                format!("The base model {id} is not on this machine."),
                "Deploy the tuned model to an endpoint to talk to it, or download it.",
            )),
            BaseModel::Directory { name } => {
                let path = self.models_dir.join(name);
                if !crate::backends::is_inside(&self.models_dir, &path) || !path.is_dir() {
                    return Err(ServiceError::refused(
                        "base_gone",
                        format!("The base model {name} is no longer on this machine."),
                        "Ask the operator to put it back under MODELS_DIR.",
                    ));
                }
                Ok(Some(path))
            }
            BaseModel::Model { id } => {
                let base = self.store.model(id).await?.ok_or_else(|| {
                    ServiceError::refused(
                        "base_gone",
                        "The base model was deleted.",
                        "Talk to a merged model instead.",
                    )
                })?;
                Ok(Some(self.lay_out(&base).await?))
            }
        }
    }

    /// The model's files as a directory of this machine.
    async fn lay_out(&self, model: &Model) -> ServiceResult<PathBuf> {
        let dir = self.cache.join(model.id.as_str());
        for file in &model.files {
            let path = dir.join(&file.path);
            if path.exists() {
                continue;
            }
            let io = |error: std::io::Error| ServiceError::Unavailable(format!("the model cache: {error}"));
            tokio::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).await.map_err(io)?;
            // Under another name first: a directory that is only half there must not look whole.
            let half = path.with_extension("part");
            let _ = tokio::fs::remove_file(&half).await;
            self.storage.get_file(&format!("{}/{}", model.prefix, file.path), &half).await?;
            tokio::fs::rename(&half, &path).await.map_err(io)?;
        }
        Ok(dir)
    }

    /// Closes the models that nobody has asked for a while, so that an idle server is small.
    pub fn close_unused(&self) {
        let now = self.env.now();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|open| now.since(open.used) < IDLE);
    }
}

/// How many sets of base weights the open models hold in memory.
fn sets_of_weights(open: &[Open]) -> usize {
    let first = |i: usize| !open[..i].iter().any(|other| other.loaded.shares_base_with(&open[i].loaded));
    (0..open.len()).filter(|&i| first(i)).count()
}

/// What pages and islands call it.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Chat => "chat",
        Kind::Completion => "completion",
        Kind::Text => "text",
    }
}

fn has_base(model: &Model) -> bool {
    model.base != BaseModel::Nano
}

fn answer(loaded: &LoadedModel, prompt: &Prompt, params: &GenerateParams, sender: &mpsc::Sender<Piece>) {
    let mut on_piece = |text: &str| match sender.blocking_send(Piece::Text(text.to_owned())) {
        Ok(()) => ControlFlow::Continue(()),
        // Nobody listens any more.
        Err(_) => ControlFlow::Break(()),
    };
    let last = match loaded.generate(prompt, params, &mut on_piece) {
        Ok(Generation { tokens, tokens_per_second, finish_reason, dropped_prompt_tokens, .. }) => {
            Piece::End {
                tokens,
                tokens_per_second,
                dropped_prompt_tokens,
                finish_reason: match finish_reason {
                    FinishReason::Stop => "stop",
                    FinishReason::Length => "length",
                    FinishReason::Context => "context",
                    FinishReason::Cancelled => "cancelled",
                },
            }
        }
        Err(error) => Piece::Failed(format!("{error}. {}", error.next_step())),
    };
    let _ = sender.blocking_send(last);
}
