//! The bundled samples as cards, each added by one press.

use crate::services::datasets::samples::Sample;
use crate::web::{
    components::{Button, Card},
    format,
    icons::Icon,
};
use leptos::prelude::*;

/// All samples. `open` where there is nothing else to look at; folded away otherwise.
pub fn gallery(samples: &'static [Sample], open: bool) -> AnyView {
    let cards = samples.iter().map(card).collect_view();
    view! {
        <details class="more" open=open>
            <summary>{crate::web::icons::icon(Icon::Next)}"Sample data"</summary>
            <div class="choices">{cards}</div>
        </details>
    }
    .into_any()
}

fn card(sample: &'static Sample) -> impl IntoView {
    let size = format::bytes(sample.bytes.len() as u64);
    let label = format!("Add {}", sample.title);
    let href = format!("/samples/{}", sample.file_name);
    view! {
        <Card title=sample.title>
            <div class="stack">
                <p class="muted t-13">{sample.description}</p>
                <p class="muted t-12 figure">{format!("{size}, {}", sample.licence)}</p>
                <form method="post" action="/fn/add_sample" class="actions">
                    <input type="hidden" name="slug" value=sample.slug/>
                    <Button small=true icon=Icon::Plus attr:aria-label=label>"Add"</Button>
                    <a class="link t-12" href=href>"See the file"</a>
                </form>
            </div>
        </Card>
    }
}
