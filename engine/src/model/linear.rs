//! A dense layer with its adapter: `y = x W + scale · dropout(x) Aᵀ Bᵀ`, forward and backward.
//!
//! Layers that read the same rows write columns of one buffer, side by side. The bias is added by whoever uses `y`
//! next, in the same pass over memory.

use super::gradients::Gradients;
use super::{Linear, Model};
use crate::kernels::elementwise;
use crate::kernels::gemm::{Mat, MatMut, Threads, Write, gemm};
use crate::rng::Dropout;

/// Buffers that a pass through one dense layer needs for its adapter.
pub(crate) struct AdapterBuffers<'a> {
    /// `[rows, rank]`: the low-rank product, written forward and read backward.
    pub product: &'a mut [f32],
    /// `[rows, rank]`: its gradient.
    pub gradient: &'a mut [f32],
    /// `[rows, inputs]`: the input with dropout, or its gradient.
    pub input: &'a mut [f32],
    pub dropout: Option<Dropout>,
}

/// The columns of a layer in a buffer whose rows are `stride` apart.
fn columns<'a>(linear: &Linear, y: &'a [f32], rows: usize, stride: usize) -> Mat<'a> {
    Mat::strided(&y[linear.column..], rows, linear.outputs, stride)
}

fn columns_mut<'a>(linear: &Linear, y: &'a mut [f32], rows: usize, stride: usize) -> MatMut<'a> {
    MatMut::strided(&mut y[linear.column..], rows, linear.outputs, stride)
}

impl Model {
    /// The layer's columns of `y [rows, stride] = x W` and the adapter's share.
    pub(crate) fn linear(
        &self,
        linear: &Linear,
        x: &[f32],
        y: &mut [f32],
        stride: usize,
        buffers: AdapterBuffers<'_>,
    ) {
        let (inputs, outputs) = (linear.inputs, linear.outputs);
        let rows = x.len() / inputs;
        let out = columns_mut(linear, y, rows, stride);
        self.times(out, Mat::new(x, rows, inputs), linear, false, Write::Replace);
        let Some(adapter) = linear.adapter else { return };
        let a = Mat::new(self.values(adapter.a), adapter.rank, inputs);
        let b = Mat::new(self.values(adapter.b), outputs, adapter.rank);
        let x = match buffers.dropout {
            None => x,
            Some(dropout) => {
                let out = &mut buffers.input[..rows * inputs];
                elementwise::masked_copy(out, x, inputs, dropout);
                out
            }
        };
        let product = &mut buffers.product[..rows * adapter.rank];
        let out = MatMut::new(product, rows, adapter.rank);
        gemm(self.tier.exact(), out, Mat::new(x, rows, inputs), a.t(), 1.0, Write::Replace, Threads::Pool);
        let product = Mat::new(product, rows, adapter.rank);
        let out = columns_mut(linear, y, rows, stride);
        gemm(self.tier.exact(), out, product, b.t(), adapter.scale, Write::Add, Threads::Pool);
    }

    /// Adds the gradients of the layer's trainable weights, and leaves the low-rank product's gradient for
    /// [`Model::linear_input`].
    pub(crate) fn linear_weights(
        &self,
        linear: &Linear,
        x: &[f32],
        dy: &[f32],
        stride: usize,
        gradients: &mut Gradients,
        buffers: AdapterBuffers<'_>,
    ) {
        let (inputs, outputs) = (linear.inputs, linear.outputs);
        let rows = x.len() / inputs;
        let dy_mat = columns(linear, dy, rows, stride);
        if let Some(dw) = gradients.matrix(linear.weight) {
            self.add_gradient(dw, linear, Mat::new(x, rows, inputs), dy_mat);
        }
        if let Some(db) = linear.bias.and_then(|bias| gradients.get(bias)) {
            elementwise::add_column_sums(dy, stride, linear.column, db);
        }
        let Some(adapter) = linear.adapter else { return };
        let (rank, scale) = (adapter.rank, adapter.scale);
        let product = Mat::new(&buffers.product[..rows * rank], rows, rank);
        if let Some(db) = gradients.get(adapter.b) {
            let out = MatMut::new(db, outputs, rank);
            gemm(self.tier.exact(), out, dy_mat.t(), product, scale, Write::Add, Threads::Pool);
        }
        let dproduct = &mut buffers.gradient[..rows * rank];
        let b = Mat::new(self.values(adapter.b), outputs, rank);
        gemm(
            self.tier.exact(),
            MatMut::new(dproduct, rows, rank),
            dy_mat,
            b,
            scale,
            Write::Replace,
            Threads::Pool,
        );
        if let Some(da) = gradients.get(adapter.a) {
            let x = match buffers.dropout {
                None => x,
                Some(dropout) => {
                    let out = &mut buffers.input[..rows * inputs];
                    elementwise::masked_copy(out, x, inputs, dropout);
                    out
                }
            };
            let (dproduct, x) = (Mat::new(dproduct, rows, rank), Mat::new(x, rows, inputs));
            gemm(
                self.tier.exact(),
                MatMut::new(da, rank, inputs),
                dproduct.t(),
                x,
                1.0,
                Write::Add,
                Threads::Pool,
            );
        }
    }

    /// Writes or adds the gradient through the layer to `dx [rows, inputs]`, after [`Model::linear_weights`].
    pub(crate) fn linear_input(
        &self,
        linear: &Linear,
        dy: &[f32],
        stride: usize,
        dx: &mut [f32],
        write: Write,
        buffers: AdapterBuffers<'_>,
    ) {
        let inputs = linear.inputs;
        let rows = dy.len() / stride;
        let dy = columns(linear, dy, rows, stride);
        self.times(MatMut::new(dx, rows, inputs), dy, linear, true, write);
        let Some(adapter) = linear.adapter else { return };
        let a = Mat::new(self.values(adapter.a), adapter.rank, inputs);
        let dproduct = Mat::new(&buffers.gradient[..rows * adapter.rank], rows, adapter.rank);
        match buffers.dropout {
            None => gemm(
                self.tier.exact(),
                MatMut::new(dx, rows, inputs),
                dproduct,
                a,
                1.0,
                Write::Add,
                Threads::Pool,
            ),
            Some(dropout) => {
                let through = &mut buffers.input[..rows * inputs];
                let out = MatMut::new(through, rows, inputs);
                gemm(self.tier.exact(), out, dproduct, a, 1.0, Write::Replace, Threads::Pool);
                elementwise::mask(through, inputs, dropout);
                elementwise::accumulate(dx, through);
            }
        }
    }
}
