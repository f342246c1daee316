//! Broken model files: each has an error of its own that names the file and the tensor or field.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use half::{bf16, f16};
use llm_tuner_engine::error::{FileError, NextStep};
use llm_tuner_engine::files::{huggingface, peft, safetensors};
use proptest::prelude::*;

fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn read_bytes(bytes: &[u8]) -> Result<llm_tuner_engine::tensor::TensorMap, FileError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    std::fs::write(&path, bytes).unwrap();
    safetensors::read(&path, |_| true)
}

const ONE: &str = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;

#[test]
fn what_is_written_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("model.safetensors");
    let values = [1.0f32, -2.5, f32::MIN_POSITIVE, 3.0e38, 0.0, -0.0];
    let tensors = [("b".to_owned(), vec![2, 3], &values[..]), ("a".to_owned(), vec![1], &values[..1])];
    safetensors::write(&path, tensors).unwrap();
    let read = safetensors::read(&path, |_| true).unwrap();
    assert_eq!(read["b"].shape, [2, 3]);
    assert_eq!(read["b"].data, values);
    assert_eq!(read["a"].data, [1.0]);
    assert_eq!(safetensors::read(&path, |name| name == "a").unwrap().len(), 1);
    assert_eq!(
        safetensors::read_shapes(&path).unwrap(),
        [("a".to_owned(), vec![1]), ("b".to_owned(), vec![2, 3])]
    );
    // What the format's own library makes of it.
    let bytes = std::fs::read(&path).unwrap();
    let (_, metadata) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
}

#[test]
fn sixteen_bit_floats_are_widened() {
    let header = r#"{"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]}}"#;
    let mut data = f16::from_f32(1.5).to_le_bytes().to_vec();
    data.extend(bf16::from_f32(-3.0).to_le_bytes());
    let tensors = read_bytes(&raw(header, &data)).unwrap();
    assert_eq!((tensors["h"].data[0], tensors["b"].data[0]), (1.5, -3.0));
}

#[test]
fn broken_containers_say_how_they_are_broken() {
    let mut lying = raw(ONE, &[0; 8]);
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let huge = r#"{"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,8]}}"#;
    for (bytes, part) in [
        (vec![1, 2, 3], "3 bytes long"),
        (lying, "claims a header of 18446744073709551615 bytes"),
        (raw(ONE, &[0; 5]), "3 of 8 bytes of tensor data are missing"),
        (raw(ONE, &[0; 9]), "1 bytes follow after the last tensor"),
        (raw("{oops", &[]), "header cannot be understood"),
        (raw(overlap, &[0; 12]), "header cannot be understood"),
        (raw(huge, &[0; 8]), "header cannot be understood"),
    ] {
        let error = read_bytes(&bytes).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("model.safetensors") && message.contains(part), "{message}");
        assert!(error.next_step().contains("again"));
    }
}

#[test]
fn an_integer_tensor_is_refused_by_name() {
    let header = r#"{"w":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}"#;
    let message = read_bytes(&raw(header, &[0; 8])).unwrap_err().to_string();
    assert!(message.contains("\"w\"") && message.contains("I32"), "{message}");
}

proptest! {
    /// No bytes make the reader panic or allocate beyond the file.
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_bytes(&bytes);
    }

    /// A valid file with a few bytes changed is either refused or still a file of the same tensors' shapes.
    #[test]
    fn damaged_headers_are_answered(at in 0usize..70, with in any::<u8>()) {
        let mut bytes = raw(ONE, &[0; 8]);
        let at = at % bytes.len();
        bytes[at] = with;
        if let Ok(tensors) = read_bytes(&bytes) {
            prop_assert!(tensors.values().all(|t| t.shape.iter().product::<usize>() == t.data.len()));
        }
    }
}

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).unwrap();
}

const CONFIG: &str =
    r#"{"model_type":"gpt2","vocab_size":8,"n_positions":4,"n_embd":4,"n_layer":1,"n_head":2}"#;

