//! A model directory that the operator put under `MODELS_DIR`: tuned, talked to and downloaded; or broken, and said so.

use crate::{
    app::{Person, TestApp},
    python::python,
    theirs,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

/// A model with random weights and a tokenizer, both made by `transformers`.
const MAKE: &str = r#"
import sys, torch
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoModelForCausalLM, GPT2Config, GPT2TokenizerFast, LlamaConfig
torch.manual_seed(11)
AutoModelForCausalLM.from_config(eval(sys.argv[2])).save_pretrained(sys.argv[1])
bpe = ByteLevelBPETokenizer()
bpe.train_from_iterator([f"double the number {i}: twice {i} is {2 * i}" for i in range(40)], vocab_size=300,
    special_tokens=["<|endoftext|>"], show_progress=False)
GPT2TokenizerFast(tokenizer_object=bpe._tokenizer).save_pretrained(sys.argv[1])
print("{}")"#;

const GPT2: &str = "GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)";
/// Four heads of queries over two of keys and values.
const LLAMA: &str = "LlamaConfig(vocab_size=300, max_position_embeddings=64, hidden_size=32, intermediate_size=48, \
                     num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, bos_token_id=0, eos_token_id=0)";

const UNPACK: &str = r#"
import sys, zipfile
zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])
print("{}")"#;

fn make(directory: &Path, config: &str) {
    fs::create_dir_all(directory).unwrap();
    python(MAKE, &[directory.to_str().unwrap(), config]);
}

async fn numbers(person: &Person) -> String {
    let rows: String = (0..60)
        .map(|n| {
            format!("{{\"prompt\":\"double the number {n}\",\"completion\":\"twice {n} is {}\"}}\n", 2 * n)
        })
        .collect();
    person.add("numbers.jsonl", rows.as_bytes()).await["dataset_id"].as_str().unwrap().to_owned()
}

