//! Forms of costs: a person's budget.

use leptos::prelude::*;

use super::{Call, Then, reply};

#[server(prefix = "/fn", endpoint = "set_budget")]
pub async fn set_budget(user: String, budget: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        let amount = crate::services::costs::parse_budget(&budget)?;
        call.state.costs.set_budget(&actor, &user, amount).await?;
        let words = match amount {
            Some(amount) => format!("The budget is {amount} a month now."),
            None => "There is no budget any more: nothing limits what this person spends.".to_owned(),
        };
        Ok(Then::to(call.back()).notice(words))
    };
    let result = result.await;
    // Each person's form has a name of its own: the errors come back to the one that was sent.
    let form = format!("budget-{user}");
    reply(&call, &form, &[("budget", &budget)], result)
}
