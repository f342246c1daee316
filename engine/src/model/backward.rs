//! The backward pass over a batch, after [`Model::forward`] with `keep`.
//!
//! With frozen weights it goes no lower than the lowest weight that is trained.

use super::forward::{Pass, Site};
use super::gradients::Gradients;
use super::linear::AdapterBuffers;
use super::workspace::{BlockActivations, Scratch, Workspace};
use super::{Batch, Block, Linear, Model, Norm};
use crate::kernels::layernorm::{self, Statistics};
use crate::kernels::{activation, elementwise};

/// How far down a block's backward pass must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    MlpProjection,
    FeedForward,
    AttentionProjection,
    Attention,
    /// The block's input too.
    Input,
}

impl Model {
    /// From the gradient in `work.gradient` to the gradients of all trained weights.
    pub(crate) fn backward(
        &self,
        batch: &Batch,
        pass: &Pass<'_>,
        work: &mut Workspace,
        gradients: &mut Gradients,
    ) {
        let values = pass.rows * self.config.n_embd;
        let embeddings = gradients.wants(self.layout.wte) || gradients.wants(self.layout.wpe);
        let lowest = match embeddings {
            true => Some(0),
            false => self.layout.blocks.iter().position(|block| self.depth(block, gradients).is_some()),
        };
        let Some(lowest) = lowest else { return };
        for (i, block) in self.layout.blocks.iter().enumerate().skip(lowest).rev() {
            let depth = match i > lowest || embeddings {
                true => Depth::Input,
                false => self.depth(block, gradients).unwrap_or(Depth::MlpProjection),
            };
            let Workspace { blocks, residual, scratch, gradient, dropped, .. } = work;
            let Scratch { narrow, wide, statistics, adapter_input, low_rank } = scratch;
            let mut step =
                Step { model: self, index: i, pass, gradients: &mut *gradients, adapter_input, low_rank };
            step.run(
                block,
                depth,
                &residual[i][..values],
                &mut blocks[i],
                &mut gradient[..values],
                dropped,
                [&mut narrow[..values], wide],
                &mut statistics[..pass.rows],
            );
        }
        if embeddings {
            if let Some(dropout) = pass.embedding_dropout(self) {
                elementwise::mask(&mut work.gradient[..values], self.config.n_embd, dropout);
            }
            self.embedding_gradients(batch, &work.gradient[..values], gradients);
        }
    }

    /// How far down a block holds trained weights; `None` if it holds none.
    fn depth(&self, block: &Block, gradients: &Gradients) -> Option<Depth> {
        let wants_norm = |norm: Norm| gradients.wants(norm.weight) || gradients.wants(norm.bias);
        let wants = |linear: &Linear| {
            linear.adapter.is_some() || gradients.wants(linear.weight) || gradients.wants(linear.bias)
        };
        [
            (wants_norm(block.ln_1), Depth::Input),
            (wants(&block.c_attn), Depth::Attention),
            (wants(&block.attn_proj), Depth::AttentionProjection),
            (wants_norm(block.ln_2), Depth::AttentionProjection),
            (wants(&block.c_fc), Depth::FeedForward),
            (wants(&block.mlp_proj), Depth::MlpProjection),
        ]
        .into_iter()
        .find_map(|(wanted, depth)| wanted.then_some(depth))
    }

    /// Adds rows to the embeddings' gradients, one after the other, so that the order is fixed.
    fn embedding_gradients(&self, batch: &Batch, dx: &[f32], gradients: &mut Gradients) {
        let width = self.config.n_embd;
        let positions = batch.lengths.iter().flat_map(|&length| 0..length);
        if let Some(dwte) = gradients.get(self.layout.wte) {
            for (dx, &id) in dx.chunks(width).zip(&batch.ids) {
                elementwise::accumulate_row(&mut dwte[id as usize * width..][..width], dx);
            }
        }
        if let Some(dwpe) = gradients.get(self.layout.wpe) {
            for (dx, position) in dx.chunks(width).zip(positions) {
                elementwise::accumulate_row(&mut dwpe[position * width..][..width], dx);
            }
        }
    }
}

/// What the parts of one block's backward pass share.
struct Step<'a, 'p> {
    model: &'a Model,
    index: usize,
    pass: &'a Pass<'p>,
    gradients: &'a mut Gradients,
    adapter_input: &'a mut Vec<f32>,
    low_rank: &'a mut Vec<f32>,
}

