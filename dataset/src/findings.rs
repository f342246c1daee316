//! Collects findings in bounded memory: exact counts per kind, and the first few of each in full.

use crate::finding::{Code, Finding, FindingGroup, Grade, Sink, field_name};

/// Groups beyond this number (a file may use a new unknown key in each row) are counted together.
const MAX_GROUPS: usize = 120;

#[derive(Debug)]
pub(crate) struct Findings {
    groups: Vec<FindingGroup>,
    examples: usize,
    /// The line that findings are about from now on; 0 for the whole file.
    pub line: u64,
    /// Findings of grade error since the beginning.
    pub errors: u64,
}

impl Findings {
    pub fn new(examples: usize) -> Self {
        Self { groups: Vec::new(), examples, line: 0, errors: 0 }
    }

    /// About the whole file.
    pub fn file(&mut self, code: Code, message: impl Fn() -> String) {
        self.at(0, code, message);
    }

    pub fn at(&mut self, line: u64, code: Code, message: impl Fn() -> String) {
        let before = std::mem::replace(&mut self.line, line);
        self.finding(code, None, &message);
        self.line = before;
    }

    /// The same finding `count` times at once, with one example.
    pub fn many(&mut self, line: u64, code: Code, count: u64, message: impl Fn() -> String) {
        if count > 0 {
            self.at(line, code, message);
            if let Some(group) = self.groups.iter_mut().find(|group| group.code == code) {
                group.count += count - 1;
            }
        }
    }

    /// Worst first, then most frequent first, then by name so that the order never depends on chance.
    pub fn into_groups(mut self) -> Vec<FindingGroup> {
        self.groups.sort_by(|a, b| {
            (a.grade, std::cmp::Reverse(a.count), a.code, &a.field).cmp(&(
                b.grade,
                std::cmp::Reverse(b.count),
                b.code,
                &b.field,
            ))
        });
        self.groups
    }

    fn group(&mut self, code: Code, field: Option<&str>) -> &mut FindingGroup {
        // Only unknown keys are worth a group of their own for each name; elsewhere the field is detail.
        let field =
            field.map(field_name).filter(|_| code == Code::UnknownKey && self.groups.len() < MAX_GROUPS);
        let found =
            self.groups.iter().position(|group| group.code == code && group.field.as_deref() == field);
        let index = found.unwrap_or_else(|| {
            self.groups.push(FindingGroup {
                code,
                grade: code.grade(),
                title: code.title().to_owned(),
                field: field.map(str::to_owned),
                count: 0,
                examples: Vec::new(),
                repair: code.repair(),
            });
            self.groups.len() - 1
        });
        &mut self.groups[index]
    }
}

impl Sink for Findings {
    fn finding(&mut self, code: Code, field: Option<&str>, message: &dyn Fn() -> String) {
        if code.grade() == Grade::Error {
            self.errors += 1;
        }
        let (line, examples) = (self.line, self.examples);
        let group = self.group(code, field);
        group.count += 1;
        if group.examples.len() < examples {
            group.examples.push(Finding::new(code, line, field, message()));
        }
    }
}
