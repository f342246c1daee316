//! The values of one weight: f32, or rounded to bf16 where they are only read.
//!
//! A rounded weight takes half the memory and half the time to read. Only matrices that products and look-ups read are
//! rounded, only while nothing trains them, and only on tiers whose products would round them anyway: so rounding once
//! changes no product. The gradients and moments of the same matrices are held in bf16 there too.

use super::{Block, Layout, Linear, Model, Orientation, ParameterId, plan};
use crate::config::ModelConfig;
use crate::kernels::elementwise;
use crate::kernels::few_rows::few_rows;
use crate::kernels::gemm::{Element, Mat, MatMut, Threads, Write, gemm};
use crate::kernels::team::Leader;
use crate::kernels::tier::{Precision, Tier};
use half::bf16;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The values of a weight, in row-major order.
#[derive(Debug, Clone)]
pub enum Values {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

/// Weights by name: shape and values.
pub type WeightMap = BTreeMap<String, (Vec<usize>, Values)>;

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl Values {
    /// So many zeros, in bf16 if the precision is that.
    pub(crate) fn zeros(count: usize, precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32(vec![0.0; count]),
            Precision::Bf16 => Self::Bf16(vec![bf16::ZERO; count]),
        }
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    pub fn bytes(&self) -> usize {
        match self {
            Self::F32(values) => size_of_val(values.as_slice()),
            Self::Bf16(values) => size_of_val(values.as_slice()),
        }
    }

    /// As f32, copied where they are rounded.
    pub fn to_f32(&self) -> Cow<'_, [f32]> {
        match self {
            Self::F32(values) => values.into(),
            Self::Bf16(values) => values.iter().map(|value| value.to_f32()).collect(),
        }
    }

    /// To the nearest bf16; `None` where they are rounded already.
    pub(crate) fn rounded(&self) -> Option<Self> {
        let Self::F32(values) = self else { return None };
        let mut rounded = vec![bf16::ZERO; values.len()];
        elementwise::narrow(values, &mut rounded);
        Some(Self::Bf16(rounded))
    }

    /// Values stored as these are.
    pub(crate) fn stored_alike(&self, values: Vec<f32>) -> Self {
        let values = Self::F32(values);
        match self {
            Self::F32(_) => values,
            Self::Bf16(_) => values.rounded().unwrap_or(values),
        }
    }

    /// Sets all to zero.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::F32(values) => values.fill(0.0),
            Self::Bf16(values) => values.fill(bf16::ZERO),
        }
    }

    /// To change; rounded values become f32 first.
    pub(crate) fn exact(&mut self) -> &mut Vec<f32> {
        match self {
            Self::F32(values) => values,
            rounded => {
                *rounded = Self::F32(rounded.to_f32().into_owned());
                rounded.exact()
            }
        }
    }
}

/// The weights that are rounded while nothing trains them, each once.
pub(crate) fn rounded_ids(layout: &Layout) -> impl Iterator<Item = ParameterId> {
    let linears = layout.blocks.iter().flat_map(Block::linears).map(|linear| linear.weight);
    let untied = (layout.head != layout.token_embedding).then_some(layout.head);
    linears.chain([layout.token_embedding]).chain(untied)
}

/// The names of the weights that [`rounded_ids`] means, where the tier's products read bf16.
pub(crate) fn rounded_names(config: &ModelConfig, tier: Tier) -> BTreeSet<String> {
    let (layout, wanted) = plan(config);
    match tier.precision() {
        Precision::F32 => BTreeSet::new(),
        Precision::Bf16 => rounded_ids(&layout).map(|id| wanted[id.0].name.clone()).collect(),
    }
}

impl Model {
    /// Rounds the weights that products read and that nothing trains, where the tier's products round them anyway.
    pub(crate) fn round_frozen(&mut self) {
        if self.tier.precision() == Precision::F32 {
            return;
        }
        for ParameterId(i) in rounded_ids(&self.layout) {
            let parameter = &mut self.parameters[i];
            if !parameter.trainable
                && let Some(rounded) = parameter.values.rounded()
            {
                parameter.values = Arc::new(rounded);
            }
        }
    }

