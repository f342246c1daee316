//! Sends a job's data to the bucket and makes the training job. Each step may be the last before a crash and each may
//! be done again.

use super::{
    Inner, blocking, failure, images,
    jumpstart::training::{Choices, training_request},
    look, names,
    package::{self, METRICS, PROGRAM},
    request::{
        Algorithm, Checkpoints, InputChannel, KeyValue, Metric, Output, Profiler, Resources, Stopping,
        TrainingRequest, Vpc,
    },
    stored, tags,
};
use crate::{
    aws::Failure,
    backends::{BackendError, RunOutcome, catalogue::CatalogueError},
    domain::{
        cloud::{CloudSpec, Route},
        instance::has_own_disk,
        job::{BaseModel, Job},
    },
};
use aws_sdk_sagemaker::operation::describe_training_job::DescribeTrainingJobOutput;
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// How long a spot job may wait for spare capacity, beyond its own time.
const SPOT_WAIT: u64 = 24 * 3600;

pub async fn start(inner: &Inner, job: &Job) -> Result<(), BackendError> {
    let name = names::external(job);
    let (Some(spec), Some(run)) = (&job.spec.cloud, &job.cloud) else {
        return Err(BackendError::Io("the job has no place on SageMaker".to_owned()));
    };
    if let Some(found) = look::describe(inner, &name).await? {
        return adopt(inner, job, &found).await;
    }
    let channels = send(inner, job).await?;
    let request = match &spec.route {
        Route::JumpStart { model, version } => {
            jumpstart(inner, job, spec, &run.instance_type, (model, version), channels).await?
        }
        Route::Image => container(inner, job, spec, &run.instance_type, channels, own_image(inner, job)?),
        Route::Script => container(inner, job, spec, &run.instance_type, channels, hugging_face(inner, job)),
    };
    match request.fill(inner.sagemaker.create_training_job()).send().await {
        Ok(_) => Ok(()),
        Err(error) => match Failure::of(&error) {
            // An earlier call of ours came through, and only its answer was lost.
            Failure::Refused { code, .. } if code == "ResourceInUse" => {
                match look::describe(inner, &name).await? {
                    Some(found) => adopt(inner, job, &found).await,
                    None => {
                        Err(BackendError::Unavailable("AWS is not of one mind about the job.".to_owned()))
                    }
                }
            }
            failure => Err(failure::of_call(&failure, "start the training job")),
        },
    }
}

async fn adopt(inner: &Inner, job: &Job, found: &DescribeTrainingJobOutput) -> Result<(), BackendError> {
    if is_ours(inner, job, found).await? {
        tracing::info!(job = %job.id, "a training job that was made already is taken on");
        return Ok(());
    }
    match taken(&names::external(job)) {
        RunOutcome::Failed { message, next_step } => {
            Err(BackendError::Refused { cause: message, next_step: next_step.unwrap_or_default() })
        }
        _ => Ok(()),
    }
}

/// Was this training job made for this job?
pub async fn is_ours(
    inner: &Inner,
    job: &Job,
    found: &DescribeTrainingJobOutput,
) -> Result<bool, BackendError> {
    let arn = found.training_job_arn().unwrap_or_default();
    let found = inner.sagemaker.list_tags().resource_arn(arn).send().await;
    let found =
        found.map_err(|error| failure::of_call(&Failure::of(&error), "read the training job's tags"))?;
    Ok(found.tags().iter().any(|tag| tag.key() == Some(tags::JOB) && tag.value() == Some(job.id.as_str())))
}

pub fn taken(name: &str) -> RunOutcome {
    RunOutcome::Failed {
        message: format!("The AWS account already has a training job called {name} that is not ours."),
        next_step: Some("Clone the job: the new one gets a name of its own.".to_owned()),
    }
}

