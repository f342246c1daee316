//! The buffers of a pass: sized once for the largest batch seen, then used again.
//!
//! Norms' and activations' outputs are not kept; the backward pass makes them again from what is.

use super::{Block, Linear, Model};
use crate::kernels::elementwise;
use crate::kernels::layernorm::Statistics;
use crate::kernels::rope::Angles;
use crate::kernels::tier::Precision;
use half::bf16;

/// Rows of logits that the head handles at once: fewer would pack its weights more often than they are multiplied.
pub(crate) const HEAD_ROWS: usize = 256;

/// One buffer of a block, kept from the forward pass for the backward pass: in f32, or rounded to bf16 where products
/// read bf16, as PyTorch keeps it then.
#[derive(Debug)]
pub(crate) enum Kept {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::F32(Vec::new())
    }
}

impl Kept {
    pub fn keep(&mut self, values: &[f32]) {
        match self {
            Self::F32(kept) => elementwise::copy(values, &mut kept[..values.len()]),
            Self::Bf16(kept) => elementwise::narrow(values, &mut kept[..values.len()]),
        }
    }

    /// Writes the first values that were kept.
    pub fn recall(&self, out: &mut [f32]) {
        match self {
            Self::F32(kept) => elementwise::copy(&kept[..out.len()], out),
            Self::Bf16(kept) => elementwise::widen_all(&kept[..out.len()], out),
        }
    }

    fn grow(&mut self, precision: Precision, length: usize) {
        match (&mut *self, precision) {
            (Self::F32(kept), Precision::F32) => grow(kept, length),
            (Self::Bf16(kept), Precision::Bf16) => grow(kept, length),
            (_, Precision::F32) => *self = Self::F32(vec![0.0; length]),
            (_, Precision::Bf16) => *self = Self::Bf16(vec![bf16::ZERO; length]),
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        match self {
            Self::F32(kept) => 4 * kept.len(),
            Self::Bf16(kept) => 2 * kept.len(),
        }
    }
}

/// What the backward pass of one block needs from its forward pass.
#[derive(Debug, Default)]
pub(crate) struct BlockActivations {
    /// The residual stream before the block `[rows, width]`.
    pub input: Kept,
    /// Queries, keys and values `[rows, qkv width]`, rotated by their positions where the model does so.
    pub qkv: Kept,
    /// The heads' outputs `[rows, attention width]`.
    pub attention: Kept,
    /// The residual stream after attention `[rows, width]`.
    pub middle: Kept,
    /// What the activation reads `[rows, mlp width]`.
    pub inner: Kept,
    /// For each dense layer with an adapter, its low-rank product `[rows, rank]`, in the order of
    /// `Block::linears`.
    pub low_rank: Vec<Vec<f32>>,
}

impl BlockActivations {
    /// Room for `rows` tokens, and for the low-rank products of the layers that are `adapted`.
    fn grow(&mut self, model: &Model, block: &Block, rows: usize, adapted: impl Fn(&Linear) -> bool) {
        let (a, precision) = (&model.architecture, model.tier.precision());
        self.input.grow(precision, rows * a.width);
        self.qkv.grow(precision, rows * a.qkv_width());
        self.attention.grow(precision, rows * a.attention_width());
        self.middle.grow(precision, rows * a.width);
        self.inner.grow(precision, rows * a.mlp_width());
        self.low_rank.resize_with(block.linears().count(), Vec::new);
        let rank = model.lora().map_or(0, |lora| lora.r);
        for (linear, low_rank) in block.linears().zip(&mut self.low_rank) {
            if adapted(linear) {
                grow(low_rank, rows * rank);
            }
        }
    }
}

/// Buffers that every block overwrites.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `[rows, width]`: the residual stream in the middle of a block, or what is recalled of it.
    pub stream: Vec<f32>,
    /// `[rows, attention width]`
    pub attention: Vec<f32>,
    /// `[rows, max(width, attention width)]`
    pub narrow: Vec<f32>,
    /// `[rows, max(mlp width, qkv width)]`: what attention or the activation reads.
    pub front: Vec<f32>,
    /// `[rows, max(inner, qkv width)]`
    pub wide: Vec<f32>,
    pub statistics: Vec<Statistics>,
    /// An adapter's input with dropout, or the gradient to it.
    pub adapter_input: Vec<f32>,
    /// `[rows, rank]` for each layer of the largest group: gradients of the low-rank products.
    pub low_rank: Vec<f32>,
}

/// Buffers of the head, for one piece of the predicted rows.
#[derive(Debug, Default)]
pub(crate) struct HeadScratch {
    pub hidden: Vec<f32>,
    pub gradient: Vec<f32>,
    pub logits: Vec<f32>,
    pub normed: Vec<f32>,
    pub statistics: Vec<Statistics>,
    pub residual: Vec<f32>,
}

/// What a forward pass leaves for a backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// No backward pass follows.
    Nothing,
    /// Each block's input in f32, from which the backward pass computes the block again: to the same bits.
    Inputs,
    /// All that the backward pass needs.
    All,
}