    /// Zeros beside each weight that is trained, for its gradient or a moment of it: in bf16 for the matrices that the
    /// tier's products read in bf16.
    pub(crate) fn training_zeros(&self) -> Vec<Option<Values>> {
        let mut precisions = vec![Precision::F32; self.parameters.len()];
        rounded_ids(&self.layout).for_each(|id| precisions[id.0] = self.tier.precision());
        let weights = self.parameters.iter().zip(precisions);
        weights
            .map(|(p, precision)| p.trainable.then(|| Values::zeros(p.values.count(), precision)))
            .collect()
    }

    /// Adds `xᵀ dy` for `x [rows, inputs]` and `dy [rows, outputs]` to the gradient of a dense layer's weights.
    pub(crate) fn add_gradient(&self, gradient: &mut Values, linear: &Linear, x: Mat<'_>, dy: Mat<'_>) {
        match gradient {
            Values::F32(out) => self.outer_product(out, linear, x, dy),
            Values::Bf16(out) => self.outer_product(out, linear, x, dy),
        }
    }

    fn outer_product<E: Element>(&self, out: &mut [E], linear: &Linear, x: Mat<'_>, dy: Mat<'_>) {
        let (inputs, outputs) = (linear.inputs, linear.outputs);
        let (out, a, b) = match linear.orientation {
            Orientation::InOut => (MatMut::new(out, inputs, outputs), x.t(), dy),
            Orientation::OutIn => (MatMut::new(out, outputs, inputs), dy.t(), x),
        };
        gemm(self.tier, out, a, b, 1.0, Write::Add, Threads::Pool);
    }

    /// `out = x W` or `out += x W` for a dense layer; with `turned`, `x Wᵀ`.
    pub(crate) fn times(&self, out: MatMut<'_>, x: Mat<'_>, linear: &Linear, turned: bool, write: Write) {
        match &*self.parameters[linear.weight.0].values {
            Values::F32(w) => self.product(out, x, linear.matrix(w), turned, write),
            Values::Bf16(w) => self.product(out, x, linear.matrix(w), turned, write),
        }
    }

    /// The projection to the vocabulary, which lies as PyTorch's dense layers do.
    pub(crate) fn head(&self) -> Linear {
        Linear {
            module: "lm_head",
            weight: self.layout.head,
            bias: None,
            inputs: self.architecture.width,
            outputs: self.architecture.vocab,
            orientation: Orientation::OutIn,
            column: 0,
            adapter: None,
        }
    }

    fn product<E: Element>(&self, out: MatMut<'_>, x: Mat<'_>, w: Mat<'_, E>, turned: bool, write: Write) {
        let w = if turned { w.t() } else { w };
        gemm(self.tier, out, x, w, 1.0, write, Threads::Pool);
    }

    /// `out = x W` for a dense layer and few rows; `sums` is scratch memory.
    pub(crate) fn few_times(
        &self,
        team: &mut Leader<'_>,
        x: Mat<'_>,
        linear: &Linear,
        out: MatMut<'_>,
        sums: &mut Vec<f32>,
    ) {
        match &*self.parameters[linear.weight.0].values {
            Values::F32(w) => few_rows(team, x, linear.matrix(w), out, sums),
            Values::Bf16(w) => few_rows(team, x, linear.matrix(w), out, sums),
        }
    }

    /// Writes the embedding of a token.
    pub(crate) fn token_row(&self, id: u32, out: &mut [f32]) {
        let start = id as usize * out.len();
        match &*self.parameters[self.layout.token_embedding.0].values {
            Values::F32(table) => out.copy_from_slice(&table[start..start + out.len()]),
            Values::Bf16(table) => elementwise::widen(&table[start..start + out.len()], out),
        }
    }
}
