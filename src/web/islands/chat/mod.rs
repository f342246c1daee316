//! The playground's conversation: asks one model, or two side by side, and shows the answers as they come. Without JavaScript the same form asks by GET and the page shows the answer (see `pages::playground`).

#[cfg(feature = "hydrate")]
mod stream;

use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// One column: a model, the base it was tuned from, or an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaker {
    pub model: String,
    /// `tuned` or `base`.
    pub side: String,
    pub name: String,
    /// On a machine elsewhere, whose first words may take long.
    pub far: bool,
}

/// The parameters' fields, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Settings {
    pub max_new_tokens: String,
    pub temperature: String,
    pub top_p: String,
    pub top_k: String,
    pub repetition_penalty: String,
    pub seed: String,
}

/// One question with an answer for each column.
#[derive(Clone)]
struct Exchange {
    id: u32,
    prompt: String,
    answers: Vec<RwSignal<Answer>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Answer {
    text: String,
    running: bool,
    /// Asked of an endpoint.
    far: bool,
    /// "42 tokens, 180 tokens/s".
    figures: String,
    failure: Option<String>,
}

#[island]
pub fn Chat(
    speakers: Vec<Speaker>,
    /// `chat`, `completion` or `text`.
    kind: String,
    settings: Settings,
    /// Typed before the page was asked for.
    prompt: String,
    /// What to offer as a first prompt.
    example: String,
) -> impl IntoView {
    let exchanges = RwSignal::new(Vec::<Exchange>::new());
    // What was typed before this ran stays.
    let text = RwSignal::new(typed().unwrap_or_else(|| prompt.clone()));
    let settings = RwSignal::new(settings);
    let running = Memo::new(move |_| {
        exchanges.with(|all| {
            all.iter().any(|one| one.answers.iter().any(|answer| answer.with(|answer| answer.running)))
        })
    });
    let placeholder = match kind.as_str() {
        "chat" => "Say something",
        "completion" => "Type a prompt like those in the data",
        _ => "Begin a text; the model goes on",
    };
    let is_chat = kind == "chat";
    let columns = StoredValue::new(speakers);
    let heads = columns.with_value(|speakers| {
        speakers.iter().map(|speaker| view! { <h2 class="ellipsis" title=speaker.name.clone()>{speaker.name.clone()}</h2> }).collect_view()
    });
    let ask = move |prompt: String| {
        if prompt.trim().is_empty() || running.get_untracked() {
            return;
        }
        let answers: Vec<_> = columns.with_value(|speakers| {
            speakers
                .iter()
                .map(|speaker| RwSignal::new(Answer { far: speaker.far, ..Answer::default() }))
                .collect()
        });
        let id = exchanges.with_untracked(|all| all.last().map_or(0, |last| last.id + 1));
        let history = if is_chat { exchanges.get_untracked() } else { Vec::new() };
        for (column, answer) in answers.iter().enumerate() {
            let speaker = columns.with_value(|speakers| speakers[column].clone());
            let body = question(&speaker, &settings.get_untracked(), is_chat, &history, column, &prompt);
            run(body, *answer);
        }
        exchanges.update(|all| all.push(Exchange { id, prompt, answers }));
        text.set(String::new());
    };
    let stop = move |_| {
        #[cfg(feature = "hydrate")]
        stream::stop_all();
    };
    let width = if columns.with_value(Vec::len) > 1 { "talk talk-two" } else { "talk" };
    view! {
        <section class=width aria-label="Conversation">
            <div class="talk-heads">{heads}</div>
            <div class="talk-exchanges" role="log" aria-live="polite">
                <For each=move || exchanges.get() key=|exchange| exchange.id let:exchange>
                    {exchange_view(exchange, Callback::new(ask))}
                </For>
            </div>
            <form class="talk-form" method="get" action="/playground" on:submit=move |event| {
                event.prevent_default();
                ask(text.get_untracked());
            }>
                {columns.with_value(|speakers| speakers.first().map(|speaker| view! {
                    <input type="hidden" name="model" value=speaker.model.clone()/>
                }))}
                {columns.with_value(|speakers| speakers.get(1).map(|second| {
                    let (name, value) =
                        if second.side == "base" { ("beside", "base".to_owned()) } else { ("other", second.model.clone()) };
                    view! { <input type="hidden" name=name value=value/> }
                }))}
                <label class="visually-hidden" for="prompt">"Prompt"</label>
                <textarea class="input" id="prompt" name="prompt" rows="3" placeholder=placeholder dir="auto"
                    prop:value=move || text.get()
                    on:input=move |event| text.set(event_target_value(&event))
                    on:keydown=move |event| {
                        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() {
                            event.prevent_default();
                            ask(text.get_untracked());
                        }
                    }>{prompt}</textarea>
                <div class="talk-actions">
                    <details class="talk-settings">
                        <summary>"Parameters"</summary>
                        <div class="talk-fields">
                            {number("max_new_tokens", "New tokens", settings, |s| &s.max_new_tokens, |s| &mut s.max_new_tokens)}
                            {number("temperature", "Temperature", settings, |s| &s.temperature, |s| &mut s.temperature)}
                            {number("top_p", "Top-p", settings, |s| &s.top_p, |s| &mut s.top_p)}
                            {number("top_k", "Top-k", settings, |s| &s.top_k, |s| &mut s.top_k)}
                            {number("repetition_penalty", "Repetition penalty", settings, |s| &s.repetition_penalty, |s| &mut s.repetition_penalty)}
                            {number("seed", "Seed", settings, |s| &s.seed, |s| &mut s.seed)}
                        </div>
                    </details>
                    <span class="talk-buttons">
                        {(!example.is_empty()).then(|| view! {
                            <button type="button" class="btn btn-quiet needs-js" on:click={
                                let example = example.clone();
                                move |_| text.set(example.clone())
                            }>"Use an example"</button>
                        })}
                        <button type="button" class="btn needs-js" hidden=move || !running.get() on:click=stop>"Stop"</button>
                        <button class="btn btn-primary" disabled=move || running.get()>"Ask"</button>
                    </span>
                </div>
            </form>
        </section>
    }
}

/// A question with its answers, one a column. Not an island: part of one.
fn exchange_view(exchange: Exchange, ask: Callback<String>) -> impl IntoView {
    let again = exchange.prompt.clone();
    let answers = exchange
        .answers
        .into_iter()
        .map(|answer| {
            let again = again.clone();
            view! {
                <article class="bubble" aria-busy=move || answer.with(|answer| answer.running.then_some("true"))>
                    <div class="says" dir="auto">{move || answer.with(|answer| answer.text.clone())}</div>
                    {move || answer.with(|answer| answer.far && answer.running && answer.text.is_empty()).then(|| view! {
                        <p class="muted t-12">"Waiting for the endpoint. The first words may take up to a minute."</p>
                    })}
                    {move || answer.with(|answer| answer.failure.clone()).map(|why| view! { <p class="field-error">{why}</p> })}
                    <footer hidden=move || answer.with(|answer| answer.running)>
                        <span class="muted t-12">{move || answer.with(|answer| answer.figures.clone())}</span>
                        <button type="button" class="btn btn-quiet btn-small" on:click=move |_| copy(&answer.with_untracked(|answer| answer.text.clone()))>"Copy"</button>
                        <button type="button" class="btn btn-quiet btn-small" on:click=move |_| ask.run(again.clone())>"Retry"</button>
                    </footer>
                </article>
            }
        })
        .collect_view();
    view! {
        <div class="talk-exchange">
            <article class="bubble bubble-user"><div class="says" dir="auto">{exchange.prompt.clone()}</div></article>
            <div class="talk-answers">{answers}</div>
        </div>
    }
    .into_any()
}

fn number(
    name: &'static str,
    label: &'static str,
    settings: RwSignal<Settings>,
    get: fn(&Settings) -> &String,
    set: fn(&mut Settings) -> &mut String,
) -> impl IntoView {
    view! {
        <label class="field" for=name>
            <span>{label}</span>
            <input class="input" id=name name=name inputmode="decimal" autocomplete="off"
                prop:value=move || settings.with(|settings| get(settings).clone())
                value=settings.with_untracked(|settings| get(settings).clone())
                on:input=move |event| settings.update(|settings| *set(settings) = event_target_value(&event))/>
        </label>
    }
    .into_any()
}

/// The body of `POST /api/playground/generate`. A field that is no number is sent as typed: the server names it.
fn question(
    speaker: &Speaker,
    settings: &Settings,
    is_chat: bool,
    history: &[Exchange],
    column: usize,
    prompt: &str,
) -> String {
    let mut body = serde_json::json!({ "model": speaker.model, "side": speaker.side });
    if is_chat {
        let mut messages = Vec::new();
        for exchange in history {
            let answer = exchange.answers[column].with_untracked(|answer| answer.text.clone());
            messages.push(serde_json::json!({ "role": "user", "content": exchange.prompt }));
            if !answer.is_empty() {
                messages.push(serde_json::json!({ "role": "assistant", "content": answer }));
            }
        }
        messages.push(serde_json::json!({ "role": "user", "content": prompt }));
        body["messages"] = messages.into();
    } else {
        body["prompt"] = prompt.into();
    }
    let fields = [
        ("max_new_tokens", &settings.max_new_tokens),
        ("temperature", &settings.temperature),
        ("top_p", &settings.top_p),
        ("top_k", &settings.top_k),
        ("repetition_penalty", &settings.repetition_penalty),
        ("seed", &settings.seed),
    ];
    for (name, value) in fields {
        let value = value.trim();
        if !value.is_empty() {
            body[name] = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        }
    }
    body.to_string()
}

/// Sends the question and fills the answer as it comes.
fn run(body: String, answer: RwSignal<Answer>) {
    #[cfg(feature = "hydrate")]
    stream::run(body, answer);
    #[cfg(not(feature = "hydrate"))]
    let _ = (body, answer);
}

/// What stands in the prompt's field already.
fn typed() -> Option<String> {
    #[cfg(feature = "hydrate")]
    return stream::typed("prompt");
    #[cfg(not(feature = "hydrate"))]
    None
}

fn copy(text: &str) {
    #[cfg(feature = "hydrate")]
    stream::copy(text);
    #[cfg(not(feature = "hydrate"))]
    let _ = text;
}
