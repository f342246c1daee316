//! The settings' rules: bounds, defaults, all mistakes at once.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use llm_tuner_engine::hyperparameters::{
    Base, FieldError, Hyperparameters, LrScheduler, NAMES, Optimizer, Preset, TrainingLength,
};
use proptest::prelude::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn mistakes(pairs: &[(&str, &str)], base: Base) -> Vec<String> {
    let errors: Vec<FieldError> = Hyperparameters::parse(&map(pairs), base).unwrap_err();
    errors.into_iter().map(|error| error.field).collect()
}

#[test]
fn nothing_given_is_the_preset() {
    let nano = Hyperparameters::parse(&map(&[]), Base::Nano).unwrap();
    assert_eq!(nano, Hyperparameters::defaults_for(Preset::Nano));
    let lora = Hyperparameters::parse(&map(&[]), Base::Model).unwrap();
    assert_eq!(lora, Hyperparameters::defaults_for(Preset::Lora));
    let full = Hyperparameters::parse(&map(&[("lora", "false")]), Base::Model).unwrap();
    assert_eq!(full, Hyperparameters::defaults_for(Preset::Full));
}

#[test]
fn every_mistake_is_reported_at_once_in_the_order_of_the_form() {
    let fields = mistakes(
        &[
            ("epochs", "1000000000"),
            ("learning_rate", "abc"),
            ("batch_size", "0"),
            ("lr_scheduler", "spiral"),
            ("lerning_rate", "0.1"),
            ("dropout", "NaN"),
        ],
        Base::Nano,
    );
    assert_eq!(fields, ["learning_rate", "epochs", "batch_size", "lr_scheduler", "dropout", "lerning_rate"]);
}

#[test]
fn learning_rate_zero_one_and_infinite_are_refused() {
    for value in ["0", "1", "-0.1", "inf", "NaN", "1e-400"] {
        assert_eq!(mistakes(&[("learning_rate", value)], Base::Nano), ["learning_rate"], "{value}");
    }
}

#[test]
fn an_adapters_strength_is_a_number_in_f32_too() {
    assert_eq!(mistakes(&[("lora_alpha", "1e-320")], Base::Model), ["lora_alpha"]);
    assert!(Hyperparameters::parse(&map(&[("lora_alpha", "1e-6")]), Base::Model).is_ok());
}

#[test]
fn epochs_and_steps_exclude_each_other() {
    assert_eq!(mistakes(&[("epochs", "2"), ("max_steps", "5")], Base::Nano), ["max_steps"]);
    let half = Hyperparameters::parse(&map(&[("epochs", "0.5"), ("batch_size", "16")]), Base::Nano).unwrap();
    assert_eq!(half.length, TrainingLength::Epochs(0.5));
    assert_eq!(half.total_steps(100), 4, "half of 100 rows in batches of 16");
}

#[test]
fn nano_cannot_be_adapted() {
    assert_eq!(mistakes(&[("lora", "true")], Base::Nano), ["lora"]);
}

#[test]
fn sagemakers_own_names_and_quoting_are_understood() {
    let given = map(&[
        ("sagemaker_program", "\"train.py\""),
        ("lr_scheduler", "\"linear\""),
        ("optimizer", "SGD"),
        ("lora_target_modules", "c_attn, c_fc,c_attn"),
        ("lora_r", "4"),
    ]);
    let h = Hyperparameters::parse(&given, Base::Model).unwrap();
    assert_eq!(h.lr_scheduler, LrScheduler::Linear);
    assert_eq!(h.optimizer, Optimizer::Sgd);
    let lora = h.lora.unwrap();
    assert_eq!(lora.target_modules, ["c_attn", "c_fc"]);
    assert!((lora.alpha - 8.0).abs() < f64::EPSILON, "alpha follows r");
}

proptest! {
    /// Whatever is given, the parser answers; what it accepts, it can write and read back unchanged.
    #[test]
    fn any_map_is_answered_and_what_is_accepted_survives_a_round_trip(
        values in prop::collection::btree_map(
            prop::sample::select(NAMES.to_vec()),
            prop_oneof!["[0-9]{1,4}", "0\\.[0-9]{1,6}", "true|false|linear|adam|c_fc", "\\PC{0,60}"],
            0..8,
        ),
        model in any::<bool>(),
    ) {
        let base = if model { Base::Model } else { Base::Nano };
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        match Hyperparameters::parse(&values, base) {
            Ok(h) => {
                prop_assert!(h.learning_rate > 0.0 && h.learning_rate < 1.0);
                prop_assert!((1..=4096).contains(&h.batch_size));
                prop_assert_eq!(Hyperparameters::parse(&h.to_strings(), base).unwrap(), h);
            }
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                prop_assert!(errors.iter().all(|e| NAMES.contains(&e.field.as_str()) && e.message.len() < 300));
            }
        }
    }
}
