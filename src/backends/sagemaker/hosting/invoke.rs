//! Asks an endpoint: the body in the container's manner, the answer piece by piece.

use super::{
    errors::{broke_off, container_said, of_invocation},
    reply::{Reply, Unreadable},
};
use crate::{
    aws::Failure,
    backends::hosting::{Answer, Ask, HostingError, HostingResult, Refusal, Said},
};
use aws_sdk_sagemakerruntime::{
    Client,
    error::SdkError,
    primitives::Blob,
    types::{ResponseStream, error::ResponseStreamError},
};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A container that sends nothing for so long has ended its answer; SageMaker itself gives it 60 s.
const SILENCE: Duration = Duration::from_secs(70);
const JSON: &str = "application/json";
/// What a gated model of JumpStart wants to hear with each question.
const ACCEPTED: &str = "accept_eula=true";

/// Streamed where the container can, else whole.
pub async fn ask(client: &Client, name: &str, ask: &Ask) -> HostingResult<Answer> {
    match streamed(client, name, ask).await {
        Err(HostingError::Refused { kind: Refusal::Model | Refusal::Invalid, .. }) => {
            whole(client, name, ask).await
        }
        other => other,
    }
}

async fn streamed(client: &Client, name: &str, ask: &Ask) -> HostingResult<Answer> {
    let call = client.invoke_endpoint_with_response_stream().endpoint_name(name).content_type(JSON);
    let call = call.set_custom_attributes(ask.licence_accepted.then(|| ACCEPTED.to_owned()));
    let sent = call.body(Blob::new(body(ask, true))).send().await;
    let mut parts = sent.map_err(|error| of_invocation(Failure::of(&error)))?.body;
    Ok(Box::pin(async_stream::stream! {
        let mut reply = Reply::default();
        while !reply.failed() {
            let part = match tokio::time::timeout(SILENCE, parts.recv()).await {
                Err(_) => {
                    yield Err(HostingError::NoAnswer("the answer stopped coming".to_owned()));
                    return;
                }
                Ok(Err(error)) => {
                    yield Err(of_stream(&error));
                    return;
                }
                Ok(Ok(None)) => break,
                Ok(Ok(Some(ResponseStream::PayloadPart(part)))) => part,
                Ok(Ok(Some(_))) => continue,
            };
            let text = part.bytes.map(|bytes| reply.push(bytes.as_ref())).unwrap_or_default();
            if !text.is_empty() {
                yield Ok(Said::Text(text));
            }
        }
        for said in last(reply) {
            yield said;
        }
    }))
}

/// An error among the parts of an answer; what it is, its kind tells, not a code.
fn of_stream<R: std::fmt::Debug>(error: &SdkError<ResponseStreamError, R>) -> HostingError {
    match error.as_service_error() {
        Some(broken) if broken.is_model_stream_error() || broken.is_internal_stream_failure() => broke_off(),
        _ => of_invocation(Failure::of(error)),
    }
}

async fn whole(client: &Client, name: &str, ask: &Ask) -> HostingResult<Answer> {
    let call = client.invoke_endpoint().endpoint_name(name).content_type(JSON).accept(JSON);
    let call = call.set_custom_attributes(ask.licence_accepted.then(|| ACCEPTED.to_owned()));
    let sent = call.body(Blob::new(body(ask, false))).send().await;
    let answer = sent.map_err(|error| of_invocation(Failure::of(&error)))?;
    let mut reply = Reply::default();
    let text = answer.body.map(|bytes| reply.push(bytes.as_ref())).unwrap_or_default();
    let mut said = Vec::new();
    if !text.is_empty() {
        said.push(Ok(Said::Text(text)));
    }
    said.extend(last(reply));
    Ok(Box::pin(futures::stream::iter(said)))
}

/// What is left of the answer, and its end.
fn last(reply: Reply) -> Vec<HostingResult<Said>> {
    let (text, outcome) = reply.finish();
    let mut said = Vec::new();
    if !text.is_empty() {
        said.push(Ok(Said::Text(text)));
    }
    said.push(match outcome {
        Ok(ended) => Ok(Said::End { tokens: ended.tokens, at_limit: ended.at_limit }),
        Err(Unreadable::Failed(words)) => Err(container_said(&words, None)),
        Err(other) => Err(HostingError::Refused {
            kind: Refusal::Model,
            cause: format!("The container's answer can't be read: {other}."),
            next_step: "Ask again. If it stays, deploy the model with another serving container.".to_owned(),
        }),
    });
    said
}

/// `{"inputs", "parameters"}`; a container with another key for the prompt takes its parameters beside it.
fn body(ask: &Ask, stream: bool) -> Vec<u8> {
    let mut parameters = Map::new();
    let mut set = |name: &str, value: Value| parameters.insert(name.to_owned(), value);
    // Containers refuse values that change nothing: a temperature of 0, a top-p of 1.
    let draws = ask.temperature > 0.0;
    set("do_sample", draws.into());
    if draws {
        set("temperature", rounded(ask.temperature));
        if ask.top_p < 1.0 {
            set("top_p", rounded(ask.top_p));
        }
        if ask.top_k > 0 {
            set("top_k", ask.top_k.into());
        }
        if let Some(seed) = ask.seed {
            set("seed", seed.into());
        }
    }
    if ask.repetition_penalty > 1.0 {
        set("repetition_penalty", rounded(ask.repetition_penalty));
    }
    let body = match &ask.prompt_key {
        Some(key) if key != "inputs" => {
            set("max_length", ask.max_new_tokens.into());
            set(key, ask.prompt.as_str().into());
            Value::Object(parameters)
        }
        _ => {
            set("max_new_tokens", ask.max_new_tokens.into());
            if !ask.stop.is_empty() {
                set("stop", ask.stop.clone().into());
            }
            let mut body = json!({ "inputs": ask.prompt, "parameters": parameters });
            if stream {
                body["stream"] = true.into();
            }
            body
        }
    };
    body.to_string().into_bytes()
}

/// 0.7 as 0.7, not as the nearest number of 32 bits.
fn rounded(value: f32) -> Value {
    json!((f64::from(value) * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(ask: &Ask, stream: bool) -> Value {
        serde_json::from_slice(&body(ask, stream)).unwrap()
    }

    #[test]
    fn values_that_change_nothing_are_not_sent() {
        let plain = Ask {
            prompt: "Hi".into(),
            max_new_tokens: 9,
            top_p: 1.0,
            repetition_penalty: 1.0,
            ..Ask::default()
        };
        assert_eq!(
            asked(&plain, true),
            json!({ "inputs": "Hi", "parameters": { "max_new_tokens": 9, "do_sample": false }, "stream": true })
        );
        let drawn = Ask {
            temperature: 0.7,
            top_p: 0.9,
            top_k: 5,
            seed: Some(1),
            stop: vec!["###".into()],
            repetition_penalty: 1.2,
            ..plain
        };
        assert_eq!(
            asked(&drawn, false)["parameters"],
            json!({ "max_new_tokens": 9, "do_sample": true, "temperature": 0.7, "top_p": 0.9, "top_k": 5, "seed": 1,
                "stop": ["###"], "repetition_penalty": 1.2 })
        );
    }

    #[test]
    fn another_key_takes_its_parameters_beside_it() {
        let flan = Ask {
            prompt: "Hi".into(),
            max_new_tokens: 9,
            prompt_key: Some("text_inputs".into()),
            ..Ask::default()
        };
        assert_eq!(asked(&flan, true), json!({ "text_inputs": "Hi", "max_length": 9, "do_sample": false }));
    }
}
