//! The browser's side of a streamed answer: fetch, read the events as they come, stop.

use super::Answer;
use crate::web::format;
use leptos::prelude::*;
use std::cell::RefCell;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    AbortController, Headers, ReadableStreamDefaultReader, RequestInit, Response, TextDecodeOptions,
    TextDecoder,
};

thread_local! {
    /// What is under way; aborting it closes the request, which ends the answer on the server.
    static RUNNING: RefCell<Vec<AbortController>> = const { RefCell::new(Vec::new()) };
}

pub fn stop_all() {
    RUNNING.with_borrow_mut(|running| running.drain(..).for_each(|controller| controller.abort()));
}

pub fn copy(text: &str) {
    if let Some(window) = web_sys::window() {
        let _ = window.navigator().clipboard().write_text(text);
    }
}

/// The words in the field of this id, if there are any.
pub fn typed(id: &str) -> Option<String> {
    let field = web_sys::window()?.document()?.get_element_by_id(id)?;
    let words = js_sys::Reflect::get(&field, &"value".into()).ok()?.as_string()?;
    (!words.trim().is_empty()).then_some(words)
}

pub fn run(body: String, answer: RwSignal<Answer>) {
    answer.update(|answer| answer.running = true);
    spawn_local(async move {
        let outcome = stream(&body, answer).await;
        answer.update(|answer| {
            answer.running = false;
            if let Err(error) = outcome {
                let name =
                    js_sys::Reflect::get(&error, &"name".into()).ok().and_then(|name| name.as_string());
                if name.as_deref() == Some("AbortError") {
                    answer.figures = "Stopped".to_owned();
                } else {
                    answer.failure = Some(error.as_string().unwrap_or_else(|| {
                        "The answer broke off. Check the connection and try again.".to_owned()
                    }));
                }
            }
        });
    });
}

async fn stream(body: &str, answer: RwSignal<Answer>) -> Result<(), JsValue> {
    let controller = AbortController::new()?;
    let init = RequestInit::new();
    init.set_method("POST");
    init.set_body(&body.into());
    init.set_signal(Some(&controller.signal()));
    let headers = Headers::new()?;
    headers.set("content-type", "application/json")?;
    headers.set("accept", "text/event-stream")?;
    init.set_headers(&headers);
    RUNNING.with_borrow_mut(|running| running.push(controller));
    let window = web_sys::window().ok_or(JsValue::NULL)?;
    let response: Response =
        JsFuture::from(window.fetch_with_str_and_init("/api/playground/generate", &init))
            .await?
            .dyn_into()?;
    if !response.ok() {
        let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let message = json["error"]["message"].as_str().unwrap_or("The server refused the question.");
        let next_step = json["error"]["next_step"].as_str().unwrap_or_default();
        return Err(format!("{message} {next_step}").trim().into());
    }
    let reader: ReadableStreamDefaultReader =
        response.body().ok_or(JsValue::NULL)?.get_reader().dyn_into()?;
    let decoder = TextDecoder::new()?;
    let options = TextDecodeOptions::new();
    options.set_stream(true);
    let mut pending = String::new();
    loop {
        let chunk = JsFuture::from(reader.read()).await?;
        if js_sys::Reflect::get(&chunk, &"done".into())?.is_truthy() {
            return Ok(());
        }
        let bytes: js_sys::Uint8Array = js_sys::Reflect::get(&chunk, &"value".into())?.dyn_into()?;
        pending.push_str(&decoder.decode_with_js_u8_array_and_options(&bytes, &options)?);
        while let Some(end) = pending.find("\n\n") {
            let event: String = pending.drain(..end + 2).collect();
            take(&event, answer);
        }
    }
}

/// One server-sent event: `event: name` and `data: json`.
fn take(event: &str, answer: RwSignal<Answer>) {
    let field = |name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start).unwrap_or_default()
    };
    let data: serde_json::Value = serde_json::from_str(field("data:")).unwrap_or_default();
    match field("event:") {
        "text" => answer.update(|answer| answer.text.push_str(data.as_str().unwrap_or_default())),
        "end" => answer.update(|answer| {
            answer.figures = format::answered(
                &answer.text,
                data["tokens"].as_u64().unwrap_or(0),
                data["tokens_per_second"].as_f64().unwrap_or(0.0),
                data["finish_reason"].as_str().unwrap_or_default(),
            );
        }),
        "failed" => answer.update(|answer| answer.failure = data.as_str().map(str::to_owned)),
        _ => {}
    }
}
