//! The same seed gives the same bits: with any number of threads, and after a restart from a saved state.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use llm_tuner_engine::config::{Gpt2Config, LlamaConfig, ModelConfig};
use llm_tuner_engine::kernels::tier::Tier;
use llm_tuner_engine::lora::{ALL_LINEAR, LoraConfig};
use llm_tuner_engine::model::{Batch, IGNORE, Model};
use llm_tuner_engine::optimizer::OptimizerConfig;
use llm_tuner_engine::rng::Stream;
use llm_tuner_engine::tensor::{Tensor, TensorMap};
use llm_tuner_engine::trainer::{TrainError, Trainer};

/// Wide enough that every kernel has work for several threads, with every kind of dropout.
fn model(lora: bool) -> Model {
    with_lora(gpt2(), lora)
}

fn gpt2() -> ModelConfig {
    ModelConfig::Gpt2(Gpt2Config {
        n_layer: 2,
        resid_pdrop: 0.1,
        embd_pdrop: 0.1,
        attn_pdrop: 0.1,
        ..Gpt2Config::nano(700)
    })
}

/// Six heads of queries over two of keys and values.
fn llama() -> ModelConfig {
    ModelConfig::Llama(LlamaConfig {
        vocab_size: 700,
        hidden_size: 192,
        intermediate_size: 512,
        num_hidden_layers: 2,
        num_attention_heads: 6,
        num_key_value_heads: Some(2),
        max_position_embeddings: 256,
        attention_dropout: 0.1,
        ..LlamaConfig::default()
    })
}

fn with_lora(config: ModelConfig, lora: bool) -> Model {
    let mut model = Model::init(config, 5).unwrap();
    if lora {
        let target_modules = vec![ALL_LINEAR.into()];
        model.attach_lora(&LoraConfig { dropout: 0.1, target_modules, ..LoraConfig::default() }, 6).unwrap();
    }
    model
}

fn batch(seed: u64) -> Batch {
    let stream = Stream::new(seed);
    let lengths = vec![130, 47, 200, 1, 64];
    let n = lengths.iter().sum::<usize>() as u64;
    let ids = (0..n).map(|i| (stream.bits(i) % 700) as u32).collect();
    let targets =
        (0..n).map(|i| if i % 3 == 0 { IGNORE } else { (stream.bits(n + i) % 700) as u32 }).collect();
    Batch { ids, targets, lengths }
}

fn steps(trainer: &mut Trainer, from: u64, to: u64) -> Vec<u64> {
    let step = |i: u64| {
        let loss = trainer.accumulate(&batch(2 * i)).unwrap();
        trainer.accumulate(&batch(2 * i + 1)).unwrap();
        let norm = trainer.apply(1e-3).unwrap();
        loss.nats.to_bits() ^ u64::from(norm.to_bits())
    };
    (from..to).map(step).collect()
}

fn weights(model: &Model) -> TensorMap {
    let all = model.tensors().chain(model.lora_tensors());
    all.map(|(name, shape, data)| (name, Tensor { shape, data: data.to_vec() })).collect()
}

fn run(config: &ModelConfig, threads: usize, lora: bool, tier: Tier) -> (Vec<u64>, TensorMap, f64) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut trainer =
            Trainer::new(with_lora(config.clone(), lora).on(tier), OptimizerConfig::default()).with_seed(9);
        let log = steps(&mut trainer, 0, 2);
        let loss = trainer.evaluate(&batch(99)).unwrap().nats;
        (log, weights(trainer.model()), loss)
    })
}

#[test]
fn threads_change_no_bit() {
    for config in [gpt2(), llama()] {
        for lora in [false, true] {
            for tier in Tier::available() {
                let one = run(&config, 1, lora, tier);
                for threads in [2, 4] {
                    let same = run(&config, threads, lora, tier) == one;
                    assert!(same, "{}, {tier}, {threads} threads, lora {lora}", config.family());
                }
            }
        }
    }
}

#[test]
fn a_restored_trainer_goes_on_as_if_never_stopped() {
    Tier::available().for_each(restored);
}

fn restored(tier: Tier) {
    let new = || Trainer::new(model(true).on(tier), OptimizerConfig::default()).with_seed(9);
    let mut whole = new();
    let log = steps(&mut whole, 0, 4);

    let mut first = new();
    steps(&mut first, 0, 2);
    let state = first.state();
    let mut again = model(true).on(tier);
    again.load_lora_tensors(first.model().lora_tensor_map()).unwrap();
    let mut second = Trainer::new(again, OptimizerConfig::default()).with_seed(9);
    let mut incomplete = state.clone();
    incomplete.pop_first();
    assert!(matches!(second.restore(incomplete), Err(TrainError::State { .. })));
    second.restore(state).unwrap();
    assert_eq!(second.step(), 2);
    assert_eq!(steps(&mut second, 2, 4), log[2..]);
    assert_eq!(weights(second.model()), weights(whole.model()));
}

#[test]
fn recomputation_changes_no_bit() {
    for (config, tier) in
        [gpt2(), llama()].into_iter().flat_map(|c| Tier::available().map(move |t| (c.clone(), t)))
    {
        for lora in [false, true] {
            let run = |recompute| {
                let model = with_lora(config.clone(), lora).on(tier);
                let mut trainer = Trainer::new(model, OptimizerConfig::default())
                    .with_seed(9)
                    .with_recomputation(recompute);
                (steps(&mut trainer, 0, 2), weights(trainer.model()))
            };
            assert!(run(true) == run(false), "{}, {tier}, lora {lora}", config.family());
        }
    }
}

#[test]
fn a_step_that_is_not_finite_is_an_error_and_changes_nothing() {
    let model = model(false);
    let mut tensors: TensorMap = weights(&model);
    let config = model.config().clone();
    // So large that the logits overflow.
    tensors.get_mut("transformer.ln_f.weight").unwrap().data.fill(1e38);
    let mut trainer = Trainer::new(Model::from_tensors(config, tensors).unwrap(), OptimizerConfig::default());
    let before = weights(trainer.model());
    let error = trainer.accumulate(&batch(1)).unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { .. }), "{error}");
    assert_eq!(trainer.apply(1e-3), Err(TrainError::NothingToPredict));
    assert_eq!(weights(trainer.model()), before);
}

#[test]
fn batches_that_do_not_fit_the_model_are_refused() {
    let mut trainer = Trainer::new(model(false), OptimizerConfig::default());
    let good = Batch { ids: vec![1, 2], targets: vec![2, IGNORE], lengths: vec![2] };
    for (bad, word) in [
        (Batch { lengths: vec![1], ..good.clone() }, "add up"),
        (Batch { targets: vec![2], ..good.clone() }, "targets"),
        (Batch { lengths: vec![2, 0], ..good.clone() }, "lengths"),
        (Batch { ids: vec![1, 700], ..good.clone() }, "700"),
        (Batch { targets: vec![701, IGNORE], ..good.clone() }, "701"),
        (Batch { ids: vec![1; 1025], targets: vec![1; 1025], lengths: vec![1025] }, "1025"),
    ] {
        let error = trainer.accumulate(&bad).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    trainer.accumulate(&good).unwrap();
    trainer.apply(1e-3).unwrap();
}
