//! Training: gradients are accumulated batch by batch, then applied in one optimizer step.
//!
//! Not for reading data, for schedules or for when to stop; the caller's loop decides those.

use crate::files::safetensors::View;
use crate::kernels::adamw::sum_of_squares;
use crate::model::{Batch, Gradients, Keep, LossSum, Model, ModelError, Pass, Values, Workspace, in_pool};
use crate::optimizer::{Moments, Optimizer, OptimizerConfig};
use crate::rng::Stream;
use crate::tensor::{Tensor, TensorMap};
use std::borrow::Cow;

/// Why a training step or a restore failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(
        "the {what} became {value} at step {step}: training diverged; lower the learning rate, warm up longer or clip more"
    )]
    NotFinite { what: &'static str, value: f64, step: u64 },
    #[error(
        "none of the batch's tokens is to be predicted; every row was cut off before its answer or has none"
    )]
    NothingToPredict,
    #[error(
        "the checkpoint's optimizer state lacks {name} or has it in another shape; it belongs to another model or optimizer"
    )]
    State { name: String },
}

/// A model in training.
#[derive(Debug)]
pub struct Trainer {
    model: Model,
    optimizer: Optimizer,
    gradients: Gradients,
    workspace: Workspace,
    keep: Keep,
    /// What the gradients hold so far.
    accumulated: LossSum,
    /// Batches seen, ever: with the seed, the key of the dropout masks.
    batches: u64,
    /// Steps and batches as they are saved.
    counters: [[f32; 2]; 2],
    dropout: Stream,
}

const COUNTERS: [&str; 2] = ["trainer.step", "trainer.batches"];
/// A counter is saved as two numbers, each of which f32 holds exactly.
const HALF: u64 = 0xFF_FFFF;

impl Trainer {
    /// Prepares training of the model's trainable weights. Frozen ones are rounded to bf16 where the tier's products
    /// would round them anyway.
    pub fn new(mut model: Model, config: OptimizerConfig) -> Self {
        model.round_frozen();
        let optimizer = Optimizer::new(config, &model);
        let gradients = Gradients::new(&model);
        Self {
            model,
            optimizer,
            gradients,
            workspace: Workspace::default(),
            keep: Keep::All,
            accumulated: LossSum::default(),
            batches: 0,
            counters: [[0.0; 2]; 2],
            dropout: Stream::new(0),
        }
    }

    /// Keeps only each block's input and computes the block again in the backward pass (Chen et al. 2016): less memory,
    /// a third to a half more work, the same bits.
    pub fn with_recomputation(mut self, on: bool) -> Self {
        self.keep = if on { Keep::Inputs } else { Keep::All };
        self
    }

