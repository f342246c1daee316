//! The form of a JumpStart model: accepting its licence.

use leptos::prelude::*;

use super::{Call, Then, reply};

#[server(prefix = "/fn", endpoint = "accept_licence")]
pub async fn accept_licence(id: String, version: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        let shown = call.state.catalogue.accept(&actor, &id, Some(&version)).await?;
        Ok(Then::to(format!("/models/jumpstart/{}", shown.model.id)).notice("Your acceptance was recorded."))
    };
    let result = result.await;
    reply(&call, "licence", &[], result)
}
