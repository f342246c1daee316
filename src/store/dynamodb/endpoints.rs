//! Hosted models.

use super::super::{EndpointUpdate, Endpoints, Page, PageRequest, StoreError, StoreResult};
use super::{
    DynamoStore, accounts,
    error::Turns,
    item::Item,
    lists::{by_age, entry as list_entry, names, unique},
    reading::{Part, Range},
    tables::{Key, Table},
    transaction::{Refused, Row, Transaction},
};
use crate::domain::{
    audit::AuditEntry,
    endpoint::{Endpoint, EndpointState},
    ids::{EndpointId, ModelId, UserId},
    time::Instant,
};
use async_trait::async_trait;

/// Those that are not deleted: what may cost money.
const OPEN: &str = "open-endpoints";

fn key(id: &EndpointId) -> Key {
    Key::of(Table::Endpoints, id.as_str())
}

fn of_user(user: &UserId) -> String {
    format!("endpoints:{user}")
}

fn read(item: &Item) -> StoreResult<Endpoint> {
    Ok(Endpoint {
        id: item.parsed("id", EndpointId::parse)?,
        user_id: item.parsed("user_id", UserId::parse)?,
        model_id: item.parsed("model_id", ModelId::parse)?,
        model_name: item.text("model_name")?,
        name: item.text("name")?,
        instance_type: item.text("instance_type")?,
        state: state(item)?,
        phase: item.text("phase")?,
        failure: item.optional_text("failure")?,
        next_step: item.optional_text("next_step")?,
        idle_seconds: item.count("idle_seconds")?,
        price_per_hour: item.optional_money("price_per_hour")?,
        created_at: item.instant("created_at")?,
        in_service_at: item.optional_instant("in_service_at")?,
        last_used_at: item.instant("last_used_at")?,
        ended_at: item.optional_instant("ended_at")?,
    })
}

/// A new endpoint's row.
fn item(endpoint: &Endpoint) -> Item {
    Item::default()
        .with("user_id", &endpoint.user_id)
        .with("model_id", &endpoint.model_id)
        .with("model_name", &endpoint.model_name)
        .with("name", &endpoint.name)
        .with("instance_type", &endpoint.instance_type)
        .with("state", EndpointState::Creating.as_str())
        .with("phase", &endpoint.phase)
        .with("idle_seconds", endpoint.idle_seconds)
        .with("price_per_hour", endpoint.price_per_hour)
        .with("created_at", endpoint.created_at)
        .with("last_used_at", endpoint.last_used_at)
}

fn state(item: &Item) -> StoreResult<EndpointState> {
    item.parsed("state", EndpointState::parse)
}

/// Keeps the list of open endpoints as the row will be.
fn list_open(tx: &mut Transaction<'_>, before: &Row, after: &Item) -> StoreResult<()> {
    let is_open = |item: &Item| Ok::<_, StoreError>(state(item)? != EndpointState::Deleted);
    let id = &before.key.hash;
    let place = list_entry(OPEN, by_age(after.instant("created_at")?, id));
    match (is_open(&before.item)?, is_open(after)?) {
        (true, false) => tx.delete(&place),
        (false, true) => tx.put(&place, names(id)),
        _ => {}
    }
    Ok(())
}

#[async_trait]
impl Endpoints for DynamoStore {
    async fn create_endpoint(&self, endpoint: &Endpoint, entry: &AuditEntry) -> StoreResult<()> {
        let mut turns = Turns::default();
        loop {
            let id = || names(endpoint.id.as_str());
            let mut tx = self.transaction();
            tx.require(&accounts::key(&endpoint.user_id), Refused::Error(StoreError::NotFound("user")));
            tx.create(&unique("endpoint-name", &endpoint.name), id(), StoreError::Taken("endpoint name"));
            tx.create(&key(&endpoint.id), item(endpoint), StoreError::Taken("id"));
            for list in [of_user(&endpoint.user_id), OPEN.to_owned()] {
                tx.put(&list_entry(list, by_age(endpoint.created_at, endpoint.id.as_str())), id());
            }
            tx.audit(entry);
            if tx.commit().await? {
                return Ok(());
            }
            turns.next().await?;
        }
    }

    async fn endpoint(&self, id: &EndpointId) -> StoreResult<Option<Endpoint>> {
        self.get(&key(id)).await?.as_ref().map(read).transpose()
    }

    async fn list_endpoints(&self, user: &UserId, request: &PageRequest) -> StoreResult<Page<Endpoint>> {
        self.page(of_user(user), Table::Endpoints, request).await?.try_map(|item| read(&item))
    }

    async fn open_endpoints(&self) -> StoreResult<Vec<Endpoint>> {
        let oldest_first =
            Part { table: Table::Index, hash: OPEN.to_owned(), range: Range::All, newest_first: false };
        let entries = self.query(oldest_first, usize::MAX).await?;
        let rows = self.rows_of(Table::Endpoints, entries).await?;
        let mut endpoints = rows.iter().map(|(_, item)| read(item)).collect::<StoreResult<Vec<_>>>()?;
        endpoints.retain(|endpoint| endpoint.state != EndpointState::Deleted);
        Ok(endpoints)
    }

    async fn update_endpoint(
        &self,
        id: &EndpointId,
        from: EndpointState,
        update: &EndpointUpdate,
    ) -> StoreResult<()> {
        const IN_THIS_STATE: &str = "endpoint in this state";
        let edit = |endpoint: &mut Item| {
            if state(endpoint)? != from {
                return Err(StoreError::NotFound(IN_THIS_STATE));
            }
            endpoint.set_some("state", update.state.map(EndpointState::as_str));
            endpoint.set_some("phase", &update.phase);
            endpoint.set_some("failure", &update.failure);
            endpoint.set_some("next_step", &update.next_step);
            endpoint.set_some("in_service_at", update.in_service_at);
            endpoint.set_some("ended_at", update.ended_at);
            Ok(())
        };
        self.edit_with(key(id), IN_THIS_STATE, None, edit, list_open).await
    }

    async fn end_endpoint(&self, id: &EndpointId, phase: &str, entry: &AuditEntry) -> StoreResult<()> {
        let edit = |endpoint: &mut Item| {
            if state(endpoint)? == EndpointState::Deleted {
                return Err(StoreError::NotFound("endpoint"));
            }
            endpoint.set("state", EndpointState::Deleting.as_str());
            endpoint.set("phase", phase);
            Ok(())
        };
        self.edit_with(key(id), "endpoint", Some(entry), edit, list_open).await
    }

    async fn touch_endpoint(&self, id: &EndpointId, at: Instant) -> StoreResult<()> {
        let later = |endpoint: &mut Item| {
            if endpoint.instant("last_used_at")? >= at {
                return Err(StoreError::NotFound("earlier use"));
            }
            endpoint.set("last_used_at", at);
            Ok(())
        };
        match self.edit(key(id), "endpoint", None, later).await {
            // Gone, or used since: nothing to note.
            Err(StoreError::NotFound(_)) => Ok(()),
            other => other,
        }
    }
}
