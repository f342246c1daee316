//! Talking to a model: load its directory, put the prompt into the form it was trained with, stream the answer.
//!
//! A [`LoadedModel`] is cheap to clone and safe to share between threads; an adapter and the base under it share
//! their weights. Queues, limits and HTTP are the caller's matter.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::data::chat_template::{ChatTemplate, ChatTemplateError, Source};
use crate::data::rows::{Kind, Message, Role};
use crate::data::template::{OwnTemplateError, Part, Template};
use crate::data::tokens::prompt_tokens;
use crate::error::{FileError, NextStep, short};
use crate::files::record::Record;
use crate::files::{huggingface, peft, record};
use crate::generate::Sampler;
use crate::kernels::tier::Tier;
use crate::model::{KvCache, Model, ModelError};
use crate::tokenizer::{Tokenizer, TokenizerError};

mod stop;
pub use stop::StopFilter;

#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    ChatTemplate(#[from] ChatTemplateError),
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Weights, an adapter's or a model's, and what describes them.
    #[error("{}: it does not fit: {source}", path.display())]
    Unfit { path: PathBuf, source: ModelError },
    #[error("this model is an adapter for \"{}\", and no base model directory was given", short(base))]
    BaseNeeded { base: String },
}

impl From<OwnTemplateError> for InferenceError {
    fn from(error: OwnTemplateError) -> Self {
        match error {
            OwnTemplateError::Template(error) => error.into(),
            OwnTemplateError::Tokenizer(error) => error.into(),
        }
    }
}

impl NextStep for InferenceError {
    fn next_step(&self) -> String {
        match self {
            Self::File(error) => error.next_step(),
            Self::Tokenizer(error) => error.next_step(),
            Self::ChatTemplate(error) => error.next_step(),
            Self::Model(_) | Self::Unfit { .. } => {
                "Use the model's own config.json, weights and tokenizer together.".into()
            }
            Self::BaseNeeded { .. } => {
                "Choose the base model that the adapter was trained on, or save it merged.".into()
            }
        }
    }
}

/// What a person asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Continued as it is, whatever the model was trained on.
    Text(String),
    /// A conversation that ends with what the person said.
    Chat(Vec<Message>),
    /// A prompt as in the training rows.
    Completion(String),
}

impl Prompt {
    /// What a model with this template is given. What does not suit its kind is put in its way as well as possible, so
    /// that any model answers anything.
    ///
    /// # Errors
    /// When the base model's own chat template refuses the conversation.
    pub fn parts(&self, template: &Template) -> Result<Vec<Part>, ChatTemplateError> {
        match (self, template.kind) {
            (Self::Text(text), _) | (Self::Completion(text), Kind::Text) => {
                Ok(vec![Part::Prompt(text.clone())])
            }
            (Self::Completion(text), Kind::Completion) => template.render_completion_prompt(text),
            (Self::Completion(text), Kind::Chat) => template.render_prompt(&[Message::new(Role::User, text)]),
            (Self::Chat(messages), Kind::Chat) => template.render_prompt(messages),
            (Self::Chat(messages), Kind::Completion) if template.own.is_some() => {
                template.render_prompt(messages)
            }
            (Self::Chat(messages), kind) => {
                let last = messages.iter().rev().find(|message| message.role == Role::User);
                let text = last.map(|message| message.content.as_str()).unwrap_or_default();
                match kind {
                    Kind::Completion => template.render_completion_prompt(text),
                    _ => Ok(vec![Part::Prompt(text.to_owned())]),
                }
            }
        }
    }
}

/// How to generate. Bounds are applied, not refused: this is what a slider hands over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateParams {
    pub max_new_tokens: usize,
    /// 0 always takes the most likely token.
    pub temperature: f32,
    pub top_p: f32,
    /// 0 keeps all.
    pub top_k: usize,
    pub repetition_penalty: f32,
    /// Text that ends the answer, besides what the model's template names.
    pub stop: Vec<String>,
    pub seed: u64,
}

impl Default for GenerateParams {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            repetition_penalty: 1.0,
            stop: Vec::new(),
            seed: 0,
        }
    }
}

impl GenerateParams {
    /// What suits models trained on this kind of data: an answer is the most likely one, while text has to be drawn,
    /// because a small model that always takes the most likely token soon repeats itself.
    pub fn for_kind(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self { temperature: 0.7, top_p: 0.9, ..Self::default() },
            Kind::Completion | Kind::Chat => Self::default(),
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model said so, or a stop string came.
    Stop,
    /// `max_new_tokens` were made.
    Length,
    /// The model's context is full.
    Context,
    /// The caller broke off.
    Cancelled,
}

/// A finished answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    pub text: String,
    /// Tokens made, the end-of-text token not counted.
    pub tokens: usize,
    pub prompt_tokens: usize,
    /// Tokens of the prompt's beginning that did not fit into the context.
    pub dropped_prompt_tokens: usize,
    pub finish_reason: FinishReason,
    /// From the first to the last new token; the prompt's pass is not counted.
    pub tokens_per_second: f64,
}