#[test]
fn a_model_directory_without_its_parts_says_which() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    assert!(huggingface::read_config(dir).unwrap_err().to_string().contains("config.json is missing"));
    write(dir, "config.json", "{");
    assert!(huggingface::read_config(dir).unwrap_err().to_string().contains("not valid JSON at line 1"));
    write(dir, "config.json", r#"{"model_type":"mamba"}"#);
    let message = huggingface::read_config(dir).unwrap_err().to_string();
    assert!(message.contains("model_type") && message.contains("mamba"), "{message}");
    write(dir, "config.json", &CONFIG.replace("\"n_head\":2", "\"n_head\":3"));
    assert!(huggingface::read_config(dir).unwrap_err().to_string().contains("n_head"));
    write(dir, "config.json", &CONFIG.replace("\"n_layer\":1", "\"n_layer\":\"one\""));
    assert!(huggingface::read_config(dir).is_err());
    write(dir, "config.json", CONFIG);
    let config = huggingface::read_config(dir).unwrap();

    let error = huggingface::read_tensors(dir, &config).unwrap_err();
    assert!(error.to_string().contains("model.safetensors or model.safetensors.index.json is missing"));
    write(dir, "pytorch_model.bin", "");
    assert!(huggingface::read_tensors(dir, &config).unwrap_err().next_step().contains("pickle"));
}

#[test]
fn shards_are_joined_and_a_missing_or_straying_one_is_named() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    write(dir, "config.json", CONFIG);
    let config = huggingface::read_config(dir).unwrap();
    let index = r#"{"weight_map":{"wte.weight":"one.safetensors","h.0.ln_1.bias":"two.safetensors"}}"#;
    write(dir, "model.safetensors.index.json", index);
    std::fs::write(dir.join("one.safetensors"), raw(&ONE.replace("\"a\"", "\"wte.weight\""), &[0; 8]))
        .unwrap();
    let message = huggingface::read_tensors(dir, &config).unwrap_err().to_string();
    assert!(message.contains("two.safetensors"), "{message}");
    std::fs::write(dir.join("two.safetensors"), raw(&ONE.replace("\"a\"", "\"h.0.ln_1.bias\""), &[0; 8]))
        .unwrap();
    let tensors = huggingface::read_tensors(dir, &config).unwrap();
    let names: Vec<_> = tensors.keys().collect();
    assert_eq!(names, ["transformer.h.0.ln_1.bias", "transformer.wte.weight"]);
    write(dir, "model.safetensors.index.json", &index.replace("two.safe", "../two.safe"));
    let message = huggingface::read_tensors(dir, &config).unwrap_err().to_string();
    assert!(message.contains("not a file name"), "{message}");
}

#[test]
fn adapters_that_would_compute_something_else_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    let good =
        r#"{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["c_attn"],"fan_in_fan_out":true}"#;
    std::fs::write(dir.join(peft::WEIGHTS), raw(ONE, &[0; 8])).unwrap();
    write(dir, peft::CONFIG, good);
    let (config, tensors) = peft::read(dir).unwrap();
    assert_eq!((config.r, tensors.len()), (2, 1));
    for (from, to, field) in [
        ("LORA", "IA3", "peft_type"),
        ("\"r\":2", "\"r\":0", "\"r\""),
        ("\"r\":2", "\"r\":2,\"use_dora\":true", "use_dora"),
        ("\"r\":2", "\"r\":2,\"use_rslora\":true", "use_rslora"),
        ("\"r\":2", "\"r\":2,\"bias\":\"all\"", "bias"),
        ("\"r\":2", "\"r\":2,\"rank_pattern\":{\"c_attn\":4}", "rank_pattern"),
        ("\"r\":2", "\"r\":2,\"alpha_pattern\":{\"c_attn\":4}", "alpha_pattern"),
        ("\"r\":2", "\"r\":2,\"modules_to_save\":[\"wte\"]", "modules_to_save"),
    ] {
        write(dir, peft::CONFIG, &good.replace(from, to));
        let message = peft::read(dir).unwrap_err().to_string();
        assert!(message.contains(field), "{message}");
    }
}
