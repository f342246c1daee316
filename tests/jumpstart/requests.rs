//! The requests that train JumpStart's models, beside those that AWS's own client was seen to send for them
//! (`captured/`: the SageMaker Python SDK 2.257.6, with the same choices, in us-west-2).

use llm_tuner::{
    backends::sagemaker::jumpstart::{
        snapshot,
        training::{Choices, training_request},
    },
    backends::sagemaker::request::Vpc,
    domain::jumpstart::Model,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const REGION: &str = "us-west-2";

fn model(id: &str) -> Model {
    snapshot::models(REGION).into_iter().find(|model| model.id == id).unwrap()
}

/// What was chosen when the request was captured.
fn choices(captured: &Value, hyperparameters: &[(&str, &str)]) -> Choices {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Choices {
        job_name: text(&captured["TrainingJobName"]),
        role_arn: text(&captured["RoleArn"]),
        region: REGION.to_owned(),
        instance_type: text(&captured["ResourceConfig"]["InstanceType"]),
        instance_count: 1,
        hyperparameters: hyperparameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        training_uri: "s3://my-bucket/train/".to_owned(),
        output_uri: text(&captured["OutputDataConfig"]["S3OutputPath"]),
        max_runtime_seconds: 7_200,
        licence_accepted: true,
        tags: vec![("llm-tuner:job".to_owned(), "01h".to_owned())],
        ..Choices::default()
    }
}

/// The captured request with our stated improvements in it: nothing else may differ.
fn improved(mut captured: Value) -> Value {
    captured["StoppingCondition"]["MaxRuntimeInSeconds"] = json!(7_200);
    captured["ProfilerConfig"] = json!({ "DisableProfiler": true });
    let ours = json!({ "Key": "llm-tuner:job", "Value": "01h" });
    captured["Tags"].as_array_mut().unwrap().push(ours);
    captured
}

fn captured(file: &str) -> Value {
    serde_json::from_str(file).unwrap()
}

/// Every field of both, so that a failure names those that differ.
fn flat(value: &Value) -> BTreeMap<String, Value> {
    fn walk(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(all) if !all.is_empty() => {
                all.iter().for_each(|(key, one)| walk(&format!("{path}/{key}"), one, into));
            }
            Value::Array(all) if !all.is_empty() => {
                all.iter().enumerate().for_each(|(n, one)| walk(&format!("{path}/{n}"), one, into));
            }
            leaf => {
                into.insert(path.to_owned(), leaf.clone());
            }
        }
    }
    let mut all = BTreeMap::new();
    walk("", value, &mut all);
    all
}

fn same(id: &str, captured: Value, hyperparameters: &[(&str, &str)]) {
    let request = training_request(&model(id), &choices(&captured, hyperparameters)).unwrap();
    assert_eq!(flat(&serde_json::to_value(request).unwrap()), flat(&improved(captured)));
}

const LLAMA: [(&str, &str); 3] =
    [("epoch", "1"), ("instruction_tuned", "True"), ("max_input_length", "1024")];

#[test]
fn llama_2_7b_is_asked_for_as_awss_own_client_does() {
    same("meta-textgeneration-llama-2-7b", captured(include_str!("captured/llama-2-7b.json")), &LLAMA);
}

#[test]
fn llama_3_1_70b_is_asked_for_as_awss_own_client_does() {
    same("meta-textgeneration-llama-3-1-70b", captured(include_str!("captured/llama-3-1-70b.json")), &LLAMA);
}

#[test]
fn flan_t5_is_asked_for_as_awss_own_client_does() {
    let mut captured = captured(include_str!("captured/flan-t5-base.json"));
    // Theirs passes settings through that this model does not have; we refuse them.
    let all: &mut Map<String, Value> = captured["HyperParameters"].as_object_mut().unwrap();
    assert_eq!(all.remove("epoch"), Some(json!("\"1\"")));
    assert_eq!(all.remove("instruction_tuned"), Some(json!("\"True\"")));
    let chosen = [("epochs", "1"), ("max_input_length", "1024")];
    same("huggingface-text2text-flan-t5-base", captured.clone(), &chosen);

    let wrong = choices(&captured, &LLAMA);
    let errors = training_request(&model("huggingface-text2text-flan-t5-base"), &wrong).unwrap_err();
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["epoch", "instruction_tuned"]);
    assert!(errors[0].message.contains("its own is called epochs"), "{}", errors[0].message);
}

