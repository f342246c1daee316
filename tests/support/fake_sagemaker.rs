//! The SageMaker of `tests/aws/fake_sagemaker` as the other end of the AWS adapters: it speaks for SageMaker, its
//! runtime, Service Quotas and the Price List, and leads to a [`Moto`] of its own for S3 and the logs.
//!
//! A program that includes this file includes `moto.rs` beside it.

#![allow(dead_code, reason = "shared by test programs, each of which uses a part")]

use super::moto::{Moto, python};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

/// Both servers on free ports, ended when this is dropped.
pub struct FakeSageMaker {
    pub url: String,
    pub moto: Moto,
    process: Child,
    /// Closed to end it; also closed when the test's process dies.
    stdin: Option<ChildStdin>,
    control: reqwest::Client,
}

impl FakeSageMaker {
    pub fn start() -> Self {
        Self::with(None)
    }

    /// With a folder of further hub documents, shaped as those in its `hub/`.
    pub fn with_hub(folder: &Path) -> Self {
        Self::with(Some(folder))
    }

    fn with(hub: Option<&Path>) -> Self {
        let moto = Moto::start();
        let mut command = Command::new(python());
        command
            .args(["-m", "fake_sagemaker", "--port", "0", "--with-stdin", "--s3-url", &moto.url])
            .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/aws"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(folder) = hub {
            command.arg("--hub").arg(folder);
        }
        let mut process = command.spawn().unwrap();
        let stdin = process.stdin.take();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = lines.next().unwrap().unwrap();
        // Read on, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { url, moto, process, stdin, control: reqwest::Client::new() }
    }

    /// What a program under test is started with: endpoints, region and credentials. Its own environment is to be
    /// cleared of `AWS_` first.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            // Whatever has no address of its own: S3, logs, STS, DynamoDB.
            ("AWS_ENDPOINT_URL", self.moto.url.clone()),
        ];
        for service in [
            "AWS_ENDPOINT_URL_SAGEMAKER",
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
            "AWS_ENDPOINT_URL_SERVICE_QUOTAS",
            "AWS_ENDPOINT_URL_PRICING",
        ] {
            variables.push((service, self.url.clone()));
        }
        variables
    }

    /// Settings that lead the SDK's clients of SageMaker, its runtime, quotas and prices here; for S3 and logs take
    /// [`Moto::config`].
    pub async fn config(&self) -> aws_config::SdkConfig {
        self.moto.config().await.into_builder().endpoint_url(&self.url).build()
    }

    /// A control request that must succeed: its README lists them.
    pub async fn control(&self, route: &str, body: Value) -> Value {
        let request = self.control.post(format!("{}/_fake/{route}", self.url)).json(&body);
        Self::answered(route, request).await
    }

    /// Every request since the start or since [`Self::forget_requests`]: service, operation, body.
    pub async fn requests(&self) -> Vec<Value> {
        let request = self.control.get(format!("{}/_fake/requests", self.url));
        Self::answered("requests", request).await.as_array().unwrap().clone()
    }

    pub async fn forget_requests(&self) {
        Self::answered("requests", self.control.delete(format!("{}/_fake/requests", self.url))).await;
    }

    /// For instance `{"op": "CreateTrainingJob", "error": "ThrottlingException"}`.
    pub async fn fault(&self, fault: Value) {
        self.control("faults", json!([fault])).await;
    }

    /// Ends all faults, and lets go of what hangs.
    pub async fn mend(&self) {
        Self::answered("faults", self.control.delete(format!("{}/_fake/faults", self.url))).await;
    }

    /// Moves its clock until the job has this status or secondary status.
    pub async fn until(&self, job: &str, status: &str) {
        let moved = json!({ "until": { "job": job, "status": status, "timeout": 30 } });
        let answer = self.control("clock", moved).await;
        assert_eq!(answer["reached"], true, "{job} does not become {status}");
    }

    /// Moves its clock.
    pub async fn later(&self, by: Duration) {
        self.control("clock", json!({ "advance_seconds": by.as_secs_f64() })).await;
    }

    async fn answered(route: &str, request: reqwest::RequestBuilder) -> Value {
        let answer = request.timeout(Duration::from_secs(60)).send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert!(status.is_success(), "/_fake/{route} answered {status}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for FakeSageMaker {
    fn drop(&mut self) {
        // By its own way out it takes its containers along.
        self.stdin.take();
        let begun = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if begun.elapsed() > Duration::from_secs(10) {
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
