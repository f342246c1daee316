//! The backward pass over a batch, after [`Model::forward`] with `keep`.
//!
//! With frozen weights it goes no lower than the lowest weight that is trained.

use super::forward::{Pass, Positions, Site};
use super::gradients::Gradients;
use super::linear::AdapterBuffers;
use super::workspace::{BlockActivations, Keep, Kept, Scratch, Workspace};
use super::{Batch, Block, Linear, Model, Norm, Values};
use crate::kernels::gemm::Write;
use crate::kernels::layernorm::Statistics;
use crate::kernels::rope::Turn;
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
    /// From the gradient in `work.gradient` to the gradients of all trained weights, after a forward pass that kept
    /// something.
    pub(crate) fn backward(
        &self,
        batch: &Batch,
        pass: &Pass<'_>,
        work: &mut Workspace,
        keep: Keep,
        gradients: &mut Gradients,
    ) {
        let values = pass.rows * self.architecture.width;
        let tables = [Some(self.layout.token_embedding), self.layout.position_embedding];
        let embeddings = tables.into_iter().flatten().any(|table| gradients.wants(table));
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
            let Workspace {
                blocks,
                block: again,
                residual,
                scratch,
                gradient,
                dropped,
                positions,
                angles,
                ..
            } = work;
            let positions = Positions { rows: positions, angles };
            let acts = match keep {
                Keep::All => &mut blocks[i],
                Keep::Nothing | Keep::Inputs => {
                    let [x, out] = residual;
                    let (x, out) = (&mut x[..values], &mut out[..values]);
                    blocks[i].input.recall(x);
                    self.block(i, block, pass, positions, x, (again, true), scratch, out);
                    again
                }
            };
            let Scratch { stream, attention, narrow, front, wide, statistics, adapter_input, low_rank } =
                scratch;
            let mut step =
                Step { model: self, index: i, pass, gradients: &mut *gradients, adapter_input, low_rank };
            step.run(
                block,
                depth,
                positions,
                acts,
                &mut gradient[..values],
                dropped,
                [&mut stream[..values], attention, narrow, front, wide],
                &mut statistics[..pass.rows],
            );
        }
        if embeddings {
            if let Some(dropout) = pass.embedding_dropout(self) {
                elementwise::mask(&mut work.gradient[..values], self.architecture.width, dropout);
            }
            self.embedding_gradients(batch, &work.positions, &work.gradient[..values], gradients);
        }
    }

    /// How far down a block holds trained weights; `None` if it holds none.
    fn depth(&self, block: &Block, gradients: &Gradients) -> Option<Depth> {
        let wants_norm =
            |norm: Norm| gradients.wants(norm.weight) || norm.bias.is_some_and(|bias| gradients.wants(bias));
        let wants_one = |linear: &Linear| {
            let bias = linear.bias.is_some_and(|bias| gradients.wants(bias));
            linear.adapter.is_some() || gradients.wants(linear.weight) || bias
        };
        let wants = |linears: &[Linear]| linears.iter().any(wants_one);
        [
            (wants_norm(block.norm_1), Depth::Input),
            (wants(&block.attention_in), Depth::Attention),
            (wants_one(&block.attention_out), Depth::AttentionProjection),
            (wants_norm(block.norm_2), Depth::AttentionProjection),
            (wants(&block.mlp_in), Depth::FeedForward),
            (wants_one(&block.mlp_out), Depth::MlpProjection),
        ]
        .into_iter()
        .find_map(|(wanted, depth)| wanted.then_some(depth))
    }

    /// Adds rows to the embeddings' gradients, one after the other, so that the order is fixed.
    fn embedding_gradients(&self, batch: &Batch, positions: &[usize], dx: &[f32], gradients: &mut Gradients) {
        let width = self.architecture.width;
        if let Some(table) = gradients.matrix(self.layout.token_embedding) {
            // A token's rows are added up before they are rounded.
            let mut rows: Vec<usize> = (0..batch.ids.len()).collect();
            rows.sort_by_key(|&row| (batch.ids[row], row));
            let mut sum = vec![0.0; width];
            for rows in rows.chunk_by(|&a, &b| batch.ids[a] == batch.ids[b]) {
                sum.fill(0.0);
                rows.iter()
                    .for_each(|row| elementwise::accumulate_row(&mut sum, &dx[row * width..][..width]));
                let start = batch.ids[rows[0]] as usize * width;
                match table {
                    Values::F32(table) => elementwise::add_to_row(&mut table[start..start + width], &sum),
                    Values::Bf16(table) => elementwise::add_to_row(&mut table[start..start + width], &sum),
                }
            }
        }
        if let Some(table) = self.layout.position_embedding.and_then(|table| gradients.get(table)) {
            for (dx, position) in dx.chunks(width).zip(positions) {
                elementwise::accumulate_row(&mut table[position * width..][..width], dx);
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
    adapter_input: &'a mut [f32],
    low_rank: &'a mut [f32],
}

/// One or more dense layers that read the same rows and write side by side.
#[derive(Clone, Copy)]
struct Group<'a> {
    linears: &'a [Linear],
    /// Place of the first in [`Block::linears`].
    place: usize,
    /// Width of what they write.
    stride: usize,
}

impl Step<'_, '_> {
    /// Buffers of the adapter at a place, the `member`-th of its group.
    fn buffers<'b>(
        &'b mut self,
        place: usize,
        member: usize,
        product: &'b mut [f32],
    ) -> (&'b mut Gradients, AdapterBuffers<'b>) {
        let dropout = self.pass.dropout(self.model, self.index, Site::Adapter(place));
        let size = self.pass.rows * self.model.lora().map_or(0, |lora| lora.r);
        let gradient = &mut self.low_rank[member * size..][..size];
        (self.gradients, AdapterBuffers { product, gradient, input: self.adapter_input, dropout })
    }

    /// Gradients of the weights of a group.
    fn weights(&mut self, group: Group<'_>, x: &[f32], dy: &[f32], products: &mut [Vec<f32>]) {
        let model = self.model;
        for (i, linear) in group.linears.iter().enumerate() {
            let place = group.place + i;
            let (gradients, buffers) = self.buffers(place, i, &mut products[place]);
            model.linear_weights(linear, x, dy, group.stride, gradients, buffers);
        }
    }

    /// Gradient of its input, after its weights'.
    fn input(&mut self, group: Group<'_>, dy: &[f32], dx: &mut [f32], products: &mut [Vec<f32>]) {
        let model = self.model;
        for (i, linear) in group.linears.iter().enumerate() {
            let place = group.place + i;
            let (_, buffers) = self.buffers(place, i, &mut products[place]);
            let write = if i == 0 { Write::Replace } else { Write::Add };
            model.linear_input(linear, dy, group.stride, dx, write, buffers);
        }
    }

    /// The residual stream's gradient as it enters a projection: with that one's dropout applied.
    fn through_dropout<'b>(&self, site: Site, dx: &'b [f32], dropped: &'b mut [f32]) -> &'b [f32] {
        match self.pass.dropout(self.model, self.index, site) {
            None => dx,
            Some(dropout) => {
                let dropped = &mut dropped[..dx.len()];
                elementwise::masked_copy(dropped, dx, self.model.architecture.width, dropout);
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
        positions: Positions<'_>,
        acts: &mut BlockActivations,
        dx: &mut [f32],
        dropped: &mut [f32],
        [stream, attention, narrow, front, wide]: [&mut [f32]; 5],
        statistics: &mut [Statistics],
    ) {
        let (model, a) = (self.model, &self.model.architecture);
        let (rows, d, f) = (self.pass.rows, a.width, a.inner);
        let low_rank = &mut acts.low_rank;
        let inner = &mut front[..rows * a.mlp_width()];
        acts.inner.recall(inner);
        let places = block.places();
        let one = std::slice::from_ref;
        let mlp_out = Group { linears: one(&block.mlp_out), place: places.mlp_out, stride: d };
        let mlp_in = Group { linears: &block.mlp_in, place: places.mlp_in, stride: a.mlp_width() };
        let attention_out =
            Group { linears: one(&block.attention_out), place: places.attention_out, stride: d };
        let attention_in = Group { linears: &block.attention_in, place: 0, stride: a.qkv_width() };

        let active = &mut wide[..rows * f];
        activation::again(a.activation, inner, active, f);
        let dy = self.through_dropout(Site::AfterFeedForward, dx, dropped);
        self.weights(mlp_out, active, dy, low_rank);
        if depth == Depth::MlpProjection {
            return;
        }
        self.input(mlp_out, dy, active, low_rank);
        // What was recalled is needed no more: the gradient takes its place.
        activation::backward(a.activation, inner, active, f);
        let normed = &mut narrow[..rows * d];
        let middle = stream;
        acts.middle.recall(middle);
        model.normalise(block.norm_2, middle, normed, statistics);
        self.weights(mlp_in, normed, inner, low_rank);
        if depth == Depth::FeedForward {
            return;
        }
        self.input(mlp_in, inner, normed, low_rank);
        model.normalise_backward(block.norm_2, middle, normed, statistics, dx, self.gradients);

        let dy = self.through_dropout(Site::AfterAttention, dx, dropped);
        let attention = &mut attention[..rows * a.attention_width()];
        acts.attention.recall(attention);
        self.weights(attention_out, attention, dy, low_rank);
        if depth == Depth::AttentionProjection {
            return;
        }
        let dattention = &mut narrow[..rows * a.attention_width()];
        self.input(attention_out, dy, dattention, low_rank);
        let dqkv = &mut wide[..rows * a.qkv_width()];
        let (shape, places) = (self.pass.attention(model, self.index), self.pass.sequences);
        match &acts.qkv {
            Kept::F32(qkv) => shape.backward(&shape.sequences(qkv, places), dattention, dqkv),
            Kept::Bf16(qkv) => shape.backward(&shape.sequences(qkv, places), dattention, dqkv),
        }
        model.rotate(dqkv, positions, Turn::Back);
        let normed = &mut narrow[..rows * d];
        let x = middle;
        acts.input.recall(x);
        model.normalise(block.norm_1, x, normed, statistics);
        self.weights(attention_in, normed, dqkv, low_rank);
        if depth == Depth::Attention {
            return;
        }
        self.input(attention_in, dqkv, normed, low_rank);
        model.normalise_backward(block.norm_1, x, normed, statistics, dx, self.gradients);
    }
}
