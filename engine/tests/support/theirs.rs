//! Our logits beside those of `transformers` and `peft`. The application's tests use this file too.

use std::path::Path;

use llm_tuner_engine::files::{huggingface, peft};
use llm_tuner_engine::kernels::tier::Tier;
use llm_tuner_engine::model::{KvCache, Model};

use super::python::python;

const IDS: [u32; 7] = [5, 17, 200, 3, 99, 256, 42];

/// Logits of every position.
pub fn logits(model: &Model) -> Vec<Vec<f32>> {
    let mut cache = KvCache::new(model.config());
    IDS.iter().map(|&id| model.forward_cached(&[id], &mut cache).unwrap()).collect()
}

pub fn load(directory: &Path, base: Option<&Path>) -> Model {
    let weights = base.unwrap_or(directory);
    let config = huggingface::read_config(weights).unwrap();
    let tensors = huggingface::read_tensors(weights, &config).unwrap();
    let mut model = Model::from_tensors(config, tensors).unwrap().on(Tier::best_f32());
    if base.is_some() {
        let (adapter, tensors) = peft::read(directory).unwrap();
        model.attach_lora(&adapter.lora(), 0).unwrap();
        model.load_lora_tensors(tensors).unwrap();
    }
    model
}

/// What `transformers` (and `peft`, over a base) computes, and what was wrong while loading.
const THEIRS: &str = r#"
import json, sys, warnings, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, logging
messages = []
class Handler(__import__("logging").Handler):
    def emit(self, record): messages.append(record.getMessage())
logging.get_logger("transformers").addHandler(Handler())
out = []
for directory, base in json.loads(sys.argv[1]):
    if base:
        from peft import PeftModel
        model, info = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, output_loading_info=True)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = PeftModel.from_pretrained(model, directory)
        messages += [str(w.message) for w in caught if "missing" in str(w.message).lower()]
    else:
        model, info = AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert model.dtype == torch.float32, model.dtype
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[kind]: messages.append(f"{kind}: {info[kind]}")
    if not directory.endswith("/adapter"): AutoTokenizer.from_pretrained(directory)
    with torch.no_grad():
        out.append(model.eval()(torch.tensor([json.loads(sys.argv[2])])).logits[0].tolist())
print(json.dumps({"logits": out, "messages": [m for m in messages if "key" in m.lower() or "newly" in m.lower()]}))
"#;

pub fn assert_theirs_are_ours(models: &[(&Path, Option<&Path>)]) {
    let output =
        python(THEIRS, &[&serde_json::to_string(models).unwrap(), &serde_json::to_string(&IDS).unwrap()]);
    assert_eq!(output["messages"], serde_json::json!([]));
    for ((directory, base), theirs) in models.iter().zip(output["logits"].as_array().unwrap()) {
        let theirs: Vec<Vec<f32>> = serde_json::from_value(theirs.clone()).unwrap();
        let ours = logits(&load(directory, *base));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours.len(), theirs.len());
            for (a, b) in ours.iter().zip(theirs) {
                assert!((a - b).abs() <= 1e-4, "{a} {b} in {}", directory.display());
            }
        }
    }
}
