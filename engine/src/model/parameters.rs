//! The weights of a model as one flat list, and the map of which is which.
//!
//! Flat, because loading, saving, clipping and the optimizer are loops over all weights; the map gives the
//! forward and backward passes their names.

use super::weight::Values;
use crate::kernels::gemm::{Element, Mat};
use std::sync::Arc;

/// Position of a weight tensor in the model's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParameterId(pub(crate) usize);

/// One weight tensor.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Name in the file it is saved to.
    pub name: String,
    pub shape: Vec<usize>,
    /// Shared by the models that are made over one base.
    pub values: Arc<Values>,
    /// Frozen weights get no gradient and no optimizer state.
    pub trainable: bool,
}

impl Parameter {
    /// Matrices decay, biases and norms do not: the groups of `transformers.Trainer`.
    pub fn decays(&self) -> bool {
        self.shape.len() >= 2
    }

    /// The values to change, in f32: this model's own from then on, copied only where another shares them.
    pub fn own(&mut self) -> &mut Vec<f32> {
        Arc::make_mut(&mut self.values).exact()
    }
}

/// Scale and shift of a layer norm; without a shift, the scale of a norm by the root mean square.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    pub weight: ParameterId,
    pub bias: Option<ParameterId>,
}

/// How a dense layer's weights lie in their file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orientation {
    /// `[inputs, outputs]`: GPT-2's `Conv1D`.
    InOut,
    /// `[outputs, inputs]`: PyTorch's `Linear`.
    OutIn,
}

/// A dense layer `y = x W + b`, and its adapter if it has one.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// Its path in the block, such as `attn.c_attn`.
    pub module: &'static str,
    pub weight: ParameterId,
    pub bias: Option<ParameterId>,
    pub inputs: usize,
    pub outputs: usize,
    pub orientation: Orientation,
    /// First column of its outputs in the buffer that it shares with its neighbours.
    pub column: usize,
    pub adapter: Option<Adapter>,
}

impl Linear {
    /// The weights as `W [inputs, outputs]`.
    pub fn matrix<'a, E: Element>(&self, values: &'a [E]) -> Mat<'a, E> {
        match self.orientation {
            Orientation::InOut => Mat::new(values, self.inputs, self.outputs),
            Orientation::OutIn => Mat::new(values, self.outputs, self.inputs).t(),
        }
    }
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
#[derive(Debug, Clone)]
pub struct Block {
    pub norm_1: Norm,
    /// From the residual stream to queries, keys and values, side by side in one buffer.
    pub attention_in: Vec<Linear>,
    pub attention_out: Linear,
    pub norm_2: Norm,
    /// From the residual stream to what the activation reads, side by side in one buffer.
    pub mlp_in: Vec<Linear>,
    pub mlp_out: Linear,
}

/// Where the dense layers of a block stand in [`Block::linears`].
#[derive(Debug, Clone, Copy)]
pub struct Places {
    pub attention_out: usize,
    pub mlp_in: usize,
    pub mlp_out: usize,
}

impl Block {
    /// The dense layers in the order of the forward pass.
    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.attention_in.iter().chain([&self.attention_out]).chain(&self.mlp_in).chain([&self.mlp_out])
    }

    /// As [`Block::linears`], to change.
    pub fn linears_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        let Self { attention_in, attention_out, mlp_in, mlp_out, .. } = self;
        attention_in.iter_mut().chain([attention_out]).chain(mlp_in).chain([mlp_out])
    }

    /// One of [`Block::linears`], by its place there.
    pub fn linear(&self, place: usize) -> Option<&Linear> {
        self.linears().nth(place)
    }

    pub fn places(&self) -> Places {
        let attention_out = self.attention_in.len();
        let mlp_in = attention_out + 1;
        Places { attention_out, mlp_in, mlp_out: mlp_in + self.mlp_in.len() }
    }
}

/// Which weight is which.
#[derive(Debug, Clone)]
pub struct Layout {
    pub token_embedding: ParameterId,
    /// Where positions are learned.
    pub position_embedding: Option<ParameterId>,
    /// Path of the list of blocks, such as `transformer.h`.
    pub blocks_path: &'static str,
    pub blocks: Vec<Block>,
    pub last_norm: Norm,
    /// `[vocab, width]`; the token embedding itself when the two are tied.
    pub head: ParameterId,
}

impl Layout {
    /// The path of a dense layer, as PEFT knows it.
    pub fn module_path(&self, block: usize, linear: &Linear) -> String {
        format!("{}.{block}.{}", self.blocks_path, linear.module)
    }

    /// The last parts of the dense layers' paths, such as `c_attn`, each once.
    pub fn module_names(&self) -> Vec<&'static str> {
        let mut names: Vec<&'static str> = Vec::new();
        for linear in self.blocks.iter().flat_map(Block::linears) {
            let name = linear.module.rsplit('.').next().unwrap_or(linear.module);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
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
