//! The script for Hugging Face's containers, packed as they take it: `sourcedir.tar.gz`, the script at its root. It is
//! part of this program, so what is sent always fits what is here. Its contract is `sagemaker/README.md`.

use flate2::{Compression, GzBuilder};
use std::io;

/// What the container starts.
pub const PROGRAM: &str = "finetune.py";

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_str!(concat!("../../../sagemaker/", $path)))),*]
    };
}

/// The folder without its tests and pages for readers.
const FILES: [(&str, &str); 13] = files![
    "finetune.py",
    "finetuning/__init__.py",
    "finetuning/checkpoints.py",
    "finetuning/errors.py",
    "finetuning/models.py",
    "finetuning/report.py",
    "finetuning/rows.py",
    "finetuning/settings.py",
    "finetuning/surroundings.py",
    "finetuning/template.py",
    "finetuning/tokens.py",
    "finetuning/training.py",
    "requirements.txt",
];

/// What SageMaker reads as metrics in the script's lines.
pub const METRICS: &str = include_str!("../../../sagemaker/metric_definitions.json");

/// The same bytes every time.
pub fn sourcedir() -> io::Result<Vec<u8>> {
    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let mut archive = tar::Builder::new(gzip);
    for (path, content) in FILES {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, path, content.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs, io::Read, path::Path};

    #[test]
    fn the_archive_is_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sagemaker");
        let mut expected = BTreeSet::from(["finetune.py".to_owned(), "requirements.txt".to_owned()]);
        for entry in fs::read_dir(folder.join("finetuning")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".py") {
                expected.insert(format!("finetuning/{name}"));
            }
        }
        let packed = sourcedir().unwrap();
        assert_eq!(packed, sourcedir().unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let mut found = BTreeSet::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert_eq!(text, fs::read_to_string(folder.join(&path)).unwrap(), "{path}");
            found.insert(path);
        }
        assert_eq!(found, expected);
    }
}