/// All buffers of a pass over one batch.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// What is kept of each block.
    pub blocks: Vec<BlockActivations>,
    /// Of the block at hand, where not all is kept.
    pub block: BlockActivations,
    /// The residual stream before and after a block, in turn `[rows, width]`.
    pub residual: [Vec<f32>; 2],
    pub scratch: Scratch,
    /// Gradient of the residual stream `[rows, width]`.
    pub gradient: Vec<f32>,
    /// The same with residual dropout applied.
    pub dropped: Vec<f32>,
    pub head: HeadScratch,
    /// The position of each row of the batch.
    pub positions: Vec<usize>,
    /// For the longest sequence seen; none where positions are not rotated.
    pub angles: Angles,
}

/// Most dense layers of a block that read the same rows.
pub(crate) fn largest_group(blocks: &[Block]) -> usize {
    blocks.iter().map(|block| block.attention_in.len().max(block.mlp_in.len())).max().unwrap_or(1)
}

fn grow<T: Clone + Default>(buffer: &mut Vec<T>, length: usize) {
    if buffer.len() < length {
        // A fresh allocation, so that old contents are not copied.
        *buffer = vec![T::default(); length];
    }
}

impl Workspace {
    /// Room for batches of `rows` tokens.
    pub fn reserve(&mut self, model: &Model, rows: usize, keep: Keep) {
        let a = &model.architecture;
        let (d, f) = (a.width, a.inner);
        let rank = model.lora().map_or(0, |lora| lora.r);
        self.blocks.resize_with(model.layout.blocks.len(), BlockActivations::default);
        for stream in &mut self.residual {
            grow(stream, rows * d);
        }
        for (acts, block) in self.blocks.iter_mut().zip(&model.layout.blocks) {
            match keep {
                Keep::Nothing => {}
                Keep::Inputs => acts.input.grow(Precision::F32, rows * d),
                Keep::All => acts.grow(model, block, rows, |linear| linear.adapter.is_some()),
            }
        }
        if let (Keep::Nothing | Keep::Inputs, Some(block)) = (keep, model.layout.blocks.first()) {
            self.block.grow(model, block, rows, |_| true);
        }
        let keep = keep != Keep::Nothing;
        grow(&mut self.scratch.stream, rows * d);
        grow(&mut self.scratch.attention, rows * a.attention_width());
        grow(&mut self.scratch.front, rows * a.mlp_width().max(a.qkv_width()));
        grow(&mut self.scratch.narrow, rows * d.max(a.attention_width()));
        grow(&mut self.scratch.wide, rows * f.max(a.qkv_width()));
        grow(&mut self.scratch.statistics, rows);
        if keep {
            grow(&mut self.gradient, rows * d);
            if a.dropout.residual > 0.0 {
                grow(&mut self.dropped, rows * d);
            }
            grow(&mut self.scratch.low_rank, rows * rank * largest_group(&model.layout.blocks));
            if model.lora().is_some_and(|lora| lora.dropout > 0.0) {
                grow(&mut self.scratch.adapter_input, rows * f.max(d).max(a.attention_width()));
            }
        }
        let piece = rows.min(HEAD_ROWS);
        grow(&mut self.head.residual, piece * d);
        grow(&mut self.head.normed, piece * d);
        grow(&mut self.head.statistics, piece);
        grow(&mut self.head.logits, piece * a.vocab);
        if keep {
            grow(&mut self.head.hidden, piece * d);
            grow(&mut self.head.gradient, piece * d);
        }
    }

    /// Gives each row of the batch its position, and sees to it that the angles reach as far.
    pub fn place(&mut self, model: &Model, lengths: &[usize]) {
        self.positions.clear();
        self.positions.extend(lengths.iter().flat_map(|&length| 0..length));
        let longest = lengths.iter().copied().max().unwrap_or(0);
        if let Some(rotary) = &model.architecture.rotary
            && self.angles.positions() < longest
        {
            self.angles = Angles::new(&rotary.frequencies, rotary.factor, 0, longest);
        }
    }

    /// Bytes of all buffers.
    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        let kept = |b: &BlockActivations| {
            [&b.input, &b.qkv, &b.attention, &b.middle, &b.inner].map(Kept::bytes).iter().sum::<usize>()
        };
        let all = || self.blocks.iter().chain([&self.block]);
        let blocks: usize = all().map(kept).sum();
        let low_rank = all().flat_map(|b| &b.low_rank);
        let s = &self.scratch;
        let scratch = [&s.stream, &s.attention, &s.narrow, &s.front, &s.wide, &s.adapter_input, &s.low_rank];
        let HeadScratch { hidden, gradient, logits, normed, residual, .. } = &self.head;
        let rest = [hidden, gradient, logits, normed, residual, &self.gradient, &self.dropped];
        let buffers = low_rank.chain(&self.residual).chain(scratch).chain(rest);
        blocks + 4 * buffers.map(Vec::len).sum::<usize>()
    }
}
