//! A job's life in one process: results, reports, stopping and going on.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use llm_tuner_engine::job::Status;
use support::jobs::{Job, metric, named};

const SHORT: [(&str, &str); 4] =
    [("max_steps", "8"), ("batch_size", "2"), ("dropout", "0.1"), ("checkpoint_steps", "3")];

#[test]
fn a_nano_job_reports_and_leaves_a_whole_model() {
    let job = Job::new(&SHORT);
    job.rows("validation", 6);
    let (summary, events) = job.run().unwrap();
    assert_eq!((summary.status, summary.steps), (Status::Completed, 8));

    let losses = metric(&events, "train_loss");
    assert_eq!(losses.iter().map(|(step, _)| *step).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert!(losses[7].1 < losses[0].1, "it learns something even in eight steps");
    for name in ["learning_rate", "grad_norm", "tokens_per_second"] {
        assert_eq!(metric(&events, name).len(), 8, "{name}");
    }
    let evaluations = metric(&events, "eval_loss");
    assert_eq!(evaluations.last().unwrap().0, 8, "evaluated at the end");
    assert_eq!(summary.eval_loss, Some(evaluations.last().unwrap().1));
    let shown: std::collections::BTreeSet<_> =
        named(&events, "sample").iter().map(|sample| sample["step"].as_u64().unwrap()).collect();
    assert!(shown.len() >= 6, "held-out rows are answered again and again: {shown:?}");
    assert!(named(&events, "sample").iter().all(|sample| sample["expected"].is_string()));
    let batch = named(&events, "batch")[0]["rows"][0].as_array().unwrap();
    let text = |learned| {
        let tokens = batch.iter().filter(|token| token["learned"] == learned);
        tokens.map(|token| token["text"].as_str().unwrap()).collect::<String>()
    };
    assert!(text(false).starts_with("double the number") && text(false).ends_with("###\n"));
    assert!(text(true).starts_with("twice") && text(true).ends_with("<|endoftext|>"));

    for name in ["model.safetensors", "config.json", "tokenizer.json", "llm_tuner.json", "README.md"] {
        assert!(job.path("model").join(name).is_file(), "{name}");
    }
    let record: serde_json::Value = serde_json::from_slice(&job.bytes("model/llm_tuner.json")).unwrap();
    assert_eq!(record["base_model"], "nano");
    assert_eq!(record["template"]["kind"], "completion");
    assert_eq!(record["data"][0]["rows"], 40);
    assert!(!job.path("output/failure").exists());
    assert_eq!(std::fs::read_dir(job.path("checkpoints")).unwrap().count(), 2);
}

#[test]
fn stopped_and_continued_is_the_same_as_never_stopped() {
    let whole = Job::new(&SHORT);
    let (_, events) = whole.run().unwrap();
    let curve = metric(&events, "train_loss");

    let parts = Job::new(&SHORT);
    parts.file("input/config/stop", "checkpoint");
    let (summary, before) = parts.run_until(Some("\"step\":4,")).unwrap();
    assert_eq!((summary.status, summary.steps), (Status::Stopped, 4));
    assert!(!parts.path("model").exists());
    std::fs::remove_file(parts.path("input/config/stop")).unwrap();
    let (summary, after) = parts.run().unwrap();
    assert_eq!((summary.status, summary.steps), (Status::Completed, 8));

    let mut joined = metric(&before, "train_loss");
    joined.extend(metric(&after, "train_loss"));
    assert_eq!(joined, curve);
    for name in ["model.safetensors", "tokenizer.json", "llm_tuner.json"] {
        let name = format!("model/{name}");
        assert_eq!(parts.bytes(&name), whole.bytes(&name), "{name}");
    }
    for name in ["weights.safetensors", "trainer.safetensors"] {
        let name = format!("checkpoints/step-00000008/{name}");
        assert_eq!(parts.bytes(&name), whole.bytes(&name), "{name}");
    }
}

#[test]
fn stopping_keeps_the_model_unless_told_otherwise() {
    let kept = Job::new(&SHORT);
    let (summary, _) = kept.run_until(Some("\"step\":2,")).unwrap();
    assert_eq!(summary.status, Status::Stopped);
    assert!(kept.path("model/model.safetensors").is_file());

    let discarded = Job::new(&SHORT);
    discarded.file("input/config/stop", "discard\n");
    discarded.run_until(Some("\"step\":2,")).unwrap();
    assert!(!discarded.path("model").exists() && !discarded.path("checkpoints").exists());
}

#[test]
fn a_torn_checkpoint_is_passed_over() {
    let whole = Job::new(&SHORT);
    whole.run().unwrap();
    let torn = Job::new(&SHORT);
    torn.run_until(Some("\"step\":7,")).unwrap();
    // The newest checkpoint lost its end, as after a power cut.
    let path = torn.path("checkpoints/step-00000007/weights.safetensors");
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
    let (_, events) = torn.run().unwrap();
    assert_eq!(metric(&events, "train_loss")[0].0, 7, "it went on from step 6");
    assert_eq!(torn.bytes("model/model.safetensors"), whole.bytes("model/model.safetensors"));
}

#[test]
fn checkpoints_of_another_run_are_refused() {
    let job = Job::new(&SHORT);
    job.run_until(Some("\"step\":3,")).unwrap();
    let mut other = SHORT.to_vec();
    other.push(("learning_rate", "0.001"));
    job.settings(&other);
    let text = job.failure();
    assert!(text.contains("checkpoints/") && text.contains("other settings"), "{text}");
    job.settings(&SHORT);
    job.rows("training", 41);
    assert!(job.failure().contains("other data"));
    // The number of threads changes nothing and may change.
    job.rows("training", 40);
    let mut threads = SHORT.to_vec();
    threads.push(("threads", "1"));
    job.settings(&threads);
    job.run().unwrap();
}

#[test]
fn training_ends_early_and_the_best_model_is_kept() {
    let settings = [
        ("max_steps", "60"),
        ("batch_size", "4"),
        ("eval_steps", "2"),
        ("early_stopping_patience", "2"),
        // Too high on purpose: the loss gets worse soon.
        ("learning_rate", "0.3"),
        ("lr_scheduler", "constant"),
        ("max_grad_norm", "0"),
    ];
    let job = Job::new(&settings);
    job.rows("validation", 6);
    let (summary, events) = job.run().unwrap();
    assert!(summary.steps < 60, "{}", summary.steps);
    let evaluations = metric(&events, "eval_loss");
    let best = evaluations.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(best.0 + 4, summary.steps, "two evaluations without improvement");
    let kept = job.bytes(&format!("checkpoints/step-{:08}/weights.safetensors", best.0));
    assert_eq!(job.bytes("model/model.safetensors"), kept);
}

#[test]
fn plain_text_and_conversations_are_trained_too() {
    let text = Job::empty(&[("max_steps", "3"), ("batch_size", "2"), ("max_sequence_length", "16")]);
    let rows: String =
        (0..20).map(|i| format!("{{\"text\":\"Line {i} of a play.\\nEnter a ghost.\"}}\n")).collect();
    text.file("input/data/training/a.jsonl", &rows);
    let (_, events) = text.run().unwrap();
    assert_eq!(named(&events, "data")[0]["kind"], "text");
    assert!(named(&events, "sample").iter().all(|sample| sample["expected"].is_null()));

    let chat = Job::empty(&[("max_steps", "3"), ("batch_size", "2")]);
    let rows: String = (0..20)
        .map(|i| {
            format!(
                "{{\"messages\":[{{\"role\":\"user\",\"content\":\"Hi {i}\"}},\
                 {{\"role\":\"assistant\",\"content\":\"Hello {i}\"}}]}}\n"
            )
        })
        .collect();
    chat.file("input/data/training/a.jsonl", &rows);
    let (_, events) = chat.run().unwrap();
    let batch = named(&events, "batch")[0]["rows"][0].as_array().unwrap();
    let learned = batch.iter().filter(|token| token["learned"] == true);
    let learned: String = learned.map(|token| token["text"].as_str().unwrap()).collect();
    assert!(learned.starts_with("Hello") && learned.ends_with("<|endoftext|>"), "{learned}");
    let config: serde_json::Value =
        serde_json::from_slice(&chat.bytes("model/tokenizer_config.json")).unwrap();
    assert!(config["chat_template"].is_string());
}
