//! Rows as token sequences with a loss mask, cut to length.
//!
//! Rows of prompts and answers stay apart, each a sequence of its own. Plain text is one long stream of documents
//! with an end-of-text token between them, cut into windows, as GPT-2 was trained.

use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;

use super::chat_template::ChatTemplateError;
use super::rows::{self, DataError, Kind, Row};
use super::template::{Part, Template};
use crate::error::NextStep;
use crate::files::record::DataFile;
use crate::model::{Batch, IGNORE};
use crate::tokenizer::{Tokenizer, TokenizerError};

/// Rows tokenised at a time, spread over all threads.
const CHUNK: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    ChatTemplate(#[from] ChatTemplateError),
}

impl NextStep for TokensError {
    fn next_step(&self) -> String {
        match self {
            Self::Data(error) => error.next_step(),
            Self::Tokenizer(error) => error.next_step(),
            Self::ChatTemplate(error) => error.next_step(),
        }
    }
}

/// A tokenised data set.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSet {
    kind: Kind,
    ids: Vec<u32>,
    /// Whether a token counts in the loss, when it is predicted.
    learned: Vec<bool>,
    /// Where each row begins, and where the last one ends.
    starts: Vec<usize>,
    max_length: usize,
    /// Rows longer than `max_length`, which were cut; always 0 for plain text.
    pub truncated: u64,
}

impl TokenSet {
    pub fn new(kind: Kind, max_length: usize) -> Self {
        Self { kind, ids: Vec::new(), learned: Vec::new(), starts: vec![0], max_length, truncated: 0 }
    }

