//! Optimizers: their settings, their state, and one step over all trained weights.

use crate::kernels::adamw::{self, AdamStep};
use crate::model::{Gradients, Model, Values};
use crate::rng::Stream;
use serde::{Deserialize, Serialize};

/// Which update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019), as `torch.optim.AdamW`.
    #[default]
    AdamW,
    /// Adam (Kingma and Ba 2015) with the decay added to the gradient, as `torch.optim.Adam`.
    Adam,
    /// Plain gradient descent with the decay added to the gradient, as `torch.optim.SGD`.
    Sgd,
}

/// Settings of the optimizer. Defaults are those of `transformers.TrainingArguments`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    pub kind: OptimizerKind,
    pub beta1: f32,
    pub beta2: f32,
    pub eps: f32,
    /// Applies to matrices; biases and layer norms do not decay.
    pub weight_decay: f32,
    /// Gradients are scaled so that their global norm is at most this; 0 switches clipping off.
    pub max_grad_norm: f32,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::AdamW,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// Number of moments kept for each weight.
    pub fn moments(&self) -> usize {
        match self.kind {
            OptimizerKind::AdamW | OptimizerKind::Adam => 2,
            OptimizerKind::Sgd => 0,
        }
    }
}

/// Adam's running averages of one weight's gradient and of its square.
#[derive(Debug)]
pub(crate) struct Moments {
    pub first: Values,
    pub second: Values,
}

/// The state of an optimizer.
#[derive(Debug)]
pub(crate) struct Optimizer {
    pub config: OptimizerConfig,
    /// Steps taken.
    pub step: u64,
    /// By weight, `None` where it is frozen; empty where the rule keeps nothing. Stored as the gradients are.
    pub moments: Vec<Option<Moments>>,
}

impl Optimizer {
    pub fn new(config: OptimizerConfig, model: &Model) -> Self {
        let pairs = model.training_zeros().into_iter().zip(model.training_zeros());
        let moments = pairs.map(|(first, second)| Some(Moments { first: first?, second: second? }));
        let moments = if config.moments() > 0 { moments.collect() } else { Vec::new() };
        Self { config, step: 0, moments }
    }

    /// Updates all trained weights and sets the gradients to zero. Gradients are multiplied by
    /// `gradient_scale` first.
    pub fn update(&mut self, model: &mut Model, gradients: &mut Gradients, lr: f32, gradient_scale: f32) {
        self.step += 1;
        let config = &self.config;
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(self.step as f64);
        for (i, g) in gradients.iter_mut() {
            let parameter = &mut model.parameters[i];
            let decay = if parameter.decays() { config.weight_decay } else { 0.0 };
            let (shrink, coupled) = match config.kind {
                OptimizerKind::AdamW => (lr * decay, 0.0),
                OptimizerKind::Adam | OptimizerKind::Sgd => (0.0, decay),
            };
            let w = parameter.own();
            let Some(Some(moments)) = self.moments.get_mut(i) else {
                match g {
                    Values::Bf16(g) => adamw::sgd(w, g, lr, coupled, gradient_scale),
                    Values::F32(g) => adamw::sgd(w, g, lr, coupled, gradient_scale),
                }
                continue;
            };
            let step = AdamStep {
                beta1: config.beta1,
                beta2: config.beta2,
                eps: config.eps,
                step_size: (f64::from(lr) / correction(config.beta1)) as f32,
                root_correction: (1.0 / correction(config.beta2).sqrt()) as f32,
                shrink,
                coupled,
                gradient_scale,
            };
            let noise = Stream::new(self.step).child(i as u64);
            match (g, &mut moments.first, &mut moments.second) {
                (Values::Bf16(g), Values::Bf16(m), Values::Bf16(v)) => adamw::adam(w, g, m, v, step, noise),
                (g, m, v) => adamw::adam(w, g.exact(), m.exact(), v.exact(), step, noise),
            }
        }
    }
}
