//! The forward pass over a batch, keeping what the backward pass needs.

use super::linear::AdapterBuffers;
use super::workspace::{BlockActivations, Scratch, Workspace};
use super::{Batch, Block, Linear, Model, ModelError, Norm};
use crate::kernels::attention::Shape;
use crate::kernels::layernorm::{self, Statistics};
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
            Site::Attention => (model.config.attn_pdrop, 0),
            Site::AfterAttention => (model.config.resid_pdrop, 1),
            Site::AfterFeedForward => (model.config.resid_pdrop, 2),
            Site::Adapter(linear) => (model.lora.as_ref().map_or(0.0, |lora| lora.dropout), 3 + linear),
        };
        Dropout::new(p, self.dropout?.child((1 + block as u64) * 16 + place as u64))
    }

    pub fn embedding_dropout(&self, model: &Model) -> Option<Dropout> {
        Dropout::new(model.config.embd_pdrop, self.dropout?.child(0))
    }

    pub fn attention<'a>(&'a self, model: &Model, block: usize) -> Shape<'a> {
        Shape {
            sequences: self.sequences,
            heads: model.config.n_head,
            head_width: model.config.head_width(),
            scale: model.config.attention_scale(),
            dropout: self.dropout(model, block, Site::Attention),
        }
    }
}

impl Model {
    /// Runs all blocks. With `keep`, the workspace holds every block's activations afterwards, and the
    /// residual stream after the last block is in `residual[n_layer]`; without, it is in the returned index.
    pub(crate) fn forward(&self, batch: &Batch, pass: &Pass<'_>, work: &mut Workspace, keep: bool) -> usize {
        let width = self.config.n_embd;
        let values = pass.rows * width;
        self.embed(batch, pass, &mut work.residual[0][..values]);
        let mut current = 0;
        for (i, block) in self.layout.blocks.iter().enumerate() {
            let next = if keep { i + 1 } else { 1 - current };
            let acts = &mut work.blocks[if keep { i } else { 0 }];
            if let Ok([x, out]) = work.residual.get_disjoint_mut([current, next]) {
                self.block(i, block, pass, &x[..values], acts, &mut work.scratch, &mut out[..values]);
            }
            current = next;
        }
        current
    }

    /// Token plus position embeddings, with dropout.
    fn embed(&self, batch: &Batch, pass: &Pass<'_>, out: &mut [f32]) {
        let width = self.config.n_embd;
        let (wte, wpe) = (self.values(self.layout.wte), self.values(self.layout.wpe));
        let positions: Vec<usize> = batch.lengths.iter().flat_map(|&length| 0..length).collect();
        let rows = rows_per_task(width);
        out.par_chunks_mut(rows * width)
            .zip(batch.ids.par_chunks(rows))
            .zip(positions.par_chunks(rows))
            .for_each(|((out, ids), positions)| {
                for ((out, &id), &position) in out.chunks_mut(width).zip(ids).zip(positions) {
                    let token = &wte[id as usize * width..][..width];
                    elementwise::add_row(out, token, &wpe[position * width..][..width]);
                }
            });
        if let Some(dropout) = pass.embedding_dropout(self) {
            elementwise::mask(out, width, dropout);
        }
    }

    pub(crate) fn normalise(&self, norm: Norm, x: &[f32], out: &mut [f32], statistics: &mut [Statistics]) {
        let (weight, bias) = (self.values(norm.weight), self.values(norm.bias));
        layernorm::forward(x, weight, bias, self.config.layer_norm_epsilon, out, statistics);
    }

    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
    fn block(
        &self,
        index: usize,
        block: &Block,
        pass: &Pass<'_>,
        x: &[f32],
        acts: &mut BlockActivations,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let (rows, d, f) = (pass.rows, self.config.n_embd, self.config.inner());
        let Scratch { narrow, wide, statistics, adapter_input, low_rank } = scratch;
        let (narrow, statistics) = (&mut narrow[..rows * d], &mut statistics[..rows]);
        let qkv = &mut acts.qkv[..rows * 3 * d];
        let attention = &mut acts.attention[..rows * d];
        let middle = &mut acts.middle[..rows * d];
        let inner = &mut acts.inner[..rows * f];
        let mut products = acts.low_rank.iter_mut().enumerate();
        let mut linear = |linear: &Linear, x: &[f32], y: &mut [f32]| {
            let Some((i, product)) = products.next() else { return };
            let dropout = pass.dropout(self, index, Site::Adapter(i));
            let buffers =
                AdapterBuffers { product, gradient: &mut *low_rank, input: &mut *adapter_input, dropout };
            self.linear(linear, x, y, buffers);
        };

        self.normalise(block.ln_1, x, narrow, statistics);
        linear(&block.c_attn, narrow, qkv);
        elementwise::add_bias(qkv, self.values(block.c_attn.bias));
        pass.attention(self, index).forward(qkv, attention);
        linear(&block.attn_proj, attention, narrow);
        let dropout = pass.dropout(self, index, Site::AfterAttention);
        elementwise::residual(middle, x, narrow, self.values(block.attn_proj.bias), dropout);

        self.normalise(block.ln_2, middle, narrow, statistics);
        linear(&block.c_fc, narrow, inner);
        let active = &mut wide[..rows * f];
        activation::forward(self.activation(), inner, self.values(block.c_fc.bias), active);
        linear(&block.mlp_proj, active, narrow);
        let dropout = pass.dropout(self, index, Site::AfterFeedForward);
        elementwise::residual(out, middle, narrow, self.values(block.mlp_proj.bias), dropout);
    }

    /// Logits of every position of one sequence `[ids.len(), vocab]`, without dropout: for checks and for
    /// scoring a text. Generation uses [`Model::forward_cached`].
    pub fn logits(&self, ids: &[u32]) -> Result<Vec<f32>, ModelError> {
        let batch =
            Batch { ids: ids.to_vec(), targets: vec![super::IGNORE; ids.len()], lengths: vec![ids.len()] };
        batch.check(self)?;
        super::in_pool(|| {
            let mut work = Workspace::default();
            work.reserve(self, ids.len(), false);
            let sequences = batch.sequences();
            let pass = Pass { rows: ids.len(), sequences: &sequences, dropout: None };
            let last = self.forward(&batch, &pass, &mut work, false);
            let mut logits = vec![0.0; ids.len() * self.config.vocab_size];
            let values = ids.len() * self.config.n_embd;
            let Scratch { narrow, statistics, .. } = &mut work.scratch;
            self.normalise(
                self.layout.ln_f,
                &work.residual[last][..values],
                &mut narrow[..values],
                &mut statistics[..ids.len()],
            );
            self.project(&narrow[..values], &mut logits);
            Ok(logits)
        })
    }
}
