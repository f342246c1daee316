//! What every service is given: time, randomness, and who is asking.

use crate::domain::{
    account::{Role, User},
    audit::{AuditEntry, Outcome},
    ids::SessionId,
    time::{Clock, Instant},
};
use std::sync::Arc;

/// Randomness as a parameter, so that tests can fix it.
pub trait Random: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);

    fn u128(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }
}

/// The operating system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    fn now(&self) -> Instant {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Instant(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The operating system's randomness.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::RngCore::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// Time and randomness together.
#[derive(Clone)]
pub struct Environment {
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
}

impl Environment {
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) }
    }
    pub fn now(&self) -> Instant {
        self.clock.now()
    }
    /// The two parts of a fresh id: see `domain::ids`.
    pub fn id_parts(&self) -> (u64, u128) {
        (u64::try_from(self.now().micros() / 1_000).unwrap_or(0), self.random.u128())
    }
    /// 256 random bits as base64url text.
    pub fn secret(&self) -> String {
        use base64::Engine;
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes);
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Where a request came from; filled in by the web floor.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    pub ip: String,
    pub user_agent: String,
    pub request_id: String,
}

/// A signed-in person and where they ask from.
#[derive(Debug, Clone)]
pub struct Actor {
    pub user: User,
    pub session: SessionId,
    pub origin: Origin,
}

impl Actor {
    pub fn is_admin(&self) -> bool {
        self.user.role == Role::Admin
    }
    /// A line for the audit log about something this person did.
    pub fn audit(&self, at: Instant, action: &str, object: &str) -> AuditEntry {
        AuditEntry {
            at,
            actor: Some(self.user.id.clone()),
            action: action.to_owned(),
            object: object.to_owned(),
            outcome: Outcome::Done,
            ip: self.origin.ip.clone(),
            request_id: self.origin.request_id.clone(),
        }
    }
}
