//! A JumpStart model as far as the product cares: what it is, what it may be told, what it needs to train and to
//! answer. Plain data without I/O; `backends::sagemaker::jumpstart` reads it from AWS's own documents.
//!
//! - [`hyperparameter`]: a model's own settings, and what a person may make of them.
//! - [`layout`]: how it wants its data.
//! - [`recipe`]: container, script, files and machines, to train and to host.

pub mod hyperparameter;
pub mod layout;
pub mod recipe;

pub use hyperparameter::{Hyperparameter, Kind, Scope};
pub use layout::DataLayout;
pub use recipe::{HostingRecipe, Metric, Payload, TrainingRecipe, Variant};

use super::field::FieldError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where what we know comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// AWS, now or some hours ago.
    Hub,
    /// The list that came with the program, of this day (`2026-11-21`).
    Snapshot { date: String },
}

/// One line of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// `meta-textgeneration-llama-2-7b`
    pub id: String,
    pub version: String,
    pub name: String,
    pub description: String,
    pub provider: String,
    /// `text-generation`; empty where nothing says so.
    pub task: String,
    pub fine_tuning: bool,
}

/// The text that a person agrees to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    pub name: String,
    /// Where it can be read in a browser.
    pub url: String,
}

/// Everything about one version of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub id: String,
    pub version: String,
    pub name: String,
    pub description: String,
    pub provider: String,
    pub task: String,
    /// Its files are given only to those who accepted the licence.
    pub gated: bool,
    pub licence: Option<Licence>,
    /// As they are wherever an instance type has no values of its own.
    pub hyperparameters: Vec<Hyperparameter>,
    /// `None` where it can't be fine-tuned.
    pub training: Option<TrainingRecipe>,
    /// `None` where the document does not say how to host it.
    pub hosting: Option<HostingRecipe>,
    pub source: Source,
}

/// The two ways in which Llama is trained exclude each other.
const QUANTISED: &str = "int8_quantization";
const SHARDED: &str = "enable_fsdp";

impl Model {
    pub fn listed(&self) -> Listed {
        Listed {
            id: self.id.clone(),
            version: self.version.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            provider: self.provider.clone(),
            task: self.task.clone(),
            fine_tuning: self.training.is_some(),
        }
    }

    /// The settings on this instance type, which may have defaults of its own.
    pub fn hyperparameters_on(&self, instance_type: &str) -> Vec<Hyperparameter> {
        let mut all = self.hyperparameters.clone();
        let variants = self.training.iter().flat_map(|training| training.variants_of(instance_type));
        for own in variants.flat_map(|variant| &variant.hyperparameters) {
            match all.iter_mut().find(|one| one.name == own.name) {
                Some(one) => one.default.clone_from(&own.default),
                None => all.push(own.clone()),
            }
        }
        all
    }

    /// Every value that the container is given on this instance type: the person's where they chose, else the model's.
    ///
    /// # Errors
    /// All mistakes at once, each under the name of its setting, or under `instance_type`.
    pub fn settings(
        &self,
        instance_type: &str,
        chosen: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Vec<FieldError>> {
        let mut errors = Vec::new();
        errors.extend(self.check_instance_type(instance_type));
        let known = self.hyperparameters_on(instance_type);
        let mut values = BTreeMap::new();
        for one in &known {
            values.extend(one.default.clone().map(|default| (one.name.clone(), default)));
        }
        for (name, text) in chosen {
            match known.iter().find(|one| one.name == *name) {
                None => errors.push(unknown(name, &known)),
                Some(one) => match one.read(text) {
                    Ok(value) => {
                        values.insert(name.clone(), value);
                    }
                    Err(message) => errors.push(FieldError::new(name, message)),
                },
            }
        }
        errors.extend(exclusive(&values));
        if errors.is_empty() { Ok(values) } else { Err(errors) }
    }

    fn check_instance_type(&self, instance_type: &str) -> Option<FieldError> {
        let Some(training) = &self.training else {
            return Some(FieldError::new(
                "base_model",
                format!("{} can't be fine-tuned. Choose a model that can.", self.name),
            ));
        };
        (!training.instance_types.iter().any(|one| one == instance_type)).then(|| {
            let possible = training.instance_types.join(", ");
            FieldError::new(
                "instance_type",
                format!("{} does not train on \"{instance_type}\". It trains on {possible}.", self.name),
            )
        })
    }
}

/// An unknown name, with the one that was meant where another family of models spells it so.
fn unknown(name: &str, known: &[Hyperparameter]) -> FieldError {
    let plain = |name: &str| name.replace('_', "").trim_end_matches('s').to_lowercase();
    let own = known.iter().filter(|one| one.scope == Scope::Algorithm);
    let message = match own.clone().find(|one| plain(&one.name) == plain(name)) {
        Some(near) => format!("This model has no setting \"{name}\"; its own is called {}.", near.name),
        None => {
            let names: Vec<_> = own.map(|one| one.name.as_str()).collect();
            format!("This model has no setting \"{name}\". It has {}.", names.join(", "))
        }
    };
    FieldError::new(name, message)
}

/// What the training scripts refuse after minutes of waiting and a bill: exactly one of quantised and sharded, and
/// data of one kind.
fn exclusive(values: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let on = |name: &str| values.get(name).map(|value| value == "True");
    if let (Some(quantised), Some(sharded)) = (on(QUANTISED), on(SHARDED))
        && quantised == sharded
    {
        let both = if quantised { "Both are" } else { "Neither is" };
        errors.push(FieldError::new(
            QUANTISED,
            format!(
                "{both} True: exactly one of {QUANTISED} and {SHARDED} must be. Set the one to True, the other to False."
            ),
        ));
    }
    if on(layout::INSTRUCTIONS) == Some(true) && on(layout::CHATS) == Some(true) {
        errors.push(FieldError::new(
            layout::INSTRUCTIONS,
            format!("At most one of {} and {} may be True.", layout::INSTRUCTIONS, layout::CHATS),
        ));
    }
    errors
}

#[cfg(test)]
mod tests;
