//! What a person may set, by the model's own list.

use super::*;
use proptest::prelude::*;

fn setting(name: &str, kind: Kind, default: &str) -> Hyperparameter {
    Hyperparameter {
        name: name.to_owned(),
        kind,
        default: Some(default.to_owned()),
        min: None,
        max: None,
        options: Vec::new(),
        scope: Scope::Algorithm,
    }
}

fn switch(name: &str, default: &str) -> Hyperparameter {
    Hyperparameter {
        options: vec!["True".to_owned(), "False".to_owned()],
        ..setting(name, Kind::Text, default)
    }
}

fn bounded(name: &str, kind: Kind, default: &str, min: f64, max: f64) -> Hyperparameter {
    Hyperparameter { min: Some(min), max: Some(max), ..setting(name, kind, default) }
}

/// Of Llama's kind.
fn model() -> Model {
    let other_defaults = Variant {
        hyperparameters: vec![switch("int8_quantization", "True"), switch("enable_fsdp", "False")],
        ..Variant::default()
    };
    Model {
        id: "meta-textgeneration-small".to_owned(),
        version: "1.0.0".to_owned(),
        name: "Small".to_owned(),
        description: String::new(),
        provider: "meta".to_owned(),
        task: "text-generation".to_owned(),
        gated: true,
        licence: None,
        hyperparameters: vec![
            switch("int8_quantization", "False"),
            switch("enable_fsdp", "True"),
            bounded("epoch", Kind::Int, "5", 1.0, 1000.0),
            bounded("learning_rate", Kind::Float, "0.0001", 1e-8, 1.0),
            switch("instruction_tuned", "False"),
            switch("chat_dataset", "True"),
            setting("target_modules", Kind::Text, "q_proj,v_proj"),
            Hyperparameter {
                scope: Scope::Container,
                ..setting("sagemaker_program", Kind::Text, "transfer_learning.py")
            },
        ],
        training: Some(TrainingRecipe {
            image: Some("image".to_owned()),
            variants: [("ml.g4dn.12xlarge".to_owned(), other_defaults)].into(),
            script_uri: "s3://bucket/script".to_owned(),
            artifact_uri: None,
            environment: BTreeMap::new(),
            default_instance_type: "ml.g5.12xlarge".to_owned(),
            instance_types: vec!["ml.g5.12xlarge".to_owned(), "ml.g4dn.12xlarge".to_owned()],
            metrics: Vec::new(),
            network_isolation: true,
            encrypt_traffic: true,
            volume_gb: 256,
            max_runtime_seconds: 360_000,
            compressed_output: true,
        }),
        hosting: None,
        source: Source::Hub,
    }
}

