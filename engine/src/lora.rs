//! Low-rank adapters (Hu et al. 2021) with PEFT's names, shapes and starting values.
//!
//! Attaching freezes the base model. The files around the tensors are the checkpoint writer's matter.

use crate::config::ModelConfig;
use crate::kernels::gemm::{Mat, MatMut, Threads, Write, gemm};
use crate::kernels::tier::Tier;
use crate::model::{
    Adapter, Layout, Model, ModelError, Orientation, Parameter, ParameterId, WeightMap, plan, take,
};
use crate::rng::Stream;
use crate::tensor::{Tensor, TensorMap};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// PEFT's word for every dense layer but the head.
pub const ALL_LINEAR: &str = "all-linear";

/// Settings of an adapter, named as in PEFT's `LoraConfig`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank of the update.
    pub r: usize,
    /// The update is scaled by `alpha / r`.
    pub alpha: f32,
    /// Share of the adapter's inputs dropped in training.
    pub dropout: f32,
    /// Module names; each matches the modules whose path ends with it, so `c_proj` means both projections of
    /// GPT-2. [`ALL_LINEAR`] means every dense layer of the blocks.
    pub target_modules: Vec<String>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { r: 8, alpha: 16.0, dropout: 0.0, target_modules: vec!["c_attn".into()] }
    }
}

impl LoraConfig {
    /// Checks the numbers. Module names are checked against a model when the adapter is attached.
    pub fn validate(&self) -> Result<(), ModelError> {
        let bounds = |field, value: String, must| Err(ModelError::LoraBounds { field, value, must });
        if !(1..=1024).contains(&self.r) {
            return bounds("r", self.r.to_string(), "between 1 and 1,024");
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return bounds("alpha", self.alpha.to_string(), "above 0");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return bounds("dropout", self.dropout.to_string(), "at least 0 and below 1");
        }
        if self.target_modules.is_empty() {
            return bounds("target_modules", "empty".into(), "at least one module");
        }
        Ok(())
    }
}

/// PEFT's rule: a target matches a module path that equals it or ends with `.` and it.
pub(crate) fn matches(path: &str, target: &str) -> bool {
    path == target || path.strip_suffix(target).is_some_and(|rest| rest.ends_with('.'))
}

/// The targets as a list of names, each of which the model has; [`ALL_LINEAR`] becomes the names of all layers.
fn resolve(targets: &[String], layout: &Layout) -> Result<Vec<String>, ModelError> {
    let names = layout.module_names();
    if targets.iter().any(|target| target == ALL_LINEAR) {
        return Ok(names.into_iter().map(str::to_owned).collect());
    }
    // Blocks are alike, so that the first speaks for all, unless a path names one.
    let paths: Vec<String> = (0..layout.blocks.len())
        .flat_map(|i| layout.blocks[i].linears().map(move |linear| layout.module_path(i, linear)))
        .collect();
    match targets.iter().find(|target| !paths.iter().any(|path| matches(path, target))) {
        Some(module) => Err(ModelError::UnknownModule { module: module.clone(), known: names.join(", ") }),
        None => Ok(targets.to_vec()),
    }
}

/// Checks module names against the model of a configuration, as attaching an adapter would.
pub fn check_modules(config: &ModelConfig, targets: &[String]) -> Result<(), ModelError> {
    resolve(targets, &plan(config).0).map(drop)
}

/// Weights of an adapter on the model of a configuration: what LoRA trains. Modules that it lacks count nothing.
pub fn adapter_weights(config: &ModelConfig, lora: &LoraConfig) -> usize {
    let (layout, _) = plan(config);
    let targets = resolve(&lora.target_modules, &layout).unwrap_or_else(|_| lora.target_modules.clone());
    let sizes = (0..layout.blocks.len()).flat_map(|i| {
        let (layout, targets) = (&layout, &targets);
        layout.blocks[i]
            .linears()
            .filter(move |linear| {
                let path = layout.module_path(i, linear);
                targets.iter().any(|target| matches(&path, target))
            })
            .map(|linear| linear.inputs + linear.outputs)
    });
    sizes.sum::<usize>() * lora.r
}

