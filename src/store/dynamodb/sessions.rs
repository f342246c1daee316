//! Sessions: the cookie's secret is stored only as its hash, which is the row's key.
//!
//! A session counts while its user's row lists it. So ending any number of them, and keeping to a limit while several
//! sign in at once, is a change of one row. What is listed no longer is then forgotten; where that fails, DynamoDB
//! removes it when its time is over.

use super::super::{Sessions, StoreError, StoreResult};
use super::{
    DynamoStore, accounts,
    error::Turns,
    item::Item,
    lists::{names, unique},
    tables::{EXPIRES, Key, Table},
};
use crate::domain::{
    account::{Session, User},
    audit::AuditEntry,
    ids::{SessionId, UserId},
    time::Instant,
};
use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::{BTreeMap, HashMap};

const LISTED: &str = "sessions";

/// The sessions that count, in their user's row: id and hash of the secret.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed(BTreeMap<String, String>);

impl Listed {
    pub fn read(user: &Item) -> StoreResult<Self> {
        let Some(map) = user.get(LISTED) else { return Ok(Self::default()) };
        let corrupt = || StoreError::Corrupt(LISTED, "no map of texts".to_owned());
        let pairs = map.as_m().map_err(|_| corrupt())?.iter();
        let pairs = pairs.map(|(id, hash)| Ok((id.clone(), hash.as_s().map_err(|_| corrupt())?.clone())));
        pairs.collect::<StoreResult<_>>().map(Self)
    }

    pub fn write(&self, user: &mut Item) {
        let map: HashMap<_, _> =
            self.0.iter().map(|(id, hash)| (id.clone(), AttributeValue::S(hash.clone()))).collect();
        user.set(LISTED, Some(AttributeValue::M(map)).filter(|_| !self.0.is_empty()));
    }

    /// Ends those whose id is such; returns them.
    pub fn end(&mut self, which: impl Fn(&str) -> bool) -> Vec<(String, String)> {
        let (ended, kept) = std::mem::take(&mut self.0).into_iter().partition(|(id, _)| which(id));
        self.0 = kept;
        BTreeMap::into_iter(ended).collect()
    }
}

fn key(hash: &str) -> Key {
    Key::of(Table::Sessions, hash)
}

fn by_id(id: &str) -> Key {
    unique("session", id)
}

fn read(item: &Item) -> StoreResult<Session> {
    Ok(Session {
        id: item.parsed("session_id", SessionId::parse)?,
        secret_hash: item.text("id")?,
        user_id: item.parsed("user_id", UserId::parse)?,
        created_at: item.instant("created_at")?,
        last_seen_at: item.instant("last_seen_at")?,
        expires_at: item.instant("expires_at")?,
        ip: item.text("ip")?,
        user_agent: item.text("user_agent")?,
    })
}

fn item(session: &Session) -> Item {
    Item::default()
        .with("session_id", &session.id)
        .with("user_id", &session.user_id)
        .with("created_at", session.created_at)
        .with("last_seen_at", session.last_seen_at)
        .with("expires_at", session.expires_at)
        .with("ip", &session.ip)
        .with("user_agent", &session.user_agent)
        .with(EXPIRES, ends(session))
}

/// Seconds since 1970, as DynamoDB counts them.
fn ends(session: &Session) -> u64 {
    u64::try_from(session.expires_at.seconds()).unwrap_or(0)
}

impl DynamoStore {
    async fn listed(&self, listed: &Listed) -> StoreResult<Vec<Session>> {
        let keys: Vec<Key> = listed.0.values().map(|hash| key(hash)).collect();
        let rows = self.get_many(Table::Sessions, &keys).await?;
        rows.values().map(read).collect()
    }

    /// Removes what is left of sessions that no longer count.
    pub(super) async fn forget_sessions(&self, ended: Vec<(String, String)>) {
        let (ids, rows) = ended.iter().map(|(id, hash)| (by_id(id), key(hash))).unzip();
        for (table, keys) in [(Table::Index, ids), (Table::Sessions, rows)] {
            if let Err(error) = self.delete_many(table, keys).await {
                tracing::warn!(%error, "rows of ended sessions stay until their time is over");
            }
        }
    }

    /// Ends those of the user's sessions that `which` names; returns how many.
    async fn end_sessions(
        &self,
        user: &UserId,
        entry: Option<&AuditEntry>,
        which: impl Fn(&str) -> bool + Send + Sync,
    ) -> StoreResult<u64> {
        let ended = self
            .edit(accounts::key(user), "user", entry, |row| {
                let mut sessions = Listed::read(row)?;
                let ended = sessions.end(&which);
                sessions.write(row);
                Ok(ended)
            })
            .await?;
        let count = ended.len() as u64;
        self.forget_sessions(ended).await;
        Ok(count)
    }
}

