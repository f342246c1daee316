//! `/api/docs`: the API's description as a page, drawn on the server from the description itself.

use crate::web::{
    api::docs::description,
    components::{Card, PageHeader},
    page::PageRequest,
    shell::Nav,
};
use axum::response::Response;
use leptos::prelude::*;
use serde_json::Value;

pub async fn page(page: PageRequest) -> Response {
    let api = serde_json::to_value(description()).unwrap_or_default();
    page.at(Nav::Elsewhere, &[("API", "/api/docs")]).show("API", move || docs_view(&api))
}

fn docs_view(api: &Value) -> impl IntoView + use<> {
    let mut operations: Vec<(String, Vec<AnyView>)> = Vec::new();
    for (path, methods) in api["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let tag = operation["tags"][0].as_str().unwrap_or("Other").to_owned();
            let view = operation_view(api, path, method, operation);
            match operations.iter_mut().find(|(name, _)| *name == tag) {
                Some((_, views)) => views.push(view),
                None => operations.push((tag, vec![view])),
            }
        }
    }
    operations.sort_by(|a, b| a.0.cmp(&b.0));
    let lead = api["info"]["description"].as_str().unwrap_or_default().to_owned();
    view! {
        <PageHeader title="API"/>
        <div class="stack-lg">
            <p class="prose">{with_code(&lead)}</p>
            <p><a class="link" href="/api/openapi.json">"The description as OpenAPI JSON"</a></p>
            {operations.into_iter().map(|(tag, views)| view! { <Card title=tag>{views}</Card> }).collect_view()}
        </div>
    }
}

fn operation_view(api: &Value, path: &str, method: &str, operation: &Value) -> AnyView {
    let head = format!("{} {path}", method.to_uppercase());
    let summary = words(operation, "summary");
    let text = words(operation, "description");
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let body = &operation["requestBody"]["content"];
    let body = body
        .as_object()
        .and_then(|kinds| kinds.iter().next())
        .map(|(kind, content)| (kind.clone(), example(api, &content["schema"], 0)));
    let answers = operation["responses"].as_object().cloned().unwrap_or_default();
    view! {
        <details class="api-operation">
            <summary><code>{head}</code>" "{with_code(&summary)}</summary>
            <div class="stack">
                {(!text.is_empty()).then(|| view! { <p>{with_code(&text)}</p> })}
                {(!parameters.is_empty()).then(|| view! {
                    <h3>"Parameters"</h3>
                    <ul>{parameters.iter().map(|parameter| view! {
                        <li><code>{words(parameter, "name")}</code>" ("{words(parameter, "in")}") "{words(parameter, "description")}</li>
                    }).collect_view()}</ul>
                })}
                {body.map(|(kind, example)| view! { <h3>"Body, "<code>{kind}</code></h3> <pre class="code"><code>{pretty(&example)}</code></pre> })}
                <h3>"Answers"</h3>
                {answers.iter().map(|(status, answer)| {
                    let schema = answer["content"].as_object().and_then(|kinds| kinds.values().next()).map(|content| example(api, &content["schema"], 0));
                    view! {
                        <p><code>{status.clone()}</code>" "{words(answer, "description")}</p>
                        {schema.map(|example| view! { <pre class="code"><code>{pretty(&example)}</code></pre> })}
                    }
                }).collect_view()}
            </div>
        </details>
    }
    .into_any()
}

/// A text whose `code` stands between backticks.
fn with_code(text: &str) -> Vec<AnyView> {
    let pieces = text.split('`').map(str::to_owned).enumerate();
    pieces
        .map(
            |(at, piece)| {
                if at % 2 == 1 { view! { <code>{piece}</code> }.into_any() } else { piece.into_any() }
            },
        )
        .collect()
}

fn words(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A value of the shape that a schema describes: field names with their types.
fn example(api: &Value, schema: &Value, depth: usize) -> Value {
    if depth > 8 {
        return Value::String("…".to_owned());
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/components/schemas/")) {
        return example(api, &api["components"]["schemas"][name], depth + 1);
    }
    for one_of in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[one_of].as_array() {
            let real = choices.iter().find(|choice| choice["type"] != "null");
            return real.map_or(Value::Null, |choice| example(api, choice, depth + 1));
        }
    }
    if let Some(properties) = schema["properties"].as_object() {
        return properties
            .iter()
            .map(|(name, property)| (name.clone(), example(api, property, depth + 1)))
            .collect();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").cloned().unwrap_or_default(),
        kind => kind.clone(),
    };
    if kind == "array" {
        return Value::Array(vec![example(api, &schema["items"], depth + 1)]);
    }
    Value::String(kind.as_str().unwrap_or("value").to_owned())
}