impl Model {
    /// Adds an adapter and freezes the base. `A` starts uniform in `±1/√inputs` and `B` at zero, as PEFT
    /// does, so that the model's outputs are unchanged at first.
    pub fn attach_lora(&mut self, config: &LoraConfig, seed: u64) -> Result<(), ModelError> {
        config.validate()?;
        if self.lora.is_some() {
            return Err(ModelError::LoraAttached);
        }
        let target_modules = resolve(&config.target_modules, &self.layout)?;
        for parameter in &mut self.parameters {
            parameter.trainable = false;
        }
        let stream = Stream::new(seed);
        let path_of_blocks = self.layout.blocks_path;
        for (i, block) in self.layout.blocks.iter_mut().enumerate() {
            for linear in block.linears_mut() {
                let path = format!("{path_of_blocks}.{i}.{}", linear.module);
                if !target_modules.iter().any(|target| matches(&path, target)) {
                    continue;
                }
                let id = self.parameters.len();
                let (r, inputs, outputs) = (config.r, linear.inputs, linear.outputs);
                let bound = 1.0 / (inputs as f64).sqrt();
                let stream = stream.child(id as u64);
                let uniform = |j| ((2.0 * stream.uniform(j) - 1.0) * bound) as f32;
                let a = (0..(r * inputs) as u64).map(uniform).collect();
                for (kind, shape, values) in
                    [("A", vec![r, inputs], a), ("B", vec![outputs, r], vec![0.0; outputs * r])]
                {
                    let name = format!("base_model.model.{path}.lora_{kind}.weight");
                    let values = Arc::new(values.into());
                    self.parameters.push(Parameter { name, shape, values, trainable: true });
                }
                linear.adapter = Some(Adapter {
                    a: ParameterId(id),
                    b: ParameterId(id + 1),
                    rank: r,
                    scale: config.alpha / r as f32,
                });
            }
        }
        self.lora = Some(LoraConfig { target_modules, ..config.clone() });
        Ok(())
    }

    /// The adapter's tensors under PEFT's names; nothing without an adapter.
    pub fn lora_tensors(&self) -> impl Iterator<Item = (String, Vec<usize>, Cow<'_, [f32]>)> {
        let adapters = &self.parameters[self.base_len()..];
        adapters.iter().map(|p| (p.name.clone(), p.shape.clone(), p.values.to_f32()))
    }

    /// Replaces the values of the attached adapter. All of its tensors must be there, and no others;
    /// on an error the adapter is unchanged.
    pub fn load_lora_tensors(&mut self, tensors: TensorMap) -> Result<(), ModelError> {
        if self.lora.is_none() {
            return Err(ModelError::NoLora);
        }
        let weight = |(name, Tensor { shape, data })| (name, (shape, data.into()));
        let mut tensors: WeightMap = tensors.into_iter().map(weight).collect();
        let base = self.base_len();
        let loaded: Vec<Parameter> = self.parameters[base..]
            .iter()
            .map(|p| take(&mut tensors, p.name.clone(), p.shape.clone()))
            .collect::<Result<_, _>>()?;
        if let Some(name) = tensors.into_keys().next() {
            return Err(ModelError::UnexpectedTensor { name });
        }
        self.parameters.truncate(base);
        self.parameters.extend(loaded);
        Ok(())
    }

    /// Adds the adapter's update to the base weights and drops the adapter; all weights become trainable.
    /// Does nothing without an adapter.
    pub fn merge_lora(&mut self) {
        let base = self.base_len();
        // What is written to a file is not rounded on the way.
        let tier = Tier::best_f32();
        let adapters: Vec<Parameter> = self.parameters.drain(base..).collect();
        for block in &mut self.layout.blocks {
            for linear in block.linears_mut() {
                let Some(adapter) = linear.adapter.take() else { continue };
                let [a, b] = [adapter.a, adapter.b].map(|id| adapters[id.0 - base].values.to_f32());
                let a = Mat::new(&a, adapter.rank, linear.inputs);
                let b = Mat::new(&b, linear.outputs, adapter.rank);
                let weight = self.parameters[linear.weight.0].own();
                let (out, left, right) = match linear.orientation {
                    Orientation::InOut => (MatMut::new(weight, linear.inputs, linear.outputs), a.t(), b.t()),
                    Orientation::OutIn => (MatMut::new(weight, linear.outputs, linear.inputs), b, a),
                };
                gemm(tier, out, left, right, adapter.scale, Write::Add, Threads::Pool);
            }
        }
        for parameter in &mut self.parameters {
            parameter.trainable = true;
        }
        self.lora = None;
    }

    /// The adapter's tensors as a map, e.g. for a checkpoint.
    pub fn lora_tensor_map(&self) -> TensorMap {
        self.lora_tensors()
            .map(|(name, shape, data)| (name, Tensor { shape, data: data.into_owned() }))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Gpt2Config, LlamaConfig};

    fn model() -> Model {
        let config = Gpt2Config { n_embd: 8, n_head: 2, n_layer: 2, n_positions: 6, ..Gpt2Config::nano(11) };
        Model::init(config, 1).unwrap()
    }

    fn config(targets: &[&str]) -> LoraConfig {
        LoraConfig {
            r: 2,
            target_modules: targets.iter().map(|&t| t.into()).collect(),
            ..LoraConfig::default()
        }
    }

