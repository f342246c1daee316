//! Typed identifiers: a user's id can't be passed where a dataset's is meant.
//!
//! An id is a ULID in lower case: sortable by creation time, safe in paths and URLs. It is never a secret.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Accepts what [`new_id`] makes (26 characters of 0-9 and a-z); anything else is no id.
            pub fn parse(text: &str) -> Option<Self> {
                is_id(text).then(|| Self(text.to_owned()))
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// A fresh id, made from the caller's time (milliseconds since 1970) and 80 bits of the caller's randomness.
            pub fn from_parts(millis: u64, random: u128) -> Self {
                Self(encode(millis, random))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(/// A person with an account.
    UserId);
id!(/// A dataset, one version of it.
    DatasetId);
id!(/// A training job.
    JobId);
id!(/// A finished model.
    ModelId);
id!(/// A hosted model.
    EndpointId);
id!(/// A session, as its owner sees it in the list: never the cookie's secret.
    SessionId);

fn is_id(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
}

/// A ULID's text (Crockford's base 32, lower case): 48 bits of time, 80 of randomness.
fn encode(millis: u64, random: u128) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let value = (u128::from(millis) << 80) | (random & ((1 << 80) - 1));
    (0..26).rev().map(|i| char::from(ALPHABET[((value >> (i * 5)) & 31) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_parse_back() {
        let (a, b) = (UserId::from_parts(1_000, u128::MAX), UserId::from_parts(1_001, 0));
        assert!(a < b);
        assert_eq!(UserId::parse(a.as_str()), Some(a));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "../../etc/passwd", "01HZZZZZZZZZZZZZZZZZZZZZZZ", "01hzzzzzzzzzzzzzzzzzzzzzz/"] {
            assert_eq!(UserId::parse(text), None, "{text}");
        }
    }
}
