//! What is asked of SageMaker for one endpoint: a model, an endpoint configuration and the endpoint, all of one name.

use crate::{
    backends::{
        hosting::{Deployment, ModelFiles},
        sagemaker::{images, names::Bucket, tags},
    },
    config::aws::AwsSettings,
    domain::instance::{InstanceType, has_own_disk},
};
use aws_sdk_sagemaker::types::{
    ContainerDefinition, ModelAccessConfig, ModelCompressionType, ModelDataSource, ProductionVariant,
    ProductionVariantInferenceAmiVersion, ProductionVariantInstanceType, S3ModelDataSource, S3ModelDataType,
    Tag, VpcConfig,
};
use std::collections::BTreeMap;

/// What the usual container, which is for CUDA 13, needs of the machine: others have an older driver.
const LMI_MACHINE: ProductionVariantInferenceAmiVersion = ProductionVariantInferenceAmiVersion::Al2023Gpu41;
/// Where SageMaker lays a model's files.
const MODEL_DIR: &str = "/opt/ml/model";
/// Large models take minutes to arrive and minutes to load.
const PATIENCE_SECONDS: i32 = 1200;
/// More than this SageMaker does not take.
const LONGEST: i32 = 3600;
/// The only variant; its name is SageMaker's own custom.
const VARIANT: &str = "AllTraffic";

/// How many GPUs a machine of this type has; `None` where we do not know the type.
pub fn gpus(instance_type: &str) -> Option<u32> {
    InstanceType::find(instance_type).map(|kind| kind.gpu.map_or(1, |(count, _)| count))
}

pub struct Requests<'a> {
    pub deployment: &'a Deployment,
    pub settings: &'a AwsSettings,
    pub region: &'a str,
    pub bucket: &'a Bucket,
}

impl Requests<'_> {
    pub fn container(&self) -> ContainerDefinition {
        let recipe = self.deployment.recipe.as_ref();
        let image = self.settings.inference_image.clone();
        let image = recipe.and_then(|recipe| recipe.image.clone()).or(image);
        ContainerDefinition::builder()
            .image(image.unwrap_or_else(|| images::serving(self.region)))
            .model_data_source(ModelDataSource::builder().s3_data_source(self.files()).build())
            .set_environment(Some(self.environment().into_iter().collect()))
            .build()
    }

    fn files(&self) -> S3ModelDataSource {
        let source = S3ModelDataSource::builder();
        let source = match &self.deployment.files {
            ModelFiles::Folder(key) => source
                .s3_uri(self.bucket.uri(&format!("{key}/")))
                .s3_data_type(S3ModelDataType::S3Prefix)
                .compression_type(ModelCompressionType::None),
            ModelFiles::Archive(key) => source
                .s3_uri(self.bucket.uri(key))
                .s3_data_type(S3ModelDataType::S3Object)
                .compression_type(ModelCompressionType::Gzip),
        };
        let gated = self.deployment.recipe.as_ref().is_some_and(|recipe| recipe.gated);
        let access = (gated && self.deployment.licence_accepted)
            .then(|| ModelAccessConfig::builder().accept_eula(true).build());
        source.set_model_access_config(access).build()
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let gpus = gpus(&self.deployment.instance_type).map(|count| count.to_string());
        let mut environment: BTreeMap<String, String> = [
            ("HF_MODEL_ID", MODEL_DIR),
            // All that it finds, where we can't tell: its own default is one.
            ("OPTION_TENSOR_PARALLEL_DEGREE", gpus.as_deref().unwrap_or("max")),
            ("ENDPOINT_SERVER_TIMEOUT", "3600"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        environment.extend(gpus.map(|gpus| ("SM_NUM_GPUS".to_owned(), gpus)));
        if let Some(recipe) = &self.deployment.recipe {
            environment.extend(recipe.environment.clone());
            if recipe.gated && self.deployment.licence_accepted {
                environment.insert("accept_eula".to_owned(), "true".to_owned());
            }
        }
        environment
    }

    pub fn variant(&self) -> ProductionVariant {
        let kind = self.deployment.instance_type.as_str();
        let own = self.deployment.recipe.as_ref().and_then(|recipe| recipe.patience_seconds);
        let patience =
            own.and_then(|own| i32::try_from(own).ok()).unwrap_or(0).clamp(PATIENCE_SECONDS, LONGEST);
        ProductionVariant::builder()
            .variant_name(VARIANT)
            .model_name(&self.deployment.name)
            .instance_type(ProductionVariantInstanceType::from(kind))
            .initial_instance_count(1)
            .model_data_download_timeout_in_seconds(patience)
            .container_startup_health_check_timeout_in_seconds(patience)
            .set_inference_ami_version(self.takes_usual_image().then_some(LMI_MACHINE))
            .build()
    }

    fn takes_usual_image(&self) -> bool {
        let own = self.deployment.recipe.as_ref().is_some_and(|recipe| recipe.image.is_some());
        !own && self.settings.inference_image.is_none()
    }

    /// SageMaker itself fetches the files from S3, so the container needs no network, unless its recipe says so.
    pub fn isolated(&self) -> bool {
        !self.deployment.recipe.as_ref().is_some_and(|recipe| recipe.needs_network)
    }

    pub fn disk_key(&self) -> Option<String> {
        self.settings.kms_key_id.clone().filter(|_| !has_own_disk(&self.deployment.instance_type))
    }

    pub fn network(&self) -> Option<VpcConfig> {
        let (subnets, groups) = (self.settings.subnets.clone(), self.settings.security_groups.clone());
        (!subnets.is_empty()).then(|| {
            VpcConfig::builder().set_subnets(Some(subnets)).set_security_group_ids(Some(groups)).build()
        })
    }

    pub fn tags(&self) -> Vec<Tag> {
        [
            (tags::ENDPOINT, self.deployment.endpoint.as_str()),
            (tags::OWNER, self.deployment.owner.as_str()),
            (tags::INSTALLATION, &self.settings.installation),
        ]
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_have_their_gpus() {
        let types = [
            "ml.g5.2xlarge",
            "ml.g5.12xlarge",
            "ml.g6.24xlarge",
            "ml.g5.48xlarge",
            "ml.p5.48xlarge",
            "ml.m5.large",
        ];
        assert_eq!(types.map(gpus), [1, 4, 4, 8, 8, 1].map(Some));
        assert_eq!(gpus("ml.of-tomorrow.large"), None);
    }
}