    #[test]
    fn targets_match_by_suffix_as_in_peft() {
        for (targets, per_layer) in [
            (&["c_attn"][..], 1),
            (&["c_proj"], 2),
            (&["attn.c_proj"], 1),
            (&["c_attn", "c_fc", "c_proj"], 4),
        ] {
            let mut model = model();
            model.attach_lora(&config(targets), 3).unwrap();
            assert_eq!(model.lora_tensors().count(), 2 * 2 * per_layer, "{targets:?}");
        }
        let mut model = model();
        let error = model.attach_lora(&config(&["c_attn", "q_proj"]), 3).unwrap_err();
        assert!(error.to_string().contains("q_proj"));
        assert!(model.attach_lora(&config(&["attn"]), 3).is_err());
        assert!(model.attach_lora(&LoraConfig { r: 0, ..config(&["c_attn"]) }, 3).is_err());
    }

    #[test]
    fn every_linear_layer_of_a_llama_can_be_adapted() {
        let config = LlamaConfig {
            vocab_size: 11,
            hidden_size: 8,
            intermediate_size: 12,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_key_value_heads: Some(1),
            ..LlamaConfig::default()
        };
        let names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
        let mut model = Model::init(config.clone(), 1).unwrap();
        model.attach_lora(&self::config(&[ALL_LINEAR]), 3).unwrap();
        assert_eq!(model.lora().unwrap().target_modules, names, "the word is spelled out");
        assert_eq!(model.lora_tensors().count(), 2 * 2 * names.len());
        let shape_of = |name: &str| {
            let name = format!("base_model.model.model.layers.1.{name}.weight");
            model.lora_tensors().find(|tensor| tensor.0 == name).unwrap().1
        };
        assert_eq!(shape_of("self_attn.k_proj.lora_B"), [4, 2]);
        assert_eq!(shape_of("mlp.down_proj.lora_A"), [2, 12]);
        // One block alone, by its path; a layer of another family is refused with what there is.
        let mut model = Model::init(config.clone(), 1).unwrap();
        model.attach_lora(&self::config(&["layers.1.mlp.up_proj"]), 3).unwrap();
        assert_eq!(model.lora_tensors().count(), 2);
        let mut model = Model::init(config, 1).unwrap();
        let error = model.attach_lora(&self::config(&["c_attn"]), 3).unwrap_err().to_string();
        assert!(error.contains("c_attn") && names.iter().all(|name| error.contains(name)), "{error}");
    }

    #[test]
    fn names_shapes_and_counts_are_pefts() {
        let mut model = model();
        model.attach_lora(&config(&["c_attn"]), 3).unwrap();
        let (name, shape, a) = model.lora_tensors().next().unwrap();
        assert_eq!(name, "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight");
        assert_eq!(shape, [2, 8]);
        assert!(a.iter().all(|x| x.abs() <= 1.0 / 8f32.sqrt()) && a.iter().any(|&x| x != 0.0));
        let (name, shape, b) = model.lora_tensors().nth(1).unwrap();
        assert_eq!(name, "base_model.model.transformer.h.0.attn.c_attn.lora_B.weight");
        assert_eq!((shape, b.as_ref()), (vec![24, 2], &[0.0; 48][..]));
        assert_eq!(model.trainable_parameter_count(), 2 * (2 * 8 + 24 * 2));
        assert_eq!(model.parameter_count(), model.config().parameter_count());
    }

    #[test]
    fn loading_is_all_or_nothing_and_merging_adds_the_product() {
        let mut model = model();
        assert_eq!(model.load_lora_tensors(TensorMap::new()), Err(ModelError::NoLora));
        model.attach_lora(&config(&["c_attn"]), 3).unwrap();
        let before = model.lora_tensor_map();
        let mut tensors = before.clone();
        for t in tensors.values_mut() {
            t.data.fill(0.5);
        }
        let mut incomplete = tensors.clone();
        incomplete.pop_last();
        assert!(matches!(model.load_lora_tensors(incomplete), Err(ModelError::MissingTensor { .. })));
        assert_eq!(model.lora_tensor_map(), before);
        model.load_lora_tensors(tensors).unwrap();
        let old = model.values(model.layout.blocks[1].attention_in[0].weight).to_vec();
        model.merge_lora();
        // alpha / r = 8, and each entry of A^T B^T is 2 · 0.25.
        let new = model.values(model.layout.blocks[1].attention_in[0].weight);
        assert!(old.iter().zip(new).all(|(o, n)| (n - o - 4.0).abs() < 1e-5));
        assert_eq!((model.lora_tensors().count(), model.lora()), (0, None));
        assert_eq!(model.trainable_parameter_count(), model.parameter_count());
    }
}