fn chosen(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The fields that are refused on the default machine.
fn refused(pairs: &[(&str, &str)]) -> Vec<String> {
    let errors = model().settings("ml.g5.12xlarge", &chosen(pairs)).unwrap_err();
    errors.into_iter().map(|error| error.field).collect()
}

#[test]
fn what_is_not_chosen_takes_the_models_own_value() {
    let values = model().settings("ml.g5.12xlarge", &chosen(&[("epoch", " 3 ")])).unwrap();
    assert_eq!(values["epoch"], "3");
    assert_eq!(values["learning_rate"], "0.0001");
    assert_eq!(values["sagemaker_program"], "transfer_learning.py");
    assert_eq!(values.len(), model().hyperparameters.len());
}

#[test]
fn all_mistakes_are_told_at_once_each_by_its_field() {
    let mistakes = [
        ("chat_dataset", "maybe"),
        ("enable_fsdp", "1"),
        ("epoch", "1.5"),
        ("epochs", "3"),
        ("learning_rate", "fast"),
        ("sagemaker_program", "mine.py"),
        ("target_modules", "a\nb"),
        ("unheard_of", "1"),
    ];
    let errors = model().settings("ml.t3.medium", &chosen(&mistakes)).unwrap_err();
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    let mut expected = vec!["instance_type"];
    expected.extend(mistakes.map(|(name, _)| name));
    assert_eq!(fields, expected);
    let message = |field: &str| &errors.iter().find(|error| error.field == field).unwrap().message;
    assert!(message("instance_type").contains("ml.g5.12xlarge, ml.g4dn.12xlarge"));
    assert!(message("epoch").contains("a whole number from 1 to 1000"), "{}", message("epoch"));
    assert!(message("epochs").contains("its own is called epoch"), "{}", message("epochs"));
    assert!(message("chat_dataset").contains("True or False"), "{}", message("chat_dataset"));
    assert!(message("unheard_of").contains("learning_rate"), "{}", message("unheard_of"));
    assert!(!message("unheard_of").contains("sagemaker_program"), "ours alone");
}

#[test]
fn bounds_belong_to_what_is_allowed() {
    for good in ["1", "1000"] {
        assert!(model().settings("ml.g5.12xlarge", &chosen(&[("epoch", good)])).is_ok());
    }
    for bad in ["0", "1001", "", "-1", "99999999999999999999"] {
        assert_eq!(refused(&[("epoch", bad)]), ["epoch"], "{bad}");
    }
    for bad in ["0", "1.0001", "NaN", "inf", "1,5"] {
        assert_eq!(refused(&[("learning_rate", bad)]), ["learning_rate"], "{bad}");
    }
}

#[test]
fn exactly_one_of_quantised_and_sharded() {
    assert_eq!(refused(&[("int8_quantization", "True")]), ["int8_quantization"]);
    assert_eq!(refused(&[("enable_fsdp", "False")]), ["int8_quantization"]);
    let both = chosen(&[("int8_quantization", "true"), ("enable_fsdp", "false")]);
    let values = model().settings("ml.g5.12xlarge", &both).unwrap();
    assert_eq!((values["int8_quantization"].as_str(), values["enable_fsdp"].as_str()), ("True", "False"));
    // This machine has other defaults, and so other mistakes.
    assert_eq!(model().settings("ml.g4dn.12xlarge", &chosen(&[])).unwrap()["int8_quantization"], "True");
    assert!(model().settings("ml.g4dn.12xlarge", &chosen(&[("enable_fsdp", "True")])).is_err());
}

#[test]
fn data_is_of_one_kind_and_the_settings_say_which() {
    assert_eq!(refused(&[("instruction_tuned", "True")]), ["instruction_tuned"]);
    let model = model();
    assert_eq!(model.layouts(), [DataLayout::Instruction, DataLayout::Chat, DataLayout::Text]);
    for layout in model.layouts() {
        let values = model.settings("ml.g5.12xlarge", &layout.settings(&model)).unwrap();
        assert_eq!(model.layout(&values), Some(layout));
    }
    let seq2seq =
        Model { hyperparameters: Vec::new(), task: "text2text-generation".to_owned(), ..model.clone() };
    assert_eq!(seq2seq.layout(&BTreeMap::new()), Some(DataLayout::Instruction));
    assert!(DataLayout::Instruction.settings(&seq2seq).is_empty());
    let image = Model { hyperparameters: Vec::new(), task: "image-classification".to_owned(), ..model };
    assert_eq!(image.layouts(), []);
}

#[test]
fn a_model_that_can_only_be_hosted_is_not_trained() {
    let model = Model { training: None, ..model() };
    let errors = model.settings("ml.g5.12xlarge", &chosen(&[])).unwrap_err();
    assert_eq!(errors[0].field, "base_model");
}

proptest! {
    /// Whatever is typed, a value that is let through is one that the model allows.
    #[test]
    fn what_is_let_through_is_allowed(name in "(epoch|learning_rate|enable_fsdp|int8_quantization|other)", text in ".{0,12}|-?[0-9]{1,4}(\\.[0-9]{1,4})?(e-?[0-9]{1,2})?") {
        if let Ok(values) = model().settings("ml.g5.12xlarge", &chosen(&[(&name, &text)])) {
            let epochs: i64 = values["epoch"].parse().unwrap();
            prop_assert!((1..=1000).contains(&epochs));
            let rate: f64 = values["learning_rate"].parse().unwrap();
            prop_assert!((1e-8..=1.0).contains(&rate));
            prop_assert!((values["int8_quantization"] == "True") != (values["enable_fsdp"] == "True"));
        }
    }
}
