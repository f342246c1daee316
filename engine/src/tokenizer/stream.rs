//! Tokens to text, piece by piece, for streaming.
//!
//! A character of several bytes may be spread over several tokens; its pieces are held back until it is whole.

use super::{Tokenizer, TokenizerError};

/// Collects tokens and gives out text as soon as it is certain.
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<u32>,
    /// Text already given out ends before this token …
    context: usize,
    /// … and everything before this one has been given out.
    done: usize,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, ids: Vec::new(), context: 0, done: 0 }
    }

    /// Adds a token; gives the text that it completes, which may be none.
    pub fn push(&mut self, id: u32) -> Result<String, TokenizerError> {
        self.ids.push(id);
        let whole = self.tokenizer.decode(&self.ids[self.context..])?;
        if whole.ends_with(char::REPLACEMENT_CHARACTER) && self.ids.len() - self.done < 5 {
            // A character has at most four bytes: what is still broken after five tokens stays broken.
            return Ok(String::new());
        }
        let before = self.tokenizer.decode(&self.ids[self.context..self.done])?;
        self.context = self.done;
        self.done = self.ids.len();
        Ok(whole.get(before.len()..).unwrap_or_default().to_owned())
    }

    /// The text held back, incomplete as it is.
    pub fn finish(self) -> Result<String, TokenizerError> {
        let whole = self.tokenizer.decode(&self.ids[self.context..])?;
        let before = self.tokenizer.decode(&self.ids[self.context..self.done])?;
        Ok(whole.get(before.len()..).unwrap_or_default().to_owned())
    }
}
