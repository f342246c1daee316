//! The forward pass over a batch, keeping what the backward pass needs.

use super::linear::AdapterBuffers;
use super::workspace::{BlockActivations, Keep, Scratch, Workspace};
use super::{Batch, Block, Linear, Model, ModelError};
use crate::kernels::attention::Shape;
use crate::kernels::rope::{self, Angles, Turn};
use crate::kernels::{activation, elementwise, rows_per_task};
use crate::rng::{Dropout, Stream};
use rayon::prelude::*;

/// Places where dropout strikes, in each block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    Attention,
    AfterAttention,
    AfterFeedForward,
    /// The input of an adapter, by its dense layer's place in `Block::linears`.
    Adapter(usize),
}

/// One pass over one batch: its sequences and its dropout masks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub rows: usize,
    pub sequences: &'a [(usize, usize)],
    /// Source of dropout masks; `None` for a pass without dropout.
    pub dropout: Option<Stream>,
}

impl Pass<'_> {
    pub fn dropout(&self, model: &Model, block: usize, site: Site) -> Option<Dropout> {
        let (p, place) = match site {
            Site::Attention => (model.architecture.dropout.attention, 0),
            Site::AfterAttention => (model.architecture.dropout.residual, 1),
            Site::AfterFeedForward => (model.architecture.dropout.residual, 2),
            Site::Adapter(linear) => (model.lora.as_ref().map_or(0.0, |lora| lora.dropout), 3 + linear),
        };
        Dropout::new(p, self.dropout?.child((1 + block as u64) * 16 + place as u64))
    }

    pub fn embedding_dropout(&self, model: &Model) -> Option<Dropout> {
        Dropout::new(model.architecture.dropout.embedding, self.dropout?.child(0))
    }

    pub fn attention(&self, model: &Model, block: usize) -> Shape {
        model.attention(self.dropout(model, block, Site::Attention))
    }
}

/// The position of each row of a batch, and the angles by which positions rotate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Positions<'a> {
    pub rows: &'a [usize],
    pub angles: &'a Angles,
}

impl Model {
    /// Runs all blocks. The workspace holds afterwards what is to be kept of every block. Returns which of `residual`
    /// holds the residual stream after the last block.
    pub(crate) fn forward(&self, batch: &Batch, pass: &Pass<'_>, work: &mut Workspace, keep: Keep) -> usize {
        let values = pass.rows * self.architecture.width;
        work.place(self, &batch.lengths);
        self.embed(batch, &work.positions, pass, &mut work.residual[0][..values]);
        let positions = Positions { rows: &work.positions, angles: &work.angles };
        for (i, block) in self.layout.blocks.iter().enumerate() {
            let [even, odd] = &mut work.residual;
            let (x, out) = if i % 2 == 0 { (even, odd) } else { (odd, even) };
            let (x, out) = (&x[..values], &mut out[..values]);
            let acts = match keep {
                Keep::Nothing => (&mut work.block, false),
                Keep::Inputs => {
                    work.blocks[i].input.keep(x);
                    (&mut work.block, false)
                }
                Keep::All => (&mut work.blocks[i], true),
            };
            self.block(i, block, pass, positions, x, acts, &mut work.scratch, out);
        }
        self.layout.blocks.len() % 2
    }

    /// Token embeddings, plus those of positions where there are any, with dropout.
    fn embed(&self, batch: &Batch, positions: &[usize], pass: &Pass<'_>, out: &mut [f32]) {
        let width = self.architecture.width;
        let rows = rows_per_task(width);
        out.par_chunks_mut(rows * width)
            .zip(batch.ids.par_chunks(rows))
            .zip(positions.par_chunks(rows))
            .for_each(|((out, ids), positions)| {
                for ((out, &id), &position) in out.chunks_mut(width).zip(ids).zip(positions) {
                    self.embed_row(id, position, out);
                }
            });
        if let Some(dropout) = pass.embedding_dropout(self) {
            elementwise::mask(out, width, dropout);
        }
    }

    /// One token's row of the residual stream before the first block.
    pub(crate) fn embed_row(&self, id: u32, position: usize, out: &mut [f32]) {
        self.token_row(id, out);
        if let Some(table) = self.layout.position_embedding {
            let start = position * out.len();
            elementwise::accumulate_row(out, &self.values(table)[start..start + out.len()]);
        }
    }

    /// Rotates the queries and keys of `qkv`, where the model does so.
    pub(crate) fn rotate(&self, qkv: &mut [f32], positions: Positions<'_>, turn: Turn) {
        let a = &self.architecture;
        if a.rotary.is_some() {
            let heads = a.heads + a.kv_heads;
            rope::rotate(qkv, a.qkv_width(), heads, positions.rows, positions.angles, turn);
        }
    }

