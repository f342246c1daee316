//! Configuration from the environment, checked once at start: all mistakes are listed at once, each with its variable.
//!
//! Every setting has a default that works on a fresh machine. `.env` is read by `main` before this.

pub mod aws;

use crate::store;
use aws::AwsSettings;
use llm_tuner_engine::kernels::tier::{self, Tier};
use std::{fmt, net::IpAddr, net::SocketAddr, path::PathBuf};

/// Everything the server can be told. Cheap to clone; handed down, never global.
#[derive(Clone)]
pub struct Config {
    /// `LEPTOS_SITE_ADDR`: where to listen.
    pub site_addr: SocketAddr,
    /// `BASE_URL`: how browsers reach the site; decides about `Secure` cookies.
    pub base_url: url::Url,
    /// `DATA_DIR`: database, objects and running jobs of a single node.
    pub data_dir: PathBuf,
    /// `DATABASE_URL`: `sqlite://PATH`, `postgres://…` or `dynamodb://REGION/PREFIX`, the tables of which
    /// `DYNAMODB_USERS_TABLE` and so on may name otherwise.
    pub database: store::Location,
    /// `STORAGE_URL`: `file://PATH` or `s3://BUCKET/PREFIX`; `S3_BUCKET_NAME` alone means `s3://BUCKET`.
    pub storage: StorageLocation,
    /// `MODELS_DIR`: base models in the Hugging Face layout, one directory each.
    pub models_dir: PathBuf,
    /// `LEPTOS_SITE_ROOT`: the built site (CSS, WASM, htmx, icons).
    pub site_root: PathBuf,
    /// `REGISTRATION`: who may make an account.
    pub registration: Registration,
    /// `MAX_UPLOAD_BYTES`: one file's limit.
    pub max_upload_bytes: u64,
    /// `MAX_PARALLEL_JOBS`: local training jobs at the same time.
    pub max_parallel_jobs: usize,
    /// `ENGINE_TIER`: the instructions that the engine's kernels use, `auto` for the fastest that the processor has.
    pub engine_tier: Tier,
    /// `TRUSTED_PROXIES`: peers whose `X-Forwarded-For` is believed, comma-separated.
    pub trusted_proxies: Vec<IpAddr>,
    pub aws: AwsSettings,
}

/// Where files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageLocation {
    Disk(PathBuf),
    /// Keys begin with the prefix, which may be empty.
    S3 {
        bucket: String,
        prefix: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anybody.
    Open,
    /// Nobody but the very first account.
    Closed,
}

/// All mistakes of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the configuration has {} mistake(s):", self.0.len())?;
        self.0.iter().try_for_each(|mistake| writeln!(f, "  - {mistake}"))
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Reads the settings through `get` (`std::env::var` in the server).
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut reader = Reader { get: &get, mistakes: Vec::new() };
        let site_addr =
            reader.parsed("LEPTOS_SITE_ADDR", "127.0.0.1:5000", "an address and port like 127.0.0.1:5000");
        let default_base = site_addr.map_or_else(
            || "http://127.0.0.1:5000".to_owned(),
            |addr: SocketAddr| {
                format!(
                    "http://{}:{}",
                    if addr.ip().is_unspecified() { "127.0.0.1".to_owned() } else { host(addr.ip()) },
                    addr.port()
                )
            },
        );
        let base_url = reader.base_url(&default_base);
        let data_dir = PathBuf::from(reader.text("DATA_DIR", "./data"));
        let database = reader.database(&data_dir);
        let storage = reader.storage(&data_dir);
        let models_dir = PathBuf::from(reader.text("MODELS_DIR", &data_dir.join("models").to_string_lossy()));
        let site_root = PathBuf::from(reader.text("LEPTOS_SITE_ROOT", "target/site"));
        let registration = reader.registration();
        let max_upload_bytes = reader.parsed("MAX_UPLOAD_BYTES", "5368709120", "a number of bytes");
        let max_parallel_jobs = reader.parsed("MAX_PARALLEL_JOBS", "1", "a whole number");
        if max_parallel_jobs == Some(0) {
            reader
                .mistakes
                .push("MAX_PARALLEL_JOBS is 0: no job would ever start. Use 1 or more.".to_owned());
        }
        let engine_tier = reader.engine_tier();
        let trusted_proxies = reader.proxies();
        let aws = AwsSettings::read(&mut reader);
        if base_url.as_ref().is_some_and(|url| url.scheme() == "https") {
            aws.refuse_plain_endpoints(&mut reader.mistakes);
        }
        match (site_addr, base_url, database, max_upload_bytes, max_parallel_jobs) {
            (
                Some(site_addr),
                Some(base_url),
                Some(database),
                Some(max_upload_bytes),
                Some(max_parallel_jobs),
            ) if reader.mistakes.is_empty() => Ok(Self {
                site_addr,
                base_url,
                data_dir,
                database,
                storage,
                models_dir,
                site_root,
                registration,
                max_upload_bytes,
                max_parallel_jobs,
                engine_tier,
                trusted_proxies,
                aws,
            }),
            _ => Err(ConfigErrors(reader.mistakes)),
        }
    }

    /// Browsers speak https to us: cookies carry `Secure` and the `__Host-` prefix.
    pub fn secure_cookies(&self) -> bool {
        self.base_url.scheme() == "https"
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("site_addr", &self.site_addr)
            .field("base_url", &self.base_url.as_str())
            .field("data_dir", &self.data_dir)
            .field("database", &self.database)
            .field("storage", &self.storage)
            .finish_non_exhaustive()
    }
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    mistakes: Vec<String>,
}

