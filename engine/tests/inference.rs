//! Answers: the template is applied, the text is streamed, and every ending has its reason.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::ops::ControlFlow;

use llm_tuner_engine::data::rows::{Kind, Message, Role};
use llm_tuner_engine::error::NextStep;
use llm_tuner_engine::inference::{FinishReason, GenerateParams, Generation, LoadedModel, Prompt};
use support::jobs::Job;

/// Learns its few rows by heart.
fn parrot() -> LoadedModel {
    let job = Job::empty(&[("max_steps", "120"), ("batch_size", "4"), ("learning_rate", "0.003")]);
    let rows = ["red", "green", "blue", "white"].map(|colour| {
        format!("{{\"prompt\":\"say {colour}\",\"completion\":\"it is {colour}, naïve 🙂 {colour}\"}}\n")
    });
    job.file("input/data/training/a.jsonl", &rows.concat());
    job.run().unwrap();
    LoadedModel::load(&job.path("model"), None).unwrap()
}

fn generate(model: &LoadedModel, prompt: Prompt, params: &GenerateParams) -> (Generation, Vec<String>) {
    let mut pieces = Vec::new();
    let mut on_piece = |piece: &str| {
        pieces.push(piece.to_owned());
        ControlFlow::Continue(())
    };
    let generation = model.generate(&prompt, params, &mut on_piece).unwrap();
    (generation, pieces)
}

#[test]
fn weights_that_do_not_fit_are_told_with_their_file() {
    let job = Job::new(&[("max_steps", "1"), ("batch_size", "2")]);
    job.run().unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&job.bytes("model/config.json")).unwrap();
    config["n_inner"] = 12.into();
    job.file("model/config.json", &config.to_string());
    let error = LoadedModel::load(&job.path("model"), None).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("model/model.safetensors: ") && text.contains("mlp.c_fc"), "{text}");
    assert!(error.next_step().contains("config.json"));
}

#[test]
fn a_trained_model_answers_as_it_was_taught() {
    let model = parrot();
    assert_eq!(model.template().kind, Kind::Completion);
    let greedy = GenerateParams::default();

    let (answer, pieces) = generate(&model, Prompt::Completion("say green".into()), &greedy);
    assert_eq!(answer.text, "it is green, naïve 🙂 green");
    assert_eq!(answer.finish_reason, FinishReason::Stop);
    assert_eq!(pieces.concat(), answer.text);
    assert!(pieces.len() > 3, "it is streamed: {pieces:?}");
    assert!(pieces.iter().all(|piece| !piece.contains('\u{fffd}')), "no broken characters: {pieces:?}");

    // A conversation is put to a completion model in its own way.
    let chat = Prompt::Chat(vec![Message::new(Role::User, "say blue")]);
    assert_eq!(generate(&model, chat, &greedy).0.text, "it is blue, naïve 🙂 blue");

    let stop = GenerateParams { stop: vec![", na".into()], ..greedy.clone() };
    let (answer, pieces) = generate(&model, Prompt::Completion("say red".into()), &stop);
    assert_eq!((answer.text.as_str(), answer.finish_reason), ("it is red", FinishReason::Stop));
    assert_eq!(pieces.concat(), "it is red");

    let short = GenerateParams { max_new_tokens: 2, ..greedy.clone() };
    let (answer, _) = generate(&model, Prompt::Completion("say red".into()), &short);
    assert_eq!((answer.tokens, answer.finish_reason), (2, FinishReason::Length));

    let mut first = |_: &str| ControlFlow::Break(());
    let answer = model.generate(&Prompt::Completion("say red".into()), &greedy, &mut first).unwrap();
    assert_eq!((answer.tokens, answer.finish_reason), (1, FinishReason::Cancelled));
}

#[test]
fn sampling_follows_its_seed_and_a_long_prompt_loses_its_beginning() {
    let model = parrot();
    let params =
        |seed| GenerateParams { temperature: 1.5, max_new_tokens: 30, seed, ..GenerateParams::default() };
    let text = |seed| generate(&model, Prompt::Text("say".into()), &params(seed)).0.text;
    assert_eq!(text(1), text(1));
    assert!((2..6).any(|seed| text(seed) != text(1)));

    // Far beyond the 256 positions that this model was trained on; the question at the end is what counts.
    let long = format!("{} say white", "green blue ".repeat(400));
    let (answer, _) = generate(&model, Prompt::Completion(long), &GenerateParams::default());
    assert!(answer.dropped_prompt_tokens > 0);
    assert_eq!(answer.prompt_tokens, 256 - 64);
    // It ends at the latest where the context does.
    assert!(answer.tokens <= 64 || answer.finish_reason == FinishReason::Context, "{answer:?}");

    let endless = GenerateParams { max_new_tokens: 10_000, temperature: 5.0, ..GenerateParams::default() };
    let (answer, _) = generate(&model, Prompt::Text(String::new()), &endless);
    assert!(matches!(answer.finish_reason, FinishReason::Context | FinishReason::Stop));
    assert!(answer.tokens <= 256);
}
