//! `llm-tuner doctor` as an operator runs it: every part tried, each fault with what to do about it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "support/bucket.rs"]
mod bucket;
#[path = "support/fake_sagemaker.rs"]
mod fake_sagemaker;
#[path = "support/moto.rs"]
mod moto;

use fake_sagemaker::FakeSageMaker;
use serde_json::{Value, json};
use std::{
    process::Command,
    time::{Duration, Instant},
};

const ROLE: &str = "arn:aws:iam::123456789012:role/tuner/Training";

/// What it says, and whether all was well. Nothing of this machine's own settings reaches it.
fn doctor(settings: &[(&str, &str)]) -> (String, bool) {
    asked(&[], settings)
}

/// The same as data.
fn report(settings: &[(&str, &str)]) -> Value {
    serde_json::from_str(&asked(&["--json"], settings).0).unwrap()
}

fn asked(arguments: &[&str], settings: &[(&str, &str)]) -> (String, bool) {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site/pkg");
    std::fs::create_dir_all(&site).unwrap();
    let names = [
        "css",
        "htmx",
        "app",
        "islands",
        "chat-js",
        "chat-wasm",
        "job-js",
        "job-wasm",
        "uploader-js",
        "uploader-wasm",
    ];
    let manifest: std::collections::BTreeMap<_, _> = names.iter().map(|name| (name, "file")).collect();
    std::fs::write(site.join("manifest.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_llm-tuner"))
        .arg("doctor")
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("LEPTOS_SITE_ROOT", folder.path().join("site"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
}

#[test]
fn a_fresh_machine_is_well() {
    let (said, well) = doctor(&[]);
    assert_says(
        &said,
        &["ok    settings", "ok    data folder", "ok    pages", "ok    database", "ok    files"],
    );
    assert!(well, "{said}");
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let (said, well) = doctor(&[("DATA_DIR", "/proc/no"), ("DATABASE_URL", "sqlite:///proc/no/x.db")]);
    assert_says(
        &said,
        &["fail  data folder (DATA_DIR)", "set DATA_DIR", "fail  database", "Correct DATABASE_URL"],
    );
    assert!(!well);
    let (said, well) = doctor(&[("MAX_PARALLEL_JOBS", "many")]);
    assert_says(&said, &["fail  settings", "MAX_PARALLEL_JOBS"]);
    assert!(!well);
}

#[test]
fn no_credentials_are_said_at_once() {
    let (said, well) = doctor(&[("STORAGE_URL", "s3://team-data/tuner")]);
    assert_says(&said, &["fail  AWS region", "Set AWS_REGION"]);
    assert!(!well);
    let (said, well) = doctor(&[("STORAGE_URL", "s3://team-data/tuner"), ("AWS_REGION", "eu-central-1")]);
    assert_says(&said, &["fail  AWS credentials", "AWS_ACCESS_KEY_ID"]);
    assert!(!well);
}

#[tokio::test]
async fn every_permission_on_the_bucket_is_tried() {
    let moto = moto::Moto::start();
    let url = format!("s3://{}/tuner", bucket::fresh(&moto).await);
    let aws = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", moto.url.as_str()),
    ];
    let with = |url| [&aws[..], &[("STORAGE_URL", url)]].concat();
    let (said, well) = doctor(&with(&url));
    let permissions = [
        "ListBucket",
        "PutObject",
        "GetObject",
        "PutObjectTagging",
        "ListMultipartUploadParts",
        "DeleteObject",
    ];
    assert_says(&said, &["ok    AWS credentials: arn:aws:"]);
    for permission in permissions {
        assert_says(&said, &[&format!("ok    s3:{permission} on ")]);
    }
    assert!(well, "{said}");
    let (said, well) = doctor(&with("s3://no-such-bucket"));
    assert_says(&said, &["fail  s3:PutObject on no-such-bucket", "NoSuchBucket", "correct STORAGE_URL"]);
    assert!(!well);
}

#[tokio::test]
async fn tables_on_dynamodb_are_made_and_told() {
    let moto = moto::Moto::start();
    let settings = [
        ("DATABASE_URL", "dynamodb://us-east-1/tuner"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", moto.url.as_str()),
    ];
    let (said, well) = doctor(&settings);
    assert_says(&said, &["ok    database (DATABASE_URL): dynamodb answers"]);
    for permission in [
        "GetItem",
        "Query",
        "BatchGetItem",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "ConditionCheckItem",
        "BatchWriteItem",
        "Scan",
    ] {
        assert_says(&said, &[&format!("ok    dynamodb:{permission} on the tables: allowed")]);
    }
    assert!(well, "{said}");
    let (said, well) = doctor(&settings[..1]);
    assert_says(&said, &["fail  database (DATABASE_URL)", "credentials", "llm-tuner migrate"]);
    assert!(!well, "{said}");
    let (said, well) = doctor(&[("DATABASE_URL", "dynamodb://somewhere")]);
    assert_says(&said, &["fail  settings", "dynamodb://REGION/PREFIX"]);
    assert!(!well, "{said}");
}

/// A fake AWS with a bucket, and the settings that lead there.
struct World {
    aws: FakeSageMaker,
    settings: Vec<(&'static str, String)>,
}

impl World {
    async fn new() -> Self {
        let aws = FakeSageMaker::start();
        let bucket = bucket::fresh(&aws.moto).await;
        let mut settings = aws.environment();
        settings.push(("STORAGE_URL", format!("s3://{bucket}/tuner")));
        settings.push(("SAGEMAKER_EXECUTION_ROLE_ARN", ROLE.to_owned()));
        Self { aws, settings }
    }

    fn settings(&self, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let kept = self.settings.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        kept.cloned().chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect()
    }

    fn report(&self, more: &[(&'static str, &str)]) -> Value {
        let settings = self.settings(more);
        report(&settings.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
    }

    fn said(&self) -> (String, bool) {
        let settings = self.settings(&[]);
        doctor(&settings.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
    }

    /// Makes a training job as the server does, with these tags.
    async fn job(&self, name: &str, tags: &[(&str, &str)]) {
        let tags: Vec<_> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let request = json!({
            "TrainingJobName": name, "RoleArn": ROLE,
            "AlgorithmSpecification": { "TrainingImage": "a-training:1", "TrainingInputMode": "File" },
            "OutputDataConfig": { "S3OutputPath": "s3://b/o" },
            "ResourceConfig": { "InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1 },
            "StoppingCondition": { "MaxRuntimeInSeconds": 60 },
            "Tags": tags,
        });
        self.call("CreateTrainingJob", request).await;
    }

    async fn endpoint(&self, name: &str, tags: &[(&str, &str)]) {
        let tags: Vec<_> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let model =
            json!({ "ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": { "Image": "tgi" } });
        self.call("CreateModel", model).await;
        let variant = json!({
            "VariantName": "a", "ModelName": name, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1
        });
        self.call(
            "CreateEndpointConfig",
            json!({ "EndpointConfigName": name, "ProductionVariants": [variant] }),
        )
        .await;
        self.call(
            "CreateEndpoint",
            json!({ "EndpointName": name, "EndpointConfigName": name, "Tags": tags }),
        )
        .await;
    }

    async fn call(&self, operation: &str, request: Value) {
        let answer = reqwest::Client::new()
            .post(&self.aws.url)
            .header("x-amz-target", format!("SageMaker.{operation}"))
            .header("content-type", "application/x-amz-json-1.1")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=test/20261121/us-east-1/sagemaker/aws4_request",
            )
            .body(request.to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{operation}: {status} {}", answer.text().await.unwrap());
    }
}

fn found<'a>(report: &'a Value, what: &str) -> &'a Value {
    let all = report["findings"].as_array().unwrap();
    all.iter()
        .find(|one| one["what"].as_str().unwrap().starts_with(what))
        .unwrap_or_else(|| panic!("nothing of {what} in {report:#}"))
}

const SAGEMAKER: [&str; 26] = [
    "sagemaker:CreateTrainingJob",
    "sagemaker:DescribeTrainingJob",
    "sagemaker:ListTrainingJobs",
    "sagemaker:ListTags",
    "sagemaker:StopTrainingJob",
    "iam:PassRole",
    "sagemaker:CreateModel",
    "sagemaker:CreateEndpointConfig",
    "sagemaker:CreateEndpoint",
    "sagemaker:DescribeEndpoint",
    "sagemaker:DescribeEndpointConfig",
    "sagemaker:ListEndpoints",
    "sagemaker:InvokeEndpoint",
    "sagemaker:InvokeEndpointWithResponseStream",
    "sagemaker:DeleteEndpoint",
    "sagemaker:DeleteEndpointConfig",
    "sagemaker:DeleteModel",
    "sagemaker:ListHubContents",
    "sagemaker:DescribeHubContent",
    "logs:DescribeLogStreams",
    "logs:GetLogEvents",
    "servicequotas:ListServiceQuotas",
    "servicequotas:ListAWSDefaultServiceQuotas",
    "pricing:GetProducts",
    "s3:PutObject",
    "bucket ",
];

#[tokio::test]
async fn everything_of_aws_is_tried_and_nothing_is_made() {
    let world = World::new().await;
    let report = world.report(&[]);
    assert_eq!(report["well"], true, "{report:#}");
    for what in SAGEMAKER {
        let one = found(&report, what);
        assert_eq!(one["result"], "ok", "{one}");
        assert!(!one["purpose"].as_str().unwrap().is_empty(), "{one}");
    }
    assert_eq!(found(&report, "SAGEMAKER_KMS_KEY_ID")["result"], "skip");
    assert_eq!(found(&report, "AWS_ENDPOINT_URL_SAGEMAKER")["result"], "skip");
    let quota = |kind: &str, usage: &str| {
        let all = report["quotas"].as_array().unwrap();
        all.iter().find(|one| one["instance_type"] == kind && one["usage"] == usage).unwrap().clone()
    };
    assert_eq!(quota("ml.g5.2xlarge", "spot_training")["limit"], 0.0);
    assert!(quota("ml.g5.2xlarge", "training")["request_url"].as_str().unwrap().contains("servicequotas"));
    assert_eq!(quota("ml.m5.xlarge", "hosting")["limit"], 4.0);
    // Nothing took effect but questions.
    for request in world.aws.requests().await {
        let operation = request["operation"].as_str().unwrap();
        let changes =
            ["Create", "Delete", "Stop", "Add", "Update"].iter().any(|verb| operation.starts_with(verb));
        assert!(!changes || request["accepted"] == false, "{request}");
    }
    let (said, well) = world.said();
    assert_says(&said, &["ml.g5.2xlarge for training job usage: ask for more at https://us-east-1.console"]);
    assert!(well, "{said}");
}

#[tokio::test]
async fn a_missing_permission_is_named_with_what_it_is_for() {
    let world = World::new().await;
    for (operation, what, result) in [
        ("CreateTrainingJob", "sagemaker:CreateTrainingJob", "fail"),
        ("CreateModel", "sagemaker:CreateModel", "fail"),
        ("DescribeHubContent", "sagemaker:DescribeHubContent", "fail"),
        ("ListServiceQuotas", "servicequotas:ListServiceQuotas", "fail"),
        // Of a name that is not there AWS says so with the right policy too.
        ("DeleteEndpoint", "sagemaker:DeleteEndpoint", "skip"),
        ("StopTrainingJob", "sagemaker:StopTrainingJob", "skip"),
    ] {
        let message = format!("User: u is not authorized to perform: {what} on resource: r");
        let error = "AccessDeniedException";
        world.aws.fault(json!({ "op": operation, "error": error, "message": message, "times": 9 })).await;
        let report = world.report(&[]);
        let one = found(&report, what);
        assert_eq!((&one["result"], &report["well"]), (&json!(result), &json!(result == "skip")), "{one}");
        let next = one["next_step"].as_str().unwrap();
        assert!(
            result == "skip" || next.contains(&format!("Allow {what} in the policy of arn:aws")),
            "{next}"
        );
        world.aws.mend().await;
    }
    let denied = "User: arn:aws:iam::1:user/x is not authorized to perform: iam:PassRole on resource: r";
    world
        .aws
        .fault(json!({ "op": "CreateTrainingJob", "error": "AccessDeniedException", "message": denied }))
        .await;
    let report = world.report(&[]);
    assert_eq!(found(&report, "iam:PassRole")["result"], "fail", "{report:#}");
    assert_eq!(found(&report, "sagemaker:CreateTrainingJob")["result"], "ok", "{report:#}");
}

#[tokio::test]
async fn what_hangs_holds_nobody_up_and_the_rest_is_told() {
    let world = World::new().await;
    for operation in ["CreateTrainingJob", "ListEndpoints", "ListServiceQuotas"] {
        world.aws.fault(json!({ "op": operation, "hang": true, "times": 99 })).await;
    }
    let begun = Instant::now();
    let report = world.report(&[]);
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    assert_eq!(found(&report, "sagemaker:CreateTrainingJob")["result"], "fail");
    assert_eq!(found(&report, "sagemaker:CreateModel")["result"], "ok");
    assert!(report["orphans_problem"].is_string() && report["quotas"] == json!([]), "{report:#}");
    world.aws.mend().await;
}

#[tokio::test]
async fn a_bucket_in_another_region_is_said() {
    let world = World::new().await;
    let report = world.report(&[("AWS_REGION", "eu-central-1")]);
    let one = found(&report, "bucket ");
    assert_eq!(one["result"], "fail", "{one}");
    assert!(
        one["found"].as_str().unwrap().contains("is in us-east-1, but AWS_REGION is eu-central-1"),
        "{one}"
    );
}

#[tokio::test]
async fn a_metadata_service_that_is_silent_holds_nobody_up() {
    // A port that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let begun = Instant::now();
    let report = report(&[
        ("STORAGE_URL", "s3://team-data/tuner"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address),
    ]);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(found(&report, "AWS credentials")["result"], "fail", "{report:#}");
}

#[tokio::test]
async fn plain_http_to_aws_is_refused_in_production() {
    let (said, well) = doctor(&[
        ("BASE_URL", "https://tuner.example.com"),
        ("AWS_ENDPOINT_URL_S3", "http://user:hunter2@minio:9000"),
    ]);
    assert_says(&said, &["fail  settings", "AWS_ENDPOINT_URL_S3 does not begin with https://"]);
    assert!(!well && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn what_runs_without_a_row_is_reported_and_left_alone() {
    let world = World::new().await;
    let ours = ("llm-tuner:installation", "llm-tuner");
    world.job("forgotten", &[ours, ("llm-tuner:job", "nobody")]).await;
    world.job("of-others", &[]).await;
    world.job("of-another-server", &[("llm-tuner:installation", "other")]).await;
    world.endpoint("left-behind", &[ours]).await;
    let report = world.report(&[]);
    let orphans = report["orphans"].as_array().unwrap();
    let names: Vec<_> = orphans.iter().map(|one| (one["kind"].as_str(), one["name"].as_str())).collect();
    assert_eq!(
        names,
        [(Some("training_job"), Some("forgotten")), (Some("endpoint"), Some("left-behind"))],
        "{report:#}"
    );
    assert_eq!(orphans[0]["machine"], "2 × ml.m5.xlarge");
    assert!(orphans[0]["hourly_cost"].as_f64().unwrap() > 0.3, "{}", orphans[0]);
    assert!(
        orphans[1]["next_step"].as_str().unwrap().contains("delete-endpoint --endpoint-name left-behind")
    );
    let (said, _) = world.said();
    assert_says(&said, &["orphans:", "training job forgotten (2 × ml.m5.xlarge"]);
    let done = world.aws.requests().await;
    assert!(
        !done
            .iter()
            .any(|one| one["operation"].as_str().unwrap().starts_with("Delete") && one["accepted"] == true)
    );
}