impl Reader<'_> {
    fn text(&self, name: &str, default: &str) -> String {
        (self.get)(name).filter(|value| !value.trim().is_empty()).unwrap_or_else(|| default.to_owned())
    }

    fn parsed<T: std::str::FromStr>(&mut self, name: &str, default: &str, what: &str) -> Option<T> {
        let text = self.text(name, default);
        let value = text.trim().parse().ok();
        if value.is_none() {
            self.mistakes.push(format!("{name} is \"{text}\", but must be {what}."));
        }
        value
    }

    fn base_url(&mut self, default: &str) -> Option<url::Url> {
        let text = self.text("BASE_URL", default);
        let Ok(url) = url::Url::parse(&text) else {
            self.mistakes
                .push(format!("BASE_URL is \"{text}\", but must be a URL like https://tuner.example.com."));
            return None;
        };
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "https" => Some(url),
            "http" if loopback => Some(url),
            "http" => {
                self.mistakes.push(format!(
                    "BASE_URL is \"{text}\": plain http is allowed on loopback only, since cookies would travel unprotected. Use https."
                ));
                None
            }
            _ => {
                self.mistakes.push(format!("BASE_URL is \"{text}\", but must begin with https://."));
                None
            }
        }
    }

    fn database(&mut self, data_dir: &std::path::Path) -> Option<store::Location> {
        let default = format!("sqlite://{}", data_dir.join("llm-tuner.db").display());
        let location = store::Location::read(&self.text("DATABASE_URL", &default), self.get);
        location.map_err(|mistake| self.mistakes.push(mistake)).ok()
    }

    fn storage(&mut self, data_dir: &std::path::Path) -> StorageLocation {
        let default = match self.text("S3_BUCKET_NAME", "") {
            bucket if bucket.is_empty() => format!("file://{}", data_dir.join("objects").display()),
            bucket => format!("s3://{bucket}"),
        };
        let url = self.text("STORAGE_URL", &default);
        if let Some(path) = url.strip_prefix("file://").filter(|path| !path.is_empty()) {
            return StorageLocation::Disk(PathBuf::from(path));
        }
        let s3 = url.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
        if let Some((bucket, prefix)) = s3.filter(|(bucket, prefix)| is_bucket(bucket) && is_prefix(prefix)) {
            return StorageLocation::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        }
        self.mistakes
            .push(format!("STORAGE_URL is \"{url}\", but must be file://DIRECTORY or s3://BUCKET/PREFIX."));
        StorageLocation::Disk(PathBuf::new())
    }

    fn registration(&mut self) -> Registration {
        match self.text("REGISTRATION", "open").trim() {
            "open" => Registration::Open,
            "closed" => Registration::Closed,
            other => {
                self.mistakes.push(format!("REGISTRATION is \"{other}\", but must be open or closed."));
                Registration::Closed
            }
        }
    }

    fn engine_tier(&mut self) -> Tier {
        let wanted = Tier::wanted(Some(&self.text(tier::VARIABLE, "auto")));
        wanted.unwrap_or_else(|mistake| {
            self.mistakes.push(format!("{mistake}."));
            Tier::Scalar
        })
    }

    fn proxies(&mut self) -> Vec<IpAddr> {
        let text = self.text("TRUSTED_PROXIES", "");
        let (good, bad): (Vec<_>, Vec<_>) = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| part.parse::<IpAddr>().map_err(|_| part.to_owned()))
            .partition(Result::is_ok);
        for part in bad.into_iter().filter_map(Result::err) {
            self.mistakes.push(format!("TRUSTED_PROXIES holds \"{part}\", which is not an IP address."));
        }
        good.into_iter().filter_map(Result::ok).collect()
    }
}

