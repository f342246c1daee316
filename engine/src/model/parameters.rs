//! The weights of a model as one flat list, and the map of which is which.
//!
//! Flat, because loading, saving, clipping and the optimizer are loops over all weights; the map gives the
//! forward and backward passes their names.

use crate::config::Gpt2Config;

/// Position of a weight tensor in the model's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParameterId(pub(crate) usize);

/// One weight tensor.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Name in the file it is saved to.
    pub name: String,
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
    /// Frozen weights get no gradient and no optimizer state.
    pub trainable: bool,
}

impl Parameter {
    /// Matrices decay, biases and layer norms do not: the groups of `transformers.Trainer`.
    pub fn decays(&self) -> bool {
        self.shape.len() >= 2
    }
}

/// Scale and shift of a layer norm.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    pub weight: ParameterId,
    pub bias: ParameterId,
}

/// A dense layer `y = x W + b` with GPT-2's `W [inputs, outputs]`, and its adapter if it has one.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    pub weight: ParameterId,
    pub bias: ParameterId,
    pub inputs: usize,
    pub outputs: usize,
    pub adapter: Option<Adapter>,
}

/// A low-rank update `y += scale · dropout(x) Aᵀ Bᵀ` with PEFT's `A [rank, inputs]`, `B [outputs, rank]`.
#[derive(Debug, Clone, Copy)]
pub struct Adapter {
    pub a: ParameterId,
    pub b: ParameterId,
    pub rank: usize,
    pub scale: f32,
}

/// One transformer block.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    pub ln_1: Norm,
    pub c_attn: Linear,
    pub attn_proj: Linear,
    pub ln_2: Norm,
    pub c_fc: Linear,
    pub mlp_proj: Linear,
}

impl Block {
    /// The dense layers with their module names, in the order of the forward pass.
    pub fn linears(&self) -> [(&'static str, &Linear); 4] {
        [
            ("attn.c_attn", &self.c_attn),
            ("attn.c_proj", &self.attn_proj),
            ("mlp.c_fc", &self.c_fc),
            ("mlp.c_proj", &self.mlp_proj),
        ]
    }

    /// The block of the base model.
    pub fn without_adapters(mut self) -> Self {
        self.linears_mut().into_iter().for_each(|(_, linear)| linear.adapter = None);
        self
    }

    /// As [`Block::linears`], to change.
    pub fn linears_mut(&mut self) -> [(&'static str, &mut Linear); 4] {
        [
            ("attn.c_attn", &mut self.c_attn),
            ("attn.c_proj", &mut self.attn_proj),
            ("mlp.c_fc", &mut self.c_fc),
            ("mlp.c_proj", &mut self.mlp_proj),
        ]
    }
}

/// Which weight is which.
#[derive(Debug, Clone)]
pub struct Layout {
    pub wte: ParameterId,
    pub wpe: ParameterId,
    pub blocks: Vec<Block>,
    pub ln_f: Norm,
    /// `[vocab, width]`; the token embedding itself when the two are tied.
    pub head: ParameterId,
}

/// How a weight starts out when a model is trained from nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Start {
    Normal(f32),
    Constant(f32),
}

/// A weight that a configuration asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    pub shape: Vec<usize>,
    pub start: Start,
}

/// Lists the weights of a configuration in the order of `transformers`' state dict, and maps them.
///
/// Starting values: Radford et al. 2019, as `transformers` does: normal with `initializer_range`, the two
/// projections into the residual stream divided by `√(2 · layers)`.
pub fn plan(config: &Gpt2Config) -> (Layout, Vec<Wanted>) {
    let (d, f, v) = (config.n_embd, config.inner(), config.vocab_size);
    let normal = Start::Normal(config.initializer_range);
    let residual = Start::Normal(config.initializer_range / (2.0 * config.n_layer as f32).sqrt());
    let mut wanted = Vec::new();
    let mut add = |name: String, shape: Vec<usize>, start| {
        wanted.push(Wanted { name, shape, start });
        ParameterId(wanted.len() - 1)
    };
    let wte = add("transformer.wte.weight".into(), vec![v, d], normal);
    let wpe = add("transformer.wpe.weight".into(), vec![config.n_positions, d], normal);
    let mut blocks = Vec::with_capacity(config.n_layer);
    for i in 0..config.n_layer {
        let mut norm = |name: &str| Norm {
            weight: add(format!("transformer.h.{i}.{name}.weight"), vec![d], Start::Constant(1.0)),
            bias: add(format!("transformer.h.{i}.{name}.bias"), vec![d], Start::Constant(0.0)),
        };
        let ln_1 = norm("ln_1");
        let ln_2 = norm("ln_2");
        let mut linear = |name: &str, inputs, outputs, start| Linear {
            weight: add(format!("transformer.h.{i}.{name}.weight"), vec![inputs, outputs], start),
            bias: add(format!("transformer.h.{i}.{name}.bias"), vec![outputs], Start::Constant(0.0)),
            inputs,
            outputs,
            adapter: None,
        };
        blocks.push(Block {
            ln_1,
            c_attn: linear("attn.c_attn", d, 3 * d, normal),
            attn_proj: linear("attn.c_proj", d, d, residual),
            ln_2,
            c_fc: linear("mlp.c_fc", d, f, normal),
            mlp_proj: linear("mlp.c_proj", f, d, residual),
        });
    }
    let ln_f = Norm {
        weight: add("transformer.ln_f.weight".into(), vec![d], Start::Constant(1.0)),
        bias: add("transformer.ln_f.bias".into(), vec![d], Start::Constant(0.0)),
    };
    let head =
        if config.tie_word_embeddings { wte } else { add("lm_head.weight".into(), vec![v, d], normal) };
    (Layout { wte, wpe, blocks, ln_f, head }, wanted)
}