fn request(base: &str, dataset: &str) -> Value {
    json!({
        "base_model": base,
        "dataset_ids": [dataset],
        "hyperparameters": { "max_steps": 12, "batch_size": 4, "max_sequence_length": 48, "learning_rate": 0.02, "lora": true },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpt2_is_tuned_talked_to_and_downloaded_and_their_tools_agree() {
    tuned_talked_to_and_downloaded("small gpt2", GPT2, "GPT-2", "q_proj", "c_attn").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_llama_is_tuned_talked_to_and_downloaded_and_their_tools_agree() {
    tuned_talked_to_and_downloaded("small llama", LLAMA, "Llama", "c_attn", "q_proj").await;
}

/// `foreign` is a layer that the family lacks, `own` one that it has.
async fn tuned_talked_to_and_downloaded(name: &str, config: &str, family: &str, foreign: &str, own: &str) {
    let app = TestApp::that_trains().await;
    let base = app.models_dir().join(name);
    make(&base, config);
    let ann = app.person("ann@example.org").await;
    let bases = ann.json("/api/base-models").await;
    let key = format!("dir:{name}");
    let listed = bases["base_models"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
    assert_eq!(
        (&listed["id"], &listed["problem"], &listed["family"]),
        (&json!(key), &Value::Null, &json!(family))
    );
    assert!(ann.get("/training/new?key=1").await.text().await.unwrap().contains(name));

    let dataset = numbers(&ann).await;
    let mut wrong = request(&key, &dataset);
    wrong["hyperparameters"]["lora_target_modules"] = json!(foreign);
    let refused = ann.post("/api/start-training", wrong).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let refused = refused.text().await.unwrap();
    assert!(refused.contains("lora_target_modules") && refused.contains(own), "{refused}");
    let started = ann.post("/api/start-training", request(&key, &dataset)).await;
    assert_eq!(started.status(), StatusCode::ACCEPTED);
    let started: Value = started.json().await.unwrap();
    let job = ann.over(started["job_name"].as_str().unwrap()).await;
    assert_eq!((&job["status"], &job["failure_reason"]), (&json!("Completed"), &Value::Null));

    let id = job["model_id"].as_str().unwrap();
    let mut answers = Vec::new();
    for side in ["tuned", "base"] {
        let question =
            json!({ "model": id, "prompt": "double the number 7", "side": side, "max_new_tokens": 12 });
        let answer = ann.post("/api/playground/generate", question).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let answer: Value = answer.json().await.unwrap();
        answers.push(answer["text"].as_str().unwrap().to_owned());
    }
    assert_ne!(answers[0], answers[1]);

    let archive = app.folder.path().join("model.zip");
    let bytes = ann.get(job["download_url"].as_str().unwrap()).await.bytes().await.unwrap();
    fs::write(&archive, &bytes).unwrap();
    let unpacked = app.folder.path().join("unpacked");
    python(UNPACK, &[archive.to_str().unwrap(), unpacked.to_str().unwrap()]);
    let adapter = find(&unpacked, "adapter_model.safetensors");
    theirs::assert_theirs_are_ours(&[(&adapter, Some(&base))]);

    // An open model needs its files no more; one that nobody asks for ten minutes is closed.
    app.stop_the_clock();
    fs::rename(&base, base.with_extension("away")).unwrap();
    let question = json!({ "model": id, "prompt": "double", "side": "base", "max_new_tokens": 1 });
    for (passed, status) in [(0, StatusCode::OK), (599, StatusCode::OK), (600, StatusCode::CONFLICT)] {
        app.later(Duration::from_secs(passed));
        app.services.playground.close_unused();
        let answer = ann.post("/api/playground/generate", question.clone()).await;
        assert_eq!(answer.status(), status, "after {passed} s");
    }
}

/// The directory below `root` that holds the file.
fn find(root: &Path, file: &str) -> std::path::PathBuf {
    let folders =
        fs::read_dir(root).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let mut all = std::iter::once(root.to_owned()).chain(folders);
    all.find(|path| path.join(file).is_file()).unwrap_or_else(|| panic!("{file} is not in the archive"))
}

/// What is done to a whole directory, and what the answer must name.
type Damage = (&'static str, fn(&Path), [&'static str; 2]);

const DAMAGES: [Damage; 8] = [
    (
        "no-config",
        |path| fs::remove_file(path.join("config.json")).unwrap(),
        ["no-config: config.json is missing", "save_pretrained"],
    ),
    (
        "no-weights",
        |path| fs::remove_file(path.join("model.safetensors")).unwrap(),
        ["no-weights: model.safetensors or", "Add the weights"],
    ),
    (
        "no-tokenizer",
        |path| fs::remove_file(path.join("tokenizer.json")).unwrap(),
        ["no-tokenizer: tokenizer.json", "Copy the tokenizer files"],
    ),
    (
        "no-tensor",
        |path| rename(path, "transformer.h.1.mlp.c_fc.weight"),
        [
            "no-tensor/model.safetensors: tensor \"transformer.h.1.mlp.c_fc.weight\": it is missing",
            "weights that belong to this config.json",
        ],
    ),
    (
        "wrong-shape",
        |path| config(path, "n_embd", json!(36)),
        ["wrong-shape/model.safetensors: tensor \"transformer.wte.weight\"", "[300, 36]"],
    ),
    (
        "broken-header",
        |path| fs::write(path.join("model.safetensors"), [0xff; 64]).unwrap(),
        ["broken-header/model.safetensors: not a whole safetensors file", "again"],
    ),
    (
        "broken-config",
        |path| fs::write(path.join("config.json"), "{\n oops").unwrap(),
        ["broken-config/config.json: not valid JSON at line 2", "Correct the file"],
    ),
    (
        "mamba",
        |path| config(path, "model_type", json!("mamba")),
        ["mamba/config.json: field \"model_type\"", "Correct that field"],
    ),
];

/// The same length, so that the header stays whole.
fn rename(path: &Path, tensor: &str) {
    let file = path.join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(tensor.len()).position(|window| window == tensor.as_bytes()).unwrap();
    bytes[at] = b'T';
    fs::write(file, bytes).unwrap();
}

fn config(path: &Path, field: &str, value: Value) {
    let file = path.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config[field] = value;
    fs::write(file, config.to_string()).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn unescape(page: &str) -> String {
    page.replace("&quot;", "\"").replace("&#x27;", "'").replace("&amp;", "&")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_directory_says_what_is_wrong_and_is_refused() {
    let app = TestApp::start().await;
    let models = app.models_dir();
    make(&models.join("whole"), GPT2);
    for (name, damage, _) in DAMAGES {
        copy(&models.join("whole"), &models.join(name));
        damage(&models.join(name));
    }
    let ann = app.person("ann@example.org").await;
    let dataset = numbers(&ann).await;
    let bases = ann.json("/api/base-models").await;
    let page = unescape(&ann.get("/training/new?key=1").await.text().await.unwrap());
    for (name, _, words) in DAMAGES {
        let problem = bases["base_models"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == name)
            .unwrap()["problem"]
            .as_str()
            .unwrap()
            .to_owned();
        for words in words {
            assert!(problem.contains(words), "{name}: {words:?} is missing in {problem}");
        }
        assert!(page.contains(&problem), "{name}");
        assert!(!problem.contains(&models.display().to_string()), "{problem}");
        for base in [format!("dir:{name}"), name.to_owned()] {
            let answer = ann.post("/api/start-training", request(&base, &dataset)).await;
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{base}");
            let error: Value = answer.json().await.unwrap();
            assert_eq!(
                (&error["error"]["field"], &error["error"]["message"]),
                (&json!("base_model"), &json!(problem))
            );
        }
        let (status, to, page) = ann
            .form(
                "/training/new?key=1",
                "/fn/start_training",
                &[("form[base_model]", &format!("dir:{name}")), ("form[dataset]", &dataset)],
            )
            .await;
        assert_eq!((status.as_u16(), to.as_str()), (303, "/training/new?key=1"), "{name}");
        assert!(unescape(&page).contains(&problem), "{name}");
    }
    assert_eq!(ann.json("/api/training-jobs").await["training_jobs"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tokenizer_that_can_not_be_used_is_named_before_anything_starts() {
    let app = TestApp::start().await;
    let models = app.models_dir();
    make(&models.join("whole"), GPT2);
    copy(&models.join("whole"), &models.join("torn"));
    fs::write(models.join("torn/tokenizer.json"), "{").unwrap();
    copy(&models.join("whole"), &models.join("other"));
    let larger = fs::read_to_string(models.join("other/tokenizer.json")).unwrap();
    let mut larger: Value = serde_json::from_str(&larger).unwrap();
    for id in 300..310 {
        larger["model"]["vocab"][format!("extra{id}")] = json!(id);
    }
    fs::write(models.join("other/tokenizer.json"), larger.to_string()).unwrap();
    let ann = app.person("ann@example.org").await;
    let dataset = numbers(&ann).await;
    for (name, words) in
        [("torn", "torn/tokenizer.json: not a usable tokenizer"), ("other", "has 310 tokens")]
    {
        let answer = ann.post("/api/start-training", request(name, &dataset)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["error"]["field"], "base_model");
        assert!(error["error"]["message"].as_str().unwrap().contains(words), "{error}");
    }
    let answer = ann.post("/api/start-training", request("nowhere", &dataset)).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

/// Tokens are counted in what training will read, which its chat template writes.
#[tokio::test(flavor = "multi_thread")]
async fn rows_go_through_the_models_own_chat_template_before_anything_starts() {
    let app = TestApp::start().await;
    let models = app.models_dir();
    make(&models.join("plain"), GPT2);
    let ann = app.person("ann@example.org").await;
    let dataset = numbers(&ann).await;
    let tokens = async |name: &str| {
        let plan =
            ann.post("/api/training-plan", request(name, &dataset)).await.json::<Value>().await.unwrap();
        plan["tokens_per_epoch"].as_u64().unwrap()
    };
    let plain = tokens("plain").await;
    copy(&models.join("plain"), &models.join("longer"));
    let longer =
        "{% for message in messages %}[{{ message.role }}]{{ message.content }}<|endoftext|>{% endfor %}";
    fs::write(models.join("longer/chat_template.jinja"), longer).unwrap();
    let with_template = tokens("longer").await;
    assert!(with_template > plain + 60 * 8, "{with_template} tokens, {plain} without the template");
    for (name, template, words) in [
        (
            "verse",
            "{{ raise_exception('only in verse') }}",
            "only in verse (line 1 of the template). Change the rows",
        ),
        ("torn", "{% for message in messages %}", "the chat template is not valid"),
    ] {
        copy(&models.join("plain"), &models.join(name));
        fs::write(models.join(name).join("chat_template.jinja"), template).unwrap();
        let answer = ann.post("/api/start-training", request(name, &dataset)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        let error: Value = answer.json().await.unwrap();
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{name}/chat_template.jinja: ")), "{message}");
        assert!(message.contains(words), "{message}");
    }
}
