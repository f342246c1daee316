//! Reads a `HubContentDocument`: what JumpStart's hub says about one version of one model, as PascalCase JSON.
//!
//! AWS adds fields and leaves others out. What is not known is passed over, what is missing takes SageMaker's own
//! default, and a document without the essentials is told apart, with the reason. Fields as
//! <https://docs.aws.amazon.com/sagemaker/latest/dg/jumpstart-foundation-models-latest.html> and real documents have
//! them.

use super::fields::{flag, keywords, list, number, pairs, s3, slug, text, whole};
use crate::domain::{
    instance::family,
    jumpstart::{
        HostingRecipe, Hyperparameter, Kind, Licence, Listed, Metric, Model, Payload, Scope, Source,
        TrainingRecipe, Variant,
    },
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What stands beside the document.
pub struct Entry<'a> {
    pub id: &'a str,
    pub version: &'a str,
    pub name: &'a str,
    pub description: &'a str,
    /// `@task:text-generation`, `@capability:fine-tuning` …
    pub keywords: &'a [String],
}

/// Why a document can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// Seconds that a container may take to fetch a model and to start: what JumpStart itself gives large models.
const LONG_START: u32 = 1_200;
/// SageMaker's own default, one day.
const ONE_DAY: u64 = 86_400;
/// SageMaker's own default volume, in GB.
const SMALL_VOLUME: u32 = 30;

/// One line of the catalogue, from what stands beside the document.
pub fn listed(entry: &Entry<'_>) -> Listed {
    let told = |key: &str| keywords(entry.keywords, key).next().map(str::to_owned);
    let provider = told("provider").or_else(|| told("framework"));
    Listed {
        id: entry.id.to_owned(),
        version: entry.version.to_owned(),
        name: if entry.name.is_empty() { entry.id } else { entry.name }.to_owned(),
        description: entry.description.to_owned(),
        provider: provider.unwrap_or_else(|| entry.id.split('-').next().unwrap_or_default().to_owned()),
        task: told("task").map(|task| slug(&task)).unwrap_or_default(),
        fine_tuning: keywords(entry.keywords, "capability")
            .any(|capability| slug(capability) == "fine-tuning"),
    }
}

/// The model that the document describes, with the addresses of this region.
///
/// # Errors
/// `Unusable` where it is no document, or says neither how to train nor how to host.
pub fn parse(entry: &Entry<'_>, document: &Value, region: &str, source: Source) -> Result<Model, Unusable> {
    if !document.is_object() {
        return Err(Unusable(format!("the description of {} is no JSON object", entry.id)));
    }
    let listed = listed(entry);
    let training = training(document, region).map_err(|why| Unusable(format!("{} {why}", entry.id)))?;
    let hosting = hosting(document, region);
    if training.is_none() && hosting.is_none() {
        return Err(Unusable(format!("{} says neither how to train it nor how to host it", entry.id)));
    }
    Ok(Model {
        provider: text(document, "Provider").unwrap_or(&listed.provider).to_owned(),
        task: text(document, "Task").map_or(listed.task, slug),
        id: listed.id,
        version: listed.version,
        name: listed.name,
        description: listed.description,
        gated: flag(document, "GatedBucket").unwrap_or(false),
        licence: licence(document, region),
        hyperparameters: hyperparameters(document),
        training,
        hosting,
        source,
    })
}

