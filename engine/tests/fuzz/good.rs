//! A directory with one good set of every file that the engine reads, around the one that is spoiled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llm_tuner_engine::checkpoint::{self, Fingerprint, Progress};
use llm_tuner_engine::config::{Gpt2Config, LlamaConfig, ModelConfig};
use llm_tuner_engine::data::rows::Kind;
use llm_tuner_engine::data::template::Template;
use llm_tuner_engine::files::peft::{self, AdapterConfig};
use llm_tuner_engine::files::record::{self, DataFile, Outcome, Record};
use llm_tuner_engine::files::safetensors;
use llm_tuner_engine::lora::LoraConfig;
use llm_tuner_engine::model::{Batch, Model};
use llm_tuner_engine::optimizer::OptimizerConfig;
use llm_tuner_engine::tensor::{Tensor, TensorMap};
use llm_tuner_engine::tokenizer::Tokenizer;
use llm_tuner_engine::trainer::Trainer;
use serde_json::{Value, json};

const CHATML: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + \
                      '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// The directory.
pub struct Good(tempfile::TempDir);

impl Good {
    /// Models of a few hundred weights, all that belongs to them, and a job.
    pub fn new() -> Self {
        let good = Self(tempfile::tempdir().unwrap());
        for (name, config) in [("gpt2", gpt2()), ("llama", llama())] {
            let model = Model::init(config, 1).unwrap();
            good.model(name, &model);
            good.tokenizer_files(name);
        }
        good.sharded();
        good.parts();
        good.adapter();
        good.tuned();
        good.job();
        good.checkpoint();
        good
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn json(&self, name: &str, value: &impl serde::Serialize) {
        self.write(name, serde_json::to_vec(value).unwrap());
    }

    fn copy(&self, from: &str, to: &str, names: &[&str]) {
        for name in names {
            self.write(&format!("{to}/{name}"), std::fs::read(self.path(from).join(name)).unwrap());
        }
    }

    fn model(&self, name: &str, model: &Model) {
        self.json(&format!("{name}/config.json"), model.config());
        safetensors::write(&self.path(name).join("model.safetensors"), model.tensors()).unwrap();
    }

    fn tokenizer_files(&self, name: &str) {
        let tokenizer = Tokenizer::train(["double the number, twice is"].iter(), 257).unwrap();
        let path = self.path(name).join("tokenizer.json");
        tokenizer.save_json(&path).unwrap();
        let mut whole: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for (id, text) in [(257, "<|im_start|>"), (258, "<|im_end|>")] {
            let added = json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true});
            whole["added_tokens"].as_array_mut().unwrap().push(added);
        }
        self.json(&format!("{name}/tokenizer.json"), &whole);
        let config = json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>",
            "bos_token": {"content": "<|im_start|>", "lstrip": false}, "chat_template": CHATML, "model_max_length": 64});
        self.json(&format!("{name}/tokenizer_config.json"), &config);
        let map =
            json!({"eos_token": "<|im_end|>", "pad_token": {"content": "<|endoftext|>", "lstrip": false}});
        self.json(&format!("{name}/special_tokens_map.json"), &map);
        self.json(
            &format!("{name}/generation_config.json"),
            &json!({"eos_token_id": [0, 258], "top_p": 0.9}),
        );
    }

    fn sharded(&self) {
        let tensors: TensorMap = tensors(&Model::init(gpt2(), 1).unwrap());
        self.copy("gpt2", "sharded", &["config.json", "tokenizer.json", "tokenizer_config.json"]);
        let mut weight_map = BTreeMap::new();
        for part in 0..2 {
            let name = format!("model-{part}-of-2.safetensors");
            let mine: TensorMap = tensors
                .iter()
                .enumerate()
                .filter(|(index, _)| index % 2 == part)
                .map(|(_, (name, tensor))| (name.clone(), tensor.clone()))
                .collect();
            weight_map.extend(mine.keys().map(|tensor| (tensor.clone(), name.clone())));
            safetensors::write(&self.path("sharded").join(&name), safetensors::entries(&mine)).unwrap();
        }
        let index = json!({"metadata": {"total_size": 1}, "weight_map": weight_map});
        self.json("sharded/model.safetensors.index.json", &index);
    }

    /// A tokenizer as GPT-2 was first published.
    fn parts(&self) {
        let whole: Value = self.read_json("gpt2/tokenizer.json");
        let mut vocabulary = whole["model"]["vocab"].clone();
        for (id, text) in [(257, "do"), (258, "dou")] {
            vocabulary[text] = id.into();
        }
        self.json("parts/vocab.json", &vocabulary);
        self.write("parts/merges.txt", "#version: 0.2\nd o\ndo u\n");
    }

    fn adapter(&self) {
        let mut model = Model::init(gpt2(), 1).unwrap();
        let lora = LoraConfig { r: 2, ..LoraConfig::default() };
        model.attach_lora(&lora, 1).unwrap();
        std::fs::create_dir(self.path("adapter")).unwrap();
        let config = AdapterConfig::new(model.config(), &lora, "base".into());
        peft::write(&self.path("adapter"), &config, &model.lora_tensor_map()).unwrap();
    }

    fn tuned(&self) {
        let files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"];
        self.copy("gpt2", "tuned", &files);
        let file =
            DataFile { channel: "training".into(), name: "a".into(), bytes: 1, sha256: "0".into(), rows: 1 };
        let result = Some(Outcome { steps: 1, train_loss: 0.5, eval_loss: Some(0.5), tokens: 3 });
        let record = Record {
            engine_version: "0.1.0".into(),
            base_model: "base".into(),
            template: Template::for_kind(Kind::Chat),
            own_chat_template: true,
            chat_template_date: Some(jiff::civil::date(2026, 3, 9)),
            hyperparameters: BTreeMap::from([("epochs".into(), "3".into())]),
            data: vec![file],
            result,
        };
        record::write(&self.path("tuned"), &record).unwrap();
    }

    fn job(&self) {
        let settings = json!({"epochs": "3", "learning_rate": "2e-5", "batch_size": "2", "dropout": "0.1", "lora": "true",
            "lora_r": "8", "lora_alpha": "16", "lora_target_modules": "c_attn,c_proj", "max_sequence_length": "64", "seed": "42",
            "warmup_ratio": "0.03", "lr_scheduler": "\"cosine\"", "optimizer": "adamw", "weight_decay": "0.01",
            "max_grad_norm": "1.0", "eval_steps": "2", "checkpoint_steps": "2", "gradient_checkpointing": "true",
            "gradient_accumulation_steps": "2", "merge_adapter": "false", "threads": "1"});
        self.json("job/input/config/hyperparameters.json", &settings);
        let channels = json!({"training": {"TrainingInputMode": "File", "ContentType": "x"}, "model": {}});
        self.json("job/input/config/inputdataconfig.json", &channels);
        let resources =
            json!({"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"});
        self.json("job/input/config/resourceconfig.json", &resources);
        self.write("job/input/config/stop", "checkpoint\n");
        // Empty: a job that took the settings says that it has no data, and is over.
        std::fs::create_dir_all(self.path("job/input/data/training")).unwrap();
        self.copy("gpt2", "job/input/data/model", &["config.json"]);
        self.write("rows/training/rows.jsonl", "{\"text\":\"double the number\"}\n\n{\"text\":\"twice\"}\n");
    }

    fn checkpoint(&self) {
        let mut trainer = trainer();
        let (ids, targets) = (vec![1, 2, 3, 4], vec![2, 3, 4, 5]);
        trainer.accumulate(&Batch { ids, targets, lengths: vec![4] }).unwrap();
        trainer.apply(1e-3).unwrap();
        let tokenizer = Tokenizer::load_json(&self.path("gpt2/tokenizer.json")).unwrap();
        let progress = Progress { step: 1, tokens: 4, best_eval_loss: Some(1.5), ..Progress::default() };
        checkpoint::save(&self.path("checkpoints"), &trainer, Some(&tokenizer), &fingerprint(), &progress)
            .unwrap();
    }

    pub fn read_json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// What a message must not have in it.
    pub fn root(&self) -> &Path {
        self.0.path()
    }
}

pub fn gpt2() -> ModelConfig {
    Gpt2Config { n_positions: 64, n_embd: 8, n_head: 2, n_layer: 1, ..Gpt2Config::nano(260) }.into()
}

fn llama() -> ModelConfig {
    let config = LlamaConfig {
        vocab_size: 260,
        hidden_size: 8,
        intermediate_size: 12,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: Some(1),
        max_position_embeddings: 64,
        tie_word_embeddings: true,
        ..LlamaConfig::default()
    };
    config.into()
}

fn tensors(model: &Model) -> TensorMap {
    let tensors = model.tensors();
    tensors.map(|(name, shape, data)| (name, Tensor { shape, data: data.into_owned() })).collect()
}

/// Training of the small GPT-2, where nothing was learned yet.
pub fn trainer() -> Trainer {
    Trainer::new(Model::init(gpt2(), 1).unwrap(), OptimizerConfig::default())
}

pub fn fingerprint() -> Fingerprint {
    Fingerprint { settings: "s".into(), data: "d".into(), base: "b".into() }
}
