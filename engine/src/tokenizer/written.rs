//! Text that a chat template wrote, as tokens: the special tokens that the template wrote become their single ids,
//! and the same names typed by a person stay text.
//!
//! The whole text goes through the tokenizer at once, as in `transformers`, since many tokenizers treat the beginning
//! of a text differently. The two kinds of special token are told apart with characters that Unicode keeps out of any
//! text: what a person typed gets a [`SHIELD`] before it goes into the template, and what then reads as a special
//! token is the template's.

use std::collections::HashMap;
use std::ops::Range;

use tokenizers::{AddedToken, PostProcessorWrapper, Tokenizer as Inner};

use super::guard::guarded;

/// Breaks the name of a special token up in what a person typed.
const SHIELD: char = '\u{fdd0}';
/// Around the number of a special token, for the tokenizer.
const OPEN: char = '\u{fdd1}';
const CLOSE: char = '\u{fdd2}';

/// Names of special tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialNames {
    /// The longest first, so that a name that begins another does not hide it.
    names: Vec<String>,
    firsts: Vec<char>,
    /// Tokens that were added to a vocabulary without being special: a person may type them, and a template may end
    /// answers with them.
    added: Vec<String>,
}

impl SpecialNames {
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
        names.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        names.dedup();
        let mut firsts: Vec<char> = names.iter().filter_map(|name| name.chars().next()).collect();
        firsts.sort_unstable();
        firsts.dedup();
        Self { names, firsts, added: Vec::new() }
    }

    /// The same, with further tokens that may end an answer.
    pub fn with_added(self, added: impl IntoIterator<Item = String>) -> Self {
        Self { added: added.into_iter().collect(), ..self }
    }

    /// All of them.
    pub fn marks(&self) -> Self {
        Self::new(self.names.iter().chain(&self.added).cloned())
    }

    /// The number of the name that stands at the beginning of a text, if it is not shielded.
    fn at(&self, text: &str) -> Option<usize> {
        let first = text.chars().next().filter(|first| self.firsts.contains(first))?;
        if text[first.len_utf8()..].starts_with(SHIELD) {
            return None;
        }
        self.names.iter().position(|name| text.starts_with(name.as_str()))
    }

    /// What a person typed, so that none of it reads as a special token.
    pub fn shield(&self, typed: &str) -> String {
        let mut safe = String::with_capacity(typed.len());
        for (at, character) in typed.char_indices() {
            safe.push(if (SHIELD..=CLOSE).contains(&character) {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            });
            if self.at(&typed[at..]).is_some() {
                safe.push(SHIELD);
            }
        }
        safe
    }

    /// Where the special tokens of a text lie, with their names.
    pub fn find<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (Range<usize>, &'a str)> {
        let mut from = 0;
        text.char_indices().filter_map(move |(at, _)| {
            let name = (at >= from)
                .then(|| self.at(&text[at..]))
                .flatten()
                .map(|index| self.names[index].as_str())?;
            from = at + name.len();
            Some((at..from, name))
        })
    }
}

/// The text without shields, as a person reads it.
pub fn plain(text: &str) -> String {
    text.replace(SHIELD, "")
}

/// A tokenizer for such text.
#[derive(Clone)]
pub(super) struct SpecialTokens {
    pub names: SpecialNames,
    /// Knows each special token by its number between [`OPEN`] and [`CLOSE`] as well, and does not take it for special:
    /// so that typed names stay text while those numbers do not.
    inner: Inner,
    ids: HashMap<u32, u32>,
}

impl SpecialTokens {
    pub fn new(inner: &Inner) -> tokenizers::Result<Self> {
        let known: HashMap<String, (u32, AddedToken)> = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special)
            .map(|(id, token)| (token.content.clone(), (id, token)))
            .collect();
        let others = inner.get_added_tokens_decoder().into_values().filter(|token| !token.special);
        let names = SpecialNames::new(known.keys().cloned()).with_added(others.map(|token| token.content));
        let mut inner = inner.clone();
        // It would only move offsets.
        inner.with_post_processor(None::<PostProcessorWrapper>);
        let mut ids = HashMap::new();
        for (index, name) in names.names.iter().enumerate() {
            let Some((id, token)) = known.get(name) else { continue };
            let content = marked(index);
            let added = AddedToken { content: content.clone(), special: false, ..token.clone() };
            guarded(|| inner.add_tokens([added]))?;
            if let Some(mark) = inner.token_to_id(&content) {
                ids.insert(mark, *id);
            }
        }
        Ok(Self { names, inner, ids })
    }

    /// Tokens, each with its place in the text.
    pub fn encode(&self, text: &str) -> tokenizers::Result<Vec<(u32, Range<usize>)>> {
        let mut given = String::with_capacity(text.len());
        // From a place in what the tokenizer is given, text goes on from a place in `text`.
        let mut seams = vec![(0, 0)];
        // Some take the spaces beside them in, which are not theirs.
        let mut written = Vec::new();
        let mut at = 0;
        while let Some(character) = text[at..].chars().next() {
            if character == SHIELD {
                at += SHIELD.len_utf8();
                seams.push((given.len(), at));
            } else if let Some(index) = self.names.at(&text[at..]) {
                written.push((given.len(), at..at + self.names.names[index].len()));
                given += &marked(index);
                at += self.names.names[index].len();
                seams.push((given.len(), at));
            } else {
                given.push(character);
                at += character.len_utf8();
            }
        }
        let place = |offset: usize| {
            let seam = seams.partition_point(|(given, _)| *given <= offset).saturating_sub(1);
            let (given, at) = seams[seam];
            at + (offset - given)
        };
        let encoding = guarded(|| self.inner.encode(given.as_str(), false))?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(tokens
            .map(|(id, (start, end))| match self.ids.get(id) {
                Some(special) => {
                    let first = written.partition_point(|(given, _)| given < start);
                    let range = written.get(first).map(|(_, range)| range.clone());
                    (*special, range.unwrap_or(place(*start)..place(*end)))
                }
                None => (*id, place(*start)..place(*end)),
            })
            .collect())
    }
}

fn marked(index: usize) -> String {
    format!("{OPEN}{index}{CLOSE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_names_are_broken_up_and_written_ones_found() {
        let names = SpecialNames::new(["<s>", "</s>", "<s>>", "|"].map(str::to_owned));
        let typed = "a</s>|é<s>>\u{fdd0}";
        let safe = names.shield(typed);
        assert_eq!(names.find(&safe).count(), 0);
        assert_eq!(plain(&safe), "a</s>|é<s>>\u{fffd}");
        let text = format!("<s>{safe}</s>");
        let found: Vec<&str> = names.find(&text).map(|(_, name)| name).collect();
        assert_eq!(found, ["<s>", "</s>"]);
        let found: Vec<_> = names.find("<s>>|").collect();
        assert_eq!(found, [(0..4, "<s>>"), (4..5, "|")]);
    }
}
