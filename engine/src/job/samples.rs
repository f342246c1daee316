//! A few held-out rows, answered by the model while it learns: what people look at.

use std::ops::ControlFlow;

use serde_json::json;

use super::error::JobError;
use super::report::Reporter;
use crate::data::rows::{self, Row};
use crate::data::template::Template;
use crate::data::tokens::prompt_tokens;
use crate::inference::{Answer, Answered, Fitted, GenerateParams, Stops, answer_all};
use crate::model::{KvCache, Model};
use crate::tokenizer::Tokenizer;

/// Rows shown.
const ROWS: usize = 4;
/// Times they are shown in a run.
pub const TIMES: u64 = 8;
/// Sampling may take this share of the time, and these seconds in any case; beyond it, points are skipped.
const SHARE: f64 = 0.05;
const SECONDS: f64 = 10.0;

pub struct Samples {
    rows: Vec<Sample>,
    stop: Stops,
    spent: f64,
}

struct Sample {
    prompt: String,
    expected: Option<String>,
    ids: Vec<u32>,
    max_new_tokens: usize,
}

impl Samples {
    /// Takes rows from a channel, the shortest prompts first so that they are cheap and easy to read.
    pub fn read(
        channel: &std::path::Path,
        tokenizer: &Tokenizer,
        template: &Template,
    ) -> Result<Self, JobError> {
        let mut candidates = Vec::new();
        rows::read(channel, Some(template.kind), |row| {
            candidates.push(row);
            candidates.len() < 200
        })?;
        let every = candidates.len().div_ceil(ROWS).max(1);
        let chosen = candidates.into_iter().step_by(every);
        let samples = chosen.map(|row| sample(&row, tokenizer, template));
        let stop = Stops::of(template, tokenizer);
        Ok(Self { rows: samples.collect::<Result<_, _>>()?, stop, spent: 0.0 })
    }

    /// Answers every row greedily and reports it, unless that has taken too much of the run's time so far.
    pub fn show(
        &mut self,
        model: &Model,
        tokenizer: &Tokenizer,
        step: u64,
        last: bool,
        report: &mut Reporter<'_>,
    ) -> Result<(), JobError> {
        let start = report.seconds();
        if !last && self.spent > SHARE * start + SECONDS {
            return Ok(());
        }
        let answers = self.rows.iter().map(|sample| {
            let params =
                GenerateParams { max_new_tokens: sample.max_new_tokens, ..GenerateParams::default() };
            let prompt = Fitted::new(sample.ids.clone(), params.max_new_tokens, model, tokenizer);
            let cache = KvCache::new(model.config());
            Answer::new(model, tokenizer, cache, prompt, &params, self.stop.clone())
        });
        let answered = answer_all(answers.collect(), &mut |_, _| ControlFlow::Continue(()))?;
        for (sample, Answered { generation, .. }) in self.rows.iter().zip(answered) {
            report.event(
                "sample",
                json!({
                    "step": step,
                    "prompt": sample.prompt,
                    "expected": sample.expected,
                    "output": generation.text,
                    // Chat templates put spaces around answers, or take them away.
                    "exact": sample.expected.as_ref().map(|text| text.trim() == generation.text.trim()),
                }),
            );
        }
        self.spent += report.seconds() - start;
        Ok(())
    }
}

fn sample(row: &Row, tokenizer: &Tokenizer, template: &Template) -> Result<Sample, JobError> {
    if let Row::Text(text) = row {
        // The beginning of a document, to be continued.
        let start: Vec<u32> = tokenizer.encode(text)?.into_iter().take(16).collect();
        let prompt = tokenizer.decode(&start)?;
        let ids = [tokenizer.begin(), &start].concat();
        return Ok(Sample { prompt, expected: None, ids, max_new_tokens: 60 });
    }
    // The last answer is asked for; what comes before it is given.
    let (parts, expected) = template.question(row)?;
    let length = tokenizer.encode(&expected)?.len();
    let prompt = match row {
        Row::Completion { prompt, .. } => prompt.clone(),
        Row::Chat(messages) => messages
            .iter()
            .rev()
            .find(|message| message.role == rows::Role::User)
            .map(|message| message.content.clone())
            .unwrap_or_default(),
        Row::Text(text) => text.clone(),
    };
    Ok(Sample {
        prompt,
        expected: Some(expected),
        ids: prompt_tokens(&parts, tokenizer)?,
        // Room to be wrong in, but no endless rambling.
        max_new_tokens: (length + length / 4 + 8).min(128),
    })
}
