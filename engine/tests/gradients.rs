//! Losses, logits, gradients and short training runs against PyTorch, transformers and peft.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod common;

use common::{BatchFile, fixtures, read_json, read_model, read_tensors};
use llm_tuner_engine::kernels::tier::{Precision, Tier};
use llm_tuner_engine::lora::LoraConfig;
use llm_tuner_engine::model::{Batch, KvCache, LossSum, Model};
use llm_tuner_engine::optimizer::{OptimizerConfig, OptimizerKind};
use llm_tuner_engine::schedule::{Schedule, ScheduleKind};
use llm_tuner_engine::trainer::Trainer;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct GradientCase {
    batch: BatchFile,
    lora: Option<LoraConfig>,
    loss: f64,
}

#[derive(Deserialize)]
struct StepsCase {
    optimizer: OptimizerKind,
    learning_rate: f64,
    weight_decay: f32,
    warmup_steps: u64,
    batches: Vec<Vec<BatchFile>>,
    losses: Vec<f64>,
    norms: Vec<f64>,
}

/// One test for each family, because the fixtures cost the start of an interpreter.
#[test]
fn gpt2_agrees_with_pytorch() {
    agrees_with_pytorch("gpt2_fixtures.py", 15);
}

#[test]
fn the_llama_family_agrees_with_pytorch() {
    agrees_with_pytorch("llama_fixtures.py", 24);
}

fn agrees_with_pytorch(script: &str, expected_cases: usize) {
    let directory = fixtures(script);
    let mut wrong = Vec::new();
    let mut cases = 0;
    for (kind, check) in [("gradients", gradients as fn(&Path, Tier) -> Vec<String>), ("steps", steps)] {
        for case in std::fs::read_dir(directory.path().join(kind)).unwrap() {
            let path = case.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            for tier in Tier::available() {
                let found = check(&path, tier).into_iter();
                wrong.extend(found.map(|message| format!("{tier} {kind}/{name}: {message}")));
            }
            cases += 1;
        }
    }
    assert_eq!(cases, expected_cases);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Largest difference of two slices.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// `‖a − b‖ / ‖b‖`.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut b.iter().map(|&b| f64::from(b))).max(1e-12)
}

/// How far a tier may be from PyTorch's f32: `‖a − b‖ / ‖b‖` of a tensor. Where weights are so large that PyTorch's own
/// bf16 is as far off (`theirs`), ours may be twice as far: both round at random.
fn bound(tier: Tier, theirs: f64) -> f64 {
    match tier.precision() {
        Precision::F32 => 1e-4,
        Precision::Bf16 => (2.0 * theirs).max(2e-2),
    }
}

fn gradients(path: &Path, tier: Tier) -> Vec<String> {
    let case: GradientCase = read_json(&path.join("case.json"));
    let mut model = read_model(path).on(tier);
    if let Some(lora) = &case.lora {
        model.attach_lora(lora, 0).unwrap();
        model.load_lora_tensors(read_tensors(&path.join("adapter.safetensors"))).unwrap();
    }
    let batch = Batch::from(case.batch);
    let [exact, theirs] = ["", ".bf16"]
        .map(|suffix| read_tensors(&path.join(format!("logits{suffix}.safetensors")))["logits"].data.clone());
    let mut wrong = logits(&model, &batch, &exact, &theirs);
    if case.lora.is_some() {
        let mut merged = model.clone();
        merged.merge_lora();
        wrong.extend(logits(&merged, &batch, &exact, &theirs));
    }

    let mut trainer = Trainer::new(model, OptimizerConfig::default());
    let tokens = batch.targets.iter().filter(|&&t| t != u32::MAX).count();
    for loss in [trainer.evaluate(&batch).unwrap(), trainer.accumulate(&batch).unwrap()] {
        if (loss.nats - case.loss).abs() > 0.1 * bound(tier, 0.0) * case.loss || loss.tokens != tokens {
            wrong.push(format!("loss {loss:?}, expected {} over {tokens}", case.loss));
        }
    }
    let [expected, theirs] =
        ["", ".bf16"].map(|suffix| read_tensors(&path.join(format!("gradients{suffix}.safetensors"))));
    let found: BTreeMap<&str, Cow<'_, [f32]>> = trainer.gradients().collect();
    for (name, tensor) in &expected {
        match found.get(name.as_str()) {
            None => wrong.push(format!("{name} has no gradient")),
            Some(gradient) => {
                let error = relative(gradient, &tensor.data);
                let theirs = relative(&theirs[name].data, &tensor.data);
                if error.is_nan() || error > bound(tier, theirs) {
                    wrong
                        .push(format!("{name}: relative error {error:e} (PyTorch's own in bf16 {theirs:e})"));
                }
            }
        }
    }
    if found.len() != expected.len() {
        wrong.push(format!("{} gradients, expected {}", found.len(), expected.len()));
    }
    wrong
}

