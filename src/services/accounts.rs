//! Accounts: register, sign in and out, sessions, profile. Not here: cookies (see `web::session`).

use super::{
    context::{Actor, Environment, Origin},
    error::{ServiceError, ServiceResult},
    limits::Limits,
    passwords::Passwords,
};
use crate::{
    config::Registration,
    domain::{
        account::{Email, Password, Role, Session, User, parse_full_name},
        audit::{AuditEntry, Outcome},
        ids::{SessionId, UserId},
        time::Instant,
    },
    store::{Store, StoreError},
};
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};

/// A session unused for this long is over; Admins have less.
const IDLE: Duration = Duration::from_secs(12 * 3600);
const IDLE_ADMIN: Duration = Duration::from_secs(3600);
/// A session is over after this long in any case; Admins have less.
const ABSOLUTE: Duration = Duration::from_secs(7 * 24 * 3600);
const ABSOLUTE_ADMIN: Duration = Duration::from_secs(12 * 3600);
/// Sessions a person may have at once; the longest unused ends when one more begins.
const MAX_SESSIONS: usize = 10;
/// `last_seen_at` is written at most this often.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

pub struct Accounts {
    store: Arc<dyn Store>,
    env: Environment,
    passwords: Passwords,
    limits: Limits,
    registration: Registration,
}

/// What a person types to register.
pub struct NewAccount {
    pub email: String,
    pub password: String,
    pub full_name: String,
}

/// A fresh session: the secret goes into the cookie and is known nowhere else.
pub struct SignedIn {
    pub user: User,
    pub secret: String,
    pub expires_at: Instant,
}

impl Accounts {
    pub fn new(store: Arc<dyn Store>, env: Environment, registration: Registration) -> Self {
        Self { store, passwords: Passwords::new(), limits: Limits::new(), env, registration }
    }

    /// Is this a fresh server, without a single account?
    pub async fn nobody_yet(&self) -> ServiceResult<bool> {
        Ok(self.store.count_users().await? == 0)
    }

    /// May somebody make an account now? Always while there is none.
    pub async fn registration_open(&self) -> ServiceResult<bool> {
        Ok(self.registration == Registration::Open || self.nobody_yet().await?)
    }