/// Puts what the job reads into the bucket, once; the channels by name, with where they lie.
async fn send(inner: &Inner, job: &Job) -> Result<BTreeMap<String, String>, BackendError> {
    let directory = inner.directory(&job.id);
    let (data, owner) = (directory.join("input/data"), job.user_id.to_string());
    let (files, base) = blocking({
        let directory = directory.clone();
        move || {
            // Who cleans up without the row finds the bucket's folders by it.
            fs::write(directory.join("owner"), owner)?;
            let base = match fs::read_to_string(directory.join("input/config/base")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                other => Some(other?),
            };
            Ok((files(&data)?, base))
        }
    })
    .await?;
    let prefix = names::inputs(&job.user_id, &job.id);
    let done = directory.join("sent");
    if !done.exists() {
        for (key, path) in &files {
            inner.storage.put_file(&format!("{prefix}/{key}"), path).await.map_err(stored)?;
        }
        if is_script(job) {
            let packed = Bytes::from(package::sourcedir().map_err(super::disk)?);
            let content = stream::iter([Ok(packed)]).boxed();
            inner.storage.put(&source(job), content, u64::MAX).await.map_err(stored)?;
        }
        blocking(move || fs::write(done, "")).await?;
    }
    let mut channels: BTreeMap<String, String> = files
        .iter()
        .filter_map(|(key, _)| key.split_once('/'))
        .map(|(channel, _)| (channel.to_owned(), inner.bucket.uri(&format!("{prefix}/{channel}/"))))
        .collect();
    if let Some(base) = base {
        // Its files lie in the bucket already.
        channels.insert("model".to_owned(), inner.bucket.uri(&format!("{}/", base.trim())));
    }
    Ok(channels)
}

fn is_script(job: &Job) -> bool {
    job.spec.cloud.as_ref().is_some_and(|spec| spec.route == Route::Script)
}

/// The key of the packed script.
fn source(job: &Job) -> String {
    format!("{}/code/sourcedir.tar.gz", names::inputs(&job.user_id, &job.id))
}