    /// The heads of a block, with this dropout.
    pub(crate) fn attention(&self, dropout: Option<Dropout>) -> Shape {
        let a = &self.architecture;
        let (heads, kv_heads, head_width) = (a.heads, a.kv_heads, a.head_width);
        Shape { tier: self.tier, heads, kv_heads, head_width, scale: a.attention_scale, dropout }
    }

    /// Adds the biases of layers that lie side by side in `y`.
    pub(crate) fn add_biases(&self, linears: &[Linear], y: &mut [f32], stride: usize) {
        for linear in linears {
            if let Some(bias) = self.bias(linear) {
                elementwise::add_bias(y, stride, linear.column, bias);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "two call sites; a struct would only rename them")]
    pub(crate) fn block(
        &self,
        index: usize,
        block: &Block,
        pass: &Pass<'_>,
        positions: Positions<'_>,
        x: &[f32],
        (acts, keep): (&mut BlockActivations, bool),
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let a = &self.architecture;
        let (rows, d, f) = (pass.rows, a.width, a.inner);
        let Scratch { stream, attention, narrow, front, wide, statistics, adapter_input, low_rank } = scratch;
        let (narrow, statistics) = (&mut narrow[..rows * d], &mut statistics[..rows]);
        let attention = &mut attention[..rows * a.attention_width()];
        let middle = &mut stream[..rows * d];
        let mut products = acts.low_rank.iter_mut().enumerate();
        let mut linear = |linear: &Linear, x: &[f32], y: &mut [f32], stride: usize| {
            let Some((i, product)) = products.next() else { return };
            let dropout = pass.dropout(self, index, Site::Adapter(i));
            let buffers = AdapterBuffers { product, gradient: low_rank, input: adapter_input, dropout };
            self.linear(linear, x, y, stride, buffers);
        };

        self.normalise(block.norm_1, x, narrow, statistics);
        let qkv = &mut front[..rows * a.qkv_width()];
        for part in &block.attention_in {
            linear(part, narrow, qkv, a.qkv_width());
        }
        self.add_biases(&block.attention_in, qkv, a.qkv_width());
        self.rotate(qkv, positions, Turn::Forward);
        let shape = pass.attention(self, index);
        shape.forward(&shape.sequences(qkv, pass.sequences), attention);
        if keep {
            acts.input.keep(x);
            acts.qkv.keep(qkv);
            acts.attention.keep(attention);
        }
        linear(&block.attention_out, attention, narrow, d);
        let dropout = pass.dropout(self, index, Site::AfterAttention);
        elementwise::residual(middle, x, narrow, d, self.bias(&block.attention_out), dropout);

        self.normalise(block.norm_2, middle, narrow, statistics);
        let inner = &mut front[..rows * a.mlp_width()];
        for part in &block.mlp_in {
            linear(part, narrow, inner, a.mlp_width());
        }
        let active = &mut wide[..rows * f];
        activation::forward(a.activation, inner, &self.biases(&block.mlp_in), active, f);
        if keep {
            acts.middle.keep(middle);
            acts.inner.keep(inner);
        }
        linear(&block.mlp_out, active, narrow, d);
        let dropout = pass.dropout(self, index, Site::AfterFeedForward);
        elementwise::residual(out, middle, narrow, d, self.bias(&block.mlp_out), dropout);
    }

    /// Logits of every position of one sequence `[ids.len(), vocab]`, without dropout: for checks and for
    /// scoring a text. Generation uses [`Model::forward_cached`].
    pub fn logits(&self, ids: &[u32]) -> Result<Vec<f32>, ModelError> {
        let batch =
            Batch { ids: ids.to_vec(), targets: vec![super::IGNORE; ids.len()], lengths: vec![ids.len()] };
        batch.check(self)?;
        super::in_pool(|| {
            let mut work = Workspace::default();
            work.reserve(self, ids.len(), Keep::Nothing);
            let sequences = batch.sequences();
            let pass = Pass { rows: ids.len(), sequences: &sequences, dropout: None };
            let last = self.forward(&batch, &pass, &mut work, Keep::Nothing);
            let mut logits = vec![0.0; ids.len() * self.architecture.vocab];
            let values = ids.len() * self.architecture.width;
            let Scratch { narrow, statistics, .. } = &mut work.scratch;
            self.normalise(
                self.layout.last_norm,
                &work.residual[last][..values],
                &mut narrow[..values],
                &mut statistics[..ids.len()],
            );
            self.project(&narrow[..values], &mut logits);
            Ok(logits)
        })
    }
}