/// A model ready to answer.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    model: Arc<Model>,
    tokenizer: Arc<Tokenizer>,
    record: Arc<Option<Record>>,
    template: Template,
    /// Whether the adapter, if there is one, takes part.
    adapted: bool,
}

impl LoadedModel {
    /// Loads a whole model, or an adapter over the base model in `base_dir`.
    ///
    /// A model that was not made here is asked by its own chat template, or given text to continue if it has none.
    pub fn load(model_dir: &Path, base_dir: Option<&Path>) -> Result<Self, InferenceError> {
        Self::open(model_dir, base_dir, None)
    }

    /// Loads a whole model that is asked in another's way; for showing a base beside what was tuned from it.
    pub fn load_asked_as(model_dir: &Path, template: &Template) -> Result<Self, InferenceError> {
        Self::open(model_dir, None, Some(template.clone()))
    }

    fn open(
        model_dir: &Path,
        base_dir: Option<&Path>,
        template: Option<Template>,
    ) -> Result<Self, InferenceError> {
        let record = record::read(model_dir)?;
        let model = if peft::is_adapter(model_dir) {
            let (adapter, tensors) = peft::read(model_dir)?;
            let base = adapter.base_model_name_or_path.clone().unwrap_or_default();
            let base_dir = base_dir.ok_or(InferenceError::BaseNeeded { base })?;
            let mut model = load_weights(base_dir)?;
            // The seed is of no matter: all values are replaced.
            let unfit = |file| move |source| InferenceError::Unfit { path: model_dir.join(file), source };
            model.attach_lora(&adapter.lora(), 0).map_err(unfit(peft::CONFIG))?;
            model.load_lora_tensors(tensors).map_err(unfit(peft::WEIGHTS))?;
            model
        } else {
            load_weights(model_dir)?
        };
        let tokenizer = match Tokenizer::load(model_dir) {
            Err(TokenizerError::File(FileError::Missing { .. })) if base_dir.is_some() => {
                Tokenizer::load(base_dir.unwrap_or(model_dir))?
            }
            other => other?,
        };
        let tokenizer = match base_dir {
            Some(base_dir) if model.lora().is_some() => tokenizer.ending_as(base_dir)?,
            _ => tokenizer,
        };
        tokenizer.check_fits(model.config().vocab_size())?;
        let template = match template {
            Some(template) => template,
            None => template_of(model_dir, base_dir, record.as_ref(), &tokenizer)?,
        };
        Ok(Self {
            model: Arc::new(model),
            tokenizer: Arc::new(tokenizer),
            record: Arc::new(record),
            template,
            adapted: true,
        })
    }

    /// The model under the adapter, sharing its weights; `None` for a whole model.
    pub fn base(&self) -> Option<Self> {
        self.model.lora().map(|_| Self { adapted: false, ..self.clone() })
    }

    /// How prompts are put to the model; its `kind` says which form of [`Prompt`] suits it.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// How the model was made, if this engine made it.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref().as_ref()
    }

    /// Bytes of weights.
    pub fn weight_bytes(&self) -> u64 {
        self.model.weight_bytes() as u64
    }

    /// Answers a prompt; `on_piece` gets the text as it comes and may break off.
    ///
    /// A prompt that leaves less than a quarter of the context free (or less than `max_new_tokens`, if that is
    /// less) loses its beginning. An answer ends at the latest when the context is full.
    pub fn generate(
        &self,
        prompt: &Prompt,
        params: &GenerateParams,
        on_piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, InferenceError> {
        let ids = self.prompt_tokens(prompt)?;
        let mut stop = Stops::of(&self.template, &self.tokenizer);
        if matches!(prompt, Prompt::Text(_)) {
            stop.texts.clear();
        }
        stop.texts.extend(params.stop.iter().filter(|text| !text.is_empty()).cloned());
        let cache = if self.adapted {
            KvCache::new(self.model.config())
        } else {
            KvCache::without_adapter(self.model.config())
        };
        answer(&self.model, &self.tokenizer, cache, ids, params, &stop, on_piece)
    }

    /// The prompt in tokens, template applied.
    fn prompt_tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, InferenceError> {
        let parts = prompt.parts(&self.template)?;
        let ids = prompt_tokens(&parts, &self.tokenizer)?;
        // With nothing before it, a text begins as a document does.
        Ok(if ids.is_empty() { vec![self.tokenizer.end_of_text()] } else { ids })
    }
}

