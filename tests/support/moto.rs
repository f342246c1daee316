//! moto (<https://docs.getmoto.org>) as the other end of the AWS adapters: S3, DynamoDB and logs on this machine.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The Python that `cargo xtask test` installs; by hand, whatever `LLM_TUNER_TEST_PYTHON` names.
pub fn python() -> String {
    std::env::var("LLM_TUNER_TEST_PYTHON").unwrap_or_else(|_| {
        let home = std::env::var("HOME").unwrap();
        format!("{home}/.cache/llm-tuner/pytest-venv/bin/python")
    })
}

/// A server on a free port, ended when it is dropped.
pub struct Moto {
    process: Child,
    pub url: String,
}

impl Moto {
    pub fn start() -> Self {
        let mut process = Command::new(python())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/moto_server.py"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It says which port it got: " * Running on http://127.0.0.1:40123".
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map(Result::unwrap)
            .find_map(|line| line.split_once("Running on ").map(|(_, url)| url.trim().to_owned()))
            .unwrap();
        // Read on, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let address = url.strip_prefix("http://").unwrap();
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "moto does not listen on {url}");
            std::thread::yield_now();
        }
        Self { process, url }
    }

    /// Settings that lead the SDK there, and to no real account.
    pub async fn config(&self) -> aws_config::SdkConfig {
        let credentials = aws_sdk_s3::config::Credentials::new("test", "test", None, None, "test");
        llm_tuner::aws::config()
            .await
            .into_builder()
            .endpoint_url(&self.url)
            .region(aws_config::Region::new("us-east-1"))
            .credentials_provider(aws_sdk_s3::config::SharedCredentialsProvider::new(credentials))
            .build()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
