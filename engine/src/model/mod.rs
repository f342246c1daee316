//! A model of any family: its weights, how it is made, and the passes over it.
//!
//! The passes live in files of their own: `forward` and `backward` for training, `cached` for generation. They know no
//! family, only an [`Architecture`] and a layout; `plan` makes the layout.
//! Not for files (the checkpoint reader hands in tensors) and not for updating weights (the trainer does).

mod backward;
mod batch;
mod cached;
mod evaluate;
mod forward;
mod gradients;
mod head;
mod linear;
mod norm;
mod parameters;
mod plan;
mod weight;
mod workspace;

pub use batch::{Batch, IGNORE, LossSum};
pub use cached::{Continuation, KvCache};
pub(crate) use forward::Pass;
pub(crate) use gradients::Gradients;
pub use parameters::Parameter;
pub(crate) use parameters::{Adapter, Block, Layout, Linear, Norm, Orientation, ParameterId, Start};
pub(crate) use plan::{canonical_name, plan};
pub use weight::{Values, WeightMap};
pub(crate) use weight::{rounded_ids, rounded_names};
pub(crate) use workspace::{HEAD_ROWS, Keep, Workspace, largest_group};

use std::borrow::Cow;
use std::sync::Arc;

use crate::config::{Architecture, ConfigError, ModelConfig};
use crate::error::short;
use crate::kernels::tier::Tier;
use crate::lora::LoraConfig;
use crate::rng::Stream;
use crate::tensor::{Tensor, TensorMap};

/// Why a model cannot be made or run on what it was given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the weights lack the tensor {name} (expected shape {expected:?}); is the file complete?")]
    MissingTensor { name: String, expected: Vec<usize> },
    #[error("tensor {name} has shape {}, but config.json asks for {expected:?}", short(&format!("{found:?}")))]
    WrongShape { name: String, expected: Vec<usize>, found: Vec<usize> },
    #[error(
        "the weights hold a tensor {} that config.json does not describe; is it of another model?",
        short(name)
    )]
    UnexpectedTensor { name: String },
    #[error("this model has no module {}; choose from {known}, or all-linear", short(module))]
    UnknownModule { module: String, known: String },
    #[error("lora: {field} is {value}, but must be {must}")]
    LoraBounds { field: &'static str, value: String, must: &'static str },
    #[error("the model has an adapter already; merge it first")]
    LoraAttached,
    #[error("the cache belongs to a model of another shape; start a new one")]
    ForeignCache,
    #[error("the model has no adapter")]
    NoLora,
    #[error("the models do not share one base; load the adapters over the same loaded model")]
    ForeignBase,
    #[error(
        "token {token} is outside the vocabulary of {vocab_size}; the tokenizer belongs to another model"
    )]
    TokenOutOfRange { token: u32, vocab_size: usize },
    #[error("a sequence of {length} tokens is longer than the model's {limit} positions")]
    SequenceTooLong { length: usize, limit: usize },
    #[error(
        "a batch needs as many targets as tokens and sequence lengths above 0 that add up to them: {tokens} tokens, {targets} targets, lengths sum to {lengths}"
    )]
    MalformedBatch { tokens: usize, targets: usize, lengths: usize },
}

/// A model: its weights, in f32 or rounded where they are only read, and possibly a LoRA adapter. A clone shares the
/// weights until one of the two changes them.
#[derive(Debug, Clone)]
pub struct Model {
    config: ModelConfig,
    pub(crate) architecture: Architecture,
    pub(crate) layout: Layout,
    /// The base model's, then the adapter's.
    pub(crate) parameters: Vec<Parameter>,
    base_len: usize,
    pub(crate) lora: Option<LoraConfig>,
    /// The instructions that its passes use.
    pub(crate) tier: Tier,
}

/// Runs work inside the rayon pool, so that its many small parallel regions need not enter it one by one.
pub(crate) fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// Names and shapes of the weights that a configuration asks for, a tied head not repeated.
pub fn expected_tensors(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    plan(config).1.into_iter().map(|wanted| (wanted.name, wanted.shape)).collect()
}

