//! Gradients beside the weights they belong to.

use super::{Model, ParameterId};

/// One buffer for each trainable weight; frozen weights have none.
#[derive(Debug)]
pub(crate) struct Gradients(Vec<Option<Vec<f32>>>);

impl Gradients {
    pub fn new(model: &Model) -> Self {
        Self(model.parameters.iter().map(|p| p.trainable.then(|| vec![0.0; p.values.count()])).collect())
    }

    /// The buffer to add to, if the weight is trained.
    pub fn get(&mut self, id: ParameterId) -> Option<&mut [f32]> {
        self.0[id.0].as_deref_mut()
    }

    /// Two buffers at once, if both weights are trained.
    pub fn pair(&mut self, a: ParameterId, b: ParameterId) -> Option<(&mut [f32], &mut [f32])> {
        let [a, b] = self.0.get_disjoint_mut([a.0, b.0]).ok()?;
        Some((a.as_deref_mut()?, b.as_deref_mut()?))
    }

    /// Whether a weight is trained.
    pub fn wants(&self, id: ParameterId) -> bool {
        self.0[id.0].is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.0.iter().enumerate().filter_map(|(i, g)| Some((i, g.as_deref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut [f32])> {
        self.0.iter_mut().enumerate().filter_map(|(i, g)| Some((i, g.as_deref_mut()?)))
    }
}
