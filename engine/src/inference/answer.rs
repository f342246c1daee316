//! The loop from a prompt's tokens to an answer's text.

use std::ops::ControlFlow;
use std::time::Instant;

use super::{FinishReason, GenerateParams, Generation, InferenceError, StopFilter};
use crate::data::template::Template;
use crate::generate::Sampler;
use crate::model::{KvCache, Model};
use crate::tokenizer::Tokenizer;

/// What ends an answer, besides the tokens that end any text of the model.
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
