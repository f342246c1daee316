//! Sample datasets of the project's own making. The generators are seeded: running them again gives the
//! committed files under `public/samples/` byte for byte, which a test asserts. Their words are ours and are
//! given away under CC0.

mod assistants;
mod ballads;
pub mod commands;
mod lighthouse;
mod prose;
mod tables;
mod tasks;

use std::io::{self, Write};

use crate::example::Example;
use crate::schema::{ColumnMapping, ColumnRole, Format};

/// What a sample is, for people who choose one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// For addresses and file names.
    pub slug: &'static str,
    pub title: &'static str,
    pub description: &'static str,
    pub file_name: &'static str,
    pub format: Format,
    /// A file of rows that no training file holds, to see what was learned.
    pub held_out: Option<&'static str>,
}

pub const LICENCE: &str = "CC0-1.0";

/// All samples, the best to begin with first.
pub const CATALOGUE: &[Sample] = &[
    Sample {
        slug: "sentences-to-commands",
        title: "Sentences to commands",
        description: "3,000 spoken requests and the JSON that a program would act on. 200 more are held out, so \
                      that you can watch the answers getting right.",
        file_name: "sentences-to-commands.jsonl",
        format: Format::PromptCompletion,
        held_out: Some("sentences-to-commands-heldout.jsonl"),
    },
    Sample {
        slug: "lighthouse-keeper",
        title: "The lighthouse keeper",
        description: "240 short conversations with a keeper who answers kindly and never forgets the weather: a \
                      persona, in chat format.",
        file_name: "lighthouse-keeper.jsonl",
        format: Format::Chat,
        held_out: None,
    },
    Sample {
        slug: "harbour-ballads",
        title: "Harbour ballads",
        description: "Rhymed ballads of sailors and storms, as plain text: the model learns to write more of them.",
        file_name: "harbour-ballads.txt",
        format: Format::Text,
        held_out: None,
    },
    Sample {
        slug: "support-tickets",
        title: "Support tickets",
        description: "400 tickets and the team that each belongs to, as a CSV whose columns need a meaning.",
        file_name: "support-tickets.csv",
        format: Format::Table,
        held_out: None,
    },
    Sample {
        slug: "everyday-sums",
        title: "Everyday sums",
        description: "400 small calculations of the kitchen, the shop and the road, each with its steps.",
        file_name: "everyday-sums.jsonl",
        format: Format::QuestionAnswer,
        held_out: None,
    },
    Sample {
        slug: "written-dates",
        title: "Written dates",
        description: "600 dates as people write them and as computers do, as tab-separated values.",
        file_name: "written-dates.tsv",
        format: Format::PromptCompletion,
        held_out: None,
    },
    Sample {
        slug: "word-tasks",
        title: "Word tasks",
        description: "240 small tasks on words and lists, in Alpaca format, as one JSON array.",
        file_name: "word-tasks.json",
        format: Format::Alpaca,
        held_out: None,
    },
    Sample {
        slug: "town-guide",
        title: "Town guide",
        description: "240 questions about invented towns, answered from the text beside them, in Dolly format.",
        file_name: "town-guide.jsonl",
        format: Format::Dolly,
        held_out: None,
    },
    Sample {
        slug: "soup-kitchen",
        title: "Soup kitchen",
        description: "160 conversations with a cook who makes soup of whatever is there, in ShareGPT format.",
        file_name: "soup-kitchen.jsonl",
        format: Format::ShareGpt,
        held_out: None,
    },
    Sample {
        slug: "garden-notes",
        title: "Garden notes",
        description: "A gardener's year in Markdown, a note for every week.",
        file_name: "garden-notes.md",
        format: Format::Text,
        held_out: None,
    },
];

impl Sample {
    /// What its columns are for, where they need to be told.
    pub fn mapping(&self) -> Option<ColumnMapping> {
        (self.format == Format::Table).then(|| {
            ColumnMapping::new([
                ("ticket", ColumnRole::Ignore),
                ("subject", ColumnRole::Prompt),
                ("message", ColumnRole::Prompt),
                ("label", ColumnRole::Completion),
            ])
        })
    }
}

/// Every file that the generators make, by name.
pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    let (training, held_out) = commands::rows();
    vec![
        ("sentences-to-commands.jsonl", jsonl(&training)),
        ("sentences-to-commands-heldout.jsonl", jsonl(&held_out)),
        ("lighthouse-keeper.jsonl", jsonl(&lighthouse::rows())),
        ("harbour-ballads.txt", ballads::text().into_bytes()),
        ("support-tickets.csv", tables::tickets().into_bytes()),
        ("everyday-sums.jsonl", tasks::sums().into_bytes()),
        ("written-dates.tsv", tables::dates().into_bytes()),
        ("word-tasks.json", tasks::words().into_bytes()),
        ("town-guide.jsonl", assistants::towns().into_bytes()),
        ("soup-kitchen.jsonl", assistants::soups().into_bytes()),
        ("garden-notes.md", ballads::garden().into_bytes()),
    ]
}

fn jsonl(rows: &[Example<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail.
    let _ = write_jsonl(&mut bytes, rows);
    bytes
}

/// Writes rows as the JSON Lines that the engine trains on.
pub fn write_jsonl<W: Write>(mut writer: W, rows: &[Example<'_>]) -> io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut writer, row)?;
        writer.write_all(b"\n")?;
    }
    Ok(())
}

/// A sample with its content, which is in the binary.
#[cfg(feature = "samples")]
#[derive(Debug, Clone, Copy)]
pub struct Bundled {
    pub sample: &'static Sample,
    pub content: &'static [u8],
    pub held_out: Option<&'static [u8]>,
}

/// The samples that ship with the program, in the order of the catalogue.
#[cfg(feature = "samples")]
pub fn bundled() -> impl Iterator<Item = Bundled> {
    macro_rules! content {
        ($($name:literal)*) => {
            |name: &str| -> Option<&'static [u8]> {
                match name {
                    $($name => Some(include_bytes!(concat!("../../../public/samples/", $name))),)*
                    _ => None,
                }
            }
        };
    }
    let content = content!(
        "sentences-to-commands.jsonl" "sentences-to-commands-heldout.jsonl" "lighthouse-keeper.jsonl"
        "harbour-ballads.txt" "support-tickets.csv" "everyday-sums.jsonl" "written-dates.tsv" "word-tasks.json"
        "town-guide.jsonl" "soup-kitchen.jsonl" "garden-notes.md"
    );
    CATALOGUE.iter().filter_map(move |sample| {
        let held_out = sample.held_out.and_then(content);
        Some(Bundled { sample, content: content(sample.file_name)?, held_out })
    })
}
