//! Forms of endpoints: deploy, delete.

use leptos::prelude::*;

use super::{Call, Then, reply};
use crate::services::{error::ServiceError, hosting::Wanted};

#[server(prefix = "/fn", endpoint = "deploy_model")]
pub async fn deploy_model(
    model: String,
    instance_type: String,
    idle_minutes: String,
    idempotency_key: String,
) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        let minutes = idle_minutes.trim().parse().map_err(|_| {
            ServiceError::invalid("idle_minutes", "The idle limit is a whole number of minutes, 15 to 1440.")
        })?;
        let wanted = Wanted {
            model: model.clone(),
            instance_type: instance_type.clone(),
            idle_minutes: minutes,
            key: Some(idempotency_key.clone()),
        };
        let endpoint = call.state.endpoints.deploy(&actor, &wanted).await?;
        Ok(Then::to(format!("/endpoints/{}", endpoint.id)))
    };
    let result = result.await;
    let typed = [
        ("instance_type", instance_type.as_str()),
        ("idle_minutes", idle_minutes.as_str()),
        ("idempotency_key", idempotency_key.as_str()),
    ];
    reply(&call, "deploy", &typed, result)
}

#[server(prefix = "/fn", endpoint = "delete_endpoint")]
pub async fn delete_endpoint(id: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.endpoints.delete(&actor, &id).await?;
        Ok(Then::to(format!("/endpoints/{id}")).notice("The endpoint is being deleted."))
    };
    let result = result.await;
    reply(&call, "delete", &[], result)
}