impl Model {
    /// A new model with random weights; the same seed gives the same weights.
    pub fn init(config: impl Into<ModelConfig>, seed: u64) -> Result<Self, ModelError> {
        let config = config.into();
        let architecture = config.architecture()?;
        let (layout, wanted) = plan(&config);
        let stream = Stream::new(seed);
        let fill = |(i, w): (usize, parameters::Wanted)| {
            let count = w.shape.iter().product();
            let values = match w.start {
                Start::Constant(value) => vec![value; count],
                Start::Normal(std) => {
                    let stream = stream.child(i as u64);
                    (0..count as u64).map(|j| (stream.normal(j) * f64::from(std)) as f32).collect()
                }
            };
            Parameter { name: w.name, shape: w.shape, values: Arc::new(values.into()), trainable: true }
        };
        let parameters: Vec<Parameter> = wanted.into_iter().enumerate().map(fill).collect();
        Ok(Self::of(config, architecture, layout, parameters))
    }

    /// A model with given weights. Names may lack the prefix (`transformer.` or `model.`), and buffers that old files
    /// carry beside the weights are passed over.
    pub fn from_tensors(config: impl Into<ModelConfig>, tensors: TensorMap) -> Result<Self, ModelError> {
        let weight = |(name, Tensor { shape, data })| (name, (shape, Values::from(data)));
        Self::from_weights(config, tensors.into_iter().map(weight).collect())
    }

    /// As [`Model::from_tensors`]; weights may be rounded already.
    pub fn from_weights(config: impl Into<ModelConfig>, weights: WeightMap) -> Result<Self, ModelError> {
        let config = config.into();
        let architecture = config.architecture()?;
        let (layout, wanted) = plan(&config);
        let mut weights: WeightMap = weights
            .into_iter()
            .filter_map(|(name, weight)| Some((canonical_name(&config, name)?, weight)))
            .collect();
        let mut parameters = Vec::with_capacity(wanted.len());
        for w in wanted {
            parameters.push(take(&mut weights, w.name, w.shape)?);
        }
        match weights.into_keys().next() {
            Some(name) => Err(ModelError::UnexpectedTensor { name }),
            None => Ok(Self::of(config, architecture, layout, parameters)),
        }
    }

    fn of(
        config: ModelConfig,
        architecture: Architecture,
        layout: Layout,
        parameters: Vec<Parameter>,
    ) -> Self {
        let base_len = parameters.len();
        Self { config, architecture, layout, base_len, parameters, lora: None, tier: Tier::chosen() }
    }

    /// The instructions that its passes use.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The same model, whose passes use the instructions of this tier instead of the process's.
    ///
    /// # Panics
    /// In its passes, if the processor lacks the tier.
    pub fn on(self, tier: Tier) -> Self {
        Self { tier, ..self }
    }

    /// The base weights: Hugging Face name, shape, values. A tied head is not repeated.
    /// What is rounded is copied.
    pub fn tensors(&self) -> impl Iterator<Item = (String, Vec<usize>, Cow<'_, [f32]>)> {
        self.base().iter().map(|p| (p.name.clone(), p.shape.clone(), p.values.to_f32()))
    }

    /// Number of base weights.
    pub fn parameter_count(&self) -> usize {
        self.base().iter().map(|p| p.values.count()).sum()
    }

    /// Number of weights that training changes.
    pub fn trainable_parameter_count(&self) -> usize {
        self.parameters.iter().filter(|p| p.trainable).map(|p| p.values.count()).sum()
    }

    /// Bytes of all weights, the adapter's among them.
    pub fn weight_bytes(&self) -> usize {
        self.parameters.iter().map(|p| p.values.bytes()).sum()
    }

    /// Bytes of the adapter's weights.
    pub fn adapter_bytes(&self) -> usize {
        self.parameters[self.base_len..].iter().map(|p| p.values.bytes()).sum()
    }

    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same base without the adapter, over the same weights in memory: for another adapter, or for none.
    pub fn base_alone(&self) -> Self {
        let mut alone = self.clone();
        alone.parameters.truncate(self.base_len);
        alone.layout.blocks.iter_mut().flat_map(Block::linears_mut).for_each(|linear| linear.adapter = None);
        alone.lora = None;
        alone
    }

    /// Whether the base weights of both are the same values in memory.
    pub fn shares_base_with(&self, other: &Self) -> bool {
        let pairs = self.base().iter().zip(other.base());
        self.base_len == other.base_len
            && self.tier == other.tier
            && pairs.into_iter().all(|(ours, theirs)| Arc::ptr_eq(&ours.values, &theirs.values))
    }

    /// The adapter's settings, if there is one.
    pub fn lora(&self) -> Option<&LoraConfig> {
        self.lora.as_ref()
    }

    /// The values of a weight that is never rounded: of a norm, a bias, a table of positions, an adapter.
    pub(crate) fn values(&self, id: ParameterId) -> &[f32] {
        match &*self.parameters[id.0].values {
            Values::F32(values) => values,
            Values::Bf16(_) => {
                debug_assert!(false, "{} is rounded", self.parameters[id.0].name);
                &[]
            }
        }
    }