#[test]
fn keys_and_a_network_of_the_persons_own_are_used() {
    let base = captured(include_str!("captured/llama-2-7b.json"));
    let vpc = Vpc { security_group_ids: vec!["sg-1".to_owned()], subnets: vec!["subnet-1".to_owned()] };
    let own = Choices {
        kms_key: Some("alias/tuner".to_owned()),
        vpc: Some(vpc),
        validation_uri: Some("s3://my-bucket/validation/".to_owned()),
        ..choices(&base, &LLAMA)
    };
    let request = training_request(&model("meta-textgeneration-llama-2-7b"), &own).unwrap();
    let request = serde_json::to_value(request).unwrap();
    let plain = training_request(&model("meta-textgeneration-llama-2-7b"), &choices(&base, &LLAMA)).unwrap();
    let (request, plain) = (flat(&request), flat(&serde_json::to_value(plain).unwrap()));
    let names: Vec<_> = request.keys().filter(|name| !plain.contains_key(*name)).collect();
    // SageMaker refuses a key for the volume of a machine that has its own disk, as g5 has.
    assert_eq!(
        names,
        [
            "/InputDataConfig/2/ChannelName",
            "/InputDataConfig/2/DataSource/S3DataSource/S3DataDistributionType",
            "/InputDataConfig/2/DataSource/S3DataSource/S3DataType",
            "/InputDataConfig/2/DataSource/S3DataSource/S3Uri",
            "/OutputDataConfig/KmsKeyId",
            "/VpcConfig/SecurityGroupIds/0",
            "/VpcConfig/Subnets/0",
        ]
    );
}

#[test]
fn without_an_accepted_licence_nothing_of_a_gated_model_is_asked_for() {
    let base = captured(include_str!("captured/llama-2-7b.json"));
    let not_accepted = Choices { licence_accepted: false, ..choices(&base, &LLAMA) };
    let errors = training_request(&model("meta-textgeneration-llama-2-7b"), &not_accepted).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].field, "licence");
    // An open model asks for none, and says nothing of one.
    let open = captured(include_str!("captured/flan-t5-base.json"));
    let request = training_request(
        &model("huggingface-text2text-flan-t5-base"),
        &Choices { licence_accepted: false, ..choices(&open, &[]) },
    );
    assert!(request.unwrap().environment.is_empty());
}

#[test]
fn a_gated_model_whose_files_come_as_a_channel_says_that_the_licence_is_accepted() {
    let mut model = model("meta-textgeneration-llama-2-13b-f");
    let recipe = model.training.as_mut().unwrap();
    recipe.variants.values_mut().for_each(|variant| variant.gated_uri = None);
    let mut chosen = choices(&captured(include_str!("captured/llama-2-7b.json")), &[]);
    chosen.instance_type = "ml.g5.24xlarge".to_owned();
    let request = serde_json::to_value(training_request(&model, &chosen).unwrap()).unwrap();
    let source = &request["InputDataConfig"][1]["DataSource"]["S3DataSource"];
    assert_eq!(source["ModelAccessConfig"], json!({ "AcceptEula": true }));
    assert!(source["S3Uri"].as_str().unwrap().starts_with("s3://jumpstart-private-cache-prod-us-west-2/"));
}

#[test]
fn a_machine_for_which_there_are_no_weights_is_refused_with_those_that_have_some() {
    let base = captured(include_str!("captured/llama-2-7b.json"));
    let chosen = Choices { instance_type: "ml.p3dn.24xlarge".to_owned(), ..choices(&base, &LLAMA) };
    let errors = training_request(&model("meta-textgeneration-llama-2-7b"), &chosen).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].field, "instance_type");
    assert!(
        errors[0].message.contains("ml.g5.12xlarge") && errors[0].message.contains("no files"),
        "{errors:?}"
    );
}

#[test]
fn a_region_whose_containers_are_unknown_is_refused() {
    let model = snapshot::models("mars-north-1").into_iter().find(|model| !model.gated).unwrap();
    let mut chosen = choices(&captured(include_str!("captured/flan-t5-base.json")), &[]);
    chosen.region = "mars-north-1".to_owned();
    let errors = training_request(&model, &chosen).unwrap_err();
    assert!(errors[0].message.contains("mars-north-1"), "{errors:?}");
}
