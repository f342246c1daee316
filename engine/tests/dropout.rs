//! Dropout, which PyTorch cannot check bit by bit: the backward pass must use the forward pass's masks.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod support;

use std::borrow::Cow;

use llm_tuner_engine::config::{Gpt2Config, LlamaConfig, ModelConfig};
use llm_tuner_engine::kernels::tier::Tier;
use llm_tuner_engine::lora::{ALL_LINEAR, LoraConfig};
use llm_tuner_engine::model::{Batch, IGNORE, Model};
use llm_tuner_engine::optimizer::OptimizerConfig;
use llm_tuner_engine::rng::Stream;
use llm_tuner_engine::tensor::{Tensor, TensorMap};
use llm_tuner_engine::trainer::Trainer;
use support::jobs::Job;

const VOCAB: usize = 40;

fn batch() -> Batch {
    let stream = Stream::new(3);
    let lengths = vec![9, 70, 21];
    let n = lengths.iter().sum::<usize>() as u64;
    let ids = (0..n).map(|i| (stream.bits(i) % VOCAB as u64) as u32).collect();
    let target = |i| if i % 4 == 0 { IGNORE } else { (stream.bits(n + i) % VOCAB as u64) as u32 };
    Batch { ids, targets: (0..n).map(target).collect(), lengths }
}

#[test]
fn left_out_it_is_the_base_models_own_and_a_setting_wins() {
    let gpt2 = Gpt2Config { n_positions: 64, n_embd: 8, n_head: 2, n_layer: 1, ..Gpt2Config::default() };
    let gpt2 =
        Gpt2Config { vocab_size: 257, attn_pdrop: 0.2, bos_token_id: Some(0), eos_token_id: Some(0), ..gpt2 };
    let llama = LlamaConfig {
        vocab_size: 257,
        hidden_size: 8,
        intermediate_size: 12,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        max_position_embeddings: 64,
        eos_token_id: 0.into(),
        ..LlamaConfig::default()
    };
    let cases: [(ModelConfig, &[(&str, f64)]); 2] = [
        (gpt2.into(), &[("resid_pdrop", 0.1), ("attn_pdrop", 0.2)]),
        (llama.into(), &[("attention_dropout", 0.0)]),
    ];
    for (config, own) in cases {
        for set in [None, Some("0.25")] {
            let mut settings = vec![("lora", "false"), ("max_steps", "1"), ("batch_size", "2")];
            settings.extend(set.map(|p| ("dropout", p)));
            let job = Job::new(&settings);
            job.base(config.clone(), |_| ());
            job.run().unwrap();
            let saved: serde_json::Value = serde_json::from_slice(&job.bytes("model/config.json")).unwrap();
            for (field, p) in own {
                let expected = set.map_or(*p, |p| p.parse().unwrap());
                assert!((saved[field].as_f64().unwrap() - expected).abs() < 1e-6, "{field}: {saved}");
            }
        }
    }
}

/// A model with weights large enough that losses react, all kinds of dropout on.
fn model(lora: bool, p: f32) -> Model {
    adapted(gpt2(p), lora, p)
}

fn gpt2(p: f32) -> ModelConfig {
    ModelConfig::Gpt2(Gpt2Config {
        n_embd: 24,
        n_head: 3,
        n_layer: 2,
        n_positions: 80,
        initializer_range: 0.2,
        resid_pdrop: p,
        embd_pdrop: p,
        attn_pdrop: p,
        ..Gpt2Config::nano(VOCAB)
    })
}

fn llama(p: f32) -> ModelConfig {
    ModelConfig::Llama(LlamaConfig {
        vocab_size: VOCAB,
        hidden_size: 24,
        intermediate_size: 40,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        max_position_embeddings: 80,
        initializer_range: 0.2,
        attention_dropout: p,
        ..LlamaConfig::default()
    })
}

/// With an adapter on every dense layer, if wanted.
fn adapted(config: ModelConfig, lora: bool, p: f32) -> Model {
    // Differences of losses are finer than bf16.
    let mut model = Model::init(config, 1).unwrap().on(Tier::best_f32());
    if lora {
        let target_modules = vec![ALL_LINEAR.into()];
        let lora = LoraConfig { r: 4, dropout: p, target_modules, ..LoraConfig::default() };
        model.attach_lora(&lora, 2).unwrap();
        let mut tensors = model.lora_tensor_map();
        for (i, tensor) in tensors.values_mut().enumerate() {
            let stream = Stream::new(50 + i as u64);
            tensor.data.iter_mut().enumerate().for_each(|(j, x)| *x = 0.2 * stream.normal(j as u64) as f32);
        }
        model.load_lora_tensors(tensors).unwrap();
    }
    model
}

