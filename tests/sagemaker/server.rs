//! The program under test, with a person signed in.

use super::{bucket, fake_sagemaker::FakeSageMaker, moto::python, proxy::Proxy};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// Our own image, as the operator names it.
pub const IMAGE: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com/llm-tuner:1";
const ROLE: &str = "arn:aws:iam::123456789012:role/tuner/Training";
/// How long anything may take before a test gives up: real training included, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

pub struct Server {
    pub aws: Arc<FakeSageMaker>,
    pub folder: tempfile::TempDir,
    pub bucket: String,
    pub client: Client,
    pub url: String,
    settings: BTreeMap<String, String>,
    process: Child,
}

impl Server {
    /// On an empty account, with a person signed in; AWS's clock runs a hundred times as fast as ours.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The server reaches S3 through this line; the training machines do without it.
    pub async fn behind_a_line() -> (Self, Proxy) {
        let aws = FakeSageMaker::start();
        let line = Proxy::to(aws.moto.url.trim_start_matches("http://").parse().unwrap()).await;
        let address = format!("http://{}", line.address);
        (Self::on(aws, &[("AWS_ENDPOINT_URL_S3", &address)]).await, line)
    }

    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::on(FakeSageMaker::start(), settings).await
    }

    async fn on(aws: FakeSageMaker, settings: &[(&str, &str)]) -> Self {
        let aws = Arc::new(aws);
        let bucket = bucket::fresh(&aws.moto).await;
        let folder = tempfile::tempdir().unwrap();
        write_site(folder.path());
        let program = env!("CARGO_BIN_EXE_llm-tuner");
        aws.control("images", json!({ IMAGE: [program, "train", "--dir", "{dir}"] })).await;
        aws.control("quota", json!({ "ml.g5.2xlarge": 2, "ml.g5.4xlarge": 2, "ml.g5.12xlarge": 1 })).await;
        aws.control("clock", json!({ "auto": 100 })).await;
        let mut all: BTreeMap<String, String> =
            aws.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in [
            ("STORAGE_URL", format!("s3://{bucket}/team")),
            ("SAGEMAKER_EXECUTION_ROLE_ARN", ROLE.to_owned()),
            ("SAGEMAKER_TRAINING_IMAGE", IMAGE.to_owned()),
            ("SAGEMAKER_POLL_SECONDS", "0.1".to_owned()),
            ("LEPTOS_SITE_ROOT", folder.path().join("site").display().to_string()),
            ("DATA_DIR", folder.path().join("data").display().to_string()),
            ("HOME", folder.path().display().to_string()),
            ("RUST_LOG", "warn".to_owned()),
        ] {
            all.insert(name.to_owned(), value);
        }
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let client = Client::builder().cookie_store(true).build().unwrap();
        let (process, url) = spawn(&all);
        let server = Self { aws, folder, bucket, client, url, settings: all, process };
        server.answers().await;
        let body = json!({ "email": "a@example.com", "password": "correct horse battery", "full_name": "A" });
        server.post("/api/auth/register", body).await;
        server
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    /// Starts it anew after [`kill`](Self::kill), on the same data.
    pub async fn restart(&mut self) {
        self.begin();
        self.answers().await;
    }

    /// The same without waiting until it answers.
    pub fn begin(&mut self) {
        self.settings
            .insert("LEPTOS_SITE_ADDR".to_owned(), self.url.trim_start_matches("http://").to_owned());
        self.process = launch(&self.settings);
    }

    pub async fn answers(&self) {
        let begun = Instant::now();
        while self.client.get(format!("{}/api/health", self.url)).send().await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "the server does not come up");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert!(status.is_success(), "GET {path}: {status} {body}");
        body
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "POST {path}: {status} {answer}");
        answer
    }

    /// A checked dataset of these rows.
    pub async fn dataset(&self, name: &str, rows: &str) -> String {
        let part = reqwest::multipart::Part::bytes(rows.as_bytes().to_vec()).file_name(name.to_owned());
        let form = reqwest::multipart::Form::new().part("files", part);
        let request = self.client.post(format!("{}/api/upload", self.url)).multipart(form);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        let id = answer["files"][0]["dataset_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let begun = Instant::now();
        loop {
            let dataset = self.get(&format!("/api/datasets/{id}")).await;
            if dataset["state"] == "ready" {
                return id;
            }
            assert!(begun.elapsed() < PATIENCE, "{dataset}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sixty rows that double numbers.
    pub async fn numbers(&self) -> String {
        let row = |n: u32| {
            format!("{{\"prompt\":\"double the number {n}\",\"completion\":\"twice {n} is {}\"}}\n", 2 * n)
        };
        self.dataset("numbers.jsonl", &(0..60).map(row).collect::<String>()).await
    }

    /// Starts a job; its name.
    pub async fn train(&self, body: Value) -> String {
        self.post("/api/start-training", body).await["job_name"].as_str().unwrap().to_owned()
    }

    pub async fn job(&self, name: &str) -> Value {
        self.get(&format!("/api/training-job/{name}")).await
    }

    /// Waits until `seen` holds of the job.
    pub async fn until(&self, name: &str, seen: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let job = self.job(name).await;
            if seen(&job) {
                return job;
            }
            assert!(begun.elapsed() < PATIENCE, "{job}\n{:?}", self.log(name).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn over(&self, name: &str) -> Value {
        self.until(name, |job| ["Completed", "Failed", "Stopped"].iter().any(|end| job["status"] == *end))
            .await
    }

    /// The job's lines.
    pub async fn log(&self, name: &str) -> Vec<String> {
        let text = self.client.get(format!("{}/api/training-job/{name}/log", self.url)).send().await.unwrap();
        text.text().await.unwrap().lines().map(str::to_owned).collect()
    }

    /// The requests of this operation that took effect.
    pub async fn requests(&self, operation: &str) -> Vec<Value> {
        let all = self.aws.requests().await;
        all.into_iter()
            .filter(|request| request["operation"] == operation && request["accepted"] == true)
            .map(|request| request["body"].clone())
            .collect()
    }

    /// A GPT-2 made by `transformers` where the operator puts base models.
    pub fn make_base(&self, name: &str) {
        let folder = self.folder.path().join("data/models").join(name);
        fs::create_dir_all(&folder).unwrap();
        run_python(MAKE, &[folder.to_str().unwrap()]);
    }

    /// Everything below a key of the bucket, as files.
    pub async fn download(&self, prefix: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let client = aws_sdk_s3::Client::new(&self.aws.moto.config().await);
        let list = client.list_objects_v2().bucket(&self.bucket).prefix(prefix).send().await.unwrap();
        for object in list.contents() {
            let key = object.key().unwrap();
            let path: PathBuf = folder.path().join(key.strip_prefix(prefix).unwrap().trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let body = client.get_object().bucket(&self.bucket).key(key).send().await.unwrap().body;
            fs::write(path, body.collect().await.unwrap().into_bytes()).unwrap();
        }
        folder
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Names of files for pages that nobody looks at here.
fn write_site(folder: &Path) {
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
    let manifest: BTreeMap<_, _> = names.iter().map(|name| (name, "file")).collect();
    fs::create_dir_all(folder.join("site/pkg")).unwrap();
    fs::write(folder.join("site/pkg/manifest.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
}

fn launch(settings: &BTreeMap<String, String>) -> Child {
    Command::new(env!("CARGO_BIN_EXE_llm-tuner"))
        .arg("serve")
        .env_clear()
        .envs(settings)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// On a free port.
fn spawn(settings: &BTreeMap<String, String>) -> (Child, String) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut settings = settings.clone();
    settings.insert("LEPTOS_SITE_ADDR".to_owned(), format!("127.0.0.1:{port}"));
    (launch(&settings), format!("http://127.0.0.1:{port}"))
}

/// Its last line, as JSON.
pub fn run_python(script: &str, arguments: &[&str]) -> Value {
    let output = Command::new(python()).arg("-c").arg(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.trim().lines().last().unwrap()).unwrap()
}

const MAKE: &str = r#"
import sys, torch
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast
torch.manual_seed(11)
config = GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
GPT2LMHeadModel(config).save_pretrained(sys.argv[1])
bpe = ByteLevelBPETokenizer()
bpe.train_from_iterator([f"double the number {i}: twice {i} is {2 * i}" for i in range(40)], vocab_size=300,
    special_tokens=["<|endoftext|>"], show_progress=False)
GPT2TokenizerFast(tokenizer_object=bpe._tokenizer).save_pretrained(sys.argv[1])
print("{}")"#;
