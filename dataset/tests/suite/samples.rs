//! The bundled samples: what is committed is what the generators make, and all of it is ready to train on.

use std::collections::HashSet;
use std::path::PathBuf;

use llm_tuner_dataset::samples::{self, Sample};
use llm_tuner_dataset::{Example, Format, Options, Report, Verdict, rows, validate};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../public/samples")
}

fn checked(sample: &Sample, content: &[u8]) -> Report {
    let options = Options { mapping: sample.mapping(), ..Options::named(sample.file_name) };
    validate(content, options).unwrap()
}

#[test]
fn committed_files_are_what_the_generators_make() {
    let mut made = HashSet::from(["README.md".to_owned()]);
    for (name, content) in samples::files() {
        let committed = std::fs::read(directory().join(name)).unwrap_or_default();
        assert!(committed == content, "{name}: run the example write_samples again");
        made.insert(name.to_owned());
    }
    let committed: HashSet<String> = std::fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(committed, made);
}

#[test]
fn every_sample_is_ready_and_without_findings() {
    let files = samples::files();
    for sample in samples::CATALOGUE {
        let content = &files.iter().find(|(name, _)| *name == sample.file_name).unwrap().1;
        let report = checked(sample, content);
        assert_eq!(report.verdict, Verdict::Ready, "{}: {:?}", sample.slug, report.groups);
        assert!(report.groups.is_empty(), "{}: {:?}", sample.slug, report.groups);
        assert_eq!(report.format(), Some(sample.format), "{}", sample.slug);
        assert!(content.len() < 500_000, "{}", sample.slug);
    }
}

#[test]
fn there_is_one_for_every_format() {
    let formats: HashSet<Format> = samples::CATALOGUE.iter().map(|sample| sample.format).collect();
    for format in [
        Format::Chat,
        Format::ShareGpt,
        Format::Alpaca,
        Format::Dolly,
        Format::PromptCompletion,
        Format::QuestionAnswer,
        Format::Text,
        Format::Table,
    ] {
        assert!(formats.contains(&format), "{}", format.label());
    }
}

#[test]
fn held_out_rows_are_in_no_training_file() {
    let files = samples::files();
    let content = |name: &str| files.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    for sample in samples::CATALOGUE {
        let Some(held_out) = sample.held_out else { continue };
        let prompts = |bytes: &[u8]| -> HashSet<String> {
            let report = checked(sample, bytes);
            let prompt = |example: &Example<'_>| example.prompt().unwrap().to_lowercase();
            rows(bytes, report.schema.as_ref().unwrap())
                .unwrap()
                .map(|row| prompt(&row.unwrap().example))
                .collect()
        };
        assert!(prompts(&content(sample.file_name)).is_disjoint(&prompts(&content(held_out))));
    }
}

#[test]
fn the_table_needs_a_mapping_which_is_guessed_right() {
    let files = samples::files();
    let table = samples::CATALOGUE.iter().find(|sample| sample.format == Format::Table).unwrap();
    let content = &files.iter().find(|(name, _)| *name == table.file_name).unwrap().1;
    let report = validate(&content[..], Options::named(table.file_name)).unwrap();
    assert_eq!(report.verdict, Verdict::NeedsMapping);
    assert_eq!(report.mapping().cloned(), table.mapping());
}

#[cfg(feature = "samples")]
#[test]
fn bundled_content_is_the_content_of_the_files() {
    for bundled in samples::bundled() {
        let path = directory().join(bundled.sample.file_name);
        assert!(std::fs::read(path).unwrap() == bundled.content, "{}", bundled.sample.slug);
    }
}