#[async_trait]
impl Sessions for DynamoStore {
    async fn create_session(&self, session: &Session, keep: usize, entry: &AuditEntry) -> StoreResult<()> {
        let mut turns = Turns::default();
        loop {
            let user =
                self.row(accounts::key(&session.user_id)).await?.ok_or(StoreError::NotFound("user"))?;
            let mut listed = Listed::read(&user.item)?;
            let mut others = self.listed(&listed).await?;
            // The new one stays even where a clock that was set back makes it look old.
            others.sort_by(|a, b| {
                (b.last_seen_at, b.created_at, &b.id).cmp(&(a.last_seen_at, a.created_at, &a.id))
            });
            let kept: Vec<&str> =
                others.iter().take(keep.saturating_sub(1)).map(|session| session.id.as_str()).collect();
            let ended = listed.end(|id| !kept.contains(&id));
            listed.0.insert(session.id.to_string(), session.secret_hash.clone());
            let mut after = user.item.clone();
            listed.write(&mut after);
            let mut tx = self.transaction();
            tx.change(&user, &after);
            tx.create(&key(&session.secret_hash), item(session), StoreError::Taken("session secret"));
            let named = names(&session.secret_hash).with(EXPIRES, ends(session));
            tx.create(&by_id(session.id.as_str()), named, StoreError::Taken("id"));
            tx.audit(entry);
            if tx.commit().await? {
                self.forget_sessions(ended).await;
                return Ok(());
            }
            turns.next().await?;
        }
    }

    async fn session(&self, secret_hash: &str) -> StoreResult<Option<(Session, User)>> {
        let Some(row) = self.get(&key(secret_hash)).await? else { return Ok(None) };
        let session = read(&row)?;
        let Some(user) = self.get(&accounts::key(&session.user_id)).await? else { return Ok(None) };
        if !Listed::read(&user)?.0.contains_key(session.id.as_str()) {
            return Ok(None);
        }
        Ok(Some((session, accounts::read(&user)?)))
    }

    async fn touch_session(&self, id: &SessionId, seen: Instant) -> StoreResult<()> {
        let hash = self.named(&by_id(id.as_str())).await?.ok_or(StoreError::NotFound("session"))?;
        self.edit(key(&hash), "session", None, |session| {
            session.set("last_seen_at", seen);
            Ok(())
        })
        .await
    }

    async fn list_sessions(&self, user: &UserId) -> StoreResult<Vec<Session>> {
        let Some(row) = self.get(&accounts::key(user)).await? else { return Ok(Vec::new()) };
        let mut sessions = self.listed(&Listed::read(&row)?).await?;
        sessions.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(sessions)
    }

    async fn end_session(&self, user: &UserId, id: &SessionId, entry: &AuditEntry) -> StoreResult<()> {
        let ended = self
            .edit(accounts::key(user), "session", Some(entry), |row| {
                let mut sessions = Listed::read(row)?;
                let ended = sessions.end(|session| session == id.as_str());
                sessions.write(row);
                if ended.is_empty() { Err(StoreError::NotFound("session")) } else { Ok(ended) }
            })
            .await?;
        self.forget_sessions(ended).await;
        Ok(())
    }

    async fn end_other_sessions(
        &self,
        user: &UserId,
        keep: &SessionId,
        entry: &AuditEntry,
    ) -> StoreResult<u64> {
        self.end_sessions(user, Some(entry), |session| session != keep.as_str()).await
    }

    async fn sweep_sessions(&self, now: Instant, idle_since: Instant) -> StoreResult<u64> {
        let mut over: HashMap<UserId, Vec<Session>> = HashMap::new();
        for row in self.scan(Table::Sessions).await? {
            let session = read(&row)?;
            if session.expires_at <= now || session.last_seen_at < idle_since {
                over.entry(session.user_id.clone()).or_default().push(session);
            }
        }
        let mut count = 0;
        for (user, sessions) in over {
            let is_over = |id: &str| sessions.iter().any(|session| session.id.as_str() == id);
            count += match self.end_sessions(&user, None, is_over).await {
                Err(StoreError::NotFound(_)) => 0,
                ended => ended?,
            };
            // Also those that counted no longer: nobody else looks at them again.
            let rows = sessions.into_iter().map(|session| (session.id.to_string(), session.secret_hash));
            self.forget_sessions(rows.collect()).await;
        }
        Ok(count)
    }
}