/// The files below a directory with their `/`-separated paths; a base model may be a link to its directory.
fn files(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let path = folder.join(entry?.file_name());
            let full = root.join(&path);
            let kind = fs::metadata(&full)?;
            match path.to_str() {
                // Deeper than a channel's own folders there are no links of ours.
                Some(_) if kind.is_dir() && path.components().count() < 8 => open.push(path),
                Some(key) if kind.is_file() && !key.contains("/.") => found.push((key.to_owned(), full)),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A container that runs the job's directory as this machine does.
struct Container {
    image: String,
    hyper_parameters: BTreeMap<String, String>,
    isolated: bool,
}

/// It needs nothing of the network, and gets nothing: the data can't leave.
fn own_image(inner: &Inner, job: &Job) -> Result<Container, BackendError> {
    let image = inner.settings.training_image.clone().ok_or_else(|| BackendError::Refused {
        cause: "No image of our own is set for SageMaker.".to_owned(),
        next_step: "Set SAGEMAKER_TRAINING_IMAGE, or choose the Hugging Face container.".to_owned(),
    })?;
    Ok(Container { image, hyper_parameters: job.spec.hyperparameters.clone(), isolated: true })
}

/// Its requirements come from the network.
fn hugging_face(inner: &Inner, job: &Job) -> Container {
    let named = inner.settings.hugging_face_image.clone();
    Container {
        image: named.unwrap_or_else(|| images::training(&inner.region)),
        hyper_parameters: script_settings(inner, job),
        isolated: false,
    }
}

/// The request for such a container.
fn container(
    inner: &Inner,
    job: &Job,
    spec: &CloudSpec,
    instance_type: &str,
    channels: BTreeMap<String, String>,
    Container { image, hyper_parameters, isolated }: Container,
) -> TrainingRequest {
    let settings = &inner.settings;
    let input_data_config = channels
        .into_iter()
        .map(|(channel, uri)| {
            let kind = (channel != "model").then_some("application/jsonlines");
            InputChannel::of(&channel, uri, kind)
        })
        .collect();
    TrainingRequest {
        training_job_name: names::external(job),
        role_arn: settings.role_arn.clone().unwrap_or_default(),
        algorithm_specification: Algorithm {
            training_image: image,
            training_input_mode: "File",
            metric_definitions: serde_json::from_str::<Vec<Metric>>(METRICS).unwrap_or_default(),
            container_entrypoint: Vec::new(),
            container_arguments: Vec::new(),
        },
        hyper_parameters,
        input_data_config,
        output_data_config: Output {
            s3_output_path: inner.bucket.uri(&names::output(&job.user_id, &job.id)),
            compression_type: Some("NONE".to_owned()),
            kms_key_id: settings.kms_key_id.clone(),
        },
        resource_config: Resources {
            instance_type: instance_type.to_owned(),
            instance_count: spec.instance_count,
            volume_size_in_gb: spec.volume_gb,
            volume_kms_key_id: settings.kms_key_id.clone().filter(|_| !has_own_disk(instance_type)),
        },
        stopping_condition: Stopping {
            max_runtime_in_seconds: spec.max_runtime_seconds,
            max_wait_time_in_seconds: spec.spot.then_some(spec.max_runtime_seconds + SPOT_WAIT),
        },
        vpc_config: vpc(inner),
        checkpoint_config: Some(Checkpoints {
            s3_uri: inner.bucket.uri(&format!("{}/", names::checkpoints(&job.user_id, &job.id))),
            local_path: "/opt/ml/checkpoints".to_owned(),
        }),
        environment: BTreeMap::new(),
        tags: our_tags(inner, job).into_iter().map(|(key, value)| KeyValue { key, value }).collect(),
        enable_network_isolation: isolated,
        enable_inter_container_traffic_encryption: false,
        enable_managed_spot_training: spec.spot,
        debug_hook_config: None,
        profiler_config: Profiler { disable_profiler: true },
    }
}

fn our_tags(inner: &Inner, job: &Job) -> Vec<(String, String)> {
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    vec![
        tag(tags::JOB, job.id.as_str()),
        tag(tags::OWNER, job.user_id.as_str()),
        tag(tags::INSTALLATION, &inner.settings.installation),
    ]
}

fn vpc(inner: &Inner) -> Option<Vpc> {
    let settings = &inner.settings;
    (!settings.subnets.is_empty()).then(|| Vpc {
        security_group_ids: settings.security_groups.clone(),
        subnets: settings.subnets.clone(),
    })
}

/// The request for a JumpStart model, of the very version that the job was planned with.
async fn jumpstart(
    inner: &Inner,
    job: &Job,
    spec: &CloudSpec,
    instance_type: &str,
    (id, version): (&str, &str),
    channels: BTreeMap<String, String>,
) -> Result<TrainingRequest, BackendError> {
    let found = inner.catalogue.model(id, Some(version)).await.map_err(|error| match error {
        CatalogueError::NoAnswer(why) => BackendError::Unavailable(failure::sentence(&why)),
        other => BackendError::Refused {
            cause: format!("JumpStart's {id} {version} can't be had any more: {other}."),
            next_step: "Start a new job with the model as the catalogue has it now.".to_owned(),
        },
    })?;
    let choices = Choices {
        job_name: names::external(job),
        role_arn: inner.settings.role_arn.clone().unwrap_or_default(),
        region: inner.region.clone(),
        instance_type: instance_type.to_owned(),
        instance_count: spec.instance_count,
        volume_gb: None,
        hyperparameters: job.spec.hyperparameters.clone(),
        training_uri: channels.get("training").cloned().unwrap_or_default(),
        validation_uri: channels.get("validation").cloned(),
        output_uri: inner.bucket.uri(&names::output(&job.user_id, &job.id)),
        max_runtime_seconds: spec.max_runtime_seconds,
        licence_accepted: spec.licence_accepted,
        tags: our_tags(inner, job),
        kms_key: inner.settings.kms_key_id.clone(),
        vpc: vpc(inner),
    };
    training_request(&found.model, &choices).map_err(|errors| BackendError::Refused {
        cause: errors.into_iter().map(|error| error.message).collect::<Vec<_>>().join(" "),
        next_step: "Clone the job and change what is named.".to_owned(),
    })
}

/// The settings as SageMaker's own Python library hands them to its framework containers: every value as JSON.
fn script_settings(inner: &Inner, job: &Job) -> BTreeMap<String, String> {
    let mut settings = job.spec.hyperparameters.clone();
    if let BaseModel::Hub { id } = &job.spec.base {
        settings.insert("model_id".to_owned(), id.clone());
    }
    settings.insert("sagemaker_program".to_owned(), PROGRAM.to_owned());
    settings.insert("sagemaker_submit_directory".to_owned(), inner.bucket.uri(&source(job)));
    settings.insert("sagemaker_job_name".to_owned(), names::external(job));
    settings.insert("sagemaker_region".to_owned(), inner.region.clone());
    let mut settings: BTreeMap<String, String> = settings
        .into_iter()
        .map(|(name, value)| (name, serde_json::Value::from(value).to_string()))
        .collect();
    // A number, as that library sends it.
    settings.insert("sagemaker_container_log_level".to_owned(), "20".to_owned());
    settings
}
