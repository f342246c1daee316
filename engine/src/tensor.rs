//! Plain tensors as they come from and go to files: a shape and f32 values in row-major order.
//!
//! Not for calculation: the kernels work on slices.

use std::collections::BTreeMap;

/// A dense row-major tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

impl Tensor {
    /// Wraps values; `None` if their number is not the product of the shape.
    pub fn new(shape: Vec<usize>, data: Vec<f32>) -> Option<Self> {
        (shape.iter().product::<usize>() == data.len()).then_some(Self { shape, data })
    }
}

/// Tensors by name, e.g. `transformer.h.0.attn.c_attn.weight` (GPT-2's `Conv1D`: `[in, out]`).
pub type TensorMap = BTreeMap<String, Tensor>;
