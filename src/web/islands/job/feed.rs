//! The browser's EventSource: reconnects by itself and sends the last event's id, so that nothing is lost or doubled.

use super::state::{Feed, Link};
use leptos::prelude::*;
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{CustomEvent, EventSource, MessageEvent};

const KINDS: [&str; 5] = ["history", "metric", "log", "sample", "state"];

pub fn follow(url: String, feed: RwSignal<Feed>, link: RwSignal<Link>) {
    Effect::new(move |_| {
        let Ok(source) = EventSource::new(&url) else { return };
        for kind in KINDS {
            let on_event = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                let data = event.data().as_string().unwrap_or_default();
                link.set(Link::Open);
                feed.update(|feed| feed.take(kind, &data));
                if kind == "state" || kind == "metric" {
                    tell_page();
                }
            });
            let _ = source.add_event_listener_with_callback(kind, on_event.as_ref().unchecked_ref());
            // The island lives as long as the page.
            on_event.forget();
        }
        let over = {
            let source = source.clone();
            Closure::<dyn FnMut()>::new(move || {
                link.set(Link::Over);
                source.close();
                tell_page();
            })
        };
        let _ = source.add_event_listener_with_callback("end", over.as_ref().unchecked_ref());
        over.forget();
        let broken = Closure::<dyn FnMut()>::new(move || {
            if link.get_untracked() == Link::Open {
                link.set(Link::Broken);
            }
        });
        source.set_onerror(Some(broken.as_ref().unchecked_ref()));
        broken.forget();
    });
}

thread_local! {
    static LAST: std::cell::Cell<f64> = const { std::cell::Cell::new(0.0) };
}

/// Lets htmx fetch the head again, at most once a second.
fn tell_page() {
    let now = js_sys::Date::now();
    if now - LAST.get() < 1_000.0 {
        return;
    }
    LAST.set(now);
    let body = web_sys::window().and_then(|window| window.document()).and_then(|document| document.body());
    if let (Some(body), Ok(event)) = (body, CustomEvent::new("job-news")) {
        let _ = body.dispatch_event(&event);
    }
}
