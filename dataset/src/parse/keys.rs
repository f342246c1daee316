//! Which format the keys of a row speak of.

use crate::schema::Format;

/// In order of precedence: a row of messages is a chat, whatever else it holds. Preference pairs come first,
/// because they have prompts too.
const FORMATS: [Format; 8] = [
    Format::Preference,
    Format::Chat,
    Format::ShareGpt,
    Format::Alpaca,
    Format::Dolly,
    Format::PromptCompletion,
    Format::QuestionAnswer,
    Format::Text,
];

/// Columns that say what a text is, so that text beside one of them is to be sorted and not continued.
pub(crate) const LABELS: [&str; 7] = ["label", "labels", "category", "class", "sentiment", "intent", "topic"];

/// Keys that many datasets carry and that nobody wants to hear about.
pub(crate) const SILENT: [&str; 16] = [
    "id",
    "_id",
    "idx",
    "index",
    "uuid",
    "timestamp",
    "created_at",
    "date",
    "source",
    "score",
    "label",
    "category",
    "metadata",
    "meta",
    "split",
    "language",
];

/// The format whose keys are all there.
pub(crate) fn known_format<S: AsRef<str>>(keys: &[S]) -> Option<Format> {
    let has = |key: &str| keys.iter().any(|known| known.as_ref() == key);
    if has("preferred_output") && has("non_preferred_output") {
        return Some(Format::Preference);
    }
    let format = FORMATS.into_iter().find(|format| format.required().iter().all(|key| has(key)))?;
    (format != Format::Text || !LABELS.iter().any(|label| has(label))).then_some(format)
}
