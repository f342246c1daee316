//! Text to tokens and back: whatever a model's files describe, or byte-level BPE as GPT-2 has it, trained on the job's
//! own data.
//!
//! The algorithms are the `tokenizers` crate's; this module decides how it is trained and saved, finds the
//! tokens that begin and end a text, and never lets text that a person wrote turn into a special token; [`written`] is
//! for text that a chat template wrote, which has special tokens in it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as Inner};

use crate::data::chat_template;
use crate::data::template::{END_OF_TEXT, Template};
use crate::error::FileError;
use crate::files::read_json;

mod error;
mod guard;
mod special;
mod stream;
pub mod written;
pub use error::TokenizerError;
use guard::guarded;
pub use stream::TextStream;
use written::{SpecialNames, SpecialTokens};

/// What a nano model's tokenizer is trained to on little text, where the data suffice for it.
const SMALL_VOCAB: usize = 1024;
/// And on at least [`MUCH_TEXT`]: more words are tokens of their own, so that a small model spells fewer of them, and
/// a row is a quarter shorter. Measured on *tinyshakespeare*, six epochs: of the words written, 91 % are words of the
/// text, against 80 % with the small vocabulary.
const LARGE_VOCAB: usize = 4096;
/// Bytes.
const MUCH_TEXT: usize = 512 << 10;
/// More text than this hardly changes a small vocabulary, and training stays within a second.
pub const TRAINING_SAMPLE_BYTES: usize = 8 << 20;
/// Every byte is a token, so that any text can be written down.
const SMALLEST_VOCAB: usize = 257;

/// Files that make up a tokenizer, copied as they are from a base model to the result.
pub const FILES: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    chat_template::FILE,
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
];

/// The vocabulary that suits so many bytes of text.
fn vocabulary_for(text_bytes: usize) -> usize {
    if text_bytes < MUCH_TEXT { SMALL_VOCAB } else { LARGE_VOCAB }
}

/// The files that a model directory's tokenizer is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenizerFiles {
    /// `tokenizer.json`.
    Whole(PathBuf),
    /// As GPT-2 was first published.
    Parts { vocab: PathBuf, merges: PathBuf },
}

impl TokenizerFiles {
    /// Looks for the files; opens none.
    pub fn find(directory: &Path) -> Result<Self, FileError> {
        let path = directory.join("tokenizer.json");
        let (vocab, merges) = (directory.join("vocab.json"), directory.join("merges.txt"));
        if path.is_file() {
            return Ok(Self::Whole(path));
        }
        if vocab.is_file() && merges.is_file() {
            return Ok(Self::Parts { vocab, merges });
        }
        Err(FileError::Missing {
            path: directory.to_path_buf(),
            expected: "tokenizer.json, or vocab.json with merges.txt,".into(),
            advice: "Copy the tokenizer files of the base model into its directory.".into(),
        })
    }
}

fn byte_level(bpe: BPE) -> Inner {
    let mut inner = Inner::new(bpe);
    inner
        .with_pre_tokenizer(Some(ByteLevel::new(false, true, true)))
        .with_decoder(Some(ByteLevelDecoder::default()));
    inner
}

/// A tokenizer with an end-of-text token.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Inner,
    end_of_text: u32,
    /// What a text begins with, in models that were trained so; often nothing.
    begin: Vec<u32>,
    /// Tokens that end an answer, besides the end-of-text token.
    ends: Vec<u32>,
    /// Where it was read from, to be copied; `None` if trained here.
    source: Option<PathBuf>,
    /// For what chat templates write; made when first asked for, as few tokenizers are.
    written: OnceLock<Arc<SpecialTokens>>,
}

impl Tokenizer {
    /// The tokenizer of a nano model: trained on the data, and on the template's fixed text as often as rows have it,
    /// so that it becomes few tokens.
    pub fn for_data<S: AsRef<str> + Sync>(texts: &[S], template: &Template) -> Result<Self, TokenizerError> {
        let literals = template.literals();
        let vocabulary = vocabulary_for(texts.iter().map(|text| text.as_ref().len()).sum());
        let texts = texts
            .iter()
            .flat_map(|text| std::iter::once(text.as_ref()).chain(literals.iter().map(String::as_str)));
        Self::train(texts, vocabulary)
    }

