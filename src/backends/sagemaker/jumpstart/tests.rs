//! What is read of documents, real ones and broken ones.

use super::{
    document::{Entry, listed, parse},
    fields::as_text,
    snapshot,
};
use crate::domain::{
    instance::family,
    jumpstart::{Kind, Model, Scope, Source},
};
use proptest::prelude::*;
use serde_json::{Value, json};

const ENTRY: Entry<'_> = Entry {
    id: "meta-textgeneration-small",
    version: "1.0.0",
    name: "Small",
    description: "A small one.",
    keywords: &[],
};

fn read(document: &Value) -> Result<Model, String> {
    parse(&ENTRY, document, "eu-central-1", Source::Hub).map_err(|why| why.to_string())
}

fn shipped(id: &str) -> Model {
    snapshot::models("eu-central-1").into_iter().find(|model| model.id == id).unwrap()
}

/// The least that can be trained.
fn trainable() -> Value {
    json!({
        "TrainingSupported": true,
        "FineTuningSupported": true,
        "TrainingScriptUri": "s3://bucket/sourcedir.tar.gz",
        "TrainingEcrUri": "registry/image:1",
        "SupportedTrainingInstanceTypes": ["ml.g5.2xlarge"],
    })
}

#[test]
fn the_shipped_list_is_read_whole_in_every_region_it_knows() {
    for region in ["us-east-1", "eu-central-1", "af-south-1", "cn-north-1"] {
        let models = snapshot::models(region);
        assert_eq!(models.len(), 4);
        for model in models {
            assert_eq!(model.source, Source::Snapshot { date: snapshot::DATE.to_owned() });
            let text = serde_json::to_string(&model).unwrap();
            assert!(!text.contains("{region}") && !text.contains("{registry}"), "{} in {region}", model.id);
            let training = model.training.as_ref().unwrap();
            let image = training.image_on(&training.default_instance_type).unwrap();
            assert!(image.contains(&format!(".dkr.ecr.{region}.")), "{image}");
            let hosting = model.hosting.as_ref().unwrap();
            assert!(hosting.image_on(&hosting.default_instance_type).is_some());
            assert!(model.settings(&training.default_instance_type, &Default::default()).is_ok());
            assert!(!model.layouts().is_empty());
            let again: Model = serde_json::from_str(&text).unwrap();
            assert_eq!(again, model);
        }
    }
    assert!(
        shipped("meta-textgeneration-llama-2-7b")
            .training
            .unwrap()
            .image
            .unwrap()
            .starts_with("763104351884.")
    );
    let africa = &snapshot::models("af-south-1")[0];
    assert!(africa.training.as_ref().unwrap().image.as_ref().unwrap().starts_with("626614931356."));
}

#[test]
fn a_real_document_gives_everything_that_training_and_hosting_take() {
    let model = shipped("meta-textgeneration-llama-2-13b-f");
    assert!(model.gated);
    assert_eq!(
        model.licence.as_ref().unwrap().url,
        "https://jumpstart-cache-prod-eu-central-1.s3.eu-central-1.amazonaws.com/fmhMetadata/eula/llamaEula.txt"
    );
    let rate = model.hyperparameters.iter().find(|one| one.name == "learning_rate").unwrap();
    assert_eq!(
        (rate.kind, rate.default.as_deref(), rate.min, rate.max),
        (Kind::Float, Some("0.0001"), Some(1e-8), Some(1.0))
    );
    let program = model.hyperparameters.iter().find(|one| one.name == "sagemaker_program").unwrap();
    assert_eq!(program.scope, Scope::Container);

    let training = model.training.as_ref().unwrap();
    assert_eq!(training.default_instance_type, "ml.g5.24xlarge");
    assert_eq!(training.metrics.len(), 3);
    assert!(training.gated_uri_on("ml.g4dn.12xlarge").unwrap().contains("/g4dn/"));
    assert!(!training.compressed_output && training.network_isolation && training.encrypt_traffic);
    // One type has defaults of its own.
    let own = model.settings("ml.g4dn.12xlarge", &Default::default()).unwrap();
    assert_eq!((own["epoch"].as_str(), own["int8_quantization"].as_str()), ("2", "True"));

    // Its hosting stands in a component that a ranking names.
    let hosting = model.hosting.unwrap();
    assert!(hosting.image.as_ref().unwrap().contains("tgi-inference"));
    assert_eq!(hosting.environment_on("ml.g5.12xlarge")["SM_NUM_GPUS"], "4");
    assert_eq!(hosting.environment_on("ml.g5.48xlarge")["SM_NUM_GPUS"], "8");
    assert!(!hosting.environment.contains_key("SAGEMAKER_SUBMIT_DIRECTORY"), "the container knows it");
    assert_eq!(hosting.script_uri, None);
    assert_eq!(hosting.payload.unwrap().answer_path.as_deref(), Some("[0].generated_text"));
}

