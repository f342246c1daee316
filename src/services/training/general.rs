//! A job for SageMaker in general words, as a script sends them for any model: the model's short name, and settings by
//! the names that most trainers share. Brought here to the words that the plan knows.

use super::{Request, Training};
use crate::{
    domain::{
        field::FieldError,
        job::Job,
        jumpstart::{Listed, Model},
    },
    services::{
        context::Actor,
        error::{ServiceError, ServiceResult},
    },
};
use std::collections::BTreeMap;

/// What the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Any model that can be trained there, by the container that fits.
    SageMaker,
    /// A model of JumpStart's catalogue.
    JumpStart,
}

/// Names of settings that JumpStart's scripts may have under another one.
const ELSEWHERE: [(&str, &str); 3] = [
    ("epochs", "epoch"),
    ("batch_size", "per_device_train_batch_size"),
    ("max_sequence_length", "max_input_length"),
];
/// The share of the rows that JumpStart's scripts hold out.
const SHARE: (&str, &str) = ("validation_share", "validation_split_ratio");

impl Training {
    /// Starts a job like [`start`](Self::start), on SageMaker, from general words.
    ///
    /// # Errors
    /// As there; mistakes are told under the names that the caller used.
    pub async fn start_on_sagemaker(
        &self,
        actor: &Actor,
        mut request: Request,
        target: Target,
    ) -> ServiceResult<Job> {
        self.cloud().check()?;
        if request.place.place == "local" {
            return Err(ServiceError::invalid(
                "place",
                "This starts jobs on SageMaker. POST /api/start-training starts one on this machine.",
            ));
        }
        request.base = self.base_of(&request, target).await?;
        let mut renamed = BTreeMap::new();
        if let Some(id) = request.base.strip_prefix("jumpstart:") {
            let model = self.cloud().model(id).await?;
            renamed = own_names(&mut request, &model);
        } else if request.place.place.is_empty() {
            let own = request.base == "nano" && self.cloud().own_image;
            request.place.place = if own { "image" } else { "script" }.to_owned();
        }
        self.start(actor, &request).await.map_err(|error| match error {
            ServiceError::Invalid(fields) => ServiceError::Invalid(
                fields.into_iter().map(|field| under_its_first_name(field, &renamed)).collect(),
            ),
            other => other,
        })
    }

    /// The key of the model that is meant.
    async fn base_of(&self, request: &Request, target: Target) -> ServiceResult<String> {
        let name = request.base.trim();
        let prefixed = name.split_once(':').is_some();
        let jumpstart =
            target == Target::JumpStart || matches!(request.place.place.as_str(), "" | "jumpstart");
        match target {
            Target::JumpStart if name.starts_with("jumpstart:") => return Ok(name.to_owned()),
            Target::SageMaker if prefixed || name == "nano" => return Ok(name.to_owned()),
            Target::SageMaker if name.contains('/') => return Ok(format!("hub:{name}")),
            _ => {}
        }
        let listing = if jumpstart { self.cloud().catalogue.list().await.models } else { Default::default() };
        match (called(&listing, name), target) {
            (Some(model), _) => Ok(format!("jumpstart:{}", model.id)),
            // A directory or a model of the caller by its plain name.
            (None, Target::SageMaker) => Ok(name.to_owned()),
            (None, Target::JumpStart) => Err(ServiceError::invalid(
                "base_model",
                format!(
                    "JumpStart has no model called \"{}\". GET /api/jumpstart-models lists them.",
                    name.chars().take(80).collect::<String>()
                ),
            )),
        }
    }
}

/// The model of this id, or else the one whose id ends in this name; of several one that can be fine-tuned, and then
/// the one with the shortest id: the plain one, not a variant for other chips.
fn called<'a>(models: &'a [Listed], name: &str) -> Option<&'a Listed> {
    let name = name.to_lowercase();
    let end = format!("-{name}");
    let matching =
        models.iter().filter(|model| !name.is_empty() && (model.id == name || model.id.ends_with(&end)));
    matching.min_by_key(|model| (model.id != name, !model.fine_tuning, model.id.len(), &model.id))
}

/// Gives settings the names that this model has for them; answers which name stands for which.
fn own_names(request: &mut Request, model: &Model) -> BTreeMap<String, String> {
    let kind = match request.place.instance_type.trim() {
        "" => model.training.as_ref().map_or("", |recipe| &recipe.default_instance_type),
        kind => kind,
    };
    let known = model.hyperparameters_on(kind);
    let has = |name: &str| known.iter().any(|one| one.name == name);
    let mut renamed = BTreeMap::new();
    let share = std::mem::take(&mut request.validation_share);
    if !share.is_empty() {
        request.hyperparameters.insert(SHARE.0.to_owned(), share);
    }
    for (general, own) in ELSEWHERE.into_iter().chain([SHARE]) {
        // Where both are given it is not for us to choose: the plan refuses the one that the model does not have.
        if has(general) || !has(own) || request.hyperparameters.contains_key(own) {
            continue;
        }
        if let Some(value) = request.hyperparameters.remove(general) {
            request.hyperparameters.insert(own.to_owned(), value);
            renamed.insert(own.to_owned(), general.to_owned());
        }
    }
    renamed
}

fn under_its_first_name(error: FieldError, renamed: &BTreeMap<String, String>) -> FieldError {
    match renamed.get(&error.field) {
        Some(general) => FieldError { field: general.clone(), ..error },
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, fine_tuning: bool) -> Listed {
        Listed {
            id: id.to_owned(),
            version: "1.0.0".to_owned(),
            name: id.to_owned(),
            description: String::new(),
            provider: String::new(),
            task: String::new(),
            fine_tuning,
        }
    }

    #[test]
    fn short_names_mean_the_plain_model_that_can_be_tuned() {
        let models = [
            listed("huggingface-llm-llama-2-7b", false),
            listed("huggingface-text2text-flan-t5-base", true),
            listed("huggingface-text2text-flan-t5-base-samsum", true),
            listed("meta-textgeneration-llama-2-7b", true),
            listed("meta-textgeneration-llama-2-7b-f", true),
            listed("meta-textgenerationneuron-llama-2-7b", true),
            listed("small", false),
        ];
        let id = |name: &str| called(&models, name).map(|model| model.id.as_str());
        assert_eq!(id("llama-2-7b"), Some("meta-textgeneration-llama-2-7b"));
        assert_eq!(id("Llama-2-7B-f"), Some("meta-textgeneration-llama-2-7b-f"));
        assert_eq!(id("flan-t5-base"), Some("huggingface-text2text-flan-t5-base"));
        assert_eq!(id("meta-textgenerationneuron-llama-2-7b"), Some("meta-textgenerationneuron-llama-2-7b"));
        assert_eq!(id("small"), Some("small"));
        for unknown in ["", "base-", "lama-2-7b", "flan-t5"] {
            assert_eq!(id(unknown), None, "{unknown}");
        }
    }
}