    /// Trains on texts, of which at most [`TRAINING_SAMPLE_BYTES`] are taken. The same texts give the same
    /// tokens. The vocabulary comes out smaller than asked when the data hold fewer repetitions.
    pub fn train<S: AsRef<str> + Send>(
        texts: impl Iterator<Item = S> + Send,
        vocab_size: usize,
    ) -> Result<Self, TokenizerError> {
        let failed = |error: tokenizers::Error| TokenizerError::Training { message: error.to_string() };
        let mut trainer: TrainerWrapper = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocab_size.max(SMALLEST_VOCAB))
            .min_frequency(2)
            .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build()
            .into();
        let mut inner = byte_level(BPE::default());
        let mut budget = TRAINING_SAMPLE_BYTES;
        let sample = texts.take_while(move |text| {
            let taken = budget > 0;
            budget = budget.saturating_sub(text.as_ref().len());
            taken
        });
        inner.train(&mut trainer, sample).map_err(failed)?;
        Self::finish(inner, END_OF_TEXT, None, Path::new("tokenizer.json"))
    }

    /// Loads `tokenizer.json`, or `vocab.json` with `merges.txt`, from a model directory.
    pub fn load(directory: &Path) -> Result<Self, TokenizerError> {
        let (path, inner) = match TokenizerFiles::find(directory)? {
            TokenizerFiles::Whole(path) => (path.clone(), guard::read(&path)),
            TokenizerFiles::Parts { vocab, merges } => {
                let bpe = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy());
                (vocab, guarded(|| bpe.build()).map(byte_level))
            }
        };
        let inner = inner
            .map_err(|error| TokenizerError::Invalid { path: path.clone(), message: error.to_string() })?;
        let special = special::read(directory)?;
        let by_number = || inner.id_to_token(*special.ends.first()?);
        let end_of_text = special.end_of_text.clone().or_else(by_number);
        let end_of_text = end_of_text.unwrap_or_else(|| END_OF_TEXT.to_owned());
        let tokenizer = Self::finish(inner, &end_of_text, Some(directory.to_path_buf()), &path)?;
        Ok(Self { ends: special.ends, ..tokenizer })
    }

    /// Loads a `tokenizer.json` that [`Tokenizer::save_json`] wrote.
    pub fn load_json(path: &Path) -> Result<Self, TokenizerError> {
        let inner = guard::read(path).map_err(|error| TokenizerError::Invalid {
            path: path.to_path_buf(),
            message: error.to_string(),
        })?;
        Self::finish(inner, END_OF_TEXT, None, path)
    }

    fn finish(
        mut inner: Inner,
        end_of_text: &str,
        source: Option<PathBuf>,
        path: &Path,
    ) -> Result<Self, TokenizerError> {
        let invalid = |message: String| TokenizerError::Invalid { path: path.to_path_buf(), message };
        let Some(id) = inner.token_to_id(end_of_text) else {
            return Err(invalid(format!("it has no end-of-text token \"{end_of_text}\"")));
        };
        // A file may ask for padding or cutting; rows are cut by the engine alone.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| invalid(error.to_string()))?;
        guarded(|| inner.add_special_tokens([AddedToken::from(end_of_text, true)]))
            .map_err(|error| invalid(error.to_string()))?;
        inner.set_encode_special_tokens(true);
        let begin = beginning(&inner).map_err(|error| invalid(error.to_string()))?;
        let (ends, written) = (Vec::new(), OnceLock::new());
        Ok(Self { inner, end_of_text: id, begin, ends, source, written })
    }

    /// Tokens of a text; `<|endoftext|>` in it is text like any other.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let encoding = guarded(|| self.inner.encode_fast(text, false));
        let encoding = encoding.map_err(|error| self.failed(&error))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Tokens of what a chat template wrote, each with its place in the text: special tokens are tokens where the
    /// template wrote them, and text where a person did.
    pub fn encode_written(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>, TokenizerError> {
        self.special_tokens()?.encode(text).map_err(|error| self.failed(&error))
    }

    /// The special tokens that a chat template may write.
    pub fn special_names(&self) -> Result<SpecialNames, TokenizerError> {
        Ok(self.special_tokens()?.names.clone())
    }

    fn special_tokens(&self) -> Result<&SpecialTokens, TokenizerError> {
        if let Some(special) = self.written.get() {
            return Ok(special);
        }
        let special = SpecialTokens::new(&self.inner).map_err(|error| self.failed(&error))?;
        Ok(self.written.get_or_init(|| Arc::new(special)))
    }

    fn failed(&self, error: &tokenizers::Error) -> TokenizerError {
        let source = self.source.as_deref().unwrap_or(Path::new(""));
        let path = match TokenizerFiles::find(source) {
            Ok(TokenizerFiles::Parts { vocab, .. }) => vocab,
            _ => source.join("tokenizer.json"),
        };
        TokenizerError::Encoding { path, message: error.to_string() }
    }

    /// The token of this name.
    pub fn token_id(&self, name: &str) -> Option<u32> {
        self.inner.token_to_id(name)
    }

    /// Text of tokens, without special ones. Incomplete UTF-8 becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        guarded(|| self.inner.decode(ids, true)).map_err(|error| self.failed(&error))
    }

    /// One token as text, special ones included; for showing, not for joining.
    pub fn token_text(&self, id: u32) -> String {
        guarded(|| self.inner.decode(&[id], false)).unwrap_or_default()
    }

    /// Decodes token by token.
    pub fn stream(&self) -> TextStream<'_> {
        TextStream::new(self)
    }

    pub fn end_of_text(&self) -> u32 {
        self.end_of_text
    }

    /// What a text begins with: nothing for GPT-2 and Qwen, a token of its own for Llama.
    pub fn begin(&self) -> &[u32] {
        &self.begin
    }

    /// The same, with answers that also end as the configuration of another directory says: an adapter's has none.
    pub fn ending_as(mut self, directory: &Path) -> Result<Self, TokenizerError> {
        self.ends.extend(special::read(directory)?.ends);
        Ok(self)
    }

    /// Whether a token ends an answer.
    pub fn ends(&self, id: u32) -> bool {
        id == self.end_of_text || self.ends.contains(&id)
    }

    /// Number of tokens, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Refuses a tokenizer whose tokens a model has no embeddings for. A model may have more embeddings than
    /// tokens: many are padded to a round number.
    pub fn check_fits(&self, model_vocab_size: usize) -> Result<(), TokenizerError> {
        let ids = self.inner.get_vocab(true).into_values();
        let largest = ids.chain(self.begin.iter().copied()).max().unwrap_or(0);
        if (largest as usize) < model_vocab_size {
            return Ok(());
        }
        Err(TokenizerError::Mismatch { tokenizer: self.vocab_size(), model: model_vocab_size, largest })
    }

    /// Writes what `transformers.AutoTokenizer` loads: the files it was read from, or new ones; with the
    /// conversation template where there is one.
    pub fn save(
        &self,
        directory: &Path,
        template: &Template,
        max_length: usize,
    ) -> Result<(), TokenizerError> {
        let config_path = directory.join("tokenizer_config.json");
        let mut config = serde_json::Map::new();
        if let Some(source) = &self.source {
            // Of two chat templates, the one in a file of its own would count.
            let replaced = template.jinja().map(|_| chat_template::FILE);
            for name in FILES {
                let from = source.join(name);
                if from.is_file() && Some(name) != replaced {
                    let to = directory.join(name);
                    std::fs::copy(&from, &to).map_err(FileError::io("write", &to))?;
                }
            }
            if config_path.is_file() {
                config = read_json(&config_path)?;
            } else {
                config.insert("tokenizer_class".into(), "GPT2Tokenizer".into());
            }
            if config.get("eos_token").is_none_or(serde_json::Value::is_null) {
                // Beside an adapter there is no config.json that could say it.
                config.insert("eos_token".into(), self.inner.id_to_token(self.end_of_text).into());
            }
        } else {
            self.save_json(&directory.join("tokenizer.json"))?;
            config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
            for role in ["bos_token", "eos_token", "unk_token"] {
                config.insert(role.into(), END_OF_TEXT.into());
            }
            config.insert("clean_up_tokenization_spaces".into(), false.into());
            config.insert("model_max_length".into(), max_length.into());
        }
        if let Some(jinja) = template.jinja() {
            config.insert("chat_template".into(), jinja.into());
        }
        let text =
            serde_json::to_vec_pretty(&config).map_err(|error| FileError::json(&config_path, &error))?;
        std::fs::write(&config_path, text).map_err(FileError::io("write", &config_path))?;
        Ok(())
    }

    /// Writes `tokenizer.json` alone, as a checkpoint keeps it.
    pub fn save_json(&self, path: &Path) -> Result<(), TokenizerError> {
        let invalid = |error: tokenizers::Error| TokenizerError::Invalid {
            path: path.to_path_buf(),
            message: error.to_string(),
        };
        let text = self.inner.to_string(false).map_err(invalid)?;
        std::fs::write(path, text).map_err(FileError::io("write", path))?;
        Ok(())
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("end_of_text", &self.end_of_text)
            .finish_non_exhaustive()
    }
}

/// What the tokenizer's own post-processing puts before a text.
fn beginning(inner: &Inner) -> tokenizers::Result<Vec<u32>> {
    let [plain, whole] = [false, true].map(|special| guarded(|| inner.encode_fast("a", special)));
    let (plain, whole) = (plain?, whole?);
    let (plain, whole) = (plain.get_ids(), whole.get_ids());
    let at = (0..whole.len()).find(|&at| whole[at..].starts_with(plain)).unwrap_or(0);
    Ok(whole[..at].to_vec())
}
