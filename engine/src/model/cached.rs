//! Generation's forward pass: only the new tokens are computed, earlier keys and values come from a cache.

use super::forward::Positions;
use super::workspace::Scratch;
use super::{Model, ModelError, in_pool};
use crate::config::ModelConfig;
use crate::kernels::attention::Sequence;
use crate::kernels::few_rows::few_rows;
use crate::kernels::gemm::{Mat, MatMut, Threads, Write, gemm};
use crate::kernels::rope::{Angles, Turn};
use crate::kernels::team::{Leader, lead};
use crate::kernels::{activation, elementwise};
use std::ops::Range;

/// Keys and values of the tokens seen so far, layer by layer. Belongs to one conversation with one model.
#[derive(Debug, Clone)]
pub struct KvCache {
    /// Of the keys, and of the values.
    width: usize,
    /// Keys and values `[tokens, width]` of each layer, keys rotated by their positions; grow as tokens come.
    layers: Vec<[Vec<f32>; 2]>,
    length: usize,
    limit: usize,
    /// Whether the model's adapter, if it has one, takes part.
    adapted: bool,
}

impl KvCache {
    pub fn new(config: &ModelConfig) -> Self {
        Self {
            width: config.kv_width(),
            layers: vec![[Vec::new(), Vec::new()]; config.layers()],
            length: 0,
            limit: config.positions(),
            adapted: true,
        }
    }

    /// For a conversation with the base model alone, over the very weights that an adapter sits on.
    pub fn without_adapter(config: &ModelConfig) -> Self {
        Self { adapted: false, ..Self::new(config) }
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Tokens that still fit.
    pub fn remaining(&self) -> usize {
        self.limit - self.length
    }

    /// Bytes of keys and values that it has room for.
    pub fn bytes(&self) -> usize {
        self.layers.iter().flatten().map(|part| part.capacity() * size_of::<f32>()).sum()
    }

    /// A copy of the first `length` tokens.
    pub fn beginning(&self, length: usize) -> Self {
        let length = self.length.min(length);
        let part = |part: &Vec<f32>| part[..length * self.width].to_vec();
        let layers = self.layers.iter().map(|[keys, values]| [part(keys), part(values)]).collect();
        Self { layers, length, ..*self }
    }

    /// Forgets all but the first `length` tokens, e.g. to go on from a shared prompt.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        for part in self.layers.iter_mut().flatten() {
            part.truncate(self.length * self.width);
        }
    }
}

/// What one sequence brings to a pass: further tokens, and the cache of those before them.
#[derive(Debug)]
pub struct Continuation<'a> {
    /// With its own adapter or none, over the base that all sequences of the pass share.
    pub model: &'a Model,
    pub ids: &'a [u32],
    pub cache: &'a mut KvCache,
}

impl Continuation<'_> {
    fn check(&self) -> Result<(), ModelError> {
        let Self { model, ids, cache } = self;
        let a = &model.architecture;
        if ids.is_empty() {
            return Err(ModelError::MalformedBatch { tokens: 0, targets: 0, lengths: 0 });
        }
        if cache.width != a.kv_width() || cache.layers.len() != a.layers {
            return Err(ModelError::ForeignCache);
        }
        if ids.len() > cache.remaining() {
            let length = cache.length + ids.len();
            return Err(ModelError::SequenceTooLong { length, limit: cache.limit });
        }
        match ids.iter().find(|&&id| id as usize >= a.vocab) {
            Some(&token) => Err(ModelError::TokenOutOfRange { token, vocab_size: a.vocab }),
            None => Ok(()),
        }
    }
}

impl Model {
    /// Takes in further tokens and returns the logits that follow the last one `[vocab]`.
    ///
    /// # Errors
    /// No or unknown tokens, more tokens than the cache has room for. The cache is then unchanged.
    pub fn forward_cached(&self, ids: &[u32], cache: &mut KvCache) -> Result<Vec<f32>, ModelError> {
        let logits = Self::forward_together(&mut [Continuation { model: self, ids, cache }])?;
        Ok(logits.into_iter().next().unwrap_or_default())
    }

