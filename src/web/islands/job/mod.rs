//! A job as it runs: loss chart, log and samples, fed by one stream of server-sent events that resumes where it broke
//! off. Until the stream speaks (or without JavaScript) the server-rendered children stand in its place.

mod chart;
#[cfg(feature = "hydrate")]
mod feed;
mod state;

pub use state::{History, add_point};

use leptos::prelude::*;
use state::{Feed, Link};

#[island]
pub fn JobLive(
    /// Where the events come from.
    stream: String,
    /// What stands where samples would, until there are some.
    no_samples: String,
    children: Children,
) -> impl IntoView {
    let feed = RwSignal::new(Feed::default());
    let link = RwSignal::new(Link::Waiting);
    let live = Memo::new(move |_| link.get() != Link::Waiting);
    #[cfg(feature = "hydrate")]
    feed::follow(stream, feed, link);
    #[cfg(not(feature = "hydrate"))]
    let _ = stream;
    view! {
        <div hidden=move || live.get()>{children()}</div>
        <div class="stack-lg" hidden=move || !live.get()>
            <p class="muted t-12" hidden=move || link.get() != Link::Broken role="status">
                "The connection broke off. Trying again; nothing is lost."
            </p>
            {chart::chart(feed)}
            <div class="job-columns">
                <section class="card" aria-label="Samples">
                    <div class="card-head"><h2>"Samples"</h2><span class="muted t-12">{move || feed.with(Feed::samples_caption)}</span></div>
                    <div class="card-body">{move || samples(feed, &no_samples)}</div>
                </section>
                <section class="card" aria-label="Log">
                    <div class="card-head"><h2>"Log"</h2>{follow_box(feed)}</div>
                    {log(feed)}
                </section>
            </div>
        </div>
    }
}

fn samples(feed: RwSignal<Feed>, none: &str) -> impl IntoView + use<> {
    let samples = feed.with(|feed| feed.samples.clone());
    if samples.is_empty() {
        return view! { <p class="muted">{none.to_owned()}</p> }.into_any();
    }
    samples
        .into_iter()
        .map(|sample| {
            let right = sample.right();
            view! {
                <article class="sample">
                    <p class="sample-prompt" dir="auto">{sample.prompt}</p>
                    <p class="sample-answer mono" dir="auto">{sample.output}</p>
                    {match right {
                        Some(true) => view! { <p class="sample-verdict is-right">"Right"</p> }.into_any(),
                        Some(false) => view! { <p class="sample-verdict">"Expected "<span class="mono" dir="auto">{sample.expected}</span></p> }.into_any(),
                        None => ().into_any(),
                    }}
                </article>
            }
        })
        .collect_view()
        .into_any()
}

fn follow_box(feed: RwSignal<Feed>) -> impl IntoView {
    let follow = move || feed.with(|feed| feed.follow);
    view! {
        <label class="check">
            <input type="checkbox" prop:checked=follow on:change=move |event| feed.update(|feed| feed.follow = event_target_checked(&event))/>
            "Follow"
        </label>
    }
}

fn log(feed: RwSignal<Feed>) -> impl IntoView {
    let pane = NodeRef::<leptos::html::Pre>::new();
    Effect::new(move |_| {
        let follow = feed.with(|feed| feed.follow && !feed.log.is_empty());
        if follow && let Some(pane) = pane.get() {
            pane.set_scroll_top(pane.scroll_height());
        }
    });
    view! { <pre class="log log-live" node_ref=pane tabindex="0" role="group" aria-label="Log">{move || feed.with(|feed| feed.log.join("\n"))}</pre> }.into_any()
}
