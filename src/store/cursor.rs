//! Cursors: a page starts after the row that the cursor names by its sort key, so that rows which come or go
//! meanwhile neither repeat nor hide others, and page 1,000 costs what page 1 costs.
//!
//! A cursor carries no rights: whose list is read is decided by the caller, never by the cursor.

use super::PageRequest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The sort key of the row before the page: time of creation, then id. Without a cursor: above every row.
pub(super) struct After {
    pub at: i64,
    pub id: String,
}

impl After {
    pub fn of(page: &PageRequest) -> Self {
        page.cursor.as_deref().and_then(Self::read).unwrap_or(Self { at: i64::MAX, id: String::new() })
    }

    fn read(cursor: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (at, id) = text.split_once(',')?;
        let known = id.len() <= 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        known.then_some(Self { at: at.parse().ok()?, id: id.to_owned() })
    }

    pub fn cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{},{}", self.at, self.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_a_foreign_one_is_the_first_page() {
        let cursor = After { at: -5, id: "01hzzz".to_owned() }.cursor();
        let request = |cursor: &str| PageRequest { cursor: Some(cursor.to_owned()), limit: 1 };
        let after = After::of(&request(&cursor));
        assert_eq!((after.at, after.id.as_str()), (-5, "01hzzz"));
        for foreign in ["", "%%%", "bm9uc2Vuc2U", "LTUs4pi5", &"A".repeat(10_000)] {
            let after = After::of(&request(foreign));
            assert_eq!((after.at, after.id.as_str()), (i64::MAX, ""), "{foreign}");
        }
    }
}
