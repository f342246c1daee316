//! What can be wrong with a dataset: the codes, their grades, and what can be done about each. The texts are
//! for people who never saw a stack trace: what happened, why it matters, what to do.

use serde::{Deserialize, Serialize};

/// How much a finding matters. The order is that of the page: worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The row, or the file, cannot be used as it is.
    Error,
    /// Nothing is lost: we know the repair and a click applies it.
    Fix,
    /// Training works; the result may be better if this is looked at.
    Advice,
}

/// What one click does about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Leave the row out and write it to the file of rejected lines.
    SetAside,
    /// Keep the row, mended.
    Mend,
    /// Keep the first of equal rows. Done only when asked for.
    RemoveDuplicates,
    /// Say what each column is for.
    MapColumns,
}

/// One finding, at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub code: Code,
    pub grade: Grade,
    /// The line of the file, from 1; 0 for what concerns the whole file.
    pub line: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What, why, and what to do, in plain words.
    pub message: String,
}

/// All findings of one kind: an exact count and the first few.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingGroup {
    pub code: Code,
    pub grade: Grade,
    pub title: String,
    /// Set where the kind is about one key or column, such as an unknown key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub count: u64,
    pub examples: Vec<Finding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<Repair>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $grade:ident, $repair:expr, $title:literal;)*) => {
        /// The kinds of findings, by names that stay the same for ever. Where OpenAI's dataset checker has a name
        /// for the same thing, it is that name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            pub fn name(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            pub fn grade(self) -> Grade {
                match self { $(Code::$name => Grade::$grade,)* }
            }

            pub fn repair(self) -> Option<Repair> {
                match self { $(Code::$name => $repair,)* }
            }

            /// The heading of its group.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

const ASIDE: Option<Repair> = Some(Repair::SetAside);
const MEND: Option<Repair> = Some(Repair::Mend);

codes! {
    // The whole file: nothing can be done about it here.
    EmptyFile = "empty_file", Error, None, "The file is empty";
    NotText = "not_text", Error, None, "The file is not text";
    ParquetNotSupported = "parquet_not_supported", Error, None, "Parquet is not read yet";
    CompressionNotSupported = "compression_not_supported", Error, None, "This compression is not read";
    BrokenCompression = "broken_compression", Error, None, "The compressed data is damaged";
    TooLarge = "too_large", Error, None, "The file is too large once decompressed";
    PreferencePairs = "preference_pairs", Error, None, "Preference pairs are not supported";
    MixedFormats = "mixed_formats", Error, None, "Two formats in one file";
    BrokenJson = "broken_json", Error, ASIDE, "The JSON breaks off or breaks apart";
    DuplicateColumn = "duplicate_column", Error, None, "Two columns have the same name";
    WrongColumns = "wrong_columns", Error, None, "The columns do not fit the mapping";
    ColumnsNeedMapping = "columns_need_mapping", Error, Some(Repair::MapColumns), "The columns need a meaning";
    NoUsableRows = "no_usable_rows", Error, None, "No row can be used";
    // One row, which can be set aside.
    NotJson = "not_json", Error, ASIDE, "Lines that are not JSON";
    DataType = "data_type", Error, ASIDE, "Rows that are not objects";
    MissingKey = "missing_key", Error, ASIDE, "Rows with a missing key";
    WrongType = "wrong_type", Error, ASIDE, "Values of the wrong type";
    MissingMessagesList = "missing_messages_list", Error, ASIDE, "Rows without a list of messages";
    MessageMissingKey = "message_missing_key", Error, ASIDE, "Messages with a missing key";
    UnrecognizedRole = "unrecognized_role", Error, ASIDE, "Messages of an unknown role";
    MissingContent = "missing_content", Error, ASIDE, "Messages without text";
    RolesOutOfOrder = "roles_out_of_order", Error, ASIDE, "Roles out of order";
    ExampleMissingAssistantMessage = "example_missing_assistant_message", Error, ASIDE, "Conversations without an answer to learn";
    InvalidWeight = "invalid_weight", Error, ASIDE, "Weights other than 0 and 1";
    EmptyAnswer = "empty_answer", Error, ASIDE, "Empty answers";
    EmptyText = "empty_text", Error, ASIDE, "Rows with empty text";
    OverLongLine = "over_long_line", Error, ASIDE, "Over-long lines";
    WrongFieldCount = "wrong_field_count", Error, ASIDE, "Rows with too few or too many fields";
    // One row, which we mend.
    InvalidUtf8 = "invalid_utf8", Fix, MEND, "Bytes that are not UTF-8";
    NulCharacter = "nul_character", Fix, MEND, "NUL characters";
    EmptyRow = "empty_row", Fix, MEND, "Empty rows";
    RoleAlias = "role_alias", Fix, MEND, "Roles under another name";
    MessageUnrecognizedKey = "message_unrecognized_key", Fix, MEND, "Messages with an unknown key";
    NumberForText = "number_for_text", Fix, MEND, "Numbers in place of text";
    DuplicateKey = "duplicate_key", Fix, MEND, "Rows that name a key twice";
    // Advice.
    ConvertedFromUtf16 = "converted_from_utf16", Advice, None, "Converted from UTF-16";
    ByteOrderMark = "byte_order_mark", Advice, None, "Byte order mark left out";
    NoHeader = "no_header", Advice, None, "No line of column names";
    UnknownKey = "unknown_key", Advice, None, "A key that is not used";
    DuplicateRow = "duplicate_row", Advice, Some(Repair::RemoveDuplicates), "Rows that appear more than once";
    TooFewRows = "too_few_rows", Advice, None, "Few examples";
    TooLittleText = "too_little_text", Advice, None, "Little text";
    LongRow = "long_row", Advice, None, "Very long rows";
    EmptyPrompt = "empty_prompt", Advice, None, "Empty prompts";
    MissingSystemMessage = "missing_system_message", Advice, None, "A system message in some conversations only";
    LastMessageNotAnswer = "last_message_not_answer", Advice, None, "Conversations that end with a question";
    NameNotLearned = "name_not_learned", Advice, None, "Names beside the role";
    ToolCallNotLearned = "tool_call_not_learned", Advice, None, "Calls of tools";
    IdenticalAnswers = "identical_answers", Advice, None, "All answers are the same";
    OneSidedAnswers = "one_sided_answers", Advice, None, "One answer dominates";
    CommonPromptPrefix = "common_prompt_prefix", Advice, None, "All prompts begin alike";
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Takes findings as they are made. `message` is called only where the text is wanted, because a file may hold
/// the same mistake a hundred million times.
pub(crate) trait Sink {
    fn finding(&mut self, code: Code, field: Option<&str>, message: &dyn Fn() -> String);
}

/// Names and messages are shown, never needed whole: a key may be as long as a row.
const MAX_FIELD: usize = 80;
const MAX_MESSAGE: usize = 600;

impl Finding {
    /// Of a length that can be kept and shown.
    pub(crate) fn new(code: Code, line: u64, field: Option<&str>, message: String) -> Self {
        let field = field.map(|field| clipped(field, MAX_FIELD).to_owned());
        let message = match clipped(&message, MAX_MESSAGE) {
            whole if whole.len() == message.len() => message,
            start => format!("{start}…"),
        };
        Self { code, grade: code.grade(), line, field, message }
    }
}

/// The name of a field as findings have it.
pub(crate) fn field_name(field: &str) -> &str {
    clipped(field, MAX_FIELD)
}

/// The first `characters` of `text`.
pub(crate) fn clipped(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_are_the_stable_names() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{}\"", code.name()));
        }
    }
}