/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>, as far as a typing mistake goes.
fn is_bucket(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| plain(byte) || byte == b'-' || byte == b'.')
        && name.bytes().next().is_some_and(plain)
        && name.bytes().last().is_some_and(plain)
}

fn is_prefix(prefix: &str) -> bool {
    prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        Config::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_set_is_a_working_configuration() {
        let config = read(&[]).unwrap();
        assert_eq!(config.site_addr.to_string(), "127.0.0.1:5000");
        assert_eq!(config.database, store::Location::Sql("sqlite://./data/llm-tuner.db".to_owned()));
        assert!(!config.secure_cookies());
    }

    #[test]
    fn all_mistakes_are_listed_at_once_and_no_password_is_repeated() {
        let errors = read(&[
            ("LEPTOS_SITE_ADDR", "nowhere"),
            ("BASE_URL", "http://tuner.example.com"),
            ("DATABASE_URL", "mysql://root:hunter2@db/x"),
            ("STORAGE_URL", "ftp://x"),
            ("REGISTRATION", "maybe"),
            ("MAX_PARALLEL_JOBS", "0"),
            ("ENGINE_TIER", "sse9"),
            ("MAX_UPLOAD_BYTES", "5 GB"),
            ("TRUSTED_PROXIES", "10.0.0.1, proxy"),
        ])
        .unwrap_err();
        assert_eq!(errors.0.len(), 9, "{errors}");
        assert!(!errors.to_string().contains("hunter2"));
    }

    #[test]
    fn a_bucket_is_named_by_url_or_by_its_name_alone() {
        let s3 =
            |bucket: &str, prefix: &str| StorageLocation::S3 { bucket: bucket.into(), prefix: prefix.into() };
        let storage = |pairs: &[(&str, &str)]| read(pairs).map(|config| config.storage);
        assert_eq!(storage(&[("STORAGE_URL", "s3://team-data/tuner")]).unwrap(), s3("team-data", "tuner"));
        assert_eq!(storage(&[("S3_BUCKET_NAME", "team-data")]).unwrap(), s3("team-data", ""));
        assert_eq!(storage(&[]).unwrap(), StorageLocation::Disk("./data/objects".into()));
        for wrong in ["s3://", "s3://Team", "s3://x", "s3://team data/x", "s3://team/a?b", "file://"] {
            let mistakes = storage(&[("STORAGE_URL", wrong)]).unwrap_err();
            assert!(mistakes.to_string().contains(wrong), "{mistakes}");
        }
    }

    #[test]
    fn what_sagemaker_lacks_is_named() {
        let role = ("SAGEMAKER_EXECUTION_ROLE_ARN", "arn:aws:iam::123456789012:role/tuner/Role");
        let missing = |pairs: &[(&str, &str)]| {
            let config = read(pairs).unwrap();
            config.aws.missing(&config.storage)
        };
        assert!(missing(&[role]).unwrap().contains("STORAGE_URL"));
        assert!(missing(&[("S3_BUCKET_NAME", "team-data")]).unwrap().contains("EXECUTION_ROLE_ARN"));
        assert_eq!(missing(&[role, ("S3_BUCKET_NAME", "team-data")]), None);
        let wrong = [
            ("SAGEMAKER_EXECUTION_ROLE_ARN", "arn:aws:iam::12:user/x"),
            ("SAGEMAKER_SUBNETS", "subnet-1, subnet-2"),
            ("SAGEMAKER_POLL_SECONDS", "0"),
            ("SAGEMAKER_INSTALLATION", "a b"),
        ];
        assert_eq!(read(&wrong).unwrap_err().0.len(), wrong.len());
    }

    #[test]
    fn another_address_for_aws_is_encrypted_in_production() {
        let plain = ("AWS_ENDPOINT_URL_S3", "http://minio:9000");
        let secure = ("BASE_URL", "https://tuner.example.com");
        assert_eq!(read(&[plain]).unwrap().aws.endpoints.len(), 1);
        let mistakes = read(&[plain, secure]).unwrap_err().to_string();
        assert!(mistakes.contains("AWS_ENDPOINT_URL_S3") && mistakes.contains("https://"), "{mistakes}");
        assert!(read(&[("AWS_ENDPOINT_URL_S3", "https://minio"), secure]).is_ok());
    }

    #[test]
    fn debug_shows_no_password() {
        let config = read(&[("DATABASE_URL", "postgres://tuner:hunter2@db/tuner")]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
