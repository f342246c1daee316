//! People: e-mail, password rules, roles, users and their sessions.

use super::{
    field::FieldError,
    ids::{SessionId, UserId},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A mail address, trimmed and in lower case: two spellings are one account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Something before one `@`, a dot in the host, no spaces or control characters, at most 254 bytes (RFC 5321).
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let wrong = |message: &str| Err(FieldError::new("email", message));
        if text.is_empty() {
            return wrong("Enter your e-mail address.");
        }
        if text.len() > 254 {
            return wrong("An e-mail address has at most 254 characters.");
        }
        if text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | ',' | ';'))
        {
            return wrong("An e-mail address has no spaces, quotes or commas.");
        }
        match text.split_once('@') {
            Some((local, host))
                if !local.is_empty()
                    && !host.contains('@')
                    && host.contains('.')
                    && host.split('.').all(|label| !label.is_empty()) =>
            {
                Ok(Self(text.to_lowercase()))
            }
            _ => wrong("An e-mail address looks like name@example.com."),
        }
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// For values that went through [`Email::parse`] before they were stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password as typed. Never logged, never stored: `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    pub const MIN: usize = 8;
    pub const MAX: usize = 256;

    /// The rules for a new password: 8 to 256 characters, not among the common ones, and not the address or name itself.
    pub fn parse_new(text: &str, email: &Email, full_name: &str) -> Result<Self, FieldError> {
        let wrong = |message: String| Err(FieldError::new("password", message));
        let count = text.chars().count();
        if count < Self::MIN {
            return wrong(format!("A password has at least {} characters; this one has {count}.", Self::MIN));
        }
        if count > Self::MAX {
            return wrong(format!("A password has at most {} characters; this one has {count}.", Self::MAX));
        }
        let lower = text.to_lowercase();
        let local = email.as_str().split('@').next().unwrap_or_default();
        if lower == email.as_str() || lower == full_name.trim().to_lowercase() || lower == local {
            return wrong("Choose a password that is not your name or e-mail address.".to_owned());
        }
        if COMMON_PASSWORDS.lines().any(|common| common == lower) {
            return wrong("This password is on the list of the most common ones. Choose another.".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// A password offered at sign-in: only the length is bounded, so that nobody hashes a megabyte.
    pub fn offered(text: &str) -> Option<Self> {
        (text.len() <= Self::MAX * 4).then(|| Self(text.to_owned()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Common passwords of eight characters and more, one a line, lower case.
const COMMON_PASSWORDS: &str = include_str!("common_passwords.txt");

/// A person's name: 1 to 200 characters on one line.
pub fn parse_full_name(text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(FieldError::new("full_name", "Enter your name."));
    }
    if text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(FieldError::new("full_name", "A name is one line of at most 200 characters."));
    }
    Ok(text.to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    User,
    Lab,
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Lab => "lab",
            Self::Admin => "admin",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        [Self::User, Self::Lab, Self::Admin].into_iter().find(|role| role.as_str() == text)
    }
}

/// A person's account, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub email: Email,
    pub full_name: String,
    /// argon2id in PHC string format.
    pub password_hash: String,
    pub role: Role,
    pub disabled: bool,
    pub created_at: Instant,
}

/// A session, as stored: the cookie's secret only as its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub secret_hash: String,
    pub user_id: UserId,
    pub created_at: Instant,
    pub last_seen_at: Instant,
    /// Whichever of idle and absolute limit comes first is applied by the service; this is the absolute one.
    pub expires_at: Instant,
    pub ip: String,
    pub user_agent: String,
}
