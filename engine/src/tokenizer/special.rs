//! The tokens that end a text, as the files of a model directory say.

use std::path::Path;

use serde_json::Value;

use crate::error::FileError;
use crate::files::read_json;

/// What was found; some files say a token's text, some its number.
#[derive(Debug, Default)]
pub struct Special {
    /// `eos_token` of `tokenizer_config.json`.
    pub end_of_text: Option<String>,
    /// `eos_token_id` of `config.json` and `generation_config.json`: conversations may end with another token than
    /// documents.
    pub ends: Vec<u32>,
}

/// Reads the files that are there.
pub fn read(directory: &Path) -> Result<Special, FileError> {
    let read = |name: &str| -> Result<Value, FileError> {
        let path = directory.join(name);
        if path.is_file() { read_json(&path) } else { Ok(Value::Null) }
    };
    let tokenizer = read("tokenizer_config.json")?;
    // A string, or an object with `content`.
    let token = &tokenizer["eos_token"];
    let end_of_text = token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned);
    let mut ends = Vec::new();
    for name in ["config.json", "generation_config.json"] {
        let config = read(name)?;
        // A number, or a list of them.
        let ids = &config["eos_token_id"];
        let list = ids.as_array().map_or(std::slice::from_ref(ids), Vec::as_slice);
        for id in list.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()) {
            if !ends.contains(&id) {
                ends.push(id);
            }
        }
    }
    Ok(Special { end_of_text, ends })
}
