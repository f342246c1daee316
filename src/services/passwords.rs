//! argon2id off the async threads, at most two at a time: each takes 19 MiB and some 30 ms.

use super::error::{ServiceError, ServiceResult};
use crate::domain::account::Password;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use std::sync::Arc;
use tokio::sync::Semaphore;

#[derive(Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
}

/// What a check found.
pub struct Verdict {
    pub right: bool,
    /// The hash was made with other parameters than today's: hash again.
    pub outdated: bool,
}

impl Passwords {
    pub fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(2)) }
    }

    /// A PHC string with a random salt.
    pub async fn hash(&self, password: Password) -> ServiceResult<String> {
        self.blocking(move || {
            Argon2::default()
                .hash_password(password.expose().as_bytes())
                .map(|hash| hash.to_string())
                .map_err(|error| ServiceError::Internal(format!("argon2: {error}")))
        })
        .await?
    }

    /// Compares with the stored hash; where there is none, spends the same time on a hash of nobody.
    pub async fn verify(&self, password: Password, stored: Option<String>) -> ServiceResult<Verdict> {
        self.blocking(move || {
            let nobody = stored.is_none();
            let stored = stored.unwrap_or_else(|| NOBODY.to_owned());
            let hash = PasswordHash::new(&stored)
                .map_err(|error| ServiceError::Internal(format!("argon2: {error}")))?;
            let right = Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok();
            let outdated = argon2::Params::try_from(&hash).is_ok_and(|params| {
                let now = argon2::Params::default();
                (params.m_cost(), params.t_cost(), params.p_cost())
                    != (now.m_cost(), now.t_cost(), now.p_cost())
            });
            Ok(Verdict { right: right && !nobody, outdated })
        })
        .await?
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> ServiceResult<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| internal())?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(|_| internal())
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

fn internal() -> ServiceError {
    ServiceError::Internal("a password check was cut off".to_owned())
}

/// The hash of a random password that nobody knows, with today's parameters.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y2FuJ3QgYmUga25vd24$5JG8QDLkOTmSZ0PZbcQYx0UrDD5QmfQ7Ghgpr8cCC7Y";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_verifies_its_password_only() {
        let passwords = Passwords::new();
        let offered = |text| Password::offered(text).unwrap();
        let hash = passwords.hash(offered("open sesame 1")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.verify(offered("open sesame 1"), Some(hash.clone())).await.unwrap().right);
        assert!(!passwords.verify(offered("open sesame 2"), Some(hash)).await.unwrap().right);
    }

    #[tokio::test]
    async fn nobody_has_no_password_and_an_old_hash_is_outdated() {
        let passwords = Passwords::new();
        let offered = || Password::offered("open sesame 1").unwrap();
        let verdict = passwords.verify(offered(), None).await.unwrap();
        assert!(!verdict.right && !verdict.outdated);
        let old = Argon2::new(
            argon2::Algorithm::Argon2id,
            argon2::Version::V0x13,
            argon2::Params::new(8192, 1, 1, None).unwrap(),
        )
        .hash_password(b"open sesame 1")
        .unwrap()
        .to_string();
        let verdict = passwords.verify(offered(), Some(old)).await.unwrap();
        assert!(verdict.right && verdict.outdated);
    }
}
