//! Forms of models: rename, delete.

use leptos::prelude::*;

use super::{Call, Then, reply};

#[server(prefix = "/fn", endpoint = "rename_model")]
pub async fn rename_model(id: String, name: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.models.rename(&actor, &id, &name).await?;
        Ok(Then::to(format!("/models/{id}")).notice("The name was saved."))
    };
    let result = result.await;
    reply(&call, "rename", &[("name", &name)], result)
}

#[server(prefix = "/fn", endpoint = "delete_model")]
pub async fn delete_model(id: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.delete_model(&actor, &id).await?;
        Ok(Then::to("/models").notice("The model was deleted."))
    };
    let result = result.await;
    reply(&call, "delete", &[], result)
}