    /// Tokenises every row of a channel.
    pub fn read(
        channel: &Path,
        tokenizer: &Tokenizer,
        template: &Template,
        max_length: usize,
    ) -> Result<(Self, Vec<DataFile>), TokensError> {
        let mut set = Self::new(template.kind, max_length);
        if template.kind == Kind::Text {
            set.push(&[tokenizer.end_of_text()], &[false]);
        }
        let mut waiting = Vec::with_capacity(CHUNK);
        let mut failure = None;
        let files = rows::read(channel, Some(template.kind), |row| {
            waiting.push(row);
            if waiting.len() == CHUNK {
                failure = set.append(&waiting, tokenizer, template).err();
                waiting.clear();
            }
            failure.is_none()
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        set.append(&waiting, tokenizer, template)?;
        Ok((set, files))
    }

    /// Tokenises rows and adds them, in order.
    pub fn append(
        &mut self,
        rows: &[Row],
        tokenizer: &Tokenizer,
        template: &Template,
    ) -> Result<(), TokensError> {
        let encoded: Vec<_> =
            rows.par_iter().map(|row| encode(row, tokenizer, template)).collect::<Result<_, _>>()?;
        for (mut ids, mut learned) in encoded.into_iter().flatten() {
            let begin = if ids.starts_with(tokenizer.begin()) { tokenizer.begin().len() } else { 0 };
            if self.kind != Kind::Text && cut(&mut ids, &mut learned, self.max_length, begin) {
                self.truncated += 1;
            }
            self.push(&ids, &learned);
        }
        Ok(())
    }

    fn push(&mut self, ids: &[u32], learned: &[bool]) {
        self.ids.extend_from_slice(ids);
        self.learned.extend_from_slice(learned);
        self.starts.push(self.ids.len());
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Number of sequences that one epoch goes through: rows, or windows of plain text.
    pub fn sequences(&self) -> usize {
        match self.kind {
            Kind::Text => self.ids.len().saturating_sub(1).div_ceil(self.max_length),
            _ => self.starts.len() - 1,
        }
    }

    /// Number of tokens that pass through the model in one epoch.
    pub fn tokens(&self) -> usize {
        (0..self.sequences()).map(|i| self.range(i).len()).sum()
    }

    /// Number of tokens that are predicted in one epoch.
    pub fn predicted(&self) -> usize {
        (0..self.sequences()).map(|i| self.range(i).filter(|&at| self.learned[at + 1]).count()).sum()
    }

    /// Where the inputs of a sequence lie; the last token of a row is never an input.
    fn range(&self, index: usize) -> std::ops::Range<usize> {
        match self.kind {
            Kind::Text => {
                let start = index * self.max_length;
                start..(start + self.max_length).min(self.ids.len() - 1)
            }
            // A chat template may write nothing at all.
            _ => self.starts[index]..self.starts[index + 1].saturating_sub(1).max(self.starts[index]),
        }
    }

    /// Lays sequences end to end.
    pub fn batch(&self, indices: impl IntoIterator<Item = usize>) -> Batch {
        let mut batch = Batch::default();
        for index in indices {
            let range = self.range(index);
            if range.is_empty() {
                continue;
            }
            batch.ids.extend_from_slice(&self.ids[range.clone()]);
            batch.lengths.push(range.len());
            let targets = range.map(|at| if self.learned[at + 1] { self.ids[at + 1] } else { IGNORE });
            batch.targets.extend(targets);
        }
        batch
    }
}

/// A sequence's tokens, and which of them are learned.
pub type Encoded = (Vec<u32>, Vec<bool>);

/// The sequences that a row is learned as.
pub fn encode(row: &Row, tokenizer: &Tokenizer, template: &Template) -> Result<Vec<Encoded>, TokensError> {
    // Plain text is one stream; its windows begin anywhere.
    let text = row.kind() == Kind::Text;
    let encode = |parts: Vec<Part>| match text {
        true => encode_parts(&parts, tokenizer, &[]),
        false => encode_parts(&parts, tokenizer, beginning(&parts, tokenizer)),
    };
    Ok(template.sequences(row)?.into_iter().map(encode).collect::<Result<_, _>>()?)
}

/// What a text begins with; a chat template writes that itself.
fn beginning<'a>(parts: &[Part], tokenizer: &'a Tokenizer) -> &'a [u32] {
    if matches!(parts.first(), Some(Part::Written(_))) { &[] } else { tokenizer.begin() }
}

/// Tokens of the parts of a prompt, after what a text begins with.
pub(crate) fn prompt_tokens(parts: &[Part], tokenizer: &Tokenizer) -> Result<Vec<u32>, TokenizerError> {
    Ok(encode_parts(parts, tokenizer, beginning(parts, tokenizer))?.0)
}

/// The parts of a sequence, end to end.
fn encode_parts(parts: &[Part], tokenizer: &Tokenizer, begin: &[u32]) -> Result<Encoded, TokenizerError> {
    let mut ids = begin.to_vec();
    let mut learned = vec![false; ids.len()];
    for part in parts {
        let (tokens, learn) = match part {
            Part::Prompt(text) => (tokenizer.encode(text)?, false),
            Part::Answer(text) => (tokenizer.encode(text)?, true),
            Part::End { learned } => (vec![tokenizer.end_of_text()], *learned),
            Part::Written(written) => {
                for (id, place) in tokenizer.encode_written(&written.text)? {
                    ids.push(id);
                    learned.push(written.answers.iter().any(|answer| touches(answer, &place)));
                }
                continue;
            }
        };
        learned.resize(learned.len() + tokens.len(), learn);
        ids.extend(tokens);
    }
    Ok((ids, learned))
}

/// Whether a token has any of an answer in it. One without a place, such as a mark at the beginning of a word, counts
/// with what follows it.
fn touches(answer: &Range<usize>, token: &Range<usize>) -> bool {
    token.start < answer.end && token.end.max(token.start + 1) > answer.start
}

/// Cuts a row to `max_length` tokens and says whether it had to.
///
/// The answer matters most: what precedes it is cut first, from its beginning, down to a quarter of the length;
/// only then the end. The first `begin` tokens, with which every text begins, stay.
fn cut(ids: &mut Vec<u32>, learned: &mut Vec<bool>, max_length: usize, begin: usize) -> bool {
    let excess = ids.len().saturating_sub(max_length);
    if excess == 0 {
        return false;
    }
    let prompt = learned.iter().position(|&learn| learn).unwrap_or(0);
    let from_start = excess.min(prompt.saturating_sub((max_length / 4).max(begin)));
    ids.drain(begin..begin + from_start);
    learned.drain(begin..begin + from_start);
    ids.truncate(max_length);
    learned.truncate(max_length);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(lengths: &[usize], max_length: usize) -> TokenSet {
        let mut set = TokenSet::new(Kind::Completion, max_length);
        let mut next = 0;
        for &length in lengths {
            let ids: Vec<u32> = (next..next + length as u32).collect();
            next += length as u32;
            let learned: Vec<bool> = (0..length).map(|i| i >= length / 2).collect();
            set.push(&ids, &learned);
        }
        set
    }

    #[test]
    fn rows_stay_apart_and_prompts_are_not_learned() {
        let set = rows_of(&[4, 2], 8);
        let batch = set.batch([0, 1]);
        assert_eq!(batch.ids, [0, 1, 2, 4]);
        assert_eq!(batch.targets, [IGNORE, 2, 3, 5]);
        assert_eq!(batch.lengths, [3, 1]);
        assert_eq!((set.sequences(), set.tokens(), set.predicted()), (2, 4, 3));
    }

    #[test]
    fn rows_of_which_a_template_writes_nothing_are_passed_over() {
        let set = rows_of(&[0, 3, 0], 8);
        assert_eq!((set.sequences(), set.tokens(), set.predicted()), (3, 2, 2));
        assert_eq!(set.batch(0..3).lengths, [2]);
    }

    #[test]
    fn every_token_of_a_text_is_predicted_once() {
        let mut set = TokenSet::new(Kind::Text, 4);
        set.push(&[9], &[false]);
        set.push(&(0..9).collect::<Vec<_>>(), &[true; 9]);
        assert_eq!(set.sequences(), 3);
        let batch = set.batch(0..3);
        assert_eq!(batch.targets, (0..9).collect::<Vec<_>>());
        assert_eq!(batch.ids, [9, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(batch.lengths, [4, 4, 1]);
        assert_eq!(set.predicted(), 9);
    }

    #[test]
    fn cutting_keeps_the_answer_and_what_is_nearest_to_it() {
        let mut ids: Vec<u32> = (0..10).collect();
        let mut learned: Vec<bool> = (0..10).map(|i| i >= 7).collect();
        assert!(cut(&mut ids, &mut learned, 8, 0));
        assert_eq!(ids, (2..10).collect::<Vec<_>>());
        assert_eq!(learned.iter().filter(|&&l| l).count(), 3);
        assert!(!cut(&mut ids, &mut learned, 8, 0));
    }

    #[test]
    fn what_every_text_begins_with_stays() {
        let mut ids: Vec<u32> = (0..10).collect();
        let mut learned: Vec<bool> = (0..10).map(|i| i >= 7).collect();
        assert!(cut(&mut ids, &mut learned, 8, 1));
        assert_eq!(ids, [0, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(learned.iter().filter(|&&l| l).count(), 3);
    }

    #[test]
    fn an_answer_too_long_by_itself_loses_its_end() {
        let mut ids: Vec<u32> = (0..20).collect();
        let mut learned: Vec<bool> = (0..20).map(|i| i >= 6).collect();
        assert!(cut(&mut ids, &mut learned, 8, 0));
        assert_eq!(ids, (4..12).collect::<Vec<_>>());
        assert_eq!(learned.iter().filter(|&&l| !l).count(), 2);
    }
}
