//! From a model and what a person chose to the request that trains it.

use crate::{
    backends::sagemaker::request::{
        Algorithm, DebugHook, InputChannel, KeyValue, Metric, ModelAccess, Output, Profiler, Resources,
        Stopping, TrainingRequest, Vpc,
    },
    domain::{
        field::FieldError,
        instance::has_own_disk,
        jumpstart::{Model, TrainingRecipe},
    },
};
use std::collections::BTreeMap;

/// What is chosen for one run.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    pub job_name: String,
    pub role_arn: String,
    pub region: String,
    pub instance_type: String,
    pub instance_count: u32,
    /// In GB, for machines that have no disk of their own; `None` takes the model's.
    pub volume_gb: Option<u32>,
    /// By the model's own names; what is left out takes its default.
    pub hyperparameters: BTreeMap<String, String>,
    /// The folder with the data: `s3://bucket/prefix/`.
    pub training_uri: String,
    pub validation_uri: Option<String>,
    /// Below it, SageMaker makes a folder with the job's name.
    pub output_uri: String,
    pub max_runtime_seconds: u64,
    /// The person accepted the licence of this version of the model.
    pub licence_accepted: bool,
    /// Ours, beside those that JumpStart's own tools set.
    pub tags: Vec<(String, String)>,
    pub kms_key: Option<String>,
    pub vpc: Option<Vpc>,
}

/// What machines with a disk of their own are asked for; SageMaker pays no regard to it there.
const NO_VOLUME: u32 = 30;

/// The request that AWS's own tools make, but for these, which we do better:
///
/// - the longest runtime is the person's, never more than the model's (100 hours, with JumpStart's own tools);
/// - the profiler is off, and so has no place to write to: it costs a processing job that nobody asked for;
/// - our own tags come after JumpStart's two;
/// - the person's key encrypts volume and result, and their VPC is used, where they have one;
/// - the result goes where they say, and so does the debugger's hook;
/// - `accept_eula` is sent for a gated model, and only when the person has accepted its licence: JumpStart's tools
///   leave it out where it is given as an argument, and send it unasked where it stands in the environment;
/// - settings that the model does not have are refused, not passed through.
///
/// # Errors
/// Every mistake at once, by field.
pub fn training_request(model: &Model, choices: &Choices) -> Result<TrainingRequest, Vec<FieldError>> {
    let values = model.settings(&choices.instance_type, &choices.hyperparameters);
    let Some(recipe) = &model.training else {
        // What the settings say then is exactly this.
        return Err(values.err().unwrap_or_default());
    };
    let mut errors = Vec::new();
    let mut field = |name: &str, message: String| errors.push(FieldError::new(name, message));
    if model.gated && !choices.licence_accepted {
        field(
            "licence",
            format!("Accept the licence of {} on its page; then start the training again.", model.name),
        );
    }
    let image = recipe.image_on(&choices.instance_type);
    if image.is_none() {
        field(
            "base_model",
            format!(
                "It is not known which container trains {} in {}. Use a region that JumpStart serves.",
                model.name, choices.region
            ),
        );
    }
    let (channel, gated_uri) = weights(model, recipe, &choices.instance_type);
    if channel.is_none() && gated_uri.is_none() {
        let possible: Vec<_> =
            recipe.instance_types.iter().filter(|kind| has_weights(model, recipe, kind)).collect();
        let possible: Vec<_> = possible.into_iter().map(String::as_str).collect();
        field(
            "instance_type",
            format!(
                "JumpStart has no files of {} for {}. It has some for {}.",
                model.name,
                choices.instance_type,
                possible.join(", ")
            ),
        );
    }
    let values = match values {
        Ok(values) if errors.is_empty() => values,
        Ok(_) => return Err(errors),
        Err(more) => {
            // Which machine it is settles whether there are files for it: once is enough.
            errors.retain(|error| more.iter().all(|other| other.field != error.field));
            errors.extend(more);
            return Err(errors);
        }
    };
    Ok(TrainingRequest {
        training_job_name: choices.job_name.clone(),
        role_arn: choices.role_arn.clone(),
        algorithm_specification: Algorithm {
            training_image: image.unwrap_or_default().to_owned(),
            training_input_mode: "File",
            metric_definitions: recipe
                .metrics
                .iter()
                .map(|metric| Metric { name: metric.name.clone(), regex: metric.regex.clone() })
                .collect(),
            container_entrypoint: Vec::new(),
            container_arguments: Vec::new(),
        },
        hyper_parameters: hyperparameters(values, choices),
        input_data_config: channels(recipe, channel, choices),
        output_data_config: Output {
            s3_output_path: choices.output_uri.clone(),
            compression_type: (!recipe.compressed_output).then(|| "NONE".to_owned()),
            kms_key_id: choices.kms_key.clone(),
        },
        resource_config: Resources {
            instance_type: choices.instance_type.clone(),
            instance_count: choices.instance_count.max(1),
            volume_size_in_gb: volume(recipe, choices),
            volume_kms_key_id: choices.kms_key.clone().filter(|_| !has_own_disk(&choices.instance_type)),
        },
        stopping_condition: Stopping {
            max_runtime_in_seconds: choices.max_runtime_seconds.min(recipe.max_runtime_seconds),
            max_wait_time_in_seconds: None,
        },
        vpc_config: choices.vpc.clone(),
        checkpoint_config: None,
        environment: environment(model, recipe, gated_uri, choices),
        tags: tags(model, choices),
        enable_network_isolation: recipe.network_isolation,
        enable_inter_container_traffic_encryption: recipe.encrypt_traffic,
        enable_managed_spot_training: false,
        debug_hook_config: Some(DebugHook {
            s3_output_path: choices.output_uri.clone(),
            collection_configurations: [],
        }),
        profiler_config: Profiler { disable_profiler: true },
    })
}

