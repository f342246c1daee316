//! Talking to a model: load its directory, put the prompt into the form it was trained with, stream the answer.
//!
//! A [`LoadedModel`] is cheap to clone and safe to share between threads; an adapter and the base under it share
//! their weights, and so do any number of adapters over one base. Queues, limits and HTTP are the caller's matter.

mod answer;
mod ask;
mod error;
mod load;
mod prefix;
mod stop;

pub(crate) use answer::{Answer, Answered, Fitted, Stops, answer_all};
pub use ask::{FinishReason, GenerateParams, Generation, Prompt};
pub use error::InferenceError;
pub use stop::StopFilter;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::data::template::Template;
use crate::data::tokens::prompt_tokens;
use crate::error::FileError;
use crate::files::record::Record;
use crate::files::{peft, record};
use crate::model::{KvCache, Model};
use crate::tokenizer::{Tokenizer, TokenizerError};
use prefix::{Owner, Prefixes};

/// A model ready to answer.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    model: Arc<Model>,
    tokenizer: Arc<Tokenizer>,
    record: Arc<Option<Record>>,
    template: Template,
    /// Whether the adapter, if there is one, takes part.
    adapted: bool,
    /// Where the weights under the adapter were read, or all of them if there is none.
    base_dir: Arc<Path>,
    /// Shared by all that share the weights.
    prefixes: Arc<Mutex<Prefixes>>,
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

    /// Loads an adapter over the weights of a model that is loaded already: its own, or the base's under its adapter.
    /// They are held once, however many adapters sit on them.
    ///
    /// # Errors
    /// As [`LoadedModel::load`]; also when the directory holds a whole model, which shares nothing.
    pub fn load_adapter(&self, adapter_dir: &Path) -> Result<Self, InferenceError> {
        if !peft::is_adapter(adapter_dir) {
            return Err(InferenceError::NotAnAdapter { directory: adapter_dir.to_path_buf() });
        }
        let base = self.model.base_alone();
        let adapted = Self::with_adapter(adapter_dir, &self.base_dir, base, record::read(adapter_dir)?)?;
        Ok(Self { prefixes: Arc::clone(&self.prefixes), ..adapted })
    }

    fn open(
        model_dir: &Path,
        base_dir: Option<&Path>,
        template: Option<Template>,
    ) -> Result<Self, InferenceError> {
        let record = record::read(model_dir)?;
        if peft::is_adapter(model_dir) {
            let Some(base_dir) = base_dir else {
                let base = peft::read(model_dir)?.0.base_model_name_or_path.unwrap_or_default();
                return Err(InferenceError::BaseNeeded { base });
            };
            let adapted = Self::with_adapter(model_dir, base_dir, load::weights(base_dir)?, record)?;
            return Ok(Self { template: template.unwrap_or(adapted.template), ..adapted });
        }
        let model = load::weights(model_dir)?;
        let tokenizer = match Tokenizer::load(model_dir) {
            Err(TokenizerError::File(FileError::Missing { .. })) if base_dir.is_some() => {
                Tokenizer::load(base_dir.unwrap_or(model_dir))?
            }
            other => other?,
        };
        let template = match template {
            Some(template) => template,
            None => load::template(model_dir, base_dir, record.as_ref(), &tokenizer)?,
        };
        Self::of(model, tokenizer, record, template, model_dir)
    }

    fn with_adapter(
        adapter_dir: &Path,
        base_dir: &Path,
        mut model: Model,
        record: Option<Record>,
    ) -> Result<Self, InferenceError> {
        let (adapter, tensors) = peft::read(adapter_dir)?;
        // The seed is of no matter: all values are replaced.
        let unfit = |file| move |source| InferenceError::Unfit { path: adapter_dir.join(file), source };
        model.attach_lora(&adapter.lora(), 0).map_err(unfit(peft::CONFIG))?;
        model.load_lora_tensors(tensors).map_err(unfit(peft::WEIGHTS))?;
        let tokenizer = match Tokenizer::load(adapter_dir) {
            Err(TokenizerError::File(FileError::Missing { .. })) => Tokenizer::load(base_dir)?,
            other => other?,
        };
        let tokenizer = tokenizer.ending_as(base_dir)?;
        let template = load::template(adapter_dir, Some(base_dir), record.as_ref(), &tokenizer)?;
        Self::of(model, tokenizer, record, template, base_dir)
    }

    fn of(
        model: Model,
        tokenizer: Tokenizer,
        record: Option<Record>,
        template: Template,
        base_dir: &Path,
    ) -> Result<Self, InferenceError> {
        tokenizer.check_fits(model.config().vocab_size())?;
        Ok(Self {
            model: Arc::new(model),
            tokenizer: Arc::new(tokenizer),
            record: Arc::new(record),
            template,
            adapted: true,
            base_dir: base_dir.into(),
            prefixes: Arc::default(),
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

    /// Where the weights under the adapter were read, or all of them if there is none.
    pub fn base_dir(&self) -> &Path {
        &self.base_dir
    }

    /// Whether the weights under both are the same in memory.
    pub fn shares_base_with(&self, other: &Self) -> bool {
        self.model.shares_base_with(&other.model)
    }

    /// Bytes of weights, those that are shared with others among them.
    pub fn weight_bytes(&self) -> u64 {
        self.model.weight_bytes() as u64
    }

    /// Bytes of the adapter's weights: what this model adds to its base.
    pub fn adapter_bytes(&self) -> u64 {
        self.model.adapter_bytes() as u64
    }

    /// Bytes of earlier prompts that are kept for the next ones, by all that share the base's weights.
    pub fn kept_prompt_bytes(&self) -> u64 {
        self.prefixes().bytes() as u64
    }

    /// Answers a prompt; `on_piece` gets the text as it comes and may break off.
    ///
    /// A prompt that leaves less than a quarter of the context free (or less than `max_new_tokens`, if that is
    /// less) loses its beginning. An answer ends at the latest when the context is full.
    ///
    /// What a prompt has in common with the beginning of an earlier one, as a conversation's next question has, is not
    /// computed again; the answer is the same.
    pub fn generate(
        &self,
        prompt: &Prompt,
        params: &GenerateParams,
        on_piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Generation, InferenceError> {
        let request = Request { model: self, prompt, params };
        let mut answers = generate_many(&[request], &mut |_, piece| on_piece(piece))?;
        Ok(answers.swap_remove(0))
    }

    fn answer<'a>(&'a self, prompt: &Prompt, params: &GenerateParams) -> Result<Answer<'a>, InferenceError> {
        let mut stop = Stops::of(&self.template, &self.tokenizer);
        if matches!(prompt, Prompt::Text(_)) {
            stop.texts.clear();
        }
        stop.texts.extend(params.stop.iter().filter(|text| !text.is_empty()).cloned());
        let ids = self.prompt_tokens(prompt)?;
        let prompt = Fitted::new(ids, params.max_new_tokens, &self.model, &self.tokenizer);
        let known = self.prefixes().take(self.owner(), &prompt.ids);
        let cache = known.unwrap_or_else(|| match self.owner() {
            Some(_) => KvCache::new(self.model.config()),
            None => KvCache::without_adapter(self.model.config()),
        });
        Ok(Answer::new(&self.model, &self.tokenizer, cache, prompt, params, stop))
    }

    /// Whose keys and values its prompts have.
    fn owner(&self) -> Owner<'_> {
        (self.adapted && self.model.lora().is_some()).then_some(&self.model)
    }

    fn prefixes(&self) -> MutexGuard<'_, Prefixes> {
        self.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The prompt in tokens, template applied.
    fn prompt_tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, InferenceError> {
        let parts = prompt.parts(&self.template)?;
        let ids = prompt_tokens(&parts, &self.tokenizer)?;
        // With nothing before it, a text begins as a document does.
        Ok(if ids.is_empty() { vec![self.tokenizer.end_of_text()] } else { ids })
    }
}

/// One of several prompts that are answered together.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub model: &'a LoadedModel,
    pub prompt: &'a Prompt,
    pub params: &'a GenerateParams,
}

/// Answers several prompts side by side: the weights are read once for all, so that a few answers take hardly longer
/// than one. Each may have its own adapter or none, over one base in memory (see [`LoadedModel::load_adapter`] and
/// [`LoadedModel::base`]), its own settings and its own end. `on_piece` gets the request's place and its text as it
/// comes, and may break off that answer.
///
/// Each answer is the one that its prompt gets alone: no row's sums depend on the rows beside it.
///
/// # Errors
/// As [`LoadedModel::generate`], for any of the prompts; and where the models do not share their base's weights.
pub fn generate_many(
    requests: &[Request<'_>],
    on_piece: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
) -> Result<Vec<Generation>, InferenceError> {
    let answers = requests.iter().map(|request| request.model.answer(request.prompt, request.params));
    let answered = answer_all(answers.collect::<Result<_, _>>()?, on_piece)?;
    let keep = |(request, answered): (&Request<'_>, Answered)| {
        request.model.prefixes().keep(request.model.owner(), answered.prompt, answered.cache);
        answered.generation
    };
    Ok(requests.iter().zip(answered).map(keep).collect())
}