fn load_weights(directory: &Path) -> Result<Model, InferenceError> {
    let config = huggingface::read_config(directory)?;
    let weights = huggingface::read_frozen(directory, &config, Tier::chosen())?;
    let path = || huggingface::weights_file(directory);
    Model::from_weights(config, weights).map_err(|source| InferenceError::Unfit { path: path(), source })
}

/// As the model was trained to be asked.
fn template_of(
    model_dir: &Path,
    base_dir: Option<&Path>,
    record: Option<&Record>,
    tokenizer: &Tokenizer,
) -> Result<Template, InferenceError> {
    let Some(record) = record else {
        return Ok(match Source::read(model_dir)? {
            Some(_) => Template::of_base(Kind::Chat, model_dir, None, tokenizer)?,
            None => Template::for_kind(Kind::Text),
        });
    };
    if !record.own_chat_template {
        return Ok(record.template.clone());
    }
    let source = match (Source::read(model_dir)?, base_dir) {
        (None, Some(base_dir)) => Source::read(base_dir)?,
        (source, _) => source,
    };
    let source = source.ok_or_else(|| FileError::Missing {
        path: model_dir.to_path_buf(),
        expected: "the chat template that the model was trained with".into(),
        advice: "Copy tokenizer_config.json and chat_template.jinja of the base model into it.".into(),
    })?;
    let own = ChatTemplate::new(source, record.chat_template_date, tokenizer.special_names()?)?;
    Ok(record.template.clone().with_own(own))
}

/// What ends an answer, besides the tokens that end any text of the model.
pub(crate) struct Stops {
    token: Option<u32>,
    texts: Vec<String>,
}

impl Stops {
    pub fn of(template: &Template, tokenizer: &Tokenizer) -> Self {
        let token = template.stop_token().and_then(|name| tokenizer.token_id(name));
        Self { token, texts: template.stop.clone() }
    }
}

/// Generates from tokens; see [`LoadedModel::generate`].
pub(crate) fn answer(
    model: &Model,
    tokenizer: &Tokenizer,
    mut cache: KvCache,
    mut ids: Vec<u32>,
    params: &GenerateParams,
    stop: &Stops,
    on_piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<Generation, InferenceError> {
    let context = model.config().positions();
    let room = params.max_new_tokens.min(context / 4).max(1);
    let dropped_prompt_tokens = ids.len().saturating_sub(context.saturating_sub(room).max(1));
    // What a text begins with stays.
    let begin = if ids.starts_with(tokenizer.begin()) { tokenizer.begin().len() } else { 0 };
    let begin = begin.min(ids.len() - dropped_prompt_tokens);
    ids.drain(begin..begin + dropped_prompt_tokens);
    let sampler = Sampler {
        temperature: params.temperature.clamp(0.0, 100.0),
        top_p: params.top_p.clamp(1e-6, 1.0),
        top_k: params.top_k,
        repetition_penalty: params.repetition_penalty.clamp(0.1, 10.0),
        seed: params.seed,
    };
    let prompt_tokens = ids.len();
    let mut text = String::new();
    let mut stream = tokenizer.stream();
    let mut filter = StopFilter::new(stop.texts.clone());
    let mut give = |piece: &str, text: &mut String| {
        text.push_str(piece);
        if piece.is_empty() { ControlFlow::Continue(()) } else { on_piece(piece) }
    };
    let mut logits =
        if params.max_new_tokens == 0 { Vec::new() } else { model.forward_cached(&ids, &mut cache)? };
    let started = Instant::now();
    let mut tokens = 0;
    let finish_reason = loop {
        if tokens == params.max_new_tokens {
            break FinishReason::Length;
        }
        let next = sampler.choose(&mut logits, &ids);
        if tokenizer.ends(next) || stop.token == Some(next) {
            break FinishReason::Stop;
        }
        tokens += 1;
        ids.push(next);
        let (certain, stopped) = filter.push(&stream.push(next)?);
        if give(&certain, &mut text).is_break() {
            break FinishReason::Cancelled;
        }
        if stopped {
            break FinishReason::Stop;
        }
        if cache.remaining() == 0 {
            break FinishReason::Context;
        }
        if tokens < params.max_new_tokens {
            logits = model.forward_cached(&[next], &mut cache)?;
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    if finish_reason != FinishReason::Cancelled {
        let (certain, _) = filter.push(&stream.finish()?);
        let rest = certain + &filter.finish();
        // The answer is over either way.
        let _ = give(&rest, &mut text);
    }
    Ok(Generation {
        text,
        tokens,
        prompt_tokens,
        dropped_prompt_tokens,
        finish_reason,
        tokens_per_second: if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 },
    })
}
