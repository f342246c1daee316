//! The bundled samples as cards, each added by one press.

use crate::web::{
    components::{Button, Card},
    format,
    icons::Icon,
};
use leptos::prelude::*;
use llm_tuner_dataset::samples::{Bundled, LICENCE};

/// All samples. `open` where there is nothing else to look at; folded away otherwise.
pub fn gallery(samples: Vec<Bundled>, open: bool) -> AnyView {
    let cards = samples.into_iter().map(card).collect_view();
    view! {
        <details class="more" open=open>
            <summary>{crate::web::icons::icon(Icon::Next)}"Sample data"</summary>
            <div class="choices">{cards}</div>
        </details>
    }
    .into_any()
}

fn card(bundled: Bundled) -> impl IntoView {
    let sample = bundled.sample;
    let size = format::bytes(bundled.content.len() as u64);
    let label = format!("Add {}", sample.title);
    let href = format!("/samples/{}", sample.file_name);
    view! {
        <Card title=sample.title>
            <div class="stack">
                <p class="muted t-13">{sample.description}</p>
                <p class="muted t-12 figure">{format!("{}, {size}, {LICENCE}", sample.format.label())}</p>
                <form method="post" action="/fn/add_sample" class="actions">
                    <input type="hidden" name="slug" value=sample.slug/>
                    <Button small=true icon=Icon::Plus attr:aria-label=label>"Add"</Button>
                    <a class="link t-12" href=href>"See the file"</a>
                </form>
            </div>
        </Card>
    }
}