fn loss(model: Model, seed: u64) -> f64 {
    let mut trainer = Trainer::new(model, OptimizerConfig::default()).with_seed(seed);
    trainer.accumulate(&batch()).unwrap().nats
}

/// The model with one trained weight tensor moved along a direction.
fn moved(model: &Model, name: &str, direction: &[f32], by: f32) -> Model {
    let shift = |map: &mut TensorMap| {
        let values = &mut map.get_mut(name).unwrap().data;
        values.iter_mut().zip(direction).for_each(|(w, d)| *w += by * d);
    };
    match model.lora() {
        Some(_) => {
            let (mut model, mut map) = (model.clone(), model.lora_tensor_map());
            shift(&mut map);
            model.load_lora_tensors(map).unwrap();
            model
        }
        None => {
            let tensor = |(name, shape, data): (_, _, Cow<'_, [f32]>)| {
                (name, Tensor { shape, data: data.into_owned() })
            };
            let mut map = model.tensors().map(tensor).collect();
            shift(&mut map);
            Model::from_tensors(model.config().clone(), map).unwrap().on(model.tier())
        }
    }
}

#[test]
fn gradients_under_dropout_agree_with_differences() {
    for (config, lora) in [gpt2(0.3), llama(0.3)].into_iter().flat_map(|c| [(c.clone(), false), (c, true)]) {
        let model = adapted(config, lora, 0.3);
        let mut trainer = Trainer::new(model.clone(), OptimizerConfig::default()).with_seed(7);
        trainer.accumulate(&batch()).unwrap();
        for (i, (name, gradient)) in trainer.gradients().enumerate() {
            let stream = Stream::new(1000 + i as u64);
            let mut direction: Vec<f32> =
                (0..gradient.len()).map(|j| stream.normal(j as u64) as f32).collect();
            // Half of the way along the gradient itself, so that the slope stands clear of rounding.
            let norm = |x: &[f32]| x.iter().map(|x| x * x).sum::<f32>().sqrt();
            let (g, d) = (norm(&gradient), norm(&direction));
            direction.iter_mut().zip(gradient.iter()).for_each(|(x, y)| *x = *x / d + y / g);
            let slope: f64 = direction.iter().zip(gradient.iter()).map(|(d, g)| f64::from(d * g)).sum();
            let step = 1e-3;
            let difference = loss(moved(&model, name, &direction, step), 7)
                - loss(moved(&model, name, &direction, -step), 7);
            let measured = difference / (2.0 * f64::from(step));
            assert!((measured - slope).abs() < 0.01 * slope.abs(), "{name}: {slope}, measured {measured}");
        }
    }
}

#[test]
fn masks_change_with_seed_and_batch_and_do_not_touch_evaluation() {
    let plain = loss(model(true, 0.0), 7);
    let dropped = loss(model(true, 0.3), 7);
    assert_ne!(dropped, plain);
    assert_ne!(dropped, loss(model(true, 0.3), 8));
    assert_eq!(dropped, loss(model(true, 0.3), 7));
    let mut trainer = Trainer::new(model(true, 0.3), OptimizerConfig::default()).with_seed(7);
    let first = trainer.accumulate(&batch()).unwrap();
    assert_ne!(trainer.accumulate(&batch()).unwrap(), first);
    assert!((trainer.evaluate(&batch()).unwrap().nats - plain).abs() < 1e-3);
}

#[test]
fn a_large_evaluation_adds_up_from_its_sequences() {
    let model = model(false, 0.0);
    let one = batch();
    let mut many = Batch::default();
    for _ in 0..50 {
        many.ids.extend(&one.ids);
        many.targets.extend(&one.targets);
        many.lengths.extend(&one.lengths);
    }
    let (one, many) = (model.loss(&one).unwrap(), model.loss(&many).unwrap());
    assert_eq!(many.tokens, 50 * one.tokens);
    assert!((many.nats - 50.0 * one.nats).abs() < 1e-6 * many.nats);
}
