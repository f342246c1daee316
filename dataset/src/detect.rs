//! What a file is, from its content. The name is asked only where the content says no more than "some text".

use memchr::memchr;

use crate::parse::{LABELS, known_format};
use crate::schema::{ColumnMapping, ColumnRole, Container, Format, MappedColumn};

/// The layout of a file, told from the first bytes of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub container: Container,
    pub delimiter: Option<char>,
    /// For CSV and TSV: the columns, and whether the first line names them.
    pub columns: Vec<String>,
    pub header: bool,
}

impl Layout {
    fn of(container: Container) -> Self {
        Self { container, delimiter: None, columns: Vec::new(), header: true }
    }
}

/// Delimiters in the order in which they are tried.
const DELIMITERS: [u8; 4] = [b'\t', b',', b';', b'|'];
/// Rows of a table that are looked at.
const TABLE_ROWS: usize = 50;

/// `head` is the beginning of the text; `complete` says that there is no more. `name` is the name of the file.
pub(crate) fn layout(head: &[u8], complete: bool, name: Option<&str>) -> Layout {
    let text = head.trim_ascii_start();
    let extension = extension(name);
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    // The last line may not be all there.
    let whole = if complete || lines.len() == 1 { &lines[..] } else { &lines[..lines.len() - 1] };
    if let Some(container) = json(text, whole) {
        return Layout::of(container);
    }
    if let Some(table) = table(head, complete, &extension) {
        return table;
    }
    match extension.as_str() {
        // The name promises JSON: better to say line by line why it is none.
        "jsonl" | "ndjson" | "json" => Layout::of(Container::Jsonl),
        _ => Layout::of(Container::PlainText),
    }
}

/// The last part of the name in lower case, `.gz` taken off.
fn extension(name: Option<&str>) -> String {
    let name = name.unwrap_or_default().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map(|(_, extension)| extension.to_owned()).unwrap_or_default()
}

fn json(text: &[u8], lines: &[&[u8]]) -> Option<Container> {
    let is_object = |line: &&&[u8]| line.starts_with(b"{");
    let written: Vec<&[u8]> = lines.iter().copied().filter(|line| !line.is_empty()).take(50).collect();
    match text.first()? {
        b'[' => {
            let after = text[1..].trim_ascii_start();
            let lines_of_lists = written.len() > 1
                && written.iter().all(|line| line.starts_with(b"[") && line.ends_with(b"]"));
            match after.first() {
                _ if lines_of_lists => Some(Container::Jsonl),
                Some(b'{' | b']') => Some(Container::Json),
                Some(b'"' | b'[') if valid_start(text) => Some(Container::Json),
                _ => None,
            }
        }
        b'{' => {
            // A template such as "{name}, hello" is text.
            let after = text[1..].trim_ascii_start();
            if !matches!(after.first(), Some(b'"' | b'}' | b'\'') | None) {
                return many_objects(&written).then_some(Container::Jsonl);
            }
            let complete =
                written.iter().filter(|line| line.starts_with(b"{") && line.ends_with(b"}")).count();
            let spread = written.len() > 1 && complete * 2 < written.len() && !closed(written[0]);
            Some(if spread { Container::Json } else { Container::Jsonl })
        }
        _ => (written.iter().filter(is_object).count() * 2 > written.len() && many_objects(&written))
            .then_some(Container::Jsonl),
    }
}

/// More than half of the lines look like objects.
fn many_objects(lines: &[&[u8]]) -> bool {
    let objects = lines.iter().filter(|line| line.starts_with(b"{\"") && line.ends_with(b"}")).count();
    objects > 1 && objects * 2 > lines.len()
}

/// The line is a whole JSON value.
fn closed(line: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

/// The text begins as JSON does: its first mistake, if any, is that it breaks off.
fn valid_start(text: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
    match values.next() {
        Some(Err(error)) => error.is_eof(),
        _ => true,
    }
}

fn table(head: &[u8], complete: bool, extension: &str) -> Option<Layout> {
    let named = matches!(extension, "csv" | "tsv" | "tab");
    let candidates = DELIMITERS.iter().filter_map(|&delimiter| {
        let rows = rows(head, complete, delimiter);
        let width = rows.first()?.len();
        let even = rows.iter().filter(|row| row.len() == width).count();
        // Names that every dataset uses outweigh a few rows that are cut wrongly.
        let wanted = if rows[0].iter().any(|cell| well_known(cell)) { 5 } else { 9 };
        let enough = width > 1 && (named || rows.len() > 1 && even * 10 >= rows.len() * wanted);
        enough.then_some((delimiter, even * 100 / rows.len(), width, rows))
    });
    let best = candidates.max_by_key(|(delimiter, even, width, _)| {
        let rank = DELIMITERS.iter().position(|known| known == delimiter).unwrap_or(0);
        (*even, *width, DELIMITERS.len() - rank)
    });
    let (delimiter, _, width, rows) = match best {
        Some(best) => best,
        // A table of one column, which only its name can tell from text.
        None if named => {
            let rows = rows(head, complete, b',');
            let width = rows.first()?.len();
            (b',', 100, width, rows)
        }
        None => return None,
    };
    let first = rows.first()?;
    let header = looks_like_header(first);
    if !named && !header {
        return None;
    }
    let columns = if header {
        let name = |(index, name): (usize, &String)| match name.trim() {
            "" => format!("column_{}", index + 1),
            name => name.to_owned(),
        };
        first.iter().enumerate().map(name).collect()
    } else {
        (1..=width).map(|number| format!("column_{number}")).collect()
    };
    Some(Layout {
        container: if delimiter == b'\t' { Container::Tsv } else { Container::Csv },
        delimiter: Some(char::from(delimiter)),
        columns,
        header,
    })
}

/// The first rows of `head` as a table; a last row that may go on beyond `head` is left out.
fn rows(head: &[u8], complete: bool, delimiter: u8) -> Vec<Vec<String>> {
    use crate::split::{Body, Splitter, Start};
    let mut rows = Vec::new();
    let mut splitter = Splitter::table(delimiter, head.len() + 1, Start::FILE);
    let mut take = |record: crate::split::Record<'_>| {
        if let Body::Fields { bytes, ends } = record.body
            && rows.len() < TABLE_ROWS
        {
            let mut begin = 0;
            let fields = ends.iter().map(|&end| {
                let field = String::from_utf8_lossy(&bytes[begin..end]).into_owned();
                begin = end;
                field
            });
            rows.push(fields.collect::<Vec<_>>());
        }
    };
    splitter.push(head, &mut take);
    if complete || memchr(b'\n', head).is_none() {
        splitter.finish(&mut take);
    }
    rows
}

