//! Turns a view into a string outside a Leptos route: fragments for htmx, error pages, pages served by
//! plain axum handlers. Not for streaming: a view must not wait for anything.

use hydration_context::SsrSharedContext;
use leptos::prelude::*;
use std::sync::Arc;

/// Renders `view` under an owner of its own, which is disposed of afterwards.
///
/// Fetch everything before the call: nothing inside may await. Views need the owner because their
/// signals live in arenas that belong to one request.
///
/// ```ignore
/// let rows = datasets.list(&actor).await?;
/// Html(render(|| view! { <DatasetRows rows=rows/> }))
/// ```
pub fn render<V: IntoView>(view: impl FnOnce() -> V) -> String {
    // Islands with children ask it whether they are drawn to be woken.
    let owner = Owner::new_root(Some(Arc::new(SsrSharedContext::new_islands())));
    let html = owner.with(|| view().into_view().to_html());
    owner.unset_with_forced_cleanup();
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_text_and_attributes() {
        let name = "<b a=\"1\">".to_owned();
        let html = render(|| view! { <p title=name.clone()>{name.clone()}</p> });
        assert_eq!(html, "<p title=\"&lt;b a=&quot;1&quot;&gt;\">&lt;b a=\"1\"&gt;</p>");
    }
}