#[test]
fn aliases_stand_for_the_address_of_the_region() {
    let mut document = trainable();
    document["TrainingInstanceTypeVariants"] = json!({
        "RegionalAliases": {
            "eu-central-1": { "gpu": "here/image:2" },
            "us-east-1": { "gpu": "there/image:2" },
        },
        "Variants": {
            "g5": { "RegionalProperties": { "ImageUri": "$gpu" }, "Properties": { "EnvironmentVariables": { "A": 1 } } },
            "ml.g5.2xlarge": { "Properties": { "EnvironmentVariables": { "A": "2", "B": true } } },
            "p5": { "RegionalProperties": { "ImageUri": "$unknown" } },
        },
    });
    let training = read(&document).unwrap().training.unwrap();
    assert_eq!(training.image_on("ml.g5.2xlarge"), Some("here/image:2"));
    assert_eq!(training.image_on("ml.p5.48xlarge"), Some("registry/image:1"));
    let environment = training.environment_on("ml.g5.2xlarge");
    assert_eq!((environment["A"].as_str(), environment["B"].as_str()), ("2", "True"));

    document["TrainingInstanceTypeVariants"]["RegionalAliases"] = Value::Null;
    document["TrainingInstanceTypeVariants"]["Aliases"] = json!({ "gpu": "flat/image:2" });
    assert_eq!(read(&document).unwrap().training.unwrap().image_on("ml.g5.2xlarge"), Some("flat/image:2"));
}

#[test]
fn a_document_without_the_essentials_says_what_is_missing() {
    for (broken, why) in [
        (json!("text"), "no JSON object"),
        (json!({}), "neither how to train it nor how to host it"),
        (json!({ "TrainingSupported": true }), "with which script"),
        (json!({ "TrainingSupported": true, "TrainingScriptUri": "https://x" }), "with which script"),
        (json!({ "TrainingSupported": true, "TrainingScriptUri": "s3://b/x" }), "on which instance types"),
    ] {
        let told = read(&broken).unwrap_err();
        assert!(told.contains(why), "{broken}: {told}");
    }
    let mut only_hosted = trainable();
    only_hosted["FineTuningSupported"] = json!(false);
    assert!(read(&only_hosted).is_err());
    only_hosted["HostingEcrUri"] = json!("registry/image:1");
    only_hosted["SupportedInferenceInstanceTypes"] = json!(["ml.g5.2xlarge"]);
    assert_eq!(read(&only_hosted).unwrap().training, None);
}

#[test]
fn what_is_missing_takes_sagemakers_own_default() {
    let training = read(&trainable()).unwrap().training.unwrap();
    assert_eq!(training.default_instance_type, "ml.g5.2xlarge");
    assert_eq!((training.volume_gb, training.max_runtime_seconds), (30, 86_400));
    assert!(training.compressed_output);
}

#[test]
fn keywords_tell_what_the_list_shows() {
    let keywords =
        ["@task:Text Generation", "@Capability:fine-tuning", "@framework:", "llama"].map(str::to_owned);
    let line = listed(&Entry { keywords: &keywords, name: "", ..ENTRY });
    assert_eq!((line.task.as_str(), line.fine_tuning), ("text-generation", true));
    assert_eq!((line.name.as_str(), line.provider.as_str()), ("meta-textgeneration-small", "meta"));
}

#[test]
fn values_are_written_as_python_writes_them() {
    let cases = [
        ("1e-08", "1e-08"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("1.0", "1.0"),
        ("0", "0"),
        ("-1", "-1"),
        ("1e20", "1e+20"),
        ("true", "True"),
        ("\"None\"", "None"),
    ];
    for (json, python) in cases {
        let value: Value = serde_json::from_str(json).unwrap();
        assert_eq!(as_text(&value).as_deref(), Some(python), "{json}");
    }
}

#[test]
fn a_family_is_what_stands_before_the_size() {
    assert_eq!(family("ml.g5.12xlarge"), "g5");
    assert_eq!(family("ml.p6-b200.48xlarge"), "p6-b200");
    assert_eq!(family("odd"), "odd");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(s3://b/k|\\$gpu|ml\\.g5\\.2xlarge|@task:x|.{0,8})".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(
                ("(Variants|Properties|ImageUri|Name|Default|Rankings|overall|g5|.{0,6})", inner),
                0..6
            )
            .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A place in a document: which child to go down to, at each level.
fn put(value: &mut Value, path: &[usize], new: Value) {
    let Some((first, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    match value {
        Value::Object(all) if !all.is_empty() => {
            let n = first % all.len();
            if let Some((_, child)) = all.iter_mut().nth(n) {
                put(child, rest, new);
            }
        }
        Value::Array(all) if !all.is_empty() => {
            let n = first % all.len();
            put(&mut all[n], rest, new);
        }
        leaf => *leaf = new,
    }
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(document in any_json()) {
        let _ = read(&document);
    }

    /// A real one with something else in a few places is read, or refused with a reason; and what is read can be
    /// asked for its settings.
    #[test]
    fn no_change_of_a_real_document_makes_it_panic(
        changes in prop::collection::vec((prop::collection::vec(0_usize..40, 1..6), any_json()), 1..4)
    ) {
        let file = include_str!("snapshot/meta-textgeneration-llama-2-13b-f.json");
        let mut file: Value = serde_json::from_str(file).unwrap();
        for (path, new) in changes {
            put(&mut file["HubContentDocument"], &path, new);
        }
        match read(&file["HubContentDocument"]) {
            Err(why) => prop_assert!(!why.is_empty()),
            Ok(model) => {
                let training = model.training.iter().flat_map(|training| &training.instance_types);
                for kind in training {
                    let _ = model.settings(kind, &Default::default());
                }
            }
        }
    }
}
