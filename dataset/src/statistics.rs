//! Figures about the usable rows, gathered while they stream past in bounded memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use crate::example::{Example, Role};
use crate::histogram::{Histogram, HistogramBuilder};

/// Rows that the search for duplicates remembers: 16 bytes each, so about 40 MB at most. A row is compared with
/// the first million different ones; beyond that, [`Statistics::duplicates_complete`] is false.
const REMEMBERED_ROWS: usize = 1_000_000;
/// Answers compared with each other to find one that dominates.
const TRACKED_ANSWERS: usize = 16;
/// After so many answers of which none makes a tenth, none is going to dominate: the search stops.
const DIVERSE_AFTER: u64 = 10_000;
/// A common beginning is of interest up to this many bytes.
const PREFIX_BYTES: usize = 512;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Rows that can be used for training.
    pub rows: u64,
    /// Characters of their texts: prompts, answers, messages.
    pub characters: u64,
    /// Tokens of a large tokenizer, estimated as a quarter of the bytes. For exact counts, use the tokenizer.
    pub approximate_tokens: u64,
    pub shortest: u64,
    pub longest: u64,
    /// The line on which the longest row begins.
    pub longest_line: u64,
    pub mean: f64,
    /// Characters a row.
    pub characters_histogram: Histogram,
    /// Approximate tokens a row.
    pub tokens_histogram: Histogram,
    /// Characters of the prompts (and system messages and questions) and of the answers.
    pub prompt_characters: u64,
    pub answer_characters: u64,
    /// Messages of chats.
    pub messages: u64,
    /// Conversations that begin with a system message.
    pub with_system_message: u64,
    /// Rows whose texts are equal to those of an earlier row.
    pub duplicates: u64,
    /// False where the file has more different rows than the search remembers.
    pub duplicates_complete: bool,
}

/// Takes a number that is already a hash as it is.
#[derive(Debug, Default)]
struct Unhashed(u64);

impl Hasher for Unhashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// What a new row turned out to be.
#[derive(Debug)]
pub(crate) struct Added {
    /// The line of an earlier row with the same texts.
    pub first_equal: Option<u64>,
    pub characters: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    statistics: Statistics,
    characters: HistogramBuilder,
    tokens: HistogramBuilder,
    seen: HashMap<u64, u32, BuildHasherDefault<Unhashed>>,
    pub answers: Answers,
    pub prefix: CommonPrefix,
}

impl Tally {
    /// Counts a row.
    pub fn add(&mut self, line: u64, example: &Example<'_>) -> Added {
        let statistics = &mut self.statistics;
        let (mut bytes, mut prompt, mut answer) = (0, 0, 0);
        let mut hasher = FixedState::with_seed(0).build_hasher();
        let mut part = |text: &str, is_answer: bool| {
            bytes += text.len() as u64;
            let characters = text.chars().count() as u64;
            *(if is_answer { &mut answer } else { &mut prompt }) += characters;
            hasher.write(text.as_bytes());
            hasher.write_u8(u8::from(is_answer));
        };
        match example {
            Example::Text { text } => part(text, true),
            Example::Completion { prompt, completion } => {
                part(prompt, false);
                part(completion, true);
            }
            Example::Chat { messages } => {
                for message in messages {
                    part(&message.content, message.role == Role::Assistant);
                }
                statistics.messages += messages.len() as u64;
                statistics.with_system_message +=
                    u64::from(messages.first().is_some_and(|message| message.role == Role::System));
            }
        }
        let (length, tokens) = (prompt + answer, bytes.div_ceil(4));
        statistics.shortest = if statistics.rows == 0 { length } else { statistics.shortest.min(length) };
        if length > statistics.longest || statistics.rows == 0 {
            (statistics.longest, statistics.longest_line) = (length, line);
        }
        statistics.rows += 1;
        statistics.characters += length;
        statistics.approximate_tokens += tokens;
        statistics.prompt_characters += prompt;
        statistics.answer_characters += answer;
        self.characters.add(length);
        self.tokens.add(tokens);
        let hash = hasher.finish();
        if !matches!(example, Example::Text { .. }) {
            if let Some(answer) = example.answer() {
                self.answers.add(answer);
            }
            if let Some(prompt) = example.prompt() {
                self.prefix.add(prompt);
            }
        }
        Added { first_equal: self.first_equal(hash, line), characters: length }
    }