fn licence(document: &Value, region: &str) -> Option<Licence> {
    let eula = s3(document, "HostingEulaUri");
    let name = match text(document, "License") {
        Some(name) => name.to_owned(),
        // `llama3_1Eula.txt` tells the version; the document may tell nothing else.
        None => eula?.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    // The file is public; browsers want https.
    let url = eula.and_then(|uri| uri.strip_prefix("s3://")?.split_once('/')).map(|(bucket, key)| {
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        format!("https://{bucket}.s3.{region}.amazonaws.com{suffix}/{key}")
    });
    let url = url.or_else(|| text(document, "Url").map(str::to_owned))?;
    Some(Licence { name, url })
}

/// `Ok(None)` where the model can't be fine-tuned; an error where it can, but the document does not say how.
fn training(document: &Value, region: &str) -> Result<Option<TrainingRecipe>, String> {
    let trains = flag(document, "TrainingSupported").unwrap_or(false);
    if !trains || flag(document, "FineTuningSupported") == Some(false) {
        return Ok(None);
    }
    let script_uri =
        s3(document, "TrainingScriptUri").ok_or("does not say with which script it is trained")?;
    let instance_types = instance_types(document, "SupportedTrainingInstanceTypes");
    let default = text(document, "DefaultTrainingInstanceType")
        .filter(|one| instance_types.iter().any(|possible| possible == one))
        .or(instance_types.first().map(String::as_str))
        .ok_or("does not say on which instance types it trains")?;
    Ok(Some(TrainingRecipe {
        // Without one it can be shown, and not trained.
        image: text(document, "TrainingEcrUri").map(str::to_owned),
        variants: variants(&document["TrainingInstanceTypeVariants"], region),
        script_uri: script_uri.to_owned(),
        artifact_uri: s3(document, "TrainingArtifactUri").map(str::to_owned),
        environment: environment(document, "TrainingEnvironmentVariables"),
        default_instance_type: default.to_owned(),
        metrics: list(document, "TrainingMetrics").filter_map(metric).take(40).collect(),
        network_isolation: flag(document, "TrainingEnableNetworkIsolation").unwrap_or(false),
        encrypt_traffic: flag(document, "EncryptInterContainerTraffic").unwrap_or(false),
        volume_gb: whole(document, "TrainingVolumeSize").unwrap_or(SMALL_VOLUME),
        max_runtime_seconds: whole(document, "MaxRuntimeInSeconds").unwrap_or(ONE_DAY),
        compressed_output: !flag(document, "DisableOutputCompression").unwrap_or(false),
        instance_types,
    }))
}

/// `None` where anything essential is missing.
fn hosting(document: &Value, region: &str) -> Option<HostingRecipe> {
    let preferred = preferred_component(document);
    // A component repeats the fields of the document that it changes.
    let from = |field: &str| match preferred {
        Some(component) if component.get(field).is_some() => component,
        _ => document,
    };
    let instance_types =
        instance_types(from("SupportedInferenceInstanceTypes"), "SupportedInferenceInstanceTypes");
    let default = text(from("DefaultInferenceInstanceType"), "DefaultInferenceInstanceType")
        .filter(|one| instance_types.iter().any(|possible| possible == one))
        .or(instance_types.first().map(String::as_str))?
        .to_owned();
    let image = text(from("HostingEcrUri"), "HostingEcrUri").map(str::to_owned);
    let variants = variants(&from("HostingInstanceTypeVariants")["HostingInstanceTypeVariants"], region);
    if image.is_none() && variants.values().all(|variant| variant.image.is_none()) {
        return None;
    }
    let own = |field: &str| text(from(field), field);
    let with_script = flag(from("HostingUseScriptUri"), "HostingUseScriptUri").unwrap_or(true);
    Some(HostingRecipe {
        image,
        variants,
        artifact_uri: s3(from("HostingArtifactUri"), "HostingArtifactUri").map(str::to_owned),
        artifact_data_type: own("HostingArtifactS3DataType").unwrap_or("S3Object").to_owned(),
        artifact_compression: own("HostingArtifactCompressionType").unwrap_or("Gzip").to_owned(),
        script_uri: s3(from("HostingScriptUri"), "HostingScriptUri")
            .filter(|_| with_script)
            .map(str::to_owned),
        default_instance_type: default,
        instance_types,
        environment: environment(from("InferenceEnvironmentVariables"), "InferenceEnvironmentVariables"),
        network_isolation: flag(from("InferenceEnableNetworkIsolation"), "InferenceEnableNetworkIsolation")
            .unwrap_or(false),
        download_timeout_seconds: whole(from("ModelDataDownloadTimeout"), "ModelDataDownloadTimeout")
            .unwrap_or(LONG_START),
        startup_timeout_seconds: whole(
            from("ContainerStartupHealthCheckTimeout"),
            "ContainerStartupHealthCheckTimeout",
        )
        .unwrap_or(LONG_START),
        payload: from("DefaultPayloads")["DefaultPayloads"]
            .as_object()
            .and_then(|all| all.values().find_map(payload)),
    })
}

/// Newer documents know several ways to host; the first of their ranking is JumpStart's own choice.
fn preferred_component(document: &Value) -> Option<&Value> {
    let first = document["InferenceConfigRankings"]["overall"]["Rankings"][0].as_str()?;
    let component = document["InferenceConfigs"][first]["ComponentNames"][0].as_str().unwrap_or(first);
    Some(&document["InferenceConfigComponents"][component]).filter(|component| component.is_object())
}

fn instance_types(document: &Value, field: &str) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for one in list(document, field).filter_map(Value::as_str) {
        if one.starts_with("ml.") && !family(one).is_empty() && !types.iter().any(|known| known == one) {
            types.push(one.to_owned());
        }
    }
    types
}

