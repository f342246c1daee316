//! The form that begins a look at AWS.

use leptos::prelude::*;

use super::{Call, Then, reply};

#[server(prefix = "/fn", endpoint = "check_aws")]
pub async fn check_aws() -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.checkups.begin(&actor).await?;
        Ok(Then::to("/settings/aws"))
    };
    let result = result.await;
    reply(&call, "check", &[], result)
}
