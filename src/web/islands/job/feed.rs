//! The browser's EventSource: reconnects by itself and sends the last event's id, so that nothing is lost or doubled.
//! Where it gives up for good (a proxy answers in place of the server that restarts), a new one takes over.

use super::state::{Feed, Link};
use leptos::prelude::*;
use std::{cell::RefCell, rc::Rc, time::Duration};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{CustomEvent, EventSource, MessageEvent};

const KINDS: [&str; 5] = ["history", "metric", "log", "sample", "state"];
/// The pause before a new stream takes over.
const PAUSE: Duration = Duration::from_secs(3);

/// A job's stream, and what it fills.
#[derive(Clone)]
struct Stream {
    url: String,
    /// The id of the last event that was taken in; empty before the first.
    seen: Rc<RefCell<String>>,
    feed: RwSignal<Feed>,
    link: RwSignal<Link>,
}

pub fn follow(url: String, feed: RwSignal<Feed>, link: RwSignal<Link>) {
    let stream = Stream { url, seen: Rc::default(), feed, link };
    Effect::new(move |_| stream.open());
}

impl Stream {
    /// Goes on after the last event. The closures live as long as the page.
    fn open(&self) {
        let Ok(source) = EventSource::new(&self.address()) else { return };
        for kind in KINDS {
            let this = self.clone();
            let on_event = Closure::<dyn FnMut(MessageEvent)>::new(move |event| this.take(kind, &event));
            let _ = source.add_event_listener_with_callback(kind, on_event.as_ref().unchecked_ref());
            on_event.forget();
        }
        let (link, ended) = (self.link, source.clone());
        let over = Closure::<dyn FnMut()>::new(move || {
            link.set(Link::Over);
            ended.close();
            tell_page();
        });
        let _ = source.add_event_listener_with_callback("end", over.as_ref().unchecked_ref());
        over.forget();
        let (this, failed) = (self.clone(), source.clone());
        let broken = Closure::<dyn FnMut()>::new(move || this.broken(&failed));
        source.set_onerror(Some(broken.as_ref().unchecked_ref()));
        broken.forget();
    }

    fn address(&self) -> String {
        match self.seen.borrow().as_str() {
            "" => self.url.clone(),
            last => format!("{}?after={last}", self.url),
        }
    }

    fn take(&self, kind: &str, event: &MessageEvent) {
        *self.seen.borrow_mut() = event.last_event_id();
        self.link.set(Link::Open);
        self.feed.update(|feed| feed.take(kind, &event.data().as_string().unwrap_or_default()));
        if kind == "state" || kind == "metric" {
            tell_page();
        }
    }

    fn broken(&self, source: &EventSource) {
        if self.link.get_untracked() == Link::Open {
            self.link.set(Link::Broken);
        }
        if source.ready_state() == EventSource::CLOSED {
            let this = self.clone();
            set_timeout(move || this.open(), PAUSE);
        }
    }
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