/// Names of columns are short, few words, all there (but for the first, which pandas leaves empty over its row
/// numbers), and neither numbers nor sentences. Two may only be the same where another is well known.
fn looks_like_header(cells: &[String]) -> bool {
    let named = |(index, cell): (usize, &String)| {
        let name = cell.trim();
        (index == 0 && cells.len() > 2 && name.is_empty())
            || cell.len() == name.len()
                && name.chars().count() <= 48
                && name.split_whitespace().count() <= 5
                && name.chars().any(char::is_alphabetic)
                && !name.ends_with(['.', '!', '?', ',', ':', ';'])
    };
    let different = cells.iter().enumerate().all(|(index, cell)| !cells[..index].contains(cell));
    cells.iter().enumerate().all(named) && (different || cells.iter().any(|cell| well_known(cell)))
}

fn well_known(cell: &str) -> bool {
    let name = normal(cell);
    PROMPTS.contains(&name.as_str()) || ANSWERS.contains(&name.as_str())
}

/// The columns of a table under the names that its format gives them, and the format; [`Format::Table`] where a
/// mapping is needed.
pub(crate) fn format_of_columns(columns: Vec<String>) -> (Vec<String>, Format) {
    let names: Vec<String> = columns.iter().map(|column| normal(column)).collect();
    match known_format(&names) {
        // A cell cannot hold a list of messages.
        None | Some(Format::Chat | Format::ShareGpt) => (columns, Format::Table),
        Some(format) => (names, format),
    }
}

/// A name as the lists below write it.
fn normal(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace([' ', '-'], "_")
}

const ANSWERS: [&str; 14] = [
    "completion",
    "output",
    "answer",
    "response",
    "target",
    "solution",
    "reply",
    "answers",
    "outputs",
    "responses",
    "target_text",
    "summary",
    "translation",
    "assistant",
];
const PROMPTS: [&str; 18] = [
    "prompt",
    "instruction",
    "question",
    "query",
    "input",
    "text",
    "user",
    "inputs",
    "questions",
    "source_text",
    "sentence",
    "message",
    "review",
    "document",
    "article",
    "title",
    "subject",
    "body",
];
const CONTEXTS: [&str; 4] = ["context", "passage", "background", "hint"];
const SYSTEMS: [&str; 3] = ["system", "system_prompt", "persona"];
const IGNORED: [&str; 12] = [
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
    "split",
    "language",
];

/// A guess of what columns are for, to be shown and changed.
pub(crate) fn guess(columns: &[String]) -> ColumnMapping {
    let names: Vec<String> = columns.iter().map(|column| normal(column)).collect();
    let find = |list: &[&str]| list.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
    let completion = find(&ANSWERS).or_else(|| find(&LABELS));
    let mut roles = vec![ColumnRole::Ignore; columns.len()];
    let free = |roles: &[ColumnRole], index: usize| {
        roles[index] == ColumnRole::Ignore && !IGNORED.contains(&names[index].as_str())
    };
    if let Some(completion) = completion {
        roles[completion] = ColumnRole::Completion;
        if let Some(system) = find(&SYSTEMS) {
            roles[system] = ColumnRole::System;
        }
        for index in 0..roles.len() {
            let name = names[index].as_str();
            if roles[index] == ColumnRole::Ignore && (PROMPTS.contains(&name) || CONTEXTS.contains(&name)) {
                roles[index] = ColumnRole::Prompt;
            }
        }
        if !roles.contains(&ColumnRole::Prompt) {
            // What is left besides the answer must be the question, if it is one column.
            let left: Vec<usize> = (0..roles.len()).filter(|&index| free(&roles, index)).collect();
            if let [only] = left[..] {
                roles[only] = ColumnRole::Prompt;
            }
        }
    } else if let Some(text) = find(&PROMPTS).or((columns.len() == 1).then_some(0)) {
        // One column that looks like a question: the other is the answer.
        let left: Vec<usize> =
            (0..roles.len()).filter(|&index| index != text && free(&roles, index)).collect();
        if let [only] = left[..] {
            (roles[text], roles[only]) = (ColumnRole::Prompt, ColumnRole::Completion);
        } else if left.is_empty() {
            roles[text] = ColumnRole::Text;
        }
    }
    let columns = columns.iter().zip(roles);
    ColumnMapping {
        columns: columns.map(|(column, role)| MappedColumn { column: column.clone(), role }).collect(),
    }
}
