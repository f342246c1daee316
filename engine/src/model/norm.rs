//! Both kinds of norm behind one face.

use super::gradients::Gradients;
use super::{Model, Norm};
use crate::kernels::layernorm::{self, Statistics};
use crate::kernels::rmsnorm;

impl Model {
    /// Normalises the rows of `x` into `out`.
    pub(crate) fn normalise(&self, norm: Norm, x: &[f32], out: &mut [f32], statistics: &mut [Statistics]) {
        let (weight, eps) = (self.values(norm.weight), self.architecture.norm_epsilon);
        match norm.bias {
            Some(bias) => layernorm::forward(x, weight, self.values(bias), eps, out, statistics),
            None => rmsnorm::forward(x, weight, eps, out, statistics),
        }
    }

    /// From the gradient of the output to those of the weights, which are added, and of `x`, which is added to `dx`.
    pub(crate) fn normalise_backward(
        &self,
        norm: Norm,
        x: &[f32],
        dy: &[f32],
        statistics: &[Statistics],
        dx: &mut [f32],
        gradients: &mut Gradients,
    ) {
        let weight = self.values(norm.weight);
        match norm.bias {
            Some(bias) => {
                if let Some((dw, db)) = gradients.pair(norm.weight, bias) {
                    layernorm::backward_parameters(x, dy, statistics, dw, db);
                }
                layernorm::backward(x, dy, weight, statistics, dx);
            }
            None => {
                if let Some(dw) = gradients.get(norm.weight) {
                    rmsnorm::backward_weight(x, dy, statistics, dw);
                }
                rmsnorm::backward(x, dy, weight, statistics, dx);
            }
        }
    }
}
