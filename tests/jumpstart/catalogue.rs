//! The catalogue: what the hub lists and describes.

use crate::fake_sagemaker::FakeSageMaker;
use aws_sdk_sagemaker::types::HubContentType;

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_hub_answers_the_rust_sdk() {
    let fake = FakeSageMaker::start();
    let client = aws_sdk_sagemaker::Client::new(&fake.config().await);
    let listed = client
        .list_hub_contents()
        .hub_name("SageMakerPublicHub")
        .hub_content_type(HubContentType::Model)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.hub_content_summaries().len(), 3);
}
