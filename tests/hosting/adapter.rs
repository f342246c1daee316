//! What is asked of SageMaker, and that everything may be asked again.

use crate::world::{MACHINE, ROLE, accepted, deployment, fake, hosting};
use llm_tuner::backends::hosting::{
    Deletion, Deployment, Hosting, HostingError, ModelFiles, Recipe, Refusal, Standing,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

fn tags(body: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    body["Tags"].as_array().unwrap().iter().map(|tag| (text(&tag["Key"]), text(&tag["Value"]))).collect()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, HostingError>) -> (Refusal, String) {
    match result {
        Err(HostingError::Refused { kind, cause, next_step }) => (kind, format!("{cause} {next_step}")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_made_of_three_things_and_goes_with_all_of_them() {
    let fake = fake().await;
    let hosting = hosting(&fake, &[("SAGEMAKER_INSTALLATION", "here")]).await;
    let wanted = deployment(1);
    assert_eq!(hosting.look(&wanted.name).await, Ok(Standing::Absent));
    hosting.deploy(&wanted).await.unwrap();
    let model = accepted(&fake, "CreateModel").await.remove(0);
    assert_eq!(model["ExecutionRoleArn"], ROLE);
    assert_eq!(model["EnableNetworkIsolation"], true);
    assert_eq!(
        model["PrimaryContainer"],
        json!({
            "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.36.0-lmi28.0.0-cu130",
            "ModelDataSource": { "S3DataSource": {
                "S3Uri": "s3://models/tuned/users/1/models/1/", "S3DataType": "S3Prefix", "CompressionType": "None",
            } },
            "Environment": { "HF_MODEL_ID": "/opt/ml/model", "SM_NUM_GPUS": "1", "OPTION_TENSOR_PARALLEL_DEGREE": "1",
                "ENDPOINT_SERVER_TIMEOUT": "3600" },
        })
    );
    let config = accepted(&fake, "CreateEndpointConfig").await.remove(0);
    assert_eq!(
        config["ProductionVariants"],
        json!([{ "VariantName": "AllTraffic", "ModelName": wanted.name, "InstanceType": MACHINE,
            "InitialInstanceCount": 1, "ModelDataDownloadTimeoutInSeconds": 1200,
            "ContainerStartupHealthCheckTimeoutInSeconds": 1200,
            "InferenceAmiVersion": "al2023-ami-sagemaker-inference-gpu-4-1" }])
    );
    let endpoint = accepted(&fake, "CreateEndpoint").await.remove(0);
    assert_eq!(endpoint["EndpointConfigName"], json!(wanted.name));
    for body in [&model, &config, &endpoint] {
        let expected = [
            ("llm-tuner:endpoint", wanted.endpoint.as_str()),
            ("llm-tuner:owner", wanted.owner.as_str()),
            ("llm-tuner:installation", "here"),
        ];
        assert_eq!(tags(body), expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    assert_eq!(hosting.look(&wanted.name).await, Ok(Standing::Creating));
    assert_eq!(hosting.delete(&wanted.name).await, Ok(Deletion::UnderWay), "AWS lets it be made first");
    fake.later(Duration::from_secs(120)).await;
    assert!(matches!(hosting.look(&wanted.name).await, Ok(Standing::InService { since: Some(_) })));
    assert_eq!(hosting.list_ours().await.unwrap()[0].endpoint.as_ref(), Some(&wanted.endpoint));
    assert_eq!(hosting.delete(&wanted.name).await, Ok(Deletion::UnderWay));
    assert_eq!(hosting.look(&wanted.name).await, Ok(Standing::Deleting));
    fake.later(Duration::from_secs(30)).await;
    for _ in 0..2 {
        assert_eq!(hosting.delete(&wanted.name).await, Ok(Deletion::Done));
    }
    for operation in ["DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"] {
        assert_eq!(accepted(&fake, operation).await.len(), 1, "{operation}");
    }
    assert_eq!(hosting.list_ours().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again() {
    let fake = fake().await;
    let hosting = hosting(&fake, &[]).await;
    for (n, operation) in ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"].into_iter().enumerate() {
        let wanted = deployment(n as u64);
        // What takes effect and is not heard of is tried again, and is there already.
        fake.fault(json!({ "op": operation, "drop_after_accept": true })).await;
        hosting.deploy(&wanted).await.unwrap();
        hosting.deploy(&wanted).await.unwrap();
        fake.mend().await;
    }
    for operation in ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"] {
        assert_eq!(accepted(&fake, operation).await.len(), 3, "{operation}");
    }
    fake.later(Duration::from_secs(120)).await;
    for (n, operation) in ["DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"].into_iter().enumerate() {
        let name = deployment(n as u64).name;
        fake.fault(json!({ "op": operation, "drop_after_accept": true })).await;
        while hosting.delete(&name).await.unwrap() != Deletion::Done {
            fake.later(Duration::from_secs(30)).await;
        }
        fake.mend().await;
        assert_eq!(hosting.look(&name).await, Ok(Standing::Absent));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_and_recipes_have_their_say() {
    let fake = fake().await;
    let more = [
        ("SAGEMAKER_SUBNETS", "subnet-0a1b2c3d"),
        ("SAGEMAKER_SECURITY_GROUPS", "sg-0a1b2c3d"),
        ("SAGEMAKER_KMS_KEY_ID", "key-1"),
        ("SAGEMAKER_INFERENCE_IMAGE", "123456789012.dkr.ecr.us-east-1.amazonaws.com/own:1"),
    ];
    let hosting = hosting(&fake, &more).await;
    let own = Deployment {
        instance_type: "ml.m5.xlarge".to_owned(),
        files: ModelFiles::Archive("users/1/models/2/model.tar.gz".to_owned()),
        ..deployment(1)
    };
    hosting.deploy(&own).await.unwrap();
    let recipe = Recipe {
        image: Some(
            "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-tgi-inference:2.0".to_owned(),
        ),
        environment: [("MAX_INPUT_LENGTH".to_owned(), "4095".to_owned())].into(),
        gated: true,
        ..Recipe::default()
    };
    hosting
        .deploy(&Deployment { recipe: Some(recipe), licence_accepted: true, ..deployment(2) })
        .await
        .unwrap();
    let models = accepted(&fake, "CreateModel").await;
    assert_eq!(
        models[0]["VpcConfig"],
        json!({ "Subnets": ["subnet-0a1b2c3d"], "SecurityGroupIds": ["sg-0a1b2c3d"] })
    );
    assert_eq!(models[0]["PrimaryContainer"]["Image"], json!(more[3].1));
    assert_eq!(
        models[0]["PrimaryContainer"]["ModelDataSource"]["S3DataSource"],
        json!({ "S3Uri": "s3://models/tuned/users/1/models/2/model.tar.gz", "S3DataType": "S3Object",
            "CompressionType": "Gzip" })
    );
    let container = &models[1]["PrimaryContainer"];
    assert!(container["Image"].as_str().unwrap().contains("tgi-inference"));
    assert_eq!(container["Environment"]["MAX_INPUT_LENGTH"], "4095");
    assert_eq!(container["Environment"]["accept_eula"], "true");
    assert_eq!(
        container["ModelDataSource"]["S3DataSource"]["ModelAccessConfig"],
        json!({ "AcceptEula": true })
    );
    let configs = accepted(&fake, "CreateEndpointConfig").await;
    assert_eq!(configs[0]["KmsKeyId"], "key-1");
    assert_eq!(configs[1]["KmsKeyId"], Value::Null, "a machine with a disk of its own takes no key");
    assert!(configs.iter().all(|one| one["ProductionVariants"][0]["InferenceAmiVersion"].is_null()));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_do() {
    let fake = fake().await;
    let hosting = hosting(&fake, &[]).await;
    let none = Deployment { instance_type: "ml.g5.48xlarge".to_owned(), ..deployment(1) };
    let (kind, words) = refusal(hosting.deploy(&none).await);
    assert_eq!(kind, Refusal::Quota);
    assert!(words.contains("\"ml.g5.48xlarge for endpoint usage\" is 0"), "{words}");

    fake.fault(json!({ "op": "CreateEndpoint", "error": "AccessDeniedException" })).await;
    let (kind, words) = refusal(hosting.deploy(&deployment(2)).await);
    assert_eq!(kind, Refusal::Access);
    assert!(words.contains("iam:PassRole") && !words.contains("arn:"), "{words}");

    fake.fault(json!({ "op": "CreateModel", "error": "ExpiredTokenException" })).await;
    assert!(matches!(hosting.deploy(&deployment(3)).await, Err(HostingError::NoAnswer(_))));

    let name = deployment(4).name;
    let reason = "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type.";
    fake.control("endpoints", json!([{ "name": name, "fail": reason }])).await;
    hosting.deploy(&deployment(4)).await.unwrap();
    fake.later(Duration::from_secs(120)).await;
    let Ok(Standing::Failed { cause, next_step }) = hosting.look(&name).await else { panic!() };
    assert_eq!(cause, "AWS has no ml.g5.xlarge free in this region just now.");
    assert!(next_step.contains("another instance type"), "{next_step}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_garbage_or_passes_is_no_answer() {
    let fake = fake().await;
    let hosting = hosting(&fake, &[]).await;
    fake.fault(json!({ "op": "DescribeEndpoint", "times": 100, "status": 500, "body": "<html>" })).await;
    let looked = hosting.look("llm-tuner-1").await;
    assert!(matches!(looked, Err(HostingError::NoAnswer(_))), "{looked:?}");
    fake.mend().await;
    // Once is tried again by itself.
    fake.fault(json!({ "op": "DescribeEndpoint", "error": "ThrottlingException" })).await;
    assert_eq!(hosting.look("llm-tuner-1").await, Ok(Standing::Absent));
}
