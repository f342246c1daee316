//! A request for a training job, as plain data in the shape of AWS's `CreateTrainingJob`, so that it can be compared
//! with one that AWS's own tools send. The SDK's types are made from it in one place, here.

use aws_sdk_sagemaker::{
    operation::create_training_job::builders::CreateTrainingJobFluentBuilder as Builder,
    types::{
        AlgorithmSpecification, Channel, CheckpointConfig, DataSource, DebugHookConfig, MetricDefinition,
        ModelAccessConfig, OutputCompressionType, OutputDataConfig, ProfilerConfig, ResourceConfig,
        S3DataDistribution, S3DataSource, S3DataType, StoppingCondition, Tag, TrainingInputMode,
        TrainingInstanceType, VpcConfig,
    },
};
use serde::Serialize;
use std::collections::BTreeMap;

/// <https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html>. What is `None` or empty is
/// not sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TrainingRequest {
    pub training_job_name: String,
    pub role_arn: String,
    pub algorithm_specification: Algorithm,
    pub hyper_parameters: BTreeMap<String, String>,
    pub input_data_config: Vec<InputChannel>,
    pub output_data_config: Output,
    pub resource_config: Resources,
    pub stopping_condition: Stopping,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_config: Option<Vpc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_config: Option<Checkpoints>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    pub tags: Vec<KeyValue>,
    pub enable_network_isolation: bool,
    pub enable_inter_container_traffic_encryption: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enable_managed_spot_training: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug_hook_config: Option<DebugHook>,
    pub profiler_config: Profiler,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Algorithm {
    pub training_image: String,
    /// Always `File`.
    pub training_input_mode: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metric_definitions: Vec<Metric>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_arguments: Vec<String>,
}

/// What SageMaker finds in the log's lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metric {
    pub name: String,
    pub regex: String,
}

