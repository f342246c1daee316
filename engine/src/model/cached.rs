//! Generation's forward pass: only the new tokens are computed, earlier keys and values come from a cache.

use super::forward::Positions;
use super::workspace::Scratch;
use super::{Block, Linear, Model, ModelError, in_pool};
use crate::config::ModelConfig;
use crate::kernels::attention::Sequence;
use crate::kernels::gemm::{Mat, MatMut, Threads, Write, gemm};
use crate::kernels::rope::{Angles, Turn};
use crate::kernels::{activation, elementwise};

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

    /// Forgets all but the first `length` tokens, e.g. to go on from a shared prompt.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        for part in self.layers.iter_mut().flatten() {
            part.truncate(self.length * self.width);
        }
    }
}

impl Model {
    /// Takes in further tokens and returns the logits that follow the last one `[vocab]`.
    ///
    /// # Errors
    /// No or unknown tokens, more tokens than the cache has room for. The cache is then unchanged.
    pub fn forward_cached(&self, ids: &[u32], cache: &mut KvCache) -> Result<Vec<f32>, ModelError> {
        let a = &self.architecture;
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
        if let Some(&token) = ids.iter().find(|&&id| id as usize >= a.vocab) {
            return Err(ModelError::TokenOutOfRange { token, vocab_size: a.vocab });
        }
        in_pool(|| Ok(self.extend(ids, cache)))
    }

    fn extend(&self, ids: &[u32], cache: &mut KvCache) -> Vec<f32> {
        let a = &self.architecture;
        let (rows, d) = (ids.len(), a.width);
        let mut x = vec![0.0; rows * d];
        for (i, (x, &id)) in x.chunks_mut(d).zip(ids).enumerate() {
            self.embed_row(id, cache.length + i, x);
        }
        // Angles of the new positions only, which rows count from 0.
        let angles = a.rotary.as_ref().map_or_else(Angles::default, |rotary| {
            Angles::new(&rotary.frequencies, rotary.factor, cache.length, rows)
        });
        let numbers: Vec<usize> = (0..rows).collect();
        let positions = Positions { rows: &numbers, angles: &angles };
        let mut scratch = Scratch {
            narrow: vec![0.0; rows * d.max(a.attention_width())],
            wide: vec![0.0; rows * a.inner.max(a.qkv_width())],
            statistics: vec![(0.0, 0.0); rows],
            ..Scratch::default()
        };
        let mut inner = vec![0.0; rows * a.mlp_width()];
        for (block, cached) in self.layout.blocks.iter().zip(&mut cache.layers) {
            let pass = CachedPass { model: self, positions, adapted: cache.adapted };
            pass.block(block, &mut x, cached, &mut scratch, &mut inner);
        }
        cache.length += rows;
        let last = &x[(rows - 1) * d..];
        let normed = &mut scratch.narrow[..d];
        self.normalise(self.layout.last_norm, last, normed, &mut scratch.statistics[..1]);
        let mut logits = vec![0.0; a.vocab];
        self.row_times(normed, &self.head(), &mut logits);
        logits
    }
}

/// What all blocks of one cached pass share.
struct CachedPass<'a> {
    model: &'a Model,
    positions: Positions<'a>,
    adapted: bool,
}

impl CachedPass<'_> {
    fn block(
        &self,
        block: &Block,
        x: &mut [f32],
        [keys, values]: &mut [Vec<f32>; 2],
        scratch: &mut Scratch,
        inner: &mut [f32],
    ) {
        let (model, a) = (self.model, &self.model.architecture);
        let (d, f, wide_width) = (a.width, a.inner, a.qkv_width());
        let (q_width, kv_width) = (a.attention_width(), a.kv_width());
        let rows = x.len() / d;
        let Scratch { narrow, wide, statistics, .. } = scratch;
        model.normalise(block.norm_1, x, &mut narrow[..rows * d], statistics);
        let qkv = &mut wide[..rows * wide_width];
        for part in &block.attention_in {
            self.rows_through(part, &narrow[..rows * d], qkv, wide_width);
        }
        model.add_biases(&block.attention_in, qkv, wide_width);
        model.rotate(qkv, self.positions, Turn::Forward);
        for row in qkv.chunks(wide_width) {
            keys.extend_from_slice(&row[q_width..q_width + kv_width]);
            values.extend_from_slice(&row[q_width + kv_width..]);
        }
        let seen = keys.len() / kv_width;
        let q = Mat::strided(&qkv[..], rows, q_width, wide_width);
        let [k, v] = [&*keys, &*values].map(|part| Mat::new(part, seen, kv_width));
        model.attention(None).forward(&[Sequence { row: 0, q, k, v }], &mut narrow[..rows * q_width]);
        let mut projected = vec![0.0; rows * d];
        self.rows_through(&block.attention_out, &narrow[..rows * q_width], &mut projected, d);
        add_in_place(x, &projected, d, model.bias(&block.attention_out));
        let narrow = &mut narrow[..rows * d];
        model.normalise(block.norm_2, x, narrow, statistics);
        for part in &block.mlp_in {
            self.rows_through(part, narrow, inner, a.mlp_width());
        }
        let active = &mut wide[..rows * f];
        activation::forward(a.activation, inner, &model.biases(&block.mlp_in), active, f);
        self.rows_through(&block.mlp_out, active, narrow, d);
        add_in_place(x, narrow, d, model.bias(&block.mlp_out));
    }

    /// A dense layer with its adapter over few rows, into its columns of `y`: a matrix-vector product for one.
    fn rows_through(&self, linear: &Linear, x: &[f32], y: &mut [f32], stride: usize) {
        let (model, inputs, outputs) = (self.model, linear.inputs, linear.outputs);
        let rows = x.len() / inputs;
        if rows == 1 {
            model.row_times(x, linear, &mut y[linear.column..linear.column + outputs]);
        } else {
            let out = MatMut::strided(&mut y[linear.column..], rows, outputs, stride);
            model.times(out, Mat::new(x, rows, inputs), linear, false, Write::Replace);
        }
        let Some(adapter) = linear.adapter.filter(|_| self.adapted) else { return };
        let (a, b) = (model.values(adapter.a), model.values(adapter.b));
        let mut product = vec![0.0; rows * adapter.rank];
        let a = Mat::new(a, adapter.rank, inputs);
        let out = MatMut::new(&mut product, rows, adapter.rank);
        gemm(model.tier, out, Mat::new(x, rows, inputs), a.t(), 1.0, Write::Replace, Threads::One);
        let product = Mat::new(&product, rows, adapter.rank);
        let b = Mat::new(b, outputs, adapter.rank);
        let out = MatMut::strided(&mut y[linear.column..], rows, outputs, stride);
        gemm(model.tier, out, product, b.t(), adapter.scale, Write::Add, Threads::One);
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
