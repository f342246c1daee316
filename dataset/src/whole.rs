//! What only the whole file can tell: its encoding, its columns, whether there is enough of it, and whether it
//! is all the same.

use crate::finding::Code;
use crate::judge::Judge;
use crate::schema::{Container, Encoding, Format, Schema};

const FEW_ROWS: u64 = 50;
const VERY_FEW_ROWS: u64 = 10;
const LITTLE_TEXT: u64 = 10_000;
/// Prompts that begin alike for more characters than this waste tokens.
const PREFIX: usize = 12;

impl Judge {
    /// What only the whole file can tell.
    pub fn whole(&mut self, schema: &Schema, replaced: u64) {
        self.encoding(schema.encoding, replaced);
        self.columns(schema);
        if schema.format == Format::Preference {
            return self.findings.file(Code::PreferencePairs, || {
                "These rows compare a better with a worse answer, for preference tuning (DPO). That is not \
                 supported yet. Keep the better answer of each as prompt and completion."
                    .to_owned()
            });
        }
        if schema.shape().is_none() {
            return;
        }
        let rows = self.tally.rows();
        if self.index.rows == 0 && self.findings.errors == 0 {
            return self.findings.file(Code::EmptyFile, || {
                "There are no rows in this file. Choose another file, or export it again.".to_owned()
            });
        }
        if rows == 0 {
            return self.findings.file(Code::NoUsableRows, || {
                "None of the rows can be used for training. The findings on single lines say why.".to_owned()
            });
        }
        self.amount(schema, rows);
        self.sameness(rows);
        self.system_messages();
    }

    fn encoding(&mut self, encoding: Encoding, replaced: u64) {
        match encoding {
            Encoding::Utf8 => {}
            Encoding::Utf8Bom => self.findings.file(Code::ByteOrderMark, || {
                "The file begins with a byte order mark, which is left out.".to_owned()
            }),
            Encoding::Utf16Le | Encoding::Utf16Be => {
                self.findings.file(Code::ConvertedFromUtf16, || {
                    format!("The file is in {} and was read as such; nothing is lost.", encoding.label())
                });
                self.findings.many(0, Code::InvalidUtf8, replaced, || {
                    format!("{replaced} characters of UTF-16 are incomplete and are shown as \u{fffd}.")
                });
            }
        }
    }

    fn columns(&mut self, schema: &Schema) {
        let columns = &schema.columns;
        let twice = columns.iter().enumerate().find(|(index, column)| columns[..*index].contains(column));
        if let Some((_, column)) = twice {
            self.findings.file(Code::DuplicateColumn, || {
                format!("Two columns are called \"{column}\". Rename one of them.")
            });
        }
        let table = matches!(schema.container, Container::Csv | Container::Tsv);
        if table && !schema.header {
            self.findings.file(Code::NoHeader, || {
                "The first line does not look like column names and is read as a row. If it does name the columns, \
                 give them short names without punctuation."
                    .to_owned()
            });
        }
        if schema.format != Format::Table {
            return;
        }
        let mapping = schema.mapping.clone().unwrap_or_default();
        let listed =
            columns.iter().take(8).map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
        if let Some(column) = self.mapping.as_ref().and_then(|given| given.unknown_column(columns)) {
            let column = column.to_owned();
            return self.findings.file(Code::WrongColumns, || {
                format!("The mapping names the column \"{column}\", which the file does not have. It has {listed}.")
            });
        }
        if columns.is_empty() {
            if self.index.rows == 0 && self.findings.errors == 0 {
                self.findings.file(Code::EmptyFile, || {
                    "There are no rows in this file. Choose another file, or export it again.".to_owned()
                });
            } else {
                self.findings.file(Code::NoUsableRows, || {
                    "No row of this file can be read. The findings on single lines say why.".to_owned()
                });
            }
            return;
        }
        if let (1, None, Some(key)) = (self.index.rows, &self.mapping, self.wrapped.clone()) {
            return self.findings.file(Code::NoUsableRows, || {
                format!(
                    "The whole file is one object, and its rows seem to be the list under \"{key}\". Save that list \
                     by itself, as a JSON array or one object a line."
                )
            });
        }
        let problem = mapping.shape().err();
        if self.mapping.is_none() || problem.is_some() {
            self.findings.file(Code::ColumnsNeedMapping, || {
                let next = problem.unwrap_or("A guess has been made; look at it and confirm it.");
                format!("The columns {listed} are not those of a known format. {next}")
            });
        }
    }

    fn amount(&mut self, schema: &Schema, rows: u64) {
        let characters = self.tally.characters();
        if schema.container == Container::PlainText {
            if characters < LITTLE_TEXT {
                self.findings.file(Code::TooLittleText, || {
                    format!(
                        "The text has {characters} characters. A style shows from about 100,000; with so few, the \
                         model learns them by heart."
                    )
                });
            }
        } else if rows < FEW_ROWS {
            self.findings.file(Code::TooFewRows, || {
                let rows =
                    if rows == 1 { "is 1 usable row".to_owned() } else { format!("are {rows} usable rows") };
                let advice = if self.tally.rows() < VERY_FEW_ROWS {
                    "That is too few to learn from: give at least 10, better 50 to 100."
                } else {
                    "Results get visibly better from 50 to 100 on."
                };
                format!("There {rows}. {advice}")
            });
        }
    }

    fn sameness(&mut self, rows: u64) {
        if rows < VERY_FEW_ROWS {
            return;
        }
        if let Some((answer, count, total)) = self.tally.answers.top() {
            if count == total {
                self.findings.file(Code::IdenticalAnswers, || {
                    format!("All answers are \"{answer}\". The model will learn to say nothing else.")
                });
            } else if count * 10 > total * 8 {
                self.findings.file(Code::OneSidedAnswers, || {
                    format!(
                        "{} % of the answers are \"{answer}\". The model may learn to give it always; add rows \
                         with other answers.",
                        count * 100 / total
                    )
                });
            }
        }
        if let Some(prefix) = self.tally.prefix.get()
            && prefix.chars().count() > PREFIX
        {
            self.findings.file(Code::CommonPromptPrefix, || {
                let shown: String = prefix.chars().take(60).collect();
                format!(
                    "All prompts begin with \"{shown}\". What is the same everywhere teaches nothing and costs \
                     tokens; take it off, or make it a system message."
                )
            });
        }
    }

    fn system_messages(&mut self) {
        let (with, rows) = self.tally.system_messages();
        if with > 0 && with < rows {
            self.findings.many(0, Code::MissingSystemMessage, rows - with, || {
                format!(
                    "{with} of {rows} conversations begin with a system message. Use one in all of them or in none."
                )
            });
        }
    }
}