/// A folder below `/opt/ml/input/data`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InputChannel {
    pub channel_name: String,
    pub data_source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Only where it is said again for this channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_mode: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Source {
    pub s3_data_source: S3Source,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct S3Source {
    /// Always `S3Prefix`.
    pub s3_data_type: &'static str,
    pub s3_uri: String,
    /// Always `FullyReplicated`.
    pub s3_data_distribution_type: &'static str,
    /// For a gated model's own files, where the person has accepted its licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_access_config: Option<ModelAccess>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModelAccess {
    pub accept_eula: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    pub s3_output_path: String,
    /// `NONE` leaves the files as they are; otherwise SageMaker packs them into `model.tar.gz`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Resources {
    pub instance_type: String,
    pub instance_count: u32,
    #[serde(rename = "VolumeSizeInGB")]
    pub volume_size_in_gb: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_kms_key_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Stopping {
    pub max_runtime_in_seconds: u64,
    /// Waiting for spare capacity included; only for spot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait_time_in_seconds: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Vpc {
    pub security_group_ids: Vec<String>,
    pub subnets: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Checkpoints {
    pub s3_uri: String,
    pub local_path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyValue {
    pub key: String,
    pub value: String,
}

/// Where SageMaker's debugger writes, should the script ask for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DebugHook {
    pub s3_output_path: String,
    /// Always none.
    pub collection_configurations: [(); 0],
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Profiler {
    pub disable_profiler: bool,
}

impl InputChannel {
    /// A channel with everything under an S3 prefix.
    pub fn of(name: &str, s3_uri: String, content_type: Option<&str>) -> Self {
        Self {
            channel_name: name.to_owned(),
            data_source: Source {
                s3_data_source: S3Source {
                    s3_data_type: "S3Prefix",
                    s3_uri,
                    s3_data_distribution_type: "FullyReplicated",
                    model_access_config: None,
                },
            },
            content_type: content_type.map(str::to_owned),
            input_mode: None,
        }
    }
}

impl TrainingRequest {
    /// The same request as the SDK sends it.
    pub fn fill(self, call: Builder) -> Builder {
        let count = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
        let algorithm = AlgorithmSpecification::builder()
            .training_image(self.algorithm_specification.training_image)
            .training_input_mode(TrainingInputMode::File)
            .set_metric_definitions(some(self.algorithm_specification.metric_definitions, |metric| {
                MetricDefinition::builder().name(metric.name).regex(metric.regex).build()
            }))
            .set_container_entrypoint(some(self.algorithm_specification.container_entrypoint, |part| part))
            .set_container_arguments(some(self.algorithm_specification.container_arguments, |part| part))
            .build();
        let resources = ResourceConfig::builder()
            .instance_type(TrainingInstanceType::from(self.resource_config.instance_type.as_str()))
            .instance_count(count(self.resource_config.instance_count.into()))
            .volume_size_in_gb(count(self.resource_config.volume_size_in_gb.into()))
            .set_volume_kms_key_id(self.resource_config.volume_kms_key_id)
            .build();
        let output = OutputDataConfig::builder()
            .s3_output_path(self.output_data_config.s3_output_path)
            .set_compression_type(
                self.output_data_config.compression_type.as_deref().map(OutputCompressionType::from),
            )
            .set_kms_key_id(self.output_data_config.kms_key_id)
            .build();
        let stopping = StoppingCondition::builder()
            .max_runtime_in_seconds(count(self.stopping_condition.max_runtime_in_seconds))
            .set_max_wait_time_in_seconds(self.stopping_condition.max_wait_time_in_seconds.map(count))
            .build();
        let vpc = self.vpc_config.map(|vpc| {
            VpcConfig::builder()
                .set_security_group_ids(Some(vpc.security_group_ids))
                .set_subnets(Some(vpc.subnets))
                .build()
        });
        let checkpoints = self.checkpoint_config.map(|place| {
            CheckpointConfig::builder().s3_uri(place.s3_uri).local_path(place.local_path).build()
        });
        let hook = self.debug_hook_config.map(|hook| {
            DebugHookConfig::builder()
                .s3_output_path(hook.s3_output_path)
                .set_collection_configurations(Some(Vec::new()))
                .build()
        });
        call.training_job_name(self.training_job_name)
            .role_arn(self.role_arn)
            .algorithm_specification(algorithm)
            .set_hyper_parameters(Some(self.hyper_parameters.into_iter().collect()))
            .set_input_data_config(Some(self.input_data_config.into_iter().map(channel).collect()))
            .output_data_config(output)
            .resource_config(resources)
            .stopping_condition(stopping)
            .set_vpc_config(vpc)
            .set_checkpoint_config(checkpoints)
            .set_environment((!self.environment.is_empty()).then(|| self.environment.into_iter().collect()))
            .set_tags(some(self.tags, |tag| Tag::builder().key(tag.key).value(tag.value).build()))
            .enable_network_isolation(self.enable_network_isolation)
            .enable_inter_container_traffic_encryption(self.enable_inter_container_traffic_encryption)
            .set_enable_managed_spot_training(self.enable_managed_spot_training.then_some(true))
            .set_debug_hook_config(hook)
            .profiler_config(
                ProfilerConfig::builder().disable_profiler(self.profiler_config.disable_profiler).build(),
            )
    }
}

fn channel(channel: InputChannel) -> Channel {
    let from = channel.data_source.s3_data_source;
    let access = from
        .model_access_config
        .map(|access| ModelAccessConfig::builder().accept_eula(access.accept_eula).build());
    let source = S3DataSource::builder()
        .s3_data_type(S3DataType::S3Prefix)
        .s3_uri(from.s3_uri)
        .s3_data_distribution_type(S3DataDistribution::FullyReplicated)
        .set_model_access_config(access)
        .build();
    Channel::builder()
        .channel_name(channel.channel_name)
        .data_source(DataSource::builder().s3_data_source(source).build())
        .set_content_type(channel.content_type)
        .set_input_mode(channel.input_mode.map(TrainingInputMode::from))
        .build()
}

fn some<T, U>(items: Vec<T>, make: impl Fn(T) -> U) -> Option<Vec<U>> {
    (!items.is_empty()).then(|| items.into_iter().map(make).collect())
}
