//! The tables: their names, keys, and which of their items end by themselves.

use super::item::Item;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeMap, HashMap};

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident: $suffix:literal, $variable:literal, $hash:literal, $range:expr, $expires:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Table { $($(#[$doc])* $table,)* }

        impl Table {
            pub const ALL: &'static [Self] = &[$(Self::$table,)*];

            /// What its name ends in.
            pub fn suffix(self) -> &'static str {
                match self { $(Self::$table => $suffix,)* }
            }
            /// The setting that gives it another name.
            pub fn variable(self) -> &'static str {
                match self { $(Self::$table => $variable,)* }
            }
            /// The partition key, and the sort key where it has one. All are strings.
            pub fn keys(self) -> (&'static str, Option<&'static str>) {
                match self { $(Self::$table => ($hash, $range),)* }
            }
            /// Do items with [`EXPIRES`] go by themselves?
            pub fn expires(self) -> bool {
                match self { $(Self::$table => $expires,)* }
            }
        }
    };
}

tables! {
    /// People. The key attributes of users, jobs and files are those of the tables that earlier guides had people make.
    Users: "users", "DYNAMODB_USERS_TABLE", "id", None, false;
    /// By the hash of the cookie's secret.
    Sessions: "sessions", "DYNAMODB_SESSIONS_TABLE", "id", None, true;
    /// Datasets, one item a version.
    Files: "files", "DYNAMODB_FILES_TABLE", "file_id", None, false;
    Uploads: "uploads", "DYNAMODB_UPLOADS_TABLE", "id", None, false;
    Jobs: "jobs", "DYNAMODB_JOBS_TABLE", "job_id", None, false;
    /// By job; sorted by kind, then number (see `jobs::events`).
    Events: "events", "DYNAMODB_EVENTS_TABLE", "job_id", Some("entry"), false;
    Models: "models", "DYNAMODB_MODELS_TABLE", "id", None, false;
    /// The ledger, by month.
    Charges: "charges", "DYNAMODB_CHARGES_TABLE", "month", Some("id"), false;
    Endpoints: "endpoints", "DYNAMODB_ENDPOINTS_TABLE", "id", None, false;
    /// Accepted licences, by person; sorted by model and version.
    Licences: "licences", "DYNAMODB_LICENCES_TABLE", "user_id", Some("licence_of"), false;
    /// The audit log, in the order of writing.
    Audit: "audit", "DYNAMODB_AUDIT_TABLE", "log", Some("entry"), false;
    /// Lists and unique values (see `lists`).
    Index: "index", "DYNAMODB_INDEX_TABLE", "list", Some("entry"), true;
    /// Values too large for an item (see `large`).
    Parts: "parts", "DYNAMODB_PARTS_TABLE", "owner", Some("part"), false;
}

/// The attribute with the second (since 1970) from which DynamoDB may remove an item. It takes its time: whoever reads
/// looks at the times in the row itself.
pub(super) const EXPIRES: &str = "expires";

/// The tables of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names(HashMap<Table, String>);

impl Names {
    /// `PREFIX-users` and so on, but for those that have a name of their own, by suffix.
    pub fn new(prefix: &str, own: &BTreeMap<String, String>) -> Self {
        let name = |table: Table| {
            own.get(table.suffix()).cloned().unwrap_or_else(|| format!("{prefix}-{}", table.suffix()))
        };
        Self(Table::ALL.iter().map(|table| (*table, name(*table))).collect())
    }

    pub fn of(&self, table: Table) -> &str {
        self.0.get(&table).map_or("", String::as_str)
    }
}

/// Where an item lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub table: Table,
    pub hash: String,
    pub range: Option<String>,
}

impl Key {
    pub fn of(table: Table, hash: impl Into<String>) -> Self {
        Self { table, hash: hash.into(), range: None }
    }

    pub fn in_list(table: Table, hash: impl Into<String>, range: impl Into<String>) -> Self {
        Self { table, hash: hash.into(), range: Some(range.into()) }
    }

    /// Of an item that was read.
    pub fn read(table: Table, item: &Item) -> Option<Self> {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok().cloned());
        let (hash, range) = table.keys();
        let range = match range {
            None => None,
            Some(name) => Some(text(name)?),
        };
        Some(Self { table, hash: text(hash)?, range })
    }

    pub fn attributes(&self) -> HashMap<String, AttributeValue> {
        let (hash, range) = self.table.keys();
        let mut attributes = HashMap::from([(hash.to_owned(), AttributeValue::S(self.hash.clone()))]);
        if let (Some(name), Some(value)) = (range, &self.range) {
            attributes.insert(name.to_owned(), AttributeValue::S(value.clone()));
        }
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_named_by_the_prefix_or_by_their_own_setting() {
        let own = BTreeMap::from([("jobs".to_owned(), "llm-tuner-training-jobs".to_owned())]);
        let names = Names::new("tuner", &own);
        assert_eq!(names.of(Table::Users), "tuner-users");
        assert_eq!(names.of(Table::Jobs), "llm-tuner-training-jobs");
    }

    #[test]
    fn a_key_reads_back_from_its_item() {
        let key = Key::in_list(Table::Events, "job", "log#1");
        assert_eq!(Key::read(Table::Events, &Item(key.attributes())), Some(key));
        assert_eq!(Key::read(Table::Events, &Item::default().with("job_id", "job")), None);
    }
}
