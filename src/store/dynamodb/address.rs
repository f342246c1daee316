//! Where the tables are: `dynamodb://REGION/PREFIX`.

use super::tables::Table;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub region: String,
    /// What the tables' names begin with.
    pub prefix: String,
    /// Tables that have another name, by suffix ([`Table::suffix`]).
    pub tables: BTreeMap<String, String>,
}

impl Address {
    /// Reads the address, and the settings that give single tables their own names.
    ///
    /// # Errors
    /// What is wrong, in words that follow the name of the setting.
    pub fn read(url: &str, get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let rest = url.strip_prefix("dynamodb://").unwrap_or_default();
        let (region, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || !region.bytes().all(plain) || !is_name(prefix, 1, 200) {
            return Err(format!(
                "DATABASE_URL is \"{url}\", but must be dynamodb://REGION/PREFIX, as in dynamodb://eu-central-1/llm-tuner."
            ));
        }
        let mut tables = BTreeMap::new();
        for table in Table::ALL {
            let Some(name) = get(table.variable()).filter(|name| !name.trim().is_empty()) else { continue };
            if !is_name(&name, 3, 255) {
                return Err(format!(
                    "{} is \"{name}\", but a table's name has 3 to 255 letters, digits, dots, dashes and underscores.",
                    table.variable()
                ));
            }
            tables.insert(table.suffix().to_owned(), name);
        }
        Ok(Self { region: region.to_owned(), prefix: prefix.to_owned(), tables })
    }
}

fn is_name(name: &str, shortest: usize, longest: usize) -> bool {
    (shortest..=longest).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_region_prefix_and_tables() {
        let get = |name: &str| (name == "DYNAMODB_USERS_TABLE").then(|| "people".to_owned());
        let read = Address::read("dynamodb://eu-central-1/tuner", get).unwrap();
        assert_eq!((read.region.as_str(), read.prefix.as_str()), ("eu-central-1", "tuner"));
        assert_eq!(read.tables, BTreeMap::from([("users".to_owned(), "people".to_owned())]));
    }

    #[test]
    fn what_is_no_address_is_said() {
        for url in [
            "dynamodb://",
            "dynamodb:///x",
            "dynamodb://eu-central-1",
            "dynamodb://EU/x",
            "dynamodb://eu/a b",
        ] {
            let mistake = Address::read(url, |_| None).unwrap_err();
            assert!(mistake.contains(url), "{mistake}");
        }
        let mistake = Address::read("dynamodb://eu/x", |_| Some("no name".to_owned())).unwrap_err();
        assert!(mistake.contains("DYNAMODB_USERS_TABLE"), "{mistake}");
    }
}
