//! The cache of keys and values: going on, going back, and what it refuses.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use llm_tuner_engine::config::{Gpt2Config, LlamaConfig};
use llm_tuner_engine::kernels::tier::Tier;
use llm_tuner_engine::model::{KvCache, Model, ModelError};

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
