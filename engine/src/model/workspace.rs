//! The buffers of a pass: sized once for the largest batch seen, then used again.
//!
//! Layer norms' and activations' outputs are not kept; the backward pass makes them again from what is.

use super::Model;
use crate::kernels::layernorm::Statistics;

/// Logits that exist at once, in values; the head works through its rows in pieces of this size.
const LOGITS: usize = 1 << 24;

/// What the backward pass of one block needs from its forward pass.
#[derive(Debug, Default)]
pub(crate) struct BlockActivations {
    /// Queries, keys and values `[rows, 3 · width]`.
    pub qkv: Vec<f32>,
    /// The heads' outputs `[rows, width]`.
    pub attention: Vec<f32>,
    /// The residual stream after attention `[rows, width]`.
    pub middle: Vec<f32>,
    /// The feed-forward block before its activation `[rows, inner]`.
    pub inner: Vec<f32>,
    /// For each dense layer with an adapter, its low-rank product `[rows, rank]`, in the order of
    /// `Block::linears`.
    pub low_rank: [Vec<f32>; 4],
}

/// Buffers that every block overwrites.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// `[rows, width]`
    pub narrow: Vec<f32>,
    /// `[rows, max(inner, 3 · width)]`
    pub wide: Vec<f32>,
    pub statistics: Vec<Statistics>,
    /// An adapter's input with dropout, or the gradient to it.
    pub adapter_input: Vec<f32>,
    /// `[rows, rank]`: gradient of the low-rank product.
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
        let config = model.config();
        let (d, f) = (config.n_embd, config.inner());
        let blocks = if keep { config.n_layer } else { 1 };
        let streams = if keep { config.n_layer + 1 } else { 2 };
        let rank = model.lora().map_or(0, |lora| lora.r);
        self.blocks.resize_with(blocks.max(self.blocks.len()), BlockActivations::default);
        self.residual.resize_with(streams.max(self.residual.len()), Vec::new);
        for stream in &mut self.residual[..streams] {
            grow(stream, rows * d);
        }
        for (i, acts) in self.blocks[..blocks].iter_mut().enumerate() {
            grow(&mut acts.qkv, rows * 3 * d);
            grow(&mut acts.attention, rows * d);
            grow(&mut acts.middle, rows * d);
            grow(&mut acts.inner, rows * f);
            let linears = model.layout.blocks[i].linears();
            for ((_, linear), low_rank) in linears.into_iter().zip(&mut acts.low_rank) {
                if !keep || linear.adapter.is_some() {
                    grow(low_rank, rows * rank);
                }
            }
        }
        grow(&mut self.scratch.narrow, rows * d);
        grow(&mut self.scratch.wide, rows * f.max(3 * d));
        grow(&mut self.scratch.statistics, rows);
        if keep {
            grow(&mut self.gradient, rows * d);
            if config.resid_pdrop > 0.0 {
                grow(&mut self.dropped, rows * d);
            }
            grow(&mut self.scratch.low_rank, rows * rank);
            if model.lora().is_some_and(|lora| lora.dropout > 0.0) {
                grow(&mut self.scratch.adapter_input, rows * f.max(d));
            }
        }
        let piece = rows.min(head_rows(config.vocab_size));
        grow(&mut self.head.residual, piece * d);
        grow(&mut self.head.normed, piece * d);
        grow(&mut self.head.statistics, piece);
        grow(&mut self.head.logits, piece * config.vocab_size);
        if keep {
            grow(&mut self.head.hidden, piece * d);
            grow(&mut self.head.gradient, piece * d);
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