    /// As [`Model::forward_cached`] for several sequences at once, each with an adapter of its own or none over one
    /// base, whose weights are read once for all. Each sequence's logits are, bit for bit, those it has alone.
    ///
    /// One token is multiplied as it is; several, as a prompt has them, are packed for the product of the tier, which
    /// may round them. So a pass with both takes two turns.
    ///
    /// # Errors
    /// As there, for any of the sequences; or models that do not share their base. All caches are then unchanged.
    pub fn forward_together(sequences: &mut [Continuation<'_>]) -> Result<Vec<Vec<f32>>, ModelError> {
        for (i, sequence) in sequences.iter().enumerate() {
            sequence.check()?;
            if i > 0 && !sequence.model.shares_base_with(sequences[0].model) {
                return Err(ModelError::ForeignBase);
            }
        }
        let mut logits = vec![Vec::new(); sequences.len()];
        for single in [false, true] {
            let (places, some): (Vec<usize>, Vec<&mut Continuation<'_>>) =
                sequences.iter_mut().enumerate().filter(|(_, s)| (s.ids.len() == 1) == single).unzip();
            let Some(first) = some.first() else { continue };
            let pass = CachedPass::new(first.model, some);
            let found = if single { lead(|team| pass.run(Some(team))) } else { in_pool(|| pass.run(None)) };
            places.into_iter().zip(found).for_each(|(place, found)| logits[place] = found);
        }
        Ok(logits)
    }
}

/// A pass over several sequences whose rows lie one after the other.
struct CachedPass<'p, 'c> {
    /// The base's weights, and the shapes.
    model: &'p Model,
    sequences: Vec<&'p mut Continuation<'c>>,
    /// The rows of each sequence.
    spans: Vec<Range<usize>>,
    rows: usize,
    /// Scratch of the product of few rows.
    sums: Vec<f32>,
}

impl<'p, 'c> CachedPass<'p, 'c> {
    fn new(model: &'p Model, sequences: Vec<&'p mut Continuation<'c>>) -> Self {
        let mut rows = 0;
        let spans = sequences.iter().map(|sequence| {
            let first = rows;
            rows += sequence.ids.len();
            first..rows
        });
        let spans = spans.collect();
        Self { model, sequences, spans, rows, sums: Vec::new() }
    }

    /// Runs all blocks and the head. With a team, rows are few.
    fn run(mut self, mut team: Option<&mut Leader<'_>>) -> Vec<Vec<f32>> {
        let (model, a, rows) = (self.model, &self.model.architecture, self.rows);
        let d = a.width;
        let mut x = vec![0.0; rows * d];
        let positions: Vec<usize> =
            self.sequences.iter().flat_map(|s| (s.cache.length..).take(s.ids.len())).collect();
        let ids = self.sequences.iter().flat_map(|s| s.ids);
        for ((x, &id), &position) in x.chunks_mut(d).zip(ids).zip(&positions) {
            model.embed_row(id, position, x);
        }
        // Angles of the new positions only, which rows count from 0.
        let angles = a.rotary.as_ref().map_or_else(Angles::default, |rotary| {
            Angles::at(&rotary.frequencies, rotary.factor, positions.iter().copied())
        });
        let numbers: Vec<usize> = (0..rows).collect();
        let positions = Positions { rows: &numbers, angles: &angles };
        let mut scratch = Scratch {
            narrow: vec![0.0; rows * d.max(a.attention_width())],
            front: vec![0.0; rows * a.mlp_width().max(a.qkv_width())],
            wide: vec![0.0; rows * a.inner],
            statistics: vec![(0.0, 0.0); rows],
            ..Scratch::default()
        };
        for block in 0..a.layers {
            self.block(block, &mut x, positions, &mut scratch, team.as_deref_mut());
        }
        for sequence in &mut self.sequences {
            sequence.cache.length += sequence.ids.len();
        }
        // Only what follows each sequence's last row is asked for.
        let mut last: Vec<f32> =
            self.spans.iter().flat_map(|span| &x[(span.end - 1) * d..span.end * d]).copied().collect();
        let count = self.spans.len();
        let normed = &mut scratch.narrow[..count * d];
        model.normalise(model.layout.last_norm, &last, normed, &mut scratch.statistics[..count]);
        last.copy_from_slice(normed);
        let mut logits = vec![0.0; count * a.vocab];
        let sums = &mut self.sums;
        let mut project = |team: &mut Leader<'_>| {
            let (out, last) = (MatMut::new(&mut logits, count, a.vocab), Mat::new(&last, count, d));
            model.few_times(team, last, &model.head(), out, sums);
        };
        match team {
            Some(team) => project(team),
            None => lead(project),
        }
        logits.chunks(a.vocab).map(<[f32]>::to_vec).collect()
    }

    fn block(
        &mut self,
        index: usize,
        x: &mut [f32],
        positions: Positions<'_>,
        scratch: &mut Scratch,
        mut team: Option<&mut Leader<'_>>,
    ) {
        let (model, a, rows) = (self.model, &self.model.architecture, self.rows);
        let block = &model.layout.blocks[index];
        let (d, f, qkv_width, mlp_width) = (a.width, a.inner, a.qkv_width(), a.mlp_width());
        let Scratch { narrow, front, wide, statistics, .. } = scratch;
        model.normalise(block.norm_1, x, &mut narrow[..rows * d], statistics);
        let qkv = &mut front[..rows * qkv_width];
        let places = block.places();
        for place in 0..places.attention_out {
            self.through((index, place), &narrow[..rows * d], qkv, qkv_width, team.as_deref_mut());
        }
        model.add_biases(&block.attention_in, qkv, qkv_width);
        model.rotate(qkv, positions, Turn::Forward);
        let attended = &mut narrow[..rows * a.attention_width()];
        self.attention(index, qkv, attended, team.as_deref_mut());
        let projected = &mut front[..rows * d];
        self.through((index, places.attention_out), attended, projected, d, team.as_deref_mut());
        add_in_place(x, projected, d, model.bias(&block.attention_out));
        let narrow = &mut narrow[..rows * d];
        model.normalise(block.norm_2, x, narrow, statistics);
        let inner = &mut front[..rows * mlp_width];
        for place in places.mlp_in..places.mlp_out {
            self.through((index, place), narrow, inner, mlp_width, team.as_deref_mut());
        }
        let active = &mut wide[..rows * f];
        activation::forward(a.activation, inner, &model.biases(&block.mlp_in), active, f);
        self.through((index, places.mlp_out), active, narrow, d, team);
        add_in_place(x, narrow, d, model.bias(&block.mlp_out));
    }

    /// Keeps the new keys and values, and lets each sequence's queries see its own.
    fn attention(&mut self, index: usize, qkv: &[f32], out: &mut [f32], team: Option<&mut Leader<'_>>) {
        let (model, a) = (self.model, &self.model.architecture);
        let (q_width, kv_width, qkv_width) = (a.attention_width(), a.kv_width(), a.qkv_width());
        for (sequence, span) in self.sequences.iter_mut().zip(&self.spans) {
            let [keys, values] = &mut sequence.cache.layers[index];
            for row in qkv[span.start * qkv_width..span.end * qkv_width].chunks(qkv_width) {
                keys.extend_from_slice(&row[q_width..q_width + kv_width]);
                values.extend_from_slice(&row[q_width + kv_width..]);
            }
        }
        let with_keys = |(i, span): (usize, &Range<usize>)| {
            let [k, v] = self.sequences[i].cache.layers[index].each_ref();
            let [k, v] = [k, v].map(|part| Mat::new(part, part.len() / kv_width, kv_width));
            let q = Mat::strided(&qkv[span.start * qkv_width..], span.len(), q_width, qkv_width);
            Sequence { row: span.start, q, k, v }
        };
        let sequences: Vec<Sequence<'_>> = self.spans.iter().enumerate().map(with_keys).collect();
        let shape = model.attention(None);
        match team {
            // One row each, whose heads lie side by side.
            Some(team) => team.for_each_chunk(out, a.head_width, |i, out| {
                shape.forward_one(sequences[i / a.heads], i % a.heads, out);
            }),
            None => shape.forward(&sequences, out),
        }
    }

    /// A dense layer, by its block and its place there: over all rows, into its columns of `y`; then each sequence's
    /// adapter over its own rows.
    fn through(
        &mut self,
        (block, place): (usize, usize),
        x: &[f32],
        y: &mut [f32],
        stride: usize,
        mut team: Option<&mut Leader<'_>>,
    ) {
        let Some(linear) = self.model.layout.blocks[block].linear(place) else { return };
        let (inputs, outputs) = (linear.inputs, linear.outputs);
        let out = MatMut::strided(&mut y[linear.column..], self.rows, outputs, stride);
        let all = Mat::new(x, self.rows, inputs);
        match &mut team {
            Some(team) => self.model.few_times(team, all, linear, out, &mut self.sums),
            None => self.model.times(out, all, linear, false, Write::Replace),
        }
        for (sequence, span) in self.sequences.iter().zip(&self.spans) {
            let own = sequence.model.layout.blocks[block].linear(place);
            let Some(adapter) = own.and_then(|own| own.adapter).filter(|_| sequence.cache.adapted) else {
                continue;
            };
            let (model, rows) = (sequence.model, span.len());
            let x = Mat::new(&x[span.start * inputs..span.end * inputs], rows, inputs);
            let a = Mat::new(model.values(adapter.a), adapter.rank, inputs).t();
            let b = Mat::new(model.values(adapter.b), outputs, adapter.rank).t();
            let mut product = vec![0.0; rows * adapter.rank];
            let to = MatMut::new(&mut product, rows, adapter.rank);
            let mut y = MatMut::strided(&mut y[span.start * stride + linear.column..], rows, outputs, stride);
            if let Some(team) = &mut team {
                let mut update = vec![0.0; rows * outputs];
                few_rows(team, x, a, to, &mut self.sums);
                let product = Mat::new(&product, rows, adapter.rank);
                few_rows(team, product, b, MatMut::new(&mut update, rows, outputs), &mut self.sums);
                for (row, update) in update.chunks(outputs).enumerate() {
                    y.row_mut(row)
                        .iter_mut()
                        .zip(update)
                        .for_each(|(y, update)| *y += adapter.scale * update);
                }
            } else {
                let (tier, threads) = (model.tier.exact(), Threads::Pool);
                gemm(tier, to, x, a, 1.0, Write::Replace, threads);
                let product = Mat::new(&product, rows, adapter.rank);
                gemm(tier, y, product, b, adapter.scale, Write::Add, threads);
            }
        }
    }
}

/// `x += y + bias`, row by row.
fn add_in_place(x: &mut [f32], y: &[f32], width: usize, bias: Option<&[f32]>) {
    for (x, y) in x.chunks_mut(width).zip(y.chunks(width)) {
        elementwise::accumulate_row(x, y);
        if let Some(bias) = bias {
            elementwise::accumulate_row(x, bias);
        }
    }
}