    /// The values of a bias, where there is one.
    pub(crate) fn bias(&self, linear: &Linear) -> Option<&[f32]> {
        linear.bias.map(|id| self.values(id))
    }

    /// The biases of layers that lie side by side; empty where there are none.
    pub(crate) fn biases(&self, linears: &[Linear]) -> Vec<&[f32]> {
        linears.iter().map(|linear| self.bias(linear).unwrap_or_default()).collect()
    }

    /// Number of entries of `parameters` that are the base model's; the adapter's follow them.
    pub(crate) fn base_len(&self) -> usize {
        self.base_len
    }

    fn base(&self) -> &[Parameter] {
        &self.parameters[..self.base_len()]
    }
}

/// Takes one weight out of a map, with the shape it must have.
pub(crate) fn take(
    weights: &mut WeightMap,
    name: String,
    expected: Vec<usize>,
) -> Result<Parameter, ModelError> {
    match weights.remove(&name) {
        None => Err(ModelError::MissingTensor { name, expected }),
        Some((shape, values))
            if shape != expected || values.count() != expected.iter().product::<usize>() =>
        {
            Err(ModelError::WrongShape { name, expected, found: shape })
        }
        Some((_, values)) => {
            Ok(Parameter { name, shape: expected, values: Arc::new(values), trainable: true })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Gpt2Config, LlamaConfig};
    use crate::tensor::Tensor;

    fn small(tied: bool) -> Gpt2Config {
        Gpt2Config {
            n_embd: 8,
            n_head: 2,
            n_layer: 2,
            n_positions: 6,
            tie_word_embeddings: tied,
            ..Gpt2Config::nano(11)
        }
    }

    fn small_llama(tied: bool) -> LlamaConfig {
        LlamaConfig {
            vocab_size: 11,
            hidden_size: 8,
            intermediate_size: 12,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: Some(1),
            tie_word_embeddings: tied,
            ..LlamaConfig::default()
        }
    }

    fn map(model: &Model) -> TensorMap {
        model.tensors().map(|(name, shape, data)| (name, Tensor { shape, data: data.into_owned() })).collect()
    }

    #[test]
    fn weights_survive_a_round_trip_with_and_without_prefix() {
        let families = |tied| -> [(ModelConfig, &str, &str); 2] {
            [
                (small(tied).into(), "transformer.", "h.0.attn.bias"),
                (small_llama(tied).into(), "model.", "layers.0.self_attn.rotary_emb.inv_freq"),
            ]
        };
        for (config, prefix, buffer) in [true, false].into_iter().flat_map(families) {
            let model = Model::init(config.clone(), 1).unwrap();
            assert_eq!(model.parameter_count(), config.parameter_count());
            assert_eq!(model.trainable_parameter_count(), model.parameter_count());
            let bare: TensorMap = map(&model)
                .into_iter()
                .map(|(name, t)| (name.strip_prefix(prefix).unwrap_or(&name).to_owned(), t))
                .chain([(buffer.to_owned(), Tensor::default())])
                .collect();
            let again = Model::from_tensors(config, bare).unwrap();
            assert_eq!(map(&again), map(&model));
        }
    }

    #[test]
    fn a_missing_wrong_or_unexpected_tensor_is_named() {
        let model = Model::init(small(true), 1).unwrap();
        let name = "transformer.h.1.mlp.c_fc.weight";
        let mut tensors = map(&model);
        tensors.remove(name);
        let error = Model::from_tensors(small(true), tensors).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("[8, 32]"), "{error}");

        let mut tensors = map(&model);
        tensors.insert(name.into(), Tensor { shape: vec![32, 8], data: vec![0.0; 256] });
        let error = Model::from_tensors(small(true), tensors).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("[8, 32]") && error.contains("[32, 8]"), "{error}");

        let mut tensors = map(&model);
        tensors.insert("transformer.h.2.ln_1.weight".into(), Tensor::default());
        let error = Model::from_tensors(small(true), tensors).unwrap_err().to_string();
        assert!(error.contains("h.2.ln_1"), "{error}");
    }

    #[test]
    fn starting_weights_follow_the_seed() {
        let (a, b, c) =
            (Model::init(small(true), 1), Model::init(small(true), 1), Model::init(small(true), 2));
        assert_eq!(map(a.as_ref().unwrap()), map(&b.unwrap()));
        assert_ne!(map(&a.unwrap()), map(&c.unwrap()));
    }
}
