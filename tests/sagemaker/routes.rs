//! The three ways to train: our own image, a Hugging Face container, JumpStart.

use super::server::{IMAGE, Server, run_python};
use serde_json::{Value, json};

/// Loads what was trained with `transformers` (and `peft`, for an adapter on `base`) and continues a prompt.
const LOAD: &str = r#"
import json, sys, os
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, base = sys.argv[1:3]
if os.path.exists(os.path.join(folder, "adapter_config.json")):
    from peft import PeftModel
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder)
else:
    model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
ids = tokenizer("double the number 3", return_tensors="pt").input_ids
out = model(ids).logits
print(json.dumps({"finite": bool(out.isfinite().all()), "parameters": sum(p.numel() for p in model.parameters())}))
"#;

/// Where the job's model lies, below the bucket's prefix; the model itself.
async fn model(server: &Server, job: &str) -> (String, Value) {
    let models = server.get("/api/models").await;
    let model =
        models["models"].as_array().unwrap().iter().find(|one| one["job_name"] == job).unwrap().clone();
    let request = server.requests("CreateTrainingJob").await.pop().unwrap();
    let output = request["OutputDataConfig"]["S3OutputPath"].as_str().unwrap();
    let start = format!("s3://{}/", server.bucket);
    let key = output.strip_prefix(&start).unwrap();
    (format!("{key}/{}/output/model", request["TrainingJobName"].as_str().unwrap()), model)
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_image_trains_nano_and_transformers_loads_it() {
    let server = Server::start().await;
    let body = json!({
        "place": "image", "instance_type": "ml.m5.xlarge", "dataset_ids": [server.numbers().await],
        "hyperparameters": { "max_steps": 6, "batch_size": 4, "checkpoint_steps": 3 },
    });
    let plan = server.post("/api/training-plan", body.clone()).await;
    assert!(plan["most_cost"].as_f64().unwrap() > 0.0, "{plan}");
    let name = server.train(body).await;
    let job = server.over(&name).await;
    assert_eq!(job["status"], "Completed", "{job}\n{:?}", server.log(&name).await);

    let request = server.requests("CreateTrainingJob").await.pop().unwrap();
    assert_eq!(request["TrainingJobName"], json!(name));
    assert_eq!(request["AlgorithmSpecification"]["TrainingImage"], IMAGE);
    assert_eq!(request["EnableNetworkIsolation"], true);
    assert_eq!(request["OutputDataConfig"]["CompressionType"], "NONE");
    assert!(request["StoppingCondition"]["MaxRuntimeInSeconds"].as_u64().unwrap() > 0);
    assert_eq!(request["HyperParameters"]["max_steps"], "6");
    let tags: Vec<_> = request["Tags"].as_array().unwrap().iter().map(|tag| tag["Key"].clone()).collect();
    assert_eq!(tags, ["llm-tuner:job", "llm-tuner:owner", "llm-tuner:installation"]);

    // The same page as for a job of this machine: losses, steps, states, log, cost.
    assert!(
        job["training_metrics"].as_array().unwrap().iter().any(|one| one["metric_name"] == "train_loss"),
        "{job}"
    );
    assert_eq!(job["instance_type"], "ml.m5.xlarge");
    assert!(job["cost"].as_f64().unwrap() > 0.0, "{job}");
    assert!(!server.log(&name).await.is_empty());

    let (key, model) = model(&server, &name).await;
    assert!(
        model["files"].as_array().unwrap().iter().all(|file| file["sha256"].as_str().unwrap().len() == 64)
    );
    let folder = server.download(&key).await;
    let loaded = run_python(LOAD, &[folder.path().to_str().unwrap(), ""]);
    assert_eq!(loaded["finite"], true, "{loaded}");
    // What it read is gone; what it made stays.
    let id = request["Tags"][0]["Value"].as_str().unwrap().to_owned();
    for _ in 0..500 {
        let left = server.download("team/users").await;
        let paths: Vec<_> = walk(left.path());
        if !paths.iter().any(|path| path.contains("/training-data/") || path.contains("/checkpoints/")) {
            assert!(paths.iter().any(|path| path.contains(&format!("/models/{id}/"))));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the job's data stays in the bucket");
}

fn walk(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path.display().to_string()) }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn key_network_and_limit_reach_the_training_job() {
    let server = Server::with(&[
        ("SAGEMAKER_KMS_KEY_ID", "alias/tuner"),
        ("SAGEMAKER_SUBNETS", "subnet-0a1, subnet-0b2"),
        ("SAGEMAKER_SECURITY_GROUPS", "sg-0c3"),
    ])
    .await;
    let dataset = server.numbers().await;
    // The second has a disk of its own, which takes no key.
    for (machine, disk_key) in [("ml.m5.xlarge", json!("alias/tuner")), ("ml.g5.2xlarge", Value::Null)] {
        let name = server
            .train(json!({
                "place": "image", "instance_type": machine, "max_hours": 2, "dataset_ids": [dataset],
                "hyperparameters": { "max_steps": 2, "batch_size": 4 },
            }))
            .await;
        let job = server.over(&name).await;
        assert_eq!(job["status"], "Completed", "{job}\n{:?}", server.log(&name).await);
        let request = server.requests("CreateTrainingJob").await.pop().unwrap();
        assert_eq!(request["TrainingJobName"], json!(name));
        assert_eq!(request["OutputDataConfig"]["KmsKeyId"], "alias/tuner");
        assert_eq!(request["ResourceConfig"]["VolumeKmsKeyId"], disk_key, "{machine}");
        let network = json!({ "Subnets": ["subnet-0a1", "subnet-0b2"], "SecurityGroupIds": ["sg-0c3"] });
        assert_eq!(request["VpcConfig"], network);
        assert_eq!(request["StoppingCondition"]["MaxRuntimeInSeconds"], 7200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hugging_face_container_tunes_a_model_of_the_operator_with_lora() {
    let server = Server::start().await;
    server.make_base("small");
    let name = server
        .train(json!({
            "place": "script", "base_model": "dir:small", "instance_type": "ml.g5.2xlarge", "max_hours": 24,
            "dataset_ids": [server.numbers().await],
            "hyperparameters": { "max_steps": 6, "batch_size": 4, "max_sequence_length": 48, "lora": true, "checkpoint_steps": 3 },
        }))
        .await;
    let job = server.over(&name).await;
    assert_eq!(job["status"], "Completed", "{job}\n{:?}", server.log(&name).await);
    let request = server.requests("CreateTrainingJob").await.pop().unwrap();
    let image = request["AlgorithmSpecification"]["TrainingImage"].as_str().unwrap();
    assert!(
        image.starts_with("763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-training:"),
        "{image}"
    );
    assert_eq!(request["HyperParameters"]["sagemaker_program"], "\"finetune.py\"");
    assert_eq!(request["EnableNetworkIsolation"], false);
    assert!(request["CheckpointConfig"]["S3Uri"].as_str().unwrap().contains("/checkpoints/"));
    assert!(
        job["training_metrics"].as_array().unwrap().iter().any(|one| one["metric_name"] == "train_loss"),
        "{job}"
    );

    let (key, model) = model(&server, &name).await;
    assert_eq!(model["kind"], "adapter", "{model}");
    let folder = server.download(&key).await;
    let base = server.folder.path().join("data/models/small");
    let loaded = run_python(LOAD, &[folder.path().to_str().unwrap(), base.to_str().unwrap()]);
    assert_eq!(loaded["finite"], true, "{loaded}");
}

const LLAMA: &str = "meta-textgeneration-llama-2-7b";

/// Puts a script in the place of JumpStart's own.
async fn place_script(server: &Server) {
    let mut packed =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let script = include_bytes!("transfer_learning.py");
    let mut header = tar::Header::new_ustar();
    header.set_size(script.len() as u64);
    header.set_mode(0o644);
    packed.append_data(&mut header, "transfer_learning.py", script.as_slice()).unwrap();
    let packed = packed.into_inner().unwrap().finish().unwrap();
    let client = aws_sdk_s3::Client::new(&server.aws.moto.config().await);
    let bucket = "jumpstart-cache-prod-us-east-1";
    client.create_bucket().bucket(bucket).send().await.unwrap();
    let key =
        "source-directory-tarballs/meta/transfer_learning/textgeneration/prepack/v1.0.1/sourcedir.tar.gz";
    client.put_object().bucket(bucket).key(key).body(packed.into()).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jumpstart_model_needs_its_licence_and_trains_by_its_own_settings() {
    let server = Server::start().await;
    place_script(&server).await;
    let body = json!({
        "base_model": format!("jumpstart:{LLAMA}"), "dataset_ids": [server.numbers().await], "max_hours": 24,
        "hyperparameters": { "epoch": 4 },
    });
    let (status, refused) =
        server.call(reqwest::Method::POST, "/api/start-training", Some(body.clone())).await;
    assert_eq!(status, 422, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("licence"), "{refused}");
    server.post(&format!("/api/jumpstart-models/{LLAMA}/licence"), json!({ "version": "3.0.0" })).await;

    let wrong = json!({ "hyperparameters": { "epochs": 4 }, "base_model": body["base_model"], "dataset_ids": body["dataset_ids"] });
    let (status, refused) = server.call(reqwest::Method::POST, "/api/start-training", Some(wrong)).await;
    assert_eq!((status.as_u16(), &refused["error"]["field"]), (422, &json!("epochs")), "{refused}");

    let name = server.train(body).await;
    let job = server.over(&name).await;
    assert_eq!(job["status"], "Completed", "{job}\n{:?}", server.log(&name).await);
    let request = server.requests("CreateTrainingJob").await.pop().unwrap();
    assert_eq!(request["Environment"]["accept_eula"], "true");
    assert_eq!(request["HyperParameters"]["epoch"], "\"4\"");
    assert_eq!(request["HyperParameters"]["instruction_tuned"], "\"True\"");
    assert_eq!(request["ResourceConfig"]["InstanceType"], "ml.g5.12xlarge");
    // The losses that its script prints are told like ours.
    let metric = |name: &str| {
        let all = job["training_metrics"].as_array().unwrap();
        all.iter().find(|one| one["metric_name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(metric("train_loss")["step"], 4, "{job}");
    assert!(metric("eval_loss")["value"].as_f64().unwrap() > 0.0, "{job}");
    let models = server.get("/api/models").await;
    assert_eq!(models["models"][0]["job_name"], json!(name), "{models}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_body_is_enough_for_a_jumpstart_model_and_for_nano() {
    let server = Server::start().await;
    place_script(&server).await;
    server.numbers().await;
    server.post(&format!("/api/jumpstart-models/{LLAMA}/licence"), json!({ "version": "3.0.0" })).await;
    let started = server
        .post(
            "/api/sagemaker-training",
            json!({
                "base_model": "llama-2-7b", "files": ["numbers.jsonl"], "instance_type": "ml.g5.12xlarge",
                "hyperparameters": { "epochs": 2, "learning_rate": 0.0001, "batch_size": 4 },
            }),
        )
        .await;
    let name = started["job_name"].as_str().unwrap();
    let job = server.over(name).await;
    assert_eq!(job["status"], "Completed", "{job}\n{:?}", server.log(name).await);
    assert!(job["job_arn"].as_str().unwrap().ends_with(name), "{job}");
    let request = server.requests("CreateTrainingJob").await.pop().unwrap();
    assert_eq!(request["HyperParameters"]["epoch"], "\"2\"");
    assert_eq!(request["HyperParameters"]["per_device_train_batch_size"], "\"4\"");
    // What the answer promised is where AWS was told to read and to write.
    let inputs = request["InputDataConfig"].as_array().unwrap();
    let read: Vec<_> =
        inputs.iter().map(|one| one["DataSource"]["S3DataSource"]["S3Uri"].as_str().unwrap()).collect();
    let promised = started["training_data_s3_uri"].as_str().unwrap();
    assert!(read.iter().any(|uri| uri.starts_with(promised)), "{promised}: {read:?}");
    let output = request["OutputDataConfig"]["S3OutputPath"].as_str().unwrap();
    assert_eq!(
        output.trim_end_matches('/'),
        started["output_s3_uri"].as_str().unwrap().trim_end_matches('/')
    );

    let started = server
        .post(
            "/api/sagemaker-training",
            json!({
                "base_model": "nano", "files": ["numbers.jsonl"], "instance_type": "ml.m5.xlarge",
                "hyperparameters": { "max_steps": 4, "batch_size": 4 },
            }),
        )
        .await;
    let name = started["job_name"].as_str().unwrap();
    let job = server.over(name).await;
    assert_eq!(job["status"], "Completed", "{job}\n{:?}", server.log(name).await);
    let request = server.requests("CreateTrainingJob").await.pop().unwrap();
    assert_eq!(request["AlgorithmSpecification"]["TrainingImage"], IMAGE);
}