impl Step<'_, '_> {
    fn buffers<'b>(
        &'b mut self,
        place: usize,
        product: &'b mut Vec<f32>,
    ) -> (&'b mut Gradients, AdapterBuffers<'b>) {
        let dropout = self.pass.dropout(self.model, self.index, Site::Adapter(place));
        let buffers = AdapterBuffers { product, gradient: self.low_rank, input: self.adapter_input, dropout };
        (self.gradients, buffers)
    }

    /// Gradients of the weights of the dense layer at a place of `Block::linears`.
    fn weights(&mut self, place: usize, linear: &Linear, x: &[f32], dy: &[f32], product: &mut Vec<f32>) {
        let model = self.model;
        let (gradients, buffers) = self.buffers(place, product);
        model.linear_weights(linear, x, dy, gradients, buffers);
    }

    /// Gradient of its input, after its weights'.
    fn input(&mut self, place: usize, linear: &Linear, dy: &[f32], dx: &mut [f32], product: &mut Vec<f32>) {
        let model = self.model;
        let (_, buffers) = self.buffers(place, product);
        model.linear_input(linear, dy, dx, buffers);
    }

    /// Gradients through a norm, added to the residual stream's.
    fn norm(&mut self, norm: Norm, x: &[f32], dy: &[f32], statistics: &[Statistics], dx: &mut [f32]) {
        if let Some((dw, db)) = self.gradients.pair(norm.weight, norm.bias) {
            layernorm::backward_parameters(x, dy, statistics, dw, db);
        }
        layernorm::backward(x, dy, self.model.values(norm.weight), statistics, dx);
    }

    /// The residual stream's gradient as it enters a projection: with that one's dropout applied.
    fn through_dropout<'b>(&self, site: Site, dx: &'b [f32], dropped: &'b mut [f32]) -> &'b [f32] {
        match self.pass.dropout(self.model, self.index, site) {
            None => dx,
            Some(dropout) => {
                let dropped = &mut dropped[..dx.len()];
                elementwise::masked_copy(dropped, dx, self.model.config.n_embd, dropout);
                dropped
            }
        }
    }

    /// `dx` holds the residual stream's gradient: after the block on entry, before it on return.
    #[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
    fn run(
        &mut self,
        block: &Block,
        depth: Depth,
        x: &[f32],
        acts: &mut BlockActivations,
        dx: &mut [f32],
        dropped: &mut [f32],
        [narrow, wide]: [&mut [f32]; 2],
        statistics: &mut [Statistics],
    ) {
        let model = self.model;
        let (rows, d, f) = (self.pass.rows, model.config.n_embd, model.config.inner());
        let inner = &acts.inner[..rows * f];
        let middle = &acts.middle[..rows * d];
        let attention = &acts.attention[..rows * d];
        let [p0, p1, p2, p3] = &mut acts.low_rank;

        let active = &mut wide[..rows * f];
        activation::again(model.activation(), inner, active);
        let dy = self.through_dropout(Site::AfterFeedForward, dx, dropped);
        self.weights(3, &block.mlp_proj, active, dy, p3);
        if depth == Depth::MlpProjection {
            return;
        }
        self.input(3, &block.mlp_proj, dy, active, p3);
        activation::backward(model.activation(), inner, active);
        model.normalise(block.ln_2, middle, narrow, statistics);
        self.weights(2, &block.c_fc, narrow, active, p2);
        if depth == Depth::FeedForward {
            return;
        }
        self.input(2, &block.c_fc, active, narrow, p2);
        self.norm(block.ln_2, middle, narrow, statistics, dx);

        let dy = self.through_dropout(Site::AfterAttention, dx, dropped);
        self.weights(1, &block.attn_proj, attention, dy, p1);
        if depth == Depth::AttentionProjection {
            return;
        }
        self.input(1, &block.attn_proj, dy, narrow, p1);
        let dqkv = &mut wide[..rows * 3 * d];
        self.pass.attention(model, self.index).backward(&acts.qkv[..rows * 3 * d], narrow, dqkv);
        model.normalise(block.ln_1, x, narrow, statistics);
        self.weights(0, &block.c_attn, narrow, dqkv, p0);
        if depth == Depth::Attention {
            return;
        }
        self.input(0, &block.c_attn, dqkv, narrow, p0);
        self.norm(block.ln_1, x, narrow, statistics, dx);
    }
}
