//! Hosted models.

use super::super::{EndpointUpdate, Endpoints, Page, PageRequest, StoreError, StoreResult};
use super::{
    SqlStore, audit,
    error::reference,
    found,
    page::{After, limit, page},
    value::{Row, args},
};
use crate::domain::{
    audit::AuditEntry,
    endpoint::{Endpoint, EndpointState},
    ids::{EndpointId, ModelId, UserId},
    time::Instant,
};
use async_trait::async_trait;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, user_id, model_id, model_name, name, instance_type, state, phase, failure, next_step, ",
            "idle_seconds, price_per_hour, created_at, in_service_at, last_used_at, ended_at from endpoints ",
            $rest
        )
    };
}

fn read(row: &Row) -> StoreResult<Endpoint> {
    Ok(Endpoint {
        id: row.parsed("id", EndpointId::parse)?,
        user_id: row.parsed("user_id", UserId::parse)?,
        model_id: row.parsed("model_id", ModelId::parse)?,
        model_name: row.text("model_name")?,
        name: row.text("name")?,
        instance_type: row.text("instance_type")?,
        state: row.parsed("state", EndpointState::parse)?,
        phase: row.text("phase")?,
        failure: row.optional_text("failure")?,
        next_step: row.optional_text("next_step")?,
        idle_seconds: row.count("idle_seconds")?,
        price_per_hour: row.optional_money("price_per_hour")?,
        created_at: row.instant("created_at")?,
        in_service_at: row.optional_instant("in_service_at")?,
        last_used_at: row.instant("last_used_at")?,
        ended_at: row.optional_instant("ended_at")?,
    })
}

#[async_trait]
impl Endpoints for SqlStore {
    async fn create_endpoint(&self, endpoint: &Endpoint, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        tx.execute(
            "insert into endpoints (id, user_id, model_id, model_name, name, instance_type, state, phase,
                 idle_seconds, price_per_hour, created_at, last_used_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            args![
                &endpoint.id,
                &endpoint.user_id,
                &endpoint.model_id,
                &endpoint.model_name,
                &endpoint.name,
                &endpoint.instance_type,
                EndpointState::Creating.as_str(),
                &endpoint.phase,
                endpoint.idle_seconds,
                endpoint.price_per_hour,
                endpoint.created_at,
                endpoint.last_used_at
            ],
        )
        .await
        .map_err(|error| reference(error, StoreError::NotFound("user")))?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn endpoint(&self, id: &EndpointId) -> StoreResult<Option<Endpoint>> {
        self.fetch_optional(select!("where id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    async fn list_endpoints(&self, user: &UserId, request: &PageRequest) -> StoreResult<Page<Endpoint>> {
        let after = After::of(request);
        let rows = self
            .fetch(
                select!(
                    "where user_id = $1 and (created_at, id) < ($2, $3)
                     order by created_at desc, id desc limit $4"
                ),
                vec![user.into(), after.at.into(), after.id.into(), limit(request)],
            )
            .await?;
        page(&rows, request, read, |one| (one.created_at.micros(), one.id.to_string()))
    }

    async fn open_endpoints(&self) -> StoreResult<Vec<Endpoint>> {
        let rows = self.fetch(select!("where state <> 'deleted' order by created_at, id"), args![]).await?;
        rows.iter().map(read).collect()
    }

    async fn update_endpoint(
        &self,
        id: &EndpointId,
        from: EndpointState,
        update: &EndpointUpdate,
    ) -> StoreResult<()> {
        let touched = self
            .execute(
                "update endpoints set state = coalesce($3, state), phase = coalesce($4, phase),
                     failure = coalesce($5, failure), next_step = coalesce($6, next_step),
                     in_service_at = coalesce($7, in_service_at), ended_at = coalesce($8, ended_at)
                 where id = $1 and state = $2",
                args![
                    id,
                    from.as_str(),
                    update.state.map(EndpointState::as_str),
                    &update.phase,
                    &update.failure,
                    &update.next_step,
                    update.in_service_at,
                    update.ended_at
                ],
            )
            .await?;
        found(touched, "endpoint in this state")
    }

    async fn end_endpoint(&self, id: &EndpointId, phase: &str, entry: &AuditEntry) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        let touched = tx
            .execute(
                "update endpoints set state = 'deleting', phase = $2 where id = $1 and state <> 'deleted'",
                args![id, phase],
            )
            .await?;
        found(touched, "endpoint")?;
        audit::append(&mut tx, entry).await?;
        tx.commit().await
    }

    async fn touch_endpoint(&self, id: &EndpointId, at: Instant) -> StoreResult<()> {
        self.execute(
            "update endpoints set last_used_at = $2 where id = $1 and last_used_at < $2",
            args![id, at],
        )
        .await?;
        Ok(())
    }
}
