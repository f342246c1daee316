//! The buffers of a pass: sized once for the largest batch seen, then used again.
//!
//! Norms' and activations' outputs are not kept; the backward pass makes them again from what is.

use super::{Block, Model};
use crate::kernels::layernorm::Statistics;
use crate::kernels::rope::Angles;

/// Logits that exist at once, in values; the head works through its rows in pieces of this size.
const LOGITS: usize = 1 << 24;

/// What the backward pass of one block needs from its forward pass.
#[derive(Debug, Default)]
pub(crate) struct BlockActivations {
    /// Queries, keys and values `[rows, qkv width]`, rotated by their positions where the model does so.
    pub qkv: Vec<f32>,
    /// The heads' outputs `[rows, attention width]`.
    pub attention: Vec<f32>,
    /// The residual stream after attention `[rows, width]`.
    pub middle: Vec<f32>,
    /// What the activation reads `[rows, mlp width]`; the backward pass puts its gradient there.
    pub inner: Vec<f32>,
    /// For each dense layer with an adapter, its low-rank product `[rows, rank]`, in the order of
    /// `Block::linears`.
    pub low_rank: Vec<Vec<f32>>,
}

/// Buffers that every block overwrites.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `[rows, max(width, attention width)]`
    pub narrow: Vec<f32>,
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

/// All buffers of a pass over one batch.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub blocks: Vec<BlockActivations>,
    /// The residual stream before each block and after the last `[rows, width]`.
    pub residual: Vec<Vec<f32>>,
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

/// Rows of logits the head handles at once.
pub(crate) fn head_rows(vocab_size: usize) -> usize {
    (LOGITS / vocab_size / 32 * 32).clamp(32, 256)
}

fn grow<T: Clone + Default>(buffer: &mut Vec<T>, length: usize) {
    if buffer.len() < length {
        // A fresh allocation, so that old contents are not copied.
        *buffer = vec![T::default(); length];
    }
}

impl Workspace {
    /// Room for batches of `rows` tokens: with `keep`, for a forward and a backward pass.
    pub fn reserve(&mut self, model: &Model, rows: usize, keep: bool) {
        let a = &model.architecture;
        let (d, f) = (a.width, a.inner);
        let blocks = if keep { a.layers } else { 1 };
        let streams = if keep { a.layers + 1 } else { 2 };
        let rank = model.lora().map_or(0, |lora| lora.r);
        self.blocks.resize_with(blocks.max(self.blocks.len()), BlockActivations::default);
        self.residual.resize_with(streams.max(self.residual.len()), Vec::new);
        for stream in &mut self.residual[..streams] {
            grow(stream, rows * d);
        }
        for (acts, block) in self.blocks[..blocks].iter_mut().zip(&model.layout.blocks) {
            grow(&mut acts.qkv, rows * a.qkv_width());
            grow(&mut acts.attention, rows * a.attention_width());
            grow(&mut acts.middle, rows * d);
            grow(&mut acts.inner, rows * a.mlp_width());
            acts.low_rank.resize_with(block.linears().count(), Vec::new);
            for (linear, low_rank) in block.linears().zip(&mut acts.low_rank) {
                if !keep || linear.adapter.is_some() {
                    grow(low_rank, rows * rank);
                }
            }
        }
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
        let piece = rows.min(head_rows(a.vocab));
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
        let blocks = self
            .blocks
            .iter()
            .flat_map(|b| [&b.qkv, &b.attention, &b.middle, &b.inner].into_iter().chain(&b.low_rank));
        let Scratch { narrow, wide, adapter_input, low_rank, .. } = &self.scratch;
        let HeadScratch { hidden, gradient, logits, normed, residual, .. } = &self.head;
        let rest = [narrow, wide, adapter_input, low_rank, hidden, gradient, logits, normed, residual];
        let buffers = blocks.chain(&self.residual).chain(rest).chain([&self.gradient, &self.dropped]);
        4 * buffers.map(Vec::len).sum::<usize>()
    }
}
