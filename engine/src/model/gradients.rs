//! Gradients beside the weights they belong to.

use super::{Model, ParameterId, Values};

/// One buffer for each trainable weight; frozen weights have none.
#[derive(Debug)]
pub(crate) struct Gradients(Vec<Option<Values>>);

impl Gradients {
    pub fn new(model: &Model) -> Self {
        Self(model.training_zeros())
    }

    /// The buffer to add to, if the weight is trained. For what is no matrix: those are in f32 on every tier.
    pub fn get(&mut self, id: ParameterId) -> Option<&mut [f32]> {
        Some(self.0[id.0].as_mut()?.exact())
    }

    /// The buffer of a matrix, if it is trained.
    pub fn matrix(&mut self, id: ParameterId) -> Option<&mut Values> {
        self.0[id.0].as_mut()
    }

    /// Two buffers at once, if both weights are trained; as [`Gradients::get`].
    pub fn pair(&mut self, a: ParameterId, b: ParameterId) -> Option<(&mut [f32], &mut [f32])> {
        let [a, b] = self.0.get_disjoint_mut([a.0, b.0]).ok()?;
        Some((a.as_mut()?.exact(), b.as_mut()?.exact()))
    }

    /// Whether a weight is trained.
    pub fn wants(&self, id: ParameterId) -> bool {
        self.0[id.0].is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, &Values)> {
        self.0.iter().enumerate().filter_map(|(i, g)| Some((i, g.as_ref()?)))
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut Values)> {
        self.0.iter_mut().enumerate().filter_map(|(i, g)| Some((i, g.as_mut()?)))
    }
}