/// By family or type. An address that begins with `$` stands in the aliases of the region.
fn variants(value: &Value, region: &str) -> BTreeMap<String, Variant> {
    let aliases = ["RegionalAliases", "Aliases"]
        .into_iter()
        .map(|name| &value[name])
        .find(|aliases| aliases.is_object())
        .map(|aliases| aliases.get(region).unwrap_or(aliases));
    let resolve = |text: &str| match text.strip_prefix('$') {
        None => Some(text.to_owned()),
        Some(alias) => aliases?.get(alias)?.as_str().map(str::to_owned),
    };
    let variant = |one: &Value| {
        // What holds in this region alone comes first.
        let both = [&one["RegionalProperties"], &one["Properties"]];
        let address = |field: &str| both.into_iter().find_map(|from| resolve(text(from, field)?));
        Variant {
            image: address("ImageUri"),
            gated_uri: address("GatedModelEnvVarUri").filter(|uri| uri.starts_with("s3://")),
            artifact_uri: address("TrainingArtifactUri").filter(|uri| uri.starts_with("s3://")),
            environment: pairs(&one["Properties"]["EnvironmentVariables"]),
            hyperparameters: hyperparameters(&one["Properties"]),
        }
    };
    let all = value["Variants"].as_object();
    all.into_iter().flatten().map(|(name, one)| (name.clone(), variant(one))).collect()
}

fn hyperparameters(document: &Value) -> Vec<Hyperparameter> {
    let mut known: Vec<Hyperparameter> = Vec::new();
    for one in list(document, "Hyperparameters").filter_map(hyperparameter) {
        if known.iter().all(|other| other.name != one.name) {
            known.push(one);
        }
    }
    known
}

fn hyperparameter(value: &Value) -> Option<Hyperparameter> {
    Some(Hyperparameter {
        name: text(value, "Name").filter(|name| name.len() <= 256)?.to_owned(),
        kind: match text(value, "Type") {
            Some("int") => Kind::Int,
            Some("float") => Kind::Float,
            _ => Kind::Text,
        },
        default: super::fields::scalar(value, "Default"),
        min: number(value, "Min"),
        max: number(value, "Max"),
        options: list(value, "Options").filter_map(super::fields::as_text).collect(),
        scope: if text(value, "Scope") == Some("container") { Scope::Container } else { Scope::Algorithm },
    })
}

fn metric(value: &Value) -> Option<Metric> {
    Some(Metric { name: text(value, "Name")?.to_owned(), regex: text(value, "Regex")?.to_owned() })
}

/// Those that the container can't do without; the rest only repeats what it does by itself.
fn environment(document: &Value, field: &str) -> BTreeMap<String, String> {
    list(document, field)
        .filter(|one| flag(one, "RequiredForModelClass").unwrap_or(true))
        .filter_map(|one| Some((text(one, "Name")?.to_owned(), super::fields::scalar(one, "Default")?)))
        .collect()
}

fn payload(value: &Value) -> Option<Payload> {
    Some(Payload {
        content_type: text(value, "ContentType")?.to_owned(),
        prompt_key: text(value, "PromptKey").map(str::to_owned),
        answer_path: text(&value["OutputKeys"], "generated_text").map(str::to_owned),
        body: value.get("Body")?.clone(),
    })
}
