//! Conversations: previews of chat data, and the playground.

use super::MaybeText;
use leptos::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatRole {
    System,
    User,
    Assistant,
}

/// One message. Children go below the text: figures, copy, retry. Stands in `<div class="chat">`.
#[component]
pub fn ChatBubble(
    role: ChatRole,
    #[prop(into)] text: String,
    /// Instead of the role's name: the model's.
    #[prop(optional, into)]
    who: MaybeText,
    /// The answer is still coming.
    #[prop(optional)]
    streaming: bool,
    #[prop(optional, into)] id: MaybeText,
    #[prop(optional)] children: Option<Children>,
) -> impl IntoView {
    let (class, name) = match role {
        ChatRole::System => ("bubble bubble-system", "System"),
        ChatRole::User => ("bubble bubble-user", "User"),
        ChatRole::Assistant => ("bubble", "Assistant"),
    };
    view! {
        <article class=class id=id.0 aria-busy=streaming.then_some("true")>
            <span class="who">{who.0.unwrap_or_else(|| name.to_owned())}</span>
            <div class="says" dir="auto">{text}</div>
            {children.map(|children| view! { <footer>{children()}</footer> })}
        </article>
    }
    .into_any()
}
