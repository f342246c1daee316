//! A person's acceptance of a model's licence.

use super::{ids::UserId, time::Instant};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceAcceptance {
    pub user_id: UserId,
    /// JumpStart's id of the model …
    pub model: String,
    /// … and the version whose licence was shown.
    pub version: String,
    /// Where its text is.
    pub licence: String,
    pub at: Instant,
}

impl LicenceAcceptance {
    /// Is it the licence of this very version? The next one may have another.
    pub fn covers(&self, model: &str, version: &str) -> bool {
        self.model == model && self.version == version
    }
}
