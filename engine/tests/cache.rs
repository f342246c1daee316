//! The cache of keys and values: going on, going back, and what it refuses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use llm_tuner_engine::config::{Gpt2Config, LlamaConfig};
use llm_tuner_engine::files::{huggingface, safetensors};
use llm_tuner_engine::kernels::tier::Tier;
use llm_tuner_engine::lora::LoraConfig;
use llm_tuner_engine::model::{Continuation, KvCache, Model, ModelError};
use llm_tuner_engine::tensor::Tensor;

fn model() -> Model {
    Model::init(Gpt2Config { n_positions: 12, initializer_range: 0.3, ..Gpt2Config::nano(50) }, 1)
        .unwrap()
        .on(Tier::best_f32())
}

/// Four heads of queries over two of keys and values, which are rotated by their positions.
fn llama() -> Model {
    let config = LlamaConfig {
        vocab_size: 50,
        hidden_size: 24,
        intermediate_size: 40,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: Some(2),
        max_position_embeddings: 12,
        initializer_range: 0.3,
        ..LlamaConfig::default()
    };
    Model::init(config, 1).unwrap().on(Tier::best_f32())
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_truncated_cache_goes_on_from_the_shared_prompt() {
    for model in [model(), llama()] {
        let mut cache = KvCache::new(model.config());
        model.forward_cached(&[1, 2, 3, 4, 5], &mut cache).unwrap();
        cache.truncate(2);
        assert_eq!((cache.len(), cache.remaining()), (2, 10));
        let again = model.forward_cached(&[9, 8, 7], &mut cache).unwrap();
        let whole = model.logits(&[1, 2, 9, 8, 7]).unwrap();
        assert!(distance(&again, &whole[4 * 50..]) < 1e-4);
    }
}

#[test]
fn refusals_leave_the_cache_as_it_was() {
    let model = model();
    let mut cache = KvCache::new(model.config());
    let before = model.forward_cached(&[1, 2, 3], &mut cache.clone()).unwrap();
    model.forward_cached(&[1, 2], &mut cache).unwrap();
    let refused = |ids: &[u32], cache: &mut KvCache| model.forward_cached(ids, cache).unwrap_err();
    assert_eq!(refused(&[50], &mut cache), ModelError::TokenOutOfRange { token: 50, vocab_size: 50 });
    assert_eq!(refused(&[0; 11], &mut cache), ModelError::SequenceTooLong { length: 13, limit: 12 });
    assert!(matches!(refused(&[], &mut cache), ModelError::MalformedBatch { .. }));
    let after = model.forward_cached(&[3], &mut cache).unwrap();
    assert!(distance(&after, &before) < 1e-4);
    let other = Gpt2Config { n_layer: 1, ..Gpt2Config::nano(50) };
    assert_eq!(refused(&[1], &mut KvCache::new(&other.into())), ModelError::ForeignCache);
}

/// Both families on every tier of the processor, with weights as they are read for answers.
fn on_every_tier() -> impl Iterator<Item = Model> {
    let read = |model: Model, tier: Tier| {
        let directory = tempfile::tempdir().unwrap();
        let config = model.config().clone();
        safetensors::write(&directory.path().join("model.safetensors"), model.tensors()).unwrap();
        let weights = huggingface::read_frozen(directory.path(), &config, tier).unwrap();
        Model::from_weights(config, weights).unwrap().on(tier)
    };
    Tier::available().flat_map(move |tier| [read(model(), tier), read(llama(), tier)])
}

/// The model with an adapter of its own over the same weights.
fn adapted(base: &Model, seed: u64, target: &str) -> Model {
    let mut model = base.base_alone();
    let lora = LoraConfig { r: 3, target_modules: vec![target.into()], ..LoraConfig::default() };
    model.attach_lora(&lora, seed).unwrap();
    let tensors = model.lora_tensors().map(|(name, shape, values)| {
        // B starts at zero, with which an adapter does nothing.
        let data = values.iter().enumerate().map(|(i, v)| v + ((i as f32) * 0.7 + seed as f32).sin() * 0.1);
        let data = data.collect();
        (name, Tensor { shape, data })
    });
    let tensors = tensors.collect();
    model.load_lora_tensors(tensors).unwrap();
    model
}

/// Prompts of several lengths, then token by token; each sequence must have the logits that it has alone.
#[test]
fn sequences_together_have_the_logits_that_each_has_alone() {
    for base in on_every_tier() {
        let tuned = [adapted(&base, 1, "all-linear"), adapted(&base, 2, "all-linear")];
        let models = [&base, &tuned[0], &tuned[1], &base, &tuned[0], &tuned[0]];
        let prompts: [&[u32]; 6] = [&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], &[9], &[7, 7], &[30, 2, 9, 4], &[3]];
        let cache_of = |i: usize| match i {
            // An adapter that takes no part is the base.
            5 => KvCache::without_adapter(base.config()),
            _ => KvCache::new(base.config()),
        };
        let mut together: Vec<KvCache> = (0..6).map(cache_of).collect();
        let mut alone = together.clone();
        for step in 0..4u32 {
            let next = |i: usize| [step * 7 + i as u32];
            let tokens: Vec<Vec<u32>> =
                (0..6).map(|i| if step == 0 { prompts[i].to_vec() } else { next(i).to_vec() }).collect();
            let mut sequences: Vec<Continuation<'_>> = together
                .iter_mut()
                .zip(&tokens)
                .zip(models)
                .map(|((cache, ids), model)| Continuation { model, ids, cache })
                .collect();
            let found = Model::forward_together(&mut sequences).unwrap();
            for i in 0..6 {
                let model = if i == 5 { &base } else { models[i] };
                let own = model.forward_cached(&tokens[i], &mut alone[i]).unwrap();
                let tier = base.tier();
                assert!(
                    found[i].iter().zip(&own).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{tier} {step} {i}"
                );
            }
            // The same tokens by another adapter are something else.
            if step == 0 {
                assert_ne!(found[0], found[1], "the adapter did nothing");
            }
        }
    }
}

#[test]
fn what_a_prompt_shares_with_another_need_not_be_computed_again() {
    let ids: Vec<u32> = (0..12).map(|i| (i * 5 + 3) % 50).collect();
    for base in on_every_tier() {
        for model in [base.base_alone(), adapted(&base, 3, "all-linear")] {
            let mut whole = KvCache::new(model.config());
            let expected = model.forward_cached(&ids, &mut whole).unwrap();
            for shared in 1..=10 {
                let mut cache = whole.beginning(shared);
                assert_eq!(cache.len(), shared);
                let found = model.forward_cached(&ids[shared..], &mut cache).unwrap();
                let same = found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{} {shared}", base.tier());
            }
        }
    }
}

#[test]
fn sequences_of_other_weights_are_refused() {
    let (ours, theirs) = (model(), model());
    let mut caches = [KvCache::new(ours.config()), KvCache::new(ours.config())];
    let [first, second] = &mut caches;
    let mut sequences = [
        Continuation { model: &ours, ids: &[1, 2], cache: first },
        Continuation { model: &theirs, ids: &[1, 2], cache: second },
    ];
    assert_eq!(Model::forward_together(&mut sequences).unwrap_err(), ModelError::ForeignBase);
    assert!(caches.iter().all(KvCache::is_empty));
    assert!(Model::forward_together(&mut []).unwrap().is_empty());
}