    /// Seeds the dropout masks.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.dropout = Stream::new(seed);
        self
    }

    /// Forward and backward over a batch: adds the gradient of the *sum* of the predicted tokens' losses,
    /// so that batches of different sizes weigh by their tokens. Returns this batch's loss.
    pub fn accumulate(&mut self, batch: &Batch) -> Result<LossSum, TrainError> {
        batch.check(&self.model)?;
        let sequences = batch.sequences();
        let dropout = Some(self.dropout.child(self.batches));
        let pass = Pass { rows: batch.ids.len(), sequences: &sequences, dropout };
        let Self { model, gradients, workspace: work, keep, .. } = self;
        let keep = *keep;
        let loss = in_pool(|| {
            work.reserve(model, pass.rows, keep);
            let last = model.forward(batch, &pass, work, keep);
            let values = pass.rows * model.architecture.width;
            let residual = &work.residual[last][..values];
            let backward = Some((&mut *gradients, &mut work.gradient[..values]));
            let loss = model.head_loss(residual, &batch.targets, &mut work.head, backward);
            model.backward(batch, &pass, work, keep, gradients);
            loss
        });
        self.batches += 1;
        if !loss.nats.is_finite() {
            self.discard();
            return Err(TrainError::NotFinite {
                what: "loss",
                value: loss.nats,
                step: self.optimizer.step + 1,
            });
        }
        self.accumulated += loss;
        Ok(loss)
    }

    /// One optimizer step on the mean gradient of what was accumulated; returns its global norm before
    /// clipping (as `torch.nn.utils.clip_grad_norm_`). On an error no weight has changed, and the gradients
    /// are dropped.
    pub fn apply(&mut self, lr: f32) -> Result<f32, TrainError> {
        if self.accumulated.tokens == 0 {
            return Err(TrainError::NothingToPredict);
        }
        let Self { model, optimizer, gradients, .. } = self;
        let mean = 1.0 / self.accumulated.tokens as f64;
        let norm = in_pool(|| {
            let squares = |g: &Values| match g {
                Values::F32(g) => sum_of_squares(g),
                Values::Bf16(g) => sum_of_squares(g),
            };
            let norm = gradients.iter().map(|(_, g)| squares(g)).sum::<f64>().sqrt() * mean;
            if norm.is_finite() {
                let limit = f64::from(optimizer.config.max_grad_norm);
                let clip = if limit > 0.0 { (limit / (norm + 1e-6)).min(1.0) } else { 1.0 };
                optimizer.update(model, gradients, lr, (mean * clip) as f32);
            }
            norm
        });
        if !norm.is_finite() {
            self.discard();
            let step = self.optimizer.step + 1;
            return Err(TrainError::NotFinite { what: "gradient norm", value: norm, step });
        }
        self.accumulated = LossSum::default();
        self.count();
        Ok(norm as f32)
    }

    /// The loss of a batch, without dropout and without touching the training state. Sequences are taken a
    /// few at a time, so that memory stays small.
    pub fn evaluate(&self, batch: &Batch) -> Result<LossSum, TrainError> {
        Ok(self.model.loss(batch)?)
    }

    /// Gradients accumulated so far, as sums over the predicted tokens, under their weights' names.
    pub fn gradients(&self) -> impl Iterator<Item = (&str, Cow<'_, [f32]>)> {
        self.gradients.iter().map(|(i, g)| (self.model.parameters[i].name.as_str(), g.to_f32()))
    }

    /// What training needs beside the weights to go on as if it had never stopped: moments and counters.
    /// Accumulated gradients are not part of it; save after [`Trainer::apply`]. Nothing is copied.
    pub fn state_tensors(&self) -> impl Iterator<Item = (String, Vec<usize>, View<'_>)> {
        let counters = COUNTERS.iter().zip(&self.counters);
        let counters = counters.map(|(name, value)| ((*name).to_owned(), vec![2], value.as_slice().into()));
        let moments = self.optimizer.moments.iter().zip(&self.model.parameters).flat_map(|(moments, p)| {
            let parts = moments.iter().flat_map(|m| [("first", &m.first), ("second", &m.second)]);
            parts.map(|(kind, data)| (format!("optimizer.{kind}.{}", p.name), p.shape.clone(), data.into()))
        });
        counters.chain(moments)
    }

    /// [`Trainer::state_tensors`] as a map of its own.
    pub fn state(&self) -> TensorMap {
        let tensor = |(name, shape, data): (_, _, View<'_>)| (name, Tensor { shape, data: data.to_f32() });
        self.state_tensors().map(tensor).collect()
    }

    /// Keeps the counters' saved form in step with them: as two exact f32 of 24 bits each, because a state is
    /// tensors only.
    fn count(&mut self) {
        let halves = |value: u64| [(value >> 24) as f32, (value & HALF) as f32];
        self.counters = [halves(self.optimizer.step), halves(self.batches)];
    }

    /// Takes over a state from [`Trainer::state`]. The weights are the model's own matter. On an error
    /// nothing has changed.
    pub fn restore(&mut self, mut state: TensorMap) -> Result<(), TrainError> {
        let half = |value: f32| (0.0..=HALF as f32).contains(&value) && value.fract() == 0.0;
        let mut counter = |name: &str| match state.remove(name).map(|tensor| tensor.data).as_deref() {
            Some([high, low]) if half(*high) && half(*low) => Ok(((*high as u64) << 24) | *low as u64),
            _ => Err(TrainError::State { name: name.into() }),
        };
        let [step, batches] = COUNTERS;
        let (step, batches) = (counter(step)?, counter(batches)?);
        let mut restored = Vec::with_capacity(self.optimizer.moments.len());
        for (moments, parameter) in self.optimizer.moments.iter().zip(&self.model.parameters) {
            let mut moment = |kind: &str| {
                let name = format!("optimizer.{kind}.{}", parameter.name);
                match state.remove(&name) {
                    Some(t) if t.shape == parameter.shape && t.data.len() == parameter.values.count() => {
                        Ok(t.data)
                    }
                    _ => Err(TrainError::State { name }),
                }
            };
            restored.push(match moments {
                None => None,
                Some(Moments { first, second }) => Some(Moments {
                    first: first.stored_alike(moment("first")?),
                    second: second.stored_alike(moment("second")?),
                }),
            });
        }
        self.optimizer.moments = restored;
        self.optimizer.step = step;
        self.batches = batches;
        self.count();
        self.discard();
        Ok(())
    }

    /// Optimizer steps taken.
    pub fn step(&self) -> u64 {
        self.optimizer.step
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    pub fn into_model(self) -> Model {
        self.model
    }

    /// Bytes of weights, gradients, moments and buffers.
    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        let weights = self.model.weight_bytes();
        let moments = self.optimizer.moments.iter().flatten();
        let moments: usize = moments.map(|m| m.first.bytes() + m.second.bytes()).sum();
        let gradients: usize = self.gradients.iter().map(|(_, g)| g.bytes()).sum();
        weights + moments + gradients + self.workspace.held_bytes()
    }

    /// Drops accumulated gradients.
    fn discard(&mut self) {
        self.gradients.iter_mut().for_each(|(_, g)| g.clear());
        self.accumulated = LossSum::default();
    }
}