    fn first_equal(&mut self, hash: u64, line: u64) -> Option<u64> {
        if let Some(first) = self.seen.get(&hash) {
            self.statistics.duplicates += 1;
            return Some(u64::from(*first));
        }
        if self.seen.len() < REMEMBERED_ROWS {
            self.seen.insert(hash, u32::try_from(line).unwrap_or(u32::MAX));
        }
        None
    }

    pub fn rows(&self) -> u64 {
        self.statistics.rows
    }

    pub fn characters(&self) -> u64 {
        self.statistics.characters
    }

    /// Conversations that begin with a system message, of how many rows.
    pub fn system_messages(&self) -> (u64, u64) {
        (self.statistics.with_system_message, self.statistics.rows)
    }

    pub fn finish(self) -> Statistics {
        let mut statistics = self.statistics;
        statistics.mean =
            if statistics.rows == 0 { 0.0 } else { statistics.characters as f64 / statistics.rows as f64 };
        statistics.duplicates_complete = self.seen.len() < REMEMBERED_ROWS;
        statistics.characters_histogram = self.characters.finish();
        statistics.tokens_histogram = self.tokens.finish();
        statistics
    }
}

/// The most frequent answers, by the algorithm of Misra and Gries (1982): counts are exact while there are few
/// different answers, and never too high. Exactly what is needed to find one that dominates.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    counts: Vec<(u64, u64, String)>,
    total: u64,
    diverse: bool,
}

impl Answers {
    fn add(&mut self, answer: &str) {
        if self.diverse {
            return;
        }
        self.total += 1;
        if self.total == DIVERSE_AFTER && self.counts.iter().all(|(_, count, _)| count * 10 < DIVERSE_AFTER) {
            self.diverse = true;
        }
        let hash = FixedState::with_seed(1).hash_one(answer);
        if let Some(found) = self.counts.iter_mut().find(|(known, ..)| *known == hash) {
            found.1 += 1;
        } else if self.counts.len() < TRACKED_ANSWERS {
            self.counts.push((hash, 1, answer.chars().take(60).collect()));
        } else {
            self.counts.retain_mut(|(_, count, _)| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// The most frequent answer (its first 60 characters), its count (at least), and the number of all answers.
    pub fn top(&self) -> Option<(&str, u64, u64)> {
        if self.diverse {
            return None;
        }
        let (_, count, answer) = self.counts.iter().max_by_key(|(_, count, _)| *count)?;
        Some((answer, *count, self.total))
    }
}

/// What all prompts begin with.
#[derive(Debug, Default)]
pub(crate) struct CommonPrefix {
    prefix: Option<String>,
    different: bool,
}

impl CommonPrefix {
    fn add(&mut self, prompt: &str) {
        let Some(prefix) = &mut self.prefix else {
            let mut end = prompt.len().min(PREFIX_BYTES);
            while !prompt.is_char_boundary(end) {
                end -= 1;
            }
            self.prefix = Some(prompt[..end].to_owned());
            return;
        };
        if prefix.is_empty() {
            return;
        }
        let mut common = prefix.bytes().zip(prompt.bytes()).take_while(|(a, b)| a == b).count();
        self.different |= common < prompt.len();
        if common < prefix.len() {
            while !prefix.is_char_boundary(common) {
                common -= 1;
            }
            prefix.truncate(common);
        }
    }

    /// The common beginning, where the prompts are not all the same.
    pub fn get(&self) -> Option<&str> {
        self.prefix.as_deref().filter(|_| self.different)
    }
}
