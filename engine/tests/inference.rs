//! Answers: the template is applied, the text is streamed, and every ending has its reason.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::ops::ControlFlow;
use std::path::Path;

use llm_tuner_engine::data::rows::{Kind, Message, Role};
use llm_tuner_engine::error::NextStep;
use llm_tuner_engine::inference::{
    FinishReason, GenerateParams, Generation, InferenceError, LoadedModel, Prompt, Request, generate_many,
};
use llm_tuner_engine::model::ModelError;
use support::jobs::Job;

/// Rows that ask for a colour and answer with two words about it.
fn colours(job: &Job, before: &str, after: &str) {
    let rows = ["red", "green", "blue", "white"].map(|colour| {
        format!("{{\"prompt\":\"say {colour}\",\"completion\":\"{before} {colour}, {after} {colour}\"}}\n")
    });
    job.file("input/data/training/a.jsonl", &rows.concat());
}

/// A job that learns its few rows by heart.
fn parrot_job() -> Job {
    let job = Job::empty(&[("max_steps", "120"), ("batch_size", "4"), ("learning_rate", "0.003")]);
    colours(&job, "it is", "naïve 🙂");
    job.run().unwrap();
    job
}

fn parrot() -> LoadedModel {
    LoadedModel::load(&parrot_job().path("model"), None).unwrap()
}

/// A job that teaches an adapter over the parrot to say something else.
fn adapter_over(base: &Path, before: &str, after: &str) -> Job {
    let settings = [("max_steps", "30"), ("batch_size", "4"), ("learning_rate", "0.003"), ("lora", "true")];
    let settings =
        [&settings[..], &[("lora_target_modules", "all-linear"), ("merge_adapter", "false")]].concat();
    let job = Job::empty(&settings);
    let to = job.path("input/data/model");
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(base).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    colours(&job, before, after);
    job.run().unwrap();
    job
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

#[test]
fn adapters_over_one_base_hold_its_weights_once() {
    let base_job = parrot_job();
    let base = LoadedModel::load(&base_job.path("model"), None).unwrap();
    let jobs = [("here comes", "yes"), ("no more", "oh")]
        .map(|(before, after)| adapter_over(&base_job.path("model"), before, after));
    let [first, second] = jobs.each_ref().map(|job| base.load_adapter(&job.path("model")).unwrap());
    // An adapter can be loaded over what another lies on.
    let third = first.load_adapter(&jobs[1].path("model")).unwrap();
    let say = |model: &LoadedModel| {
        generate(model, Prompt::Completion("say blue".into()), &GenerateParams::default()).0.text
    };
    let answers = [&base, &first, &second].map(&say);
    assert!(answers[0] != answers[1] && answers[1] != answers[2] && answers[2] != answers[0], "{answers:?}");
    assert_eq!(say(&third), answers[2]);
    for adapted in [&first, &second, &third] {
        assert!(adapted.shares_base_with(&base));
        assert_eq!(adapted.weight_bytes(), base.weight_bytes() + adapted.adapter_bytes());
        assert_eq!(say(&adapted.base().unwrap()), answers[0]);
    }
    assert_eq!(base.adapter_bytes(), 0);

    // Side by side, each says what it says alone; base and tuned, and two adapters.
    let prompts = ["say blue", "say red", "say green", "say"].map(|text| Prompt::Completion(text.into()));
    let params = [
        GenerateParams::default(),
        GenerateParams { temperature: 1.2, seed: 5, max_new_tokens: 40, ..GenerateParams::default() },
        GenerateParams { max_new_tokens: 2, ..GenerateParams::default() },
        GenerateParams { max_new_tokens: 0, ..GenerateParams::default() },
    ];
    let beside = first.base().unwrap();
    let models = [&first, &beside, &second, &third, &base];
    let mut requests = Vec::new();
    for (i, prompt) in prompts.iter().enumerate() {
        for (j, model) in models.iter().enumerate() {
            requests.push(Request { model, prompt, params: &params[(i + j) % params.len()] });
        }
    }
    let mut pieces = vec![String::new(); requests.len()];
    let together = generate_many(&requests, &mut |i, piece| {
        pieces[i].push_str(piece);
        ControlFlow::Continue(())
    });
    for ((request, together), pieces) in requests.iter().zip(together.unwrap()).zip(pieces) {
        let (alone, _) = generate(request.model, request.prompt.clone(), request.params);
        let of = |g: &Generation| (g.text.clone(), g.tokens, g.prompt_tokens, g.finish_reason);
        assert_eq!(of(&together), of(&alone), "{:?} {:?}", request.prompt, request.params);
        assert_eq!(pieces, alone.text);
    }
    // One that is broken off does not end the others.
    let several =
        |request: &&Request<'_>| generate(request.model, request.prompt.clone(), request.params).1.len() > 1;
    let Some(talkative) = requests.iter().find(several) else { panic!("all answers come in one piece") };
    let two = [*talkative, requests[2]];
    let broken_off = generate_many(&two, &mut |i, _| match i {
        0 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    let ends: Vec<FinishReason> = broken_off.unwrap().iter().map(|answer| answer.finish_reason).collect();
    assert!(ends[0] == FinishReason::Cancelled && ends[1] != FinishReason::Cancelled, "{ends:?}");

    // Loaded by itself, an adapter says the same and shares nothing.
    let alone = LoadedModel::load(&jobs[0].path("model"), Some(&base_job.path("model"))).unwrap();
    assert_eq!(say(&alone), answers[1]);
    assert!(!alone.shares_base_with(&base));
    let strangers = [&alone, &base].map(|model| Request { model, prompt: &prompts[0], params: &params[0] });
    let error = generate_many(&strangers, &mut |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, InferenceError::Model(ModelError::ForeignBase)), "{error}");
    let error = first.load_adapter(&base_job.path("model")).unwrap_err();
    assert!(matches!(error, InferenceError::NotAnAdapter { .. }), "{error}");
}

#[test]
fn a_conversation_goes_on_where_it_was_and_says_the_same() {
    let job = parrot_job();
    let open = || LoadedModel::load(&job.path("model"), None).unwrap();
    let model = open();
    let params = GenerateParams { temperature: 0.8, max_new_tokens: 12, ..GenerateParams::default() };
    assert_eq!(model.kept_prompt_bytes(), 0);
    let mut text = "say".to_owned();
    for (turn, word) in [" green", " blue", " white", " red"].into_iter().enumerate() {
        text.push_str(word);
        let prompt = Prompt::Text(text.clone());
        let params = GenerateParams { seed: turn as u64, ..params.clone() };
        let (answer, _) = generate(&model, prompt.clone(), &params);
        // A model that has answered nothing yet.
        assert_eq!(answer.text, generate(&open(), prompt.clone(), &params).0.text);
        // The same question again, with the whole prompt known.
        assert_eq!(answer.text, generate(&model, prompt, &params).0.text);
        text.push_str(&answer.text);
    }
    // A prompt takes the place of those that it begins with.
    let one = model.kept_prompt_bytes();
    assert!(one > 0);
    generate(&model, Prompt::Text(text), &params);
    assert!(model.kept_prompt_bytes() < 3 * one, "{one} {}", model.kept_prompt_bytes());
}
