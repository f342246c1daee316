//! Generation's forward pass: only the new tokens are computed, earlier keys and values come from a cache.

use super::workspace::Scratch;
use super::{Block, Linear, Model, ModelError, in_pool};
use crate::config::Gpt2Config;
use crate::kernels::attention::forward_head;
use crate::kernels::gemm::{Mat, MatMut, Threads, Write, gemm};
use crate::kernels::{activation, elementwise, matvec};

/// Keys and values of the tokens seen so far, layer by layer. Belongs to one conversation with one model.
#[derive(Debug, Clone)]
pub struct KvCache {
    width: usize,
    /// Keys and values `[tokens, width]` of each layer; grow as tokens come.
    layers: Vec<[Vec<f32>; 2]>,
    length: usize,
    limit: usize,
    /// Whether the model's adapter, if it has one, takes part.
    adapted: bool,
}

impl KvCache {
    pub fn new(config: &Gpt2Config) -> Self {
        Self {
            width: config.n_embd,
            layers: vec![[Vec::new(), Vec::new()]; config.n_layer],
            length: 0,
            limit: config.n_positions,
            adapted: true,
        }
    }

    /// For a conversation with the base model alone, over the very weights that an adapter sits on.
    pub fn without_adapter(config: &Gpt2Config) -> Self {
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
        let config = &self.config;
        if ids.is_empty() {
            return Err(ModelError::MalformedBatch { tokens: 0, targets: 0, lengths: 0 });
        }
        if cache.width != config.n_embd || cache.layers.len() != config.n_layer {
            return Err(ModelError::ForeignCache);
        }
        if ids.len() > cache.remaining() {
            let length = cache.length + ids.len();
            return Err(ModelError::SequenceTooLong { length, limit: cache.limit });
        }
        if let Some(&token) = ids.iter().find(|&&id| id as usize >= config.vocab_size) {
            return Err(ModelError::TokenOutOfRange { token, vocab_size: config.vocab_size });
        }
        in_pool(|| Ok(self.extend(ids, cache)))
    }

    fn extend(&self, ids: &[u32], cache: &mut KvCache) -> Vec<f32> {
        let (rows, d, f) = (ids.len(), self.config.n_embd, self.config.inner());
        let (wte, wpe) = (self.values(self.layout.wte), self.values(self.layout.wpe));
        let mut x = vec![0.0; rows * d];
        for (i, (x, &id)) in x.chunks_mut(d).zip(ids).enumerate() {
            let position = &wpe[(cache.length + i) * d..][..d];
            elementwise::add_row(x, &wte[id as usize * d..][..d], position);
        }
        let mut scratch = Scratch {
            narrow: vec![0.0; rows * d],
            wide: vec![0.0; rows * f.max(3 * d)],
            statistics: vec![(0.0, 0.0); rows],
            ..Scratch::default()
        };
        let mut inner = vec![0.0; rows * f];
        for (block, cached) in self.layout.blocks.iter().zip(&mut cache.layers) {
            let block = if cache.adapted { *block } else { block.without_adapters() };
            self.cached_block(&block, &mut x, cached, &mut scratch, &mut inner);
        }
        cache.length += rows;
        let last = &x[(rows - 1) * d..];
        let normed = &mut scratch.narrow[..d];
        self.normalise(self.layout.ln_f, last, normed, &mut scratch.statistics[..1]);
        let mut logits = vec![0.0; self.config.vocab_size];
        matvec::times_column(self.values(self.layout.head), normed, &mut logits);
        logits
    }

    fn cached_block(
        &self,
        block: &Block,
        x: &mut [f32],
        [keys, values]: &mut [Vec<f32>; 2],
        scratch: &mut Scratch,
        inner: &mut [f32],
    ) {
        let (d, f) = (self.config.n_embd, self.config.inner());
        let rows = x.len() / d;
        let Scratch { narrow, wide, statistics, .. } = scratch;
        self.normalise(block.ln_1, x, narrow, statistics);
        let qkv = &mut wide[..rows * 3 * d];
        self.rows_through(&block.c_attn, narrow, qkv);
        elementwise::add_bias(qkv, self.values(block.c_attn.bias));
        for row in qkv.chunks(3 * d) {
            keys.extend_from_slice(&row[d..2 * d]);
            values.extend_from_slice(&row[2 * d..]);
        }
        let (heads, width) = (self.config.n_head, self.config.head_width());
        let seen = keys.len() / d;
        let mut scores = Vec::new();
        for head in 0..heads {
            let q = Mat::strided(&qkv[head * width..], rows, width, 3 * d);
            let [k, v] = [&*keys, &*values].map(|part| Mat::strided(&part[head * width..], seen, width, d));
            let out = MatMut::strided(&mut narrow[head * width..], rows, width, d);
            forward_head(q, k, v, self.config.attention_scale(), None, out, &mut scores);
        }
        let mut projected = vec![0.0; rows * d];
        self.rows_through(&block.attn_proj, narrow, &mut projected);
        add_in_place(x, &projected, self.values(block.attn_proj.bias));
        self.normalise(block.ln_2, x, narrow, statistics);
        self.rows_through(&block.c_fc, narrow, inner);
        let active = &mut wide[..rows * f];
        activation::forward(self.activation(), inner, self.values(block.c_fc.bias), active);
        self.rows_through(&block.mlp_proj, active, narrow);
        add_in_place(x, narrow, self.values(block.mlp_proj.bias));
    }

    /// A dense layer with its adapter over few rows: a matrix-vector product for one.
    fn rows_through(&self, linear: &Linear, x: &[f32], y: &mut [f32]) {
        let (inputs, outputs) = (linear.inputs, linear.outputs);
        let rows = x.len() / inputs;
        let w = self.values(linear.weight);
        if rows == 1 {
            y.fill(0.0);
            matvec::add_row_times(x, w, y);
        } else {
            let x = Mat::new(x, rows, inputs);
            let out = MatMut::new(y, rows, outputs);
            gemm(out, x, Mat::new(w, inputs, outputs), 1.0, Write::Replace, Threads::Pool);
        }
        let Some(adapter) = linear.adapter else { return };
        let (a, b) = (self.values(adapter.a), self.values(adapter.b));
        let mut product = vec![0.0; rows * adapter.rank];
        let a = Mat::new(a, adapter.rank, inputs);
        let out = MatMut::new(&mut product, rows, adapter.rank);
        gemm(out, Mat::new(x, rows, inputs), a.t(), 1.0, Write::Replace, Threads::One);
        let product = Mat::new(&product, rows, adapter.rank);
        let b = Mat::new(b, outputs, adapter.rank);
        gemm(MatMut::new(y, rows, outputs), product, b.t(), adapter.scale, Write::Add, Threads::One);
    }
}

/// `x += y + bias`, row by row.
fn add_in_place(x: &mut [f32], y: &[f32], bias: &[f32]) {
    for (x, y) in x.chunks_mut(bias.len()).zip(y.chunks(bias.len())) {
        elementwise::accumulate_row(x, y);
        elementwise::accumulate_row(x, bias);
    }
}