/// Where the weights come from: a channel of their own, or an address that the container of a gated model reads
/// itself. A gated model uses the channel only where it has no such address.
fn weights<'a>(
    model: &Model,
    recipe: &'a TrainingRecipe,
    instance_type: &str,
) -> (Option<InputChannel>, Option<&'a str>) {
    let gated_uri = recipe.gated_uri_on(instance_type);
    if gated_uri.is_some() {
        return (None, gated_uri);
    }
    let channel = recipe.artifact_uri_on(instance_type).map(|uri| {
        let mut channel = InputChannel::of("model", uri.to_owned(), Some("application/x-sagemaker-model"));
        channel.input_mode = Some("File");
        channel.data_source.s3_data_source.model_access_config =
            model.gated.then_some(ModelAccess { accept_eula: true });
        channel
    });
    (channel, None)
}

fn has_weights(model: &Model, recipe: &TrainingRecipe, instance_type: &str) -> bool {
    let (channel, gated_uri) = weights(model, recipe, instance_type);
    channel.is_some() || gated_uri.is_some()
}

fn channels(recipe: &TrainingRecipe, model: Option<InputChannel>, choices: &Choices) -> Vec<InputChannel> {
    let data = |name: &str, uri: &String| InputChannel::of(name, uri.clone(), None);
    let mut all = vec![data("training", &choices.training_uri)];
    all.extend(choices.validation_uri.as_ref().map(|uri| data("validation", uri)));
    all.extend(model);
    all.push(data("code", &recipe.script_uri));
    all
}

/// The container reads every value as JSON, so text is quoted; its log level it reads as it stands.
fn hyperparameters(values: BTreeMap<String, String>, choices: &Choices) -> BTreeMap<String, String> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut all: BTreeMap<String, String> = values
        .into_iter()
        .map(|(name, value)| {
            let value = if name == "sagemaker_container_log_level" { value } else { quoted(&value) };
            (name, value)
        })
        .collect();
    all.insert("sagemaker_job_name".to_owned(), quoted(&choices.job_name));
    all.insert("sagemaker_region".to_owned(), quoted(&choices.region));
    all
}

fn environment(
    model: &Model,
    recipe: &TrainingRecipe,
    gated_uri: Option<&str>,
    choices: &Choices,
) -> BTreeMap<String, String> {
    let mut all = recipe.environment_on(&choices.instance_type);
    if let Some(uri) = gated_uri {
        all.insert("SageMakerGatedModelS3Uri".to_owned(), uri.to_owned());
    }
    if model.gated && choices.licence_accepted {
        all.insert("accept_eula".to_owned(), "true".to_owned());
    }
    all
}

fn tags(model: &Model, choices: &Choices) -> Vec<KeyValue> {
    let theirs = [("model-id", &model.id), ("model-version", &model.version)]
        .map(|(key, value)| (format!("sagemaker-sdk:jumpstart-{key}"), value.clone()));
    let all = theirs.into_iter().chain(choices.tags.iter().cloned());
    all.map(|(key, value)| KeyValue { key, value }).collect()
}

fn volume(recipe: &TrainingRecipe, choices: &Choices) -> u32 {
    if has_own_disk(&choices.instance_type) {
        NO_VOLUME
    } else {
        choices.volume_gb.unwrap_or(recipe.volume_gb)
    }
}
