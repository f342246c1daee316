//! Two hundred steps beside PyTorch: the same weights at the start and the same batches in the same order give the
//! same loss curve, for all weights and for an adapter; what is to be trained changes, and nothing else does.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use common::{BatchFile, fixtures, read_json, read_model, read_tensors};
use llm_tuner_engine::kernels::tier::{Precision, Tier};
use llm_tuner_engine::lora::LoraConfig;
use llm_tuner_engine::model::Model;
use llm_tuner_engine::optimizer::OptimizerConfig;
use llm_tuner_engine::schedule::{Schedule, ScheduleKind};
use llm_tuner_engine::trainer::Trainer;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Case {
    learning_rate: f64,
    weight_decay: f32,
    warmup_steps: u64,
    lora: Option<LoraConfig>,
    batches: Vec<BatchFile>,
    losses: Vec<f64>,
    /// The same with PyTorch's own mixture of bf16 and f32.
    bf16: Vec<f64>,
}

type Weights = BTreeMap<String, Vec<f32>>;

/// One test, because the fixtures cost the start of an interpreter.
#[test]
fn two_hundred_steps_follow_pytorch() {
    let directory = fixtures("loss_curves.py");
    for (family, linears) in [("gpt2", 4), ("llama", 7)] {
        for tier in [Tier::best_f32(), Tier::best()] {
            follows_pytorch(&directory.path().join(family).join("full"), linears, tier);
            follows_pytorch(&directory.path().join(family).join("lora"), linears, tier);
        }
    }
}

fn follows_pytorch(path: &Path, linears: usize, tier: Tier) {
    let case: Case = read_json(&path.join("case.json"));
    assert_eq!((case.batches.len(), case.losses.len()), (200, 200));
    assert!(case.losses[199] < 0.5 * case.losses[0], "there is a curve to follow: {:?}", case.losses);
    let mut model = read_model(path).on(tier);
    if let Some(lora) = &case.lora {
        model.attach_lora(lora, 0).unwrap();
        model.load_lora_tensors(read_tensors(&path.join("adapter.safetensors"))).unwrap();
    }
    let schedule = Schedule {
        kind: ScheduleKind::Cosine,
        learning_rate: case.learning_rate,
        warmup_steps: case.warmup_steps,
        total_steps: 200,
    };
    let config = OptimizerConfig { weight_decay: case.weight_decay, ..OptimizerConfig::default() };
    let mut trainer = Trainer::new(model, config);
    let (base, adapter) = weights(trainer.model());
    let mut losses = Vec::new();
    for (step, batch) in (0..).zip(case.batches) {
        losses.push(trainer.accumulate(&batch.into()).unwrap().mean());
        trainer.apply(schedule.rate(step) as f32).unwrap();
    }
    // In f32 each step by itself; bf16 rounds each step's few tokens at random: there the mean of ten steps.
    let window = if tier.precision() == Precision::F32 { 1 } else { 10 };
    let parts = [&losses, &case.losses, &case.bf16].map(|curve| curve.chunks(window).map(mean));
    let [ours, exact, theirs] = parts;
    for (i, ((ours, exact), theirs)) in ours.zip(exact).zip(theirs).enumerate() {
        let (step, name) = (i * window, path.display());
        assert!(
            (ours - exact).abs() < 0.01 * exact,
            "{tier} {name}, step {step}: loss {ours}, PyTorch's {exact}, in bf16 {theirs}"
        );
    }

    let (base_after, adapter_after) = weights(trainer.model());
    let unchanged = |before: &Weights, after: &Weights| -> Vec<String> {
        assert!(before.keys().eq(after.keys()));
        before
            .iter()
            .filter(|(name, values)| after[*name] == **values)
            .map(|(name, _)| name.clone())
            .collect()
    };
    if case.lora.is_some() {
        assert_eq!(base_after, base, "the base is frozen");
        assert_eq!(adapter.len(), 2 * 2 * linears, "A and B of every layer in two blocks");
        assert!(unchanged(&adapter, &adapter_after).is_empty());
    } else {
        assert!(adapter.is_empty());
        assert!(unchanged(&base, &base_after).is_empty());
    }
}

fn mean(losses: &[f64]) -> f64 {
    losses.iter().sum::<f64>() / losses.len() as f64
}

/// The base's weights, and the adapter's.
fn weights(model: &Model) -> (Weights, Weights) {
    let owned = |(name, _, values): (String, Vec<usize>, Cow<'_, [f32]>)| (name, values.into_owned());
    (model.tensors().map(owned).collect(), model.lora_tensors().map(owned).collect())
}