    /// Makes an account and signs it in. The first account becomes Admin.
    ///
    /// # Errors
    /// `Invalid` with every wrong field; `Refused` where registration is closed; `TooMany`.
    pub async fn register(&self, new: NewAccount, origin: &Origin) -> ServiceResult<SignedIn> {
        if !self.registration_open().await? {
            return Err(ServiceError::refused(
                "registration_closed",
                "Registration is closed on this server.",
                "Ask its administrator for an account.",
            ));
        }
        let email = Email::parse(&new.email);
        let full_name = parse_full_name(&new.full_name);
        let password = match &email {
            Ok(email) => Password::parse_new(&new.password, email, &new.full_name),
            Err(_) => {
                Password::parse_new(&new.password, &Email::from_stored(new.email.clone()), &new.full_name)
            }
        };
        let (email, full_name, password) = match (email, full_name, password) {
            (Ok(email), Ok(full_name), Ok(password)) => (email, full_name, password),
            (email, full_name, password) => {
                let errors = [email.err(), full_name.err(), password.err()];
                return Err(ServiceError::Invalid(errors.into_iter().flatten().collect()));
            }
        };
        self.limits.register(&origin.ip)?;
        let hash = self.passwords.hash(password).await?;
        let (millis, random) = self.env.id_parts();
        let now = self.env.now();
        let user = User {
            id: UserId::from_parts(millis, random),
            email,
            full_name,
            password_hash: hash,
            role: Role::User,
            disabled: false,
            created_at: now,
        };
        let audit = entry(now, Some(&user.id), "user.create", user.id.as_str(), Outcome::Done, origin);
        let user = match self.store.create_user(&user, &audit).await {
            Ok(user) => user,
            Err(StoreError::Taken(_)) => {
                return Err(ServiceError::invalid(
                    "email",
                    "An account with this e-mail address exists. Sign in instead.",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        self.begin_session(user, origin).await
    }

    /// Checks the password and begins a session with a new id. The same answer, at the same cost, for an unknown
    /// address, a wrong password and a disabled account.
    pub async fn sign_in(&self, email: &str, password: &str, origin: &Origin) -> ServiceResult<SignedIn> {
        self.limits.sign_in_from(&origin.ip)?;
        let email = Email::parse(email).ok();
        let user = match &email {
            Some(email) => self.store.user_by_email(email).await?,
            None => None,
        };
        if let (Some(email), Some(user)) = (&email, &user) {
            // A person who was here before from this address is never locked out by strangers elsewhere.
            let known =
                self.store.list_sessions(&user.id).await?.iter().any(|session| session.ip == origin.ip);
            if !known {
                self.limits.sign_in_to(email.as_str())?;
            }
        }
        let Some(offered) = Password::offered(password) else {
            return Err(ServiceError::invalid("password", "A password has at most 256 characters."));
        };
        let stored = user.as_ref().map(|user| user.password_hash.clone());
        let verdict = self.passwords.verify(offered.clone(), stored).await?;
        match user {
            Some(user) if verdict.right && !user.disabled => {
                if verdict.outdated {
                    let hash = self.passwords.hash(offered).await?;
                    self.store.set_password_hash(&user.id, &hash).await?;
                }
                self.begin_session(user, origin).await
            }
            user => {
                let object = user.as_ref().map_or("", |user| user.id.as_str());
                let entry = entry(self.env.now(), None, "session.create", object, Outcome::Refused, origin);
                self.store.audit(&entry).await?;
                Err(ServiceError::WrongCredentials)
            }
        }
    }

    /// The person behind a cookie's secret.
    ///
    /// # Errors
    /// `SignInNeeded` for an unknown, ended, idle or expired session and for a disabled account.
    pub async fn authenticate(&self, secret: &str, origin: &Origin) -> ServiceResult<Actor> {
        let now = self.env.now();
        let Some((session, user)) = self.store.session(&hash_secret(secret)).await? else {
            return Err(ServiceError::SignInNeeded);
        };
        let idle = if user.role == Role::Admin { IDLE_ADMIN } else { IDLE };
        let unused = now.since(session.last_seen_at);
        if user.disabled || now >= session.expires_at || unused >= idle {
            return Err(ServiceError::SignInNeeded);
        }
        if unused >= TOUCH_EVERY {
            self.store.touch_session(&session.id, now).await?;
        }
        Ok(Actor { user, session: session.id, origin: origin.clone() })
    }

    /// Ends the session that the person is using.
    pub async fn sign_out(&self, actor: &Actor) -> ServiceResult<()> {
        self.end_session(actor, &actor.session).await
    }

    /// The person's sessions that are not over, newest first.
    pub async fn sessions(&self, actor: &Actor) -> ServiceResult<Vec<Session>> {
        let now = self.env.now();
        let idle = if actor.is_admin() { IDLE_ADMIN } else { IDLE };
        let mut sessions = self.store.list_sessions(&actor.user.id).await?;
        sessions.retain(|session| now < session.expires_at && now.since(session.last_seen_at) < idle);
        Ok(sessions)
    }

    pub async fn end_session(&self, actor: &Actor, id: &SessionId) -> ServiceResult<()> {
        let audit = actor.audit(self.env.now(), "session.end", id.as_str());
        Ok(self.store.end_session(&actor.user.id, id, &audit).await?)
    }

    /// Ends all of the person's sessions but the one in use; returns how many.
    pub async fn end_other_sessions(&self, actor: &Actor) -> ServiceResult<u64> {
        let audit = actor.audit(self.env.now(), "session.end_others", actor.user.id.as_str());
        Ok(self.store.end_other_sessions(&actor.user.id, &actor.session, &audit).await?)
    }

    pub async fn set_full_name(&self, actor: &Actor, full_name: &str) -> ServiceResult<()> {
        let full_name = parse_full_name(full_name)?;
        let audit = actor.audit(self.env.now(), "user.rename", actor.user.id.as_str());
        Ok(self.store.set_full_name(&actor.user.id, &full_name, &audit).await?)
    }

    /// Sets a new password after asking for the old one; every other session ends.
    pub async fn change_password(&self, actor: &Actor, old: &str, new: &str) -> ServiceResult<()> {
        // By account: who is signed in pays neither for strangers at the same address nor for tries to sign in.
        self.limits.sign_in_to(&format!("password of {}", actor.user.id))?;
        let new = Password::parse_new(new, &actor.user.email, &actor.user.full_name)
            .map_err(|error| ServiceError::invalid("new_password", error.message))?;
        let wrong = || ServiceError::invalid("old_password", "This is not your present password.");
        let offered = Password::offered(old).ok_or_else(wrong)?;
        if !self.passwords.verify(offered, Some(actor.user.password_hash.clone())).await?.right {
            return Err(wrong());
        }
        let hash = self.passwords.hash(new).await?;
        let audit = actor.audit(self.env.now(), "user.change_password", actor.user.id.as_str());
        Ok(self.store.set_password(&actor.user.id, &hash, Some(&actor.session), &audit).await?)
    }

    /// Removes sessions that are over. Called now and then by the server.
    pub async fn sweep(&self) -> ServiceResult<u64> {
        let now = self.env.now();
        Ok(self.store.sweep_sessions(now, now.minus(IDLE)).await?)
    }

    async fn begin_session(&self, user: User, origin: &Origin) -> ServiceResult<SignedIn> {
        let now = self.env.now();
        let secret = self.env.secret();
        let (millis, random) = self.env.id_parts();
        let absolute = if user.role == Role::Admin { ABSOLUTE_ADMIN } else { ABSOLUTE };
        let session = Session {
            id: SessionId::from_parts(millis, random),
            secret_hash: hash_secret(&secret),
            user_id: user.id.clone(),
            created_at: now,
            last_seen_at: now,
            expires_at: now.plus(absolute),
            ip: origin.ip.clone(),
            user_agent: origin.user_agent.chars().take(300).collect(),
        };
        let audit = entry(now, Some(&user.id), "session.create", session.id.as_str(), Outcome::Done, origin);
        self.store.create_session(&session, MAX_SESSIONS, &audit).await?;
        Ok(SignedIn { user, secret, expires_at: session.expires_at })
    }
}

fn hash_secret(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

fn entry(
    at: Instant,
    actor: Option<&UserId>,
    action: &str,
    object: &str,
    outcome: Outcome,
    origin: &Origin,
) -> AuditEntry {
    AuditEntry {
        at,
        actor: actor.cloned(),
        action: action.to_owned(),
        object: object.to_owned(),
        outcome,
        ip: origin.ip.clone(),
        request_id: origin.request_id.clone(),
    }
}
