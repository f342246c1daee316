//! Lays a job's rows out as JumpStart's containers want them: one file, in one of three shapes
//! (`domain::jumpstart::layout`). They split off their own validation rows.

use crate::domain::jumpstart::DataLayout;
use serde_json::{Map, Value, json};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
};

/// Rewrites `training/` below `data`; what was held out is left to the container.
///
/// # Errors
/// Also where a row is of another kind than the layout.
pub(super) fn lay_out(data: &Path, layout: DataLayout) -> io::Result<()> {
    let folder = data.join("training");
    let mut parts: Vec<_> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    parts.sort();
    let name = match layout {
        DataLayout::Instruction | DataLayout::Chat => "train.jsonl",
        DataLayout::Text => "train.json",
    };
    let mut whole = BufWriter::new(File::create_new(folder.join(name))?);
    for part in &parts {
        for line in BufReader::new(File::open(part)?).lines() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            serde_json::to_writer(&mut whole, &row(&line, layout)?)?;
            whole.write_all(b"\n")?;
        }
    }
    whole.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    for part in parts {
        fs::remove_file(part)?;
    }
    if layout == DataLayout::Instruction {
        let template = json!({ "prompt": "{prompt}", "completion": "{completion}" });
        fs::write(folder.join("template.json"), template.to_string())?;
    }
    match fs::remove_dir_all(data.join("validation")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn row(line: &str, layout: DataLayout) -> io::Result<Value> {
    let mut row: Map<String, Value> = serde_json::from_str(line)?;
    let mut take =
        |name: &str| row.remove(name).ok_or_else(|| io::Error::other(format!("a row has no \"{name}\"")));
    Ok(match layout {
        DataLayout::Instruction => json!({ "prompt": take("prompt")?, "completion": take("completion")? }),
        DataLayout::Chat => json!({ "dialog": take("messages")? }),
        DataLayout::Text => json!({ "text": take("text")? }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(rows: &[&str], layout: DataLayout) -> io::Result<Vec<(String, String)>> {
        let data = tempfile::tempdir()?;
        for folder in ["training", "validation"] {
            fs::create_dir(data.path().join(folder))?;
        }
        for (number, row) in rows.iter().enumerate() {
            fs::write(data.path().join(format!("training/{number:03}-x.jsonl")), row)?;
        }
        fs::write(data.path().join("validation/000-x.jsonl"), "{}")?;
        lay_out(data.path(), layout)?;
        assert!(!data.path().join("validation").exists());
        let mut found = Vec::new();
        for entry in fs::read_dir(data.path().join("training"))? {
            let path = entry?.path();
            found.push((path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path)?));
        }
        found.sort();
        Ok(found)
    }

    #[test]
    fn each_layout_has_its_file() {
        let rows = ["{\"prompt\":\"a\",\"completion\":\"b\"}\n", "{\"prompt\":\"c\",\"completion\":\"d\"}\n"];
        let found = laid_out(&rows, DataLayout::Instruction).unwrap();
        assert_eq!(found[0].0, "template.json");
        assert_eq!(
            found[1],
            (
                "train.jsonl".to_owned(),
                "{\"completion\":\"b\",\"prompt\":\"a\"}\n{\"completion\":\"d\",\"prompt\":\"c\"}\n"
                    .to_owned()
            )
        );
        let chat = laid_out(&["{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"], DataLayout::Chat);
        let dialog = "{\"dialog\":[{\"content\":\"hi\",\"role\":\"user\"}]}\n";
        assert_eq!(chat.unwrap(), [("train.jsonl".to_owned(), dialog.to_owned())]);
        let text = laid_out(&["{\"text\":\"one\\ntwo\"}"], DataLayout::Text).unwrap();
        assert_eq!(text, [("train.json".to_owned(), "{\"text\":\"one\\ntwo\"}\n".to_owned())]);
    }

    #[test]
    fn a_row_of_another_kind_is_an_error() {
        let error = laid_out(&["{\"text\":\"x\"}"], DataLayout::Chat).unwrap_err();
        assert!(error.to_string().contains("messages"), "{error}");
    }
}
