//! AWS's own containers: who keeps them in which region, and the two that we take where nobody names another.
//!
//! The accounts are those that <https://github.com/aws/sagemaker-python-sdk> lists, for training containers in
//! `image_uri_config/huggingface.json`.

use serde_json::Value;

/// The account that holds the containers is another in some regions.
const REGISTRIES: &str = include_str!("registries.json");
/// The account of the regions that were first, and of those that the list does not know.
const ACCOUNT: &str = "763104351884";
/// Large Model Inference with vLLM. It reads the Hugging Face layout and answers in TGI's manner.
const SERVING: &str = "djl-inference:0.36.0-lmi28.0.0-cu130";
/// The newest published Hugging Face training container that `sagemaker/` was tried with.
/// <https://github.com/aws/deep-learning-containers>
const TRAINING: &str = "huggingface-pytorch-training:2.9.0-transformers5.3.0-gpu-py312-cu130-ubuntu22.04";

/// The host of AWS's containers in this region, as far as the list knows it.
pub fn registry(region: &str) -> Option<String> {
    let registries: Value = serde_json::from_str(REGISTRIES).unwrap_or_default();
    registries[region].as_str().map(str::to_owned)
}

/// The serving container where neither the operator nor the model names one.
pub fn serving(region: &str) -> String {
    image(region, SERVING)
}

/// The container that runs `sagemaker/`, where the operator names no other.
pub fn training(region: &str) -> String {
    image(region, TRAINING)
}

fn image(region: &str, name: &str) -> String {
    let registry = registry(region).unwrap_or_else(|| format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com"));
    format!("{registry}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_the_regions() {
        assert_eq!(
            serving("eu-central-1"),
            "763104351884.dkr.ecr.eu-central-1.amazonaws.com/djl-inference:0.36.0-lmi28.0.0-cu130"
        );
        for (region, host) in [
            ("us-east-1", "763104351884.dkr.ecr.us-east-1.amazonaws.com"),
            ("eu-south-1", "692866216735.dkr.ecr.eu-south-1.amazonaws.com"),
            ("cn-north-1", "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", "442386744353.dkr.ecr.us-gov-west-1.amazonaws.com"),
            ("xx-new-1", "763104351884.dkr.ecr.xx-new-1.amazonaws.com"),
        ] {
            assert_eq!(serving(region), format!("{host}/{SERVING}"));
            assert_eq!(training(region), format!("{host}/{TRAINING}"));
        }
    }
}
