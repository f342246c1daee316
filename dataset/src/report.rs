//! What the validator found, in a form to be stored, sent and shown.

use serde::{Deserialize, Serialize};

use crate::finding::{Code, FindingGroup, Grade, Repair};
use crate::schema::{ColumnMapping, Container, Encoding, Format, Schema};
use crate::statistics::Statistics;

/// Whether training can begin, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ready,
    /// A person must say what the columns are for (or agree with the guess).
    NeedsMapping,
    /// There are errors or mistakes, all of which one click repairs or sets aside.
    NeedsFixing,
    /// Nothing here can be trained on; the findings say why.
    Refused,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub verdict: Verdict,
    /// How to read the file; absent where it is not a text at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
    /// Rows in the file, usable or not. The usable ones are `statistics.rows`.
    pub rows: u64,
    /// Bytes of the file as it is stored.
    pub bytes: u64,
    /// Worst first.
    pub groups: Vec<FindingGroup>,
    pub statistics: Statistics,
}

impl Report {
    pub fn format(&self) -> Option<Format> {
        self.schema.as_ref().map(|schema| schema.format)
    }

    pub fn container(&self) -> Option<Container> {
        self.schema.as_ref().map(|schema| schema.container)
    }

    pub fn encoding(&self) -> Option<Encoding> {
        self.schema.as_ref().map(|schema| schema.encoding)
    }

    pub fn columns(&self) -> &[String] {
        self.schema.as_ref().map_or(&[], |schema| &schema.columns)
    }

    /// What the columns are for: as given, or guessed.
    pub fn mapping(&self) -> Option<&ColumnMapping> {
        self.schema.as_ref().and_then(|schema| schema.mapping.as_ref())
    }

    pub fn group(&self, code: Code) -> Option<&FindingGroup> {
        self.groups.iter().find(|group| group.code == code)
    }

    /// How many findings of a grade there are.
    pub fn count(&self, grade: Grade) -> u64 {
        self.groups.iter().filter(|group| group.grade == grade).map(|group| group.count).sum()
    }

    /// The worst thing found, in one sentence.
    pub fn headline(&self) -> Option<&str> {
        self.groups.first().and_then(|group| group.examples.first()).map(|finding| finding.message.as_str())
    }
}

/// The verdict that findings lead to.
pub(crate) fn verdict(groups: &[FindingGroup]) -> Verdict {
    let any = |test: &dyn Fn(&FindingGroup) -> bool| groups.iter().any(test);
    if any(&|group| group.grade == Grade::Error && group.repair.is_none()) {
        Verdict::Refused
    } else if any(&|group| group.repair == Some(Repair::MapColumns)) {
        Verdict::NeedsMapping
    } else if any(&|group| group.grade != Grade::Advice) {
        Verdict::NeedsFixing
    } else {
        Verdict::Ready
    }
}
