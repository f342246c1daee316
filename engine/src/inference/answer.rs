//! The loop from prompts' tokens to answers' texts.

use std::ops::ControlFlow;
use std::time::Instant;

use super::{FinishReason, GenerateParams, Generation, InferenceError, StopFilter};
use crate::data::template::Template;
use crate::generate::Sampler;
use crate::model::{Continuation, KvCache, Model};
use crate::tokenizer::{TextStream, Tokenizer, TokenizerError};

/// What ends an answer, besides the tokens that end any text of the model.
#[derive(Debug, Clone)]
pub(crate) struct Stops {
    token: Option<u32>,
    pub texts: Vec<String>,
}

impl Stops {
    pub fn of(template: &Template, tokenizer: &Tokenizer) -> Self {
        let token = template.stop_token().and_then(|name| tokenizer.token_id(name));
        Self { token, texts: template.stop.clone() }
    }
}

/// A prompt's tokens, as far as they fit into the context.
pub(crate) struct Fitted {
    pub ids: Vec<u32>,
    /// Tokens of the beginning that were left out.
    pub dropped: usize,
}

impl Fitted {
    /// Leaves room for an answer; what a text begins with stays.
    pub fn new(mut ids: Vec<u32>, max_new_tokens: usize, model: &Model, tokenizer: &Tokenizer) -> Self {
        let context = model.config().positions();
        let room = max_new_tokens.min(context / 4).max(1);
        let dropped = ids.len().saturating_sub(context.saturating_sub(room).max(1));
        let begin = if ids.starts_with(tokenizer.begin()) { tokenizer.begin().len() } else { 0 };
        let begin = begin.min(ids.len() - dropped);
        ids.drain(begin..begin + dropped);
        Self { ids, dropped }
    }
}

/// A prompt on its way to an answer.
pub(crate) struct Answer<'a> {
    model: &'a Model,
    tokenizer: &'a Tokenizer,
    /// Of the prompt, or of its beginning, and of the answer.
    cache: KvCache,
    ids: Vec<u32>,
    prompt_tokens: usize,
    dropped_prompt_tokens: usize,
    max_new_tokens: usize,
    sampler: Sampler,
    stop_token: Option<u32>,
    filter: StopFilter,
    stream: TextStream<'a>,
    text: String,
    tokens: usize,
    ended: Option<(FinishReason, Instant)>,
}

impl<'a> Answer<'a> {
    /// `cache` may hold the beginning of the prompt, but not the whole.
    pub fn new(
        model: &'a Model,
        tokenizer: &'a Tokenizer,
        cache: KvCache,
        prompt: Fitted,
        params: &GenerateParams,
        stop: Stops,
    ) -> Self {
        let sampler = Sampler {
            temperature: params.temperature.clamp(0.0, 100.0),
            top_p: params.top_p.clamp(1e-6, 1.0),
            top_k: params.top_k,
            repetition_penalty: params.repetition_penalty.clamp(0.1, 10.0),
            seed: params.seed,
        };
        Self {
            model,
            tokenizer,
            cache,
            prompt_tokens: prompt.ids.len(),
            ids: prompt.ids,
            dropped_prompt_tokens: prompt.dropped,
            max_new_tokens: params.max_new_tokens,
            sampler,
            stop_token: stop.token,
            filter: StopFilter::new(stop.texts),
            stream: tokenizer.stream(),
            text: String::new(),
            tokens: 0,
            ended: None,
        }
    }

    /// Takes the token that follows; says why the answer ends with it, if it does.
    fn take(
        &mut self,
        mut logits: Vec<f32>,
        on_piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Option<FinishReason>, TokenizerError> {
        let next = self.sampler.choose(&mut logits, &self.ids);
        if self.tokenizer.ends(next) || self.stop_token == Some(next) {
            return Ok(Some(FinishReason::Stop));
        }
        self.tokens += 1;
        self.ids.push(next);
        let (certain, stopped) = self.filter.push(&self.stream.push(next)?);
        self.text.push_str(&certain);
        Ok(if !certain.is_empty() && on_piece(&certain).is_break() {
            Some(FinishReason::Cancelled)
        } else if stopped {
            Some(FinishReason::Stop)
        } else if self.cache.remaining() == 0 {
            Some(FinishReason::Context)
        } else {
            (self.tokens == self.max_new_tokens).then_some(FinishReason::Length)
        })
    }

    /// Gives out what was held back. Hands over the prompt's tokens with the cache of them.
    fn finish(
        mut self,
        started: Instant,
        on_piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Answered, TokenizerError> {
        let (finish_reason, ended) = self.ended.unwrap_or((FinishReason::Length, started));
        if finish_reason != FinishReason::Cancelled {
            let (certain, _) = self.filter.push(&self.stream.finish()?);
            let rest = certain + &self.filter.finish();
            self.text.push_str(&rest);
            if !rest.is_empty() {
                // The answer is over either way.
                let _ = on_piece(&rest);
            }
        }
        let seconds = ended.duration_since(started).as_secs_f64();
        let generation = Generation {
            text: self.text,
            tokens: self.tokens,
            prompt_tokens: self.prompt_tokens,
            dropped_prompt_tokens: self.dropped_prompt_tokens,
            finish_reason,
            tokens_per_second: if seconds > 0.0 { self.tokens as f64 / seconds } else { 0.0 },
        };
        self.ids.truncate(self.prompt_tokens);
        self.cache.truncate(self.prompt_tokens);
        Ok(Answered { generation, prompt: self.ids, cache: self.cache })
    }
}

/// An answer, and what is worth keeping for the next one.
pub(crate) struct Answered {
    pub generation: Generation,
    pub prompt: Vec<u32>,
    /// Of the prompt's tokens, or of none if nothing was asked for.
    pub cache: KvCache,
}

/// Makes the answers side by side, token by token, each as if it were alone; see [`super::generate_many`].
pub(crate) fn answer_all(
    mut answers: Vec<Answer<'_>>,
    on_piece: &mut dyn FnMut(usize, &str) -> ControlFlow<()>,
) -> Result<Vec<Answered>, InferenceError> {
    let mut started = Instant::now();
    let mut first = true;
    loop {
        let mut places = Vec::new();
        let mut sequences = Vec::new();
        for (i, answer) in answers.iter_mut().enumerate() {
            if answer.ended.is_none() && answer.max_new_tokens > 0 {
                places.push(i);
                let ids = &answer.ids[answer.cache.len()..];
                sequences.push(Continuation { model: answer.model, ids, cache: &mut answer.cache });
            }
        }
        if places.is_empty() {
            break;
        }
        let logits = Model::forward_together(&mut sequences)?;
        if first {
            // The prompts' passes are not counted.
            (started, first) = (Instant::now(), false);
        }
        for (i, logits) in places.into_iter().zip(logits) {
            let reason = answers[i].take(logits, &mut |piece| on_piece(i, piece))?;
            answers[i].ended = reason.map(|reason| (reason, Instant::now()));
        }
    }
    let finish =
        |(i, answer): (usize, Answer<'_>)| Ok(answer.finish(started, &mut |piece| on_piece(i, piece))?);
    answers.into_iter().enumerate().map(finish).collect()
}
