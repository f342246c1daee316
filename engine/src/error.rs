//! What can go wrong with a file, in words that a person can act on.
//!
//! Every error names the file and, where there is one, the field, and [`NextStep::next_step`] says what to do
//! about it. Mathematics has its own errors in `model`; a whole job's failure is [`crate::job::JobError`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// What an error says of what it found; a file may hold a word of a megabyte.
const SHOWN: usize = 400;

/// Text for an error, cut where it is longer than anybody reads.
pub fn short(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// What a person can do about an error.
pub trait NextStep {
    /// One sentence in the imperative.
    fn next_step(&self) -> String;
}

/// A file or directory that could not be read, written or understood.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("{}: cannot {action}: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },
    /// `expected` names what was looked for, for example "model.safetensors or model.safetensors.index.json".
    #[error("{}: {} is missing", path.display(), short(expected))]
    Missing { path: PathBuf, expected: String, advice: String },
    #[error("{}: not valid JSON at line {line}, column {column}: {}", path.display(), short(message))]
    Json { path: PathBuf, line: usize, column: usize, message: String },
    #[error("{}: field \"{}\": {}", path.display(), short(field), short(message))]
    Field { path: PathBuf, field: String, message: String },
    /// The container itself is broken: truncated, or its header lies about what follows.
    #[error("{}: not a whole safetensors file: {}", path.display(), short(message))]
    Safetensors { path: PathBuf, message: String },
    #[error("{}: tensor \"{}\": {}", path.display(), short(tensor), short(message))]
    Tensor { path: PathBuf, tensor: String, message: String },
}

impl FileError {
    /// Wraps an I/O error with its path; for use with `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, action, source }
    }

    /// Keeps the line and column that serde_json found.
    pub fn json(path: &Path, error: &serde_json::Error) -> Self {
        Self::Json {
            path: path.to_path_buf(),
            line: error.line(),
            column: error.column(),
            message: error.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
        }
    }

    pub fn field(path: &Path, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Field { path: path.to_path_buf(), field: field.into(), message: message.into() }
    }

    /// Whether the disk, or what the user may take of it, is full.
    pub fn is_disk_full(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let Self::Io { source, .. } = self else { return false };
        matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
    }
}

impl NextStep for FileError {
    fn next_step(&self) -> String {
        match self {
            _ if self.is_disk_full() => "Free some disk space, then start the job again; it continues from \
                                         its last checkpoint."
                .into(),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "Give the user that runs the job access to this path, then start it again.".into()
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
                "Save it as text in UTF-8, or copy it again; then start the job again.".into()
            }
            Self::Io { .. } => "Check the disk that holds this path, then start the job again.".into(),
            Self::Missing { advice, .. } => advice.clone(),
            Self::Json { .. } => "Correct the file at that place, or export it again.".into(),
            Self::Field { .. } => "Correct that field, then start the job again.".into(),
            Self::Safetensors { .. } => {
                "Copy or download the file again; compare its size and checksum with the source.".into()
            }
            Self::Tensor { .. } => {
                "Use the weights that belong to this config.json, saved by transformers as safetensors."
                    .into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_and_says_what_to_do() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = FileError::io("write", Path::new("model/model.safetensors"))(full);
        assert!(error.is_disk_full());
        assert!(error.to_string().contains("model/model.safetensors"));
        assert!(error.next_step().contains("Free some disk space"));
    }

    #[test]
    fn what_is_no_text_is_not_blamed_on_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("chat_template.jinja");
        std::fs::write(&path, b"\xff").unwrap();
        let error = FileError::io("read", &path)(std::fs::read_to_string(&path).unwrap_err());
        assert!(error.next_step().contains("UTF-8"), "{}", error.next_step());
    }

    #[test]
    fn a_word_of_a_megabyte_is_cut() {
        let error = FileError::field(Path::new("config.json"), "é".repeat(1 << 20), "x".repeat(1 << 20));
        let text = error.to_string();
        assert!(text.starts_with("config.json: field \"éé") && text.ends_with("x…"), "{}", text.len());
        assert!(text.chars().count() < 1000);
    }

    #[test]
    fn json_errors_keep_their_place() {
        let source = serde_json::from_str::<serde_json::Value>("{\n  oops }").unwrap_err();
        let error = FileError::json(Path::new("config.json"), &source);
        assert_eq!(
            error.to_string(),
            "config.json: not valid JSON at line 2, column 3: key must be a string"
        );
    }
}