/// Logits of all sequences: in one pass, and token by token through the cache.
fn logits(model: &Model, batch: &Batch, expected: &[f32], theirs: &[f32]) -> Vec<String> {
    let vocab = model.config().vocab_size();
    let mut wrong = Vec::new();
    let mut start = 0;
    for &length in &batch.lengths {
        let ids = &batch.ids[start..start + length];
        let [expected, theirs] = [expected, theirs].map(|all| &all[start * vocab..(start + length) * vocab]);
        let off = |found: &[f32], expected: &[f32]| match model.tier().precision() {
            Precision::F32 => f64::from(distance(found, expected)),
            Precision::Bf16 => relative(found, expected),
        };
        let whole = model.logits(ids).unwrap();
        let mut cache = KvCache::new(model.config());
        let prompt = length / 2 + 1;
        let parts = [&ids[..prompt]].into_iter().chain(ids[prompt..].chunks(1));
        let cached: Vec<f32> =
            parts.flat_map(|part| model.forward_cached(part, &mut cache).unwrap()).collect();
        let skipped = (prompt - 1) * vocab;
        for (what, found, from) in [("", whole, 0), ("cached ", cached, skipped)] {
            let [expected, theirs] = [&expected[from..], &theirs[from..]];
            let error = off(&found, expected);
            if error.is_nan() || error > bound(model.tier(), relative(theirs, expected)) {
                wrong.push(format!("{what}logits are off by {error}"));
            }
        }
        start += length;
    }
    wrong
}

fn steps(path: &Path, tier: Tier) -> Vec<String> {
    // How far losses, norms and weights may be off.
    let [loss_bound, norm_bound, weight_bound] = match tier.precision() {
        Precision::F32 => [1e-4, 1e-3, 1e-3],
        Precision::Bf16 => [1e-2, 2e-2, 2e-2],
    };
    let case: StepsCase = read_json(&path.join("case.json"));
    let config = OptimizerConfig {
        kind: case.optimizer,
        weight_decay: case.weight_decay,
        ..OptimizerConfig::default()
    };
    let steps = case.batches.len() as u64;
    let schedule = Schedule {
        kind: ScheduleKind::Cosine,
        learning_rate: case.learning_rate,
        warmup_steps: case.warmup_steps,
        total_steps: steps,
    };
    let mut trainer = Trainer::new(read_model(path).on(tier), config);
    let mut wrong = Vec::new();
    for (step, micro) in case.batches.into_iter().enumerate() {
        let mut loss = LossSum::default();
        for batch in micro {
            loss += trainer.accumulate(&batch.into()).unwrap();
        }
        let norm = f64::from(trainer.apply(schedule.rate(step as u64) as f32).unwrap());
        if (loss.mean() - case.losses[step]).abs() > loss_bound {
            wrong.push(format!("step {step}: loss {}, expected {}", loss.mean(), case.losses[step]));
        }
        if (norm - case.norms[step]).abs() > norm_bound * case.norms[step] {
            wrong.push(format!("step {step}: gradient norm {norm}, expected {}", case.norms[step]));
        }
    }
    let expected = read_tensors(&path.join("final.safetensors"));
    for (name, _, values) in trainer.model().tensors() {
        let mut expected = expected[&name].data.clone();
        let mut values = values.to_vec();
        if name.ends_with("c_attn.bias") {
            // A constant added to all keys moves no softmax: the gradient of that third is rounding noise,
            // which Adam scales up to full steps.
            let third = values.len() / 3;
            values.drain(third..2 * third);
            expected.drain(third..2 * third);
        }
        let error = relative(&values, &expected);
        if error.is_nan() || error > weight_bound {
            wrong.push(format!("{name} after {steps} steps: relative error {error:e}"));
        }
    }
    wrong
}
