//! People's accounts. A user's row also lists the sessions that count, and sums up the bytes of the datasets.

use super::super::{Accounts, Page, PageRequest, StoreError, StoreResult};
use super::{
    DynamoStore,
    error::Turns,
    item::Item,
    lists::{by_age, entry as list_entry, names, unique},
    sessions::Listed,
    tables::{Key, Table},
};
use crate::domain::{
    account::{Email, Role, User},
    audit::AuditEntry,
    ids::{SessionId, UserId},
};
use async_trait::async_trait;

const LIST: &str = "users";

pub(super) fn key(id: &UserId) -> Key {
    Key::of(Table::Users, id.as_str())
}

pub(super) fn read(item: &Item) -> StoreResult<User> {
    Ok(User {
        id: item.parsed("id", UserId::parse)?,
        email: Email::from_stored(item.text("email")?),
        full_name: item.text("full_name")?,
        password_hash: item.text("password_hash")?,
        role: item.parsed("role", Role::parse)?,
        disabled: item.flag("disabled")?,
        created_at: item.instant("created_at")?,
    })
}

fn item(user: &User) -> Item {
    Item::default()
        .with("email", &user.email)
        .with("full_name", &user.full_name)
        .with("password_hash", &user.password_hash)
        .with("role", user.role.as_str())
        .with("disabled", user.disabled)
        .with("created_at", user.created_at)
}

#[async_trait]
impl Accounts for DynamoStore {
    async fn create_user(&self, user: &User, entry: &AuditEntry) -> StoreResult<User> {
        let first_user = unique("first-user", "");
        let mut turns = Turns::default();
        loop {
            let first = self.get(&first_user).await?.is_none();
            let stored = User { role: if first { Role::Admin } else { user.role }, ..user.clone() };
            let mut tx = self.transaction();
            tx.create(
                &unique("email", user.email.as_str()),
                names(user.id.as_str()),
                StoreError::Taken("email"),
            );
            tx.create(&key(&user.id), item(&stored), StoreError::Taken("id"));
            if first {
                tx.create_unless_quicker(&first_user, names(user.id.as_str()));
            }
            tx.put(&list_entry(LIST, by_age(user.created_at, user.id.as_str())), names(user.id.as_str()));
            tx.audit(entry);
            if tx.commit().await? {
                return self.user(&user.id).await?.ok_or(StoreError::NotFound("user"));
            }
            turns.next().await?;
        }
    }

    async fn user(&self, id: &UserId) -> StoreResult<Option<User>> {
        self.get(&key(id)).await?.as_ref().map(read).transpose()
    }

    async fn user_by_email(&self, email: &Email) -> StoreResult<Option<User>> {
        let Some(id) = self.named(&unique("email", email.as_str())).await? else { return Ok(None) };
        self.get(&Key::of(Table::Users, id)).await?.as_ref().map(read).transpose()
    }

    async fn count_users(&self) -> StoreResult<u64> {
        self.count(Table::Index, LIST).await
    }

    async fn list_users(&self, request: &PageRequest) -> StoreResult<Page<User>> {
        self.page(LIST.to_owned(), Table::Users, request).await?.try_map(|item| read(&item))
    }

    async fn set_full_name(&self, id: &UserId, full_name: &str, entry: &AuditEntry) -> StoreResult<()> {
        self.edit(key(id), "user", Some(entry), |user| {
            user.set("full_name", full_name);
            Ok(())
        })
        .await
    }

    async fn set_password(
        &self,
        id: &UserId,
        password_hash: &str,
        keep: Option<&SessionId>,
        entry: &AuditEntry,
    ) -> StoreResult<()> {
        let ended = self
            .edit(key(id), "user", Some(entry), |user| {
                user.set("password_hash", password_hash);
                let mut sessions = Listed::read(user)?;
                let ended = sessions.end(|session| Some(session) != keep.map(SessionId::as_str));
                sessions.write(user);
                Ok(ended)
            })
            .await?;
        self.forget_sessions(ended).await;
        Ok(())
    }

    async fn set_password_hash(&self, id: &UserId, password_hash: &str) -> StoreResult<()> {
        self.edit(key(id), "user", None, |user| {
            user.set("password_hash", password_hash);
            Ok(())
        })
        .await
    }

    async fn set_role(&self, id: &UserId, role: Role, entry: &AuditEntry) -> StoreResult<()> {
        self.edit(key(id), "user", Some(entry), |user| {
            user.set("role", role.as_str());
            Ok(())
        })
        .await
    }

    async fn set_disabled(&self, id: &UserId, disabled: bool, entry: &AuditEntry) -> StoreResult<()> {
        let ended = self
            .edit(key(id), "user", Some(entry), |user| {
                user.set("disabled", disabled);
                let mut sessions = Listed::read(user)?;
                let ended = sessions.end(|_| disabled);
                sessions.write(user);
                Ok(ended)
            })
            .await?;
        self.forget_sessions(ended).await;
        Ok(())
    }
}
