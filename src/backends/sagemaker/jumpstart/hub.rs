//! The catalogue as AWS has it: `ListHubContents` for the names, `DescribeHubContent` for one model when somebody looks
//! at it. Answers are kept for hours; a failure is told from memory for half a minute, so that nobody waits for each
//! page anew. Where AWS does not answer, the shipped list does.

use super::{
    document::{Entry, listed, parse},
    shipped, snapshot,
};
use crate::{
    aws::Failure,
    backends::catalogue::{Catalogue, CatalogueError, Found, Listing},
    domain::{
        jumpstart::{Listed, Model, Source},
        time::{Clock, Instant},
    },
};
use async_trait::async_trait;
use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sagemaker::{
    Client,
    types::{HubContentInfo, HubContentStatus, HubContentSupportStatus, HubContentType},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

const HUB: &str = "SageMakerPublicHub";
/// JumpStart's own client keeps its lists as long.
const FRESH: Duration = Duration::from_secs(6 * 3_600);
/// A failure is not tried again for so long.
const TROUBLE: Duration = Duration::from_secs(30);
/// A person waits so long for AWS; the list is fetched on behind them.
const PATIENCE: Duration = Duration::from_secs(4);
/// One try of one call, and all its tries.
const ATTEMPT: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(25);
/// More pages than AWS has models for.
const PAGES: usize = 200;
/// Descriptions that are kept; a catalogue has far more models than anybody looks at.
const KEPT: usize = 256;
/// Where addresses lead when the SDK knows no region; then it refuses every call by itself.
const SOME_REGION: &str = "us-east-1";

pub struct Hub(Arc<Inner>);

struct Inner {
    client: Client,
    region: String,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
    /// Told when a fetch of the list has ended, well or not.
    ended: Notify,
}

#[derive(Default)]
struct Memory {
    list: Option<(Instant, Arc<Vec<Listed>>)>,
    /// By id and the version that was asked for.
    models: HashMap<(String, Option<String>), (Instant, Model)>,
    trouble: Option<(Instant, String)>,
    /// Since when the list is being fetched.
    fetching: Option<Instant>,
}

impl Hub {
    pub fn new(config: &SdkConfig, clock: Arc<dyn Clock>) -> Self {
        let timeouts =
            TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(CALL).build();
        let config_here = aws_sdk_sagemaker::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .build();
        Self(Arc::new(Inner {
            client: Client::from_conf(config_here),
            region: config.region().map_or_else(|| SOME_REGION.to_owned(), ToString::to_string),
            clock,
            memory: Mutex::default(),
            ended: Notify::new(),
        }))
    }
}

#[async_trait]
impl Catalogue for Hub {
    async fn list(&self) -> Listing {
        // Before looking, so that no end is missed.
        let ended = self.0.ended.notified();
        if self.0.wants_list() {
            let inner = Arc::clone(&self.0);
            tokio::spawn(async move { inner.fetch_list().await });
        }
        if self.0.fetches_lately() {
            let _ = tokio::time::timeout(PATIENCE, ended).await;
        }
        self.0.told()
    }

    async fn model(&self, id: &str, version: Option<&str>) -> Result<Found, CatalogueError> {
        if !is_name(id) || !version.is_none_or(is_version) {
            return Err(CatalogueError::Unknown);
        }
        let key = (id.to_owned(), version.map(str::to_owned));
        if let Some(model) = self.0.remembered(&key) {
            return Ok(Found { model, problem: None });
        }
        if let Some(why) = self.0.recent_trouble() {
            return shipped::find(&self.0.region, id, version, why);
        }
        let described = tokio::time::timeout(PATIENCE, self.0.describe(id, version)).await;
        match described.unwrap_or_else(|_| Err(Trouble::Failed(silence()))) {
            Ok(model) => {
                self.0.remember(key, model.clone());
                Ok(Found { model, problem: None })
            }
            Err(Trouble::Unknown) => Err(CatalogueError::Unknown),
            Err(Trouble::Unusable(why)) => Err(CatalogueError::Unusable(why)),
            Err(Trouble::Failed(why)) => {
                self.0.failed(why.clone());
                shipped::find(&self.0.region, id, version, why)
            }
        }
    }

    fn known(&self, id: &str) -> Option<Model> {
        let asked = self.0.remembered(&(id.to_owned(), None));
        asked.or_else(|| {
            // Where the list is the shipped one, so is the rest.
            let shipped = self.0.memory().list.is_none().then(|| snapshot::models(&self.0.region));
            shipped?.into_iter().find(|model| model.id == id)
        })
    }
}

enum Trouble {
    Unknown,
    Unusable(String),
    Failed(String),
}

fn silence() -> String {
    format!("AWS did not answer within {} seconds.", PATIENCE.as_secs())
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self, at: Instant, keep: Duration) -> bool {
        self.clock.now().since(at) < keep
    }

    fn recent_trouble(&self) -> Option<String> {
        let memory = self.memory();
        memory.trouble.as_ref().filter(|(at, _)| self.is_fresh(*at, TROUBLE)).map(|(_, why)| why.clone())
    }

    fn failed(&self, why: String) {
        self.memory().trouble = Some((self.clock.now(), why));
    }

    fn remembered(&self, key: &(String, Option<String>)) -> Option<Model> {
        let memory = self.memory();
        memory.models.get(key).filter(|(at, _)| self.is_fresh(*at, FRESH)).map(|(_, model)| model.clone())
    }

    fn remember(&self, key: (String, Option<String>), model: Model) {
        let now = self.clock.now();
        let mut memory = self.memory();
        if memory.models.len() >= KEPT {
            memory.models.clear();
        }
        memory.models.insert(key, (now, model));
        memory.trouble = None;
    }

    /// Is it this caller who is to fetch the list?
    fn wants_list(&self) -> bool {
        let trouble = self.recent_trouble().is_some();
        let mut memory = self.memory();
        let fresh = memory.list.as_ref().is_some_and(|(at, _)| self.is_fresh(*at, FRESH));
        let wanted = !fresh && !trouble && memory.fetching.is_none();
        if wanted {
            memory.fetching = Some(self.clock.now());
        }
        wanted
    }

    /// Is the list being fetched, and can it still come in time? Nobody waits for one that was waited for in vain.
    fn fetches_lately(&self) -> bool {
        self.memory().fetching.is_some_and(|since| self.is_fresh(since, PATIENCE))
    }

    /// What is known now: AWS's list, an older one of AWS's, or the shipped one.
    fn told(&self) -> Listing {
        let memory = self.memory();
        let trouble = memory.trouble.as_ref().map(|(_, why)| why.clone());
        match &memory.list {
            Some((at, models)) => Listing {
                models: models.clone(),
                source: Source::Hub,
                problem: (!self.is_fresh(*at, FRESH)).then(|| trouble.unwrap_or_else(silence)),
            },
            None => shipped::listing(
                &self.region,
                trouble.unwrap_or_else(|| format!("{} The list is still on its way.", silence())),
            ),
        }
    }

    async fn fetch_list(&self) {
        let fetched = self.all().await;
        let now = self.clock.now();
        {
            let mut memory = self.memory();
            memory.fetching = None;
            match fetched {
                Ok(models) => {
                    memory.list = Some((now, Arc::new(models)));
                    memory.trouble = None;
                }
                Err(why) => memory.trouble = Some((now, why)),
            }
        }
        self.ended.notify_waiters();
    }

    async fn all(&self) -> Result<Vec<Listed>, String> {
        let mut found = Vec::new();
        let mut next = None;
        for _ in 0..PAGES {
            let call = self.client.list_hub_contents().hub_name(HUB).hub_content_type(HubContentType::Model);
            let page = call.max_results(100).set_next_token(next).send().await;
            let page = page.map_err(|error| words(&Failure::of(&error)))?;
            found.extend(page.hub_content_summaries().iter().filter_map(line));
            next = page.next_token;
            if next.is_none() {
                break;
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    async fn describe(&self, id: &str, version: Option<&str>) -> Result<Model, Trouble> {
        let call = self.client.describe_hub_content().hub_name(HUB).hub_content_type(HubContentType::Model);
        let answer =
            call.hub_content_name(id).set_hub_content_version(version.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| match Failure::of(&error) {
            failure if failure.code() == Some("ResourceNotFound") => Trouble::Unknown,
            failure => Trouble::Failed(words(&failure)),
        })?;
        let entry = Entry {
            id,
            version: answer.hub_content_version().unwrap_or_default(),
            name: answer.hub_content_display_name().unwrap_or_default(),
            description: answer.hub_content_description().unwrap_or_default(),
            keywords: answer.hub_content_search_keywords(),
        };
        let document = answer.hub_content_document().unwrap_or_default();
        let document = serde_json::from_str(document).unwrap_or_default();
        parse(&entry, &document, &self.region, Source::Hub).map_err(|why| {
            tracing::warn!(model = id, %why, "a JumpStart model can't be used");
            Trouble::Unusable(why.to_string())
        })
    }
}

/// A line of the list, unless AWS is giving the model up.
fn line(info: &HubContentInfo) -> Option<Listed> {
    let usable = info.hub_content_status().is_none_or(|status| *status == HubContentStatus::Available)
        && info.support_status().is_none_or(|status| *status != HubContentSupportStatus::Deprecated);
    let entry = Entry {
        id: info.hub_content_name()?,
        version: info.hub_content_version()?,
        name: info.hub_content_display_name().unwrap_or_default(),
        description: info.hub_content_description().unwrap_or_default(),
        keywords: info.hub_content_search_keywords(),
    };
    usable.then(|| listed(&entry))
}

/// For a person: without the account's names, which stand in the log.
fn words(failure: &Failure) -> String {
    tracing::warn!(%failure, "the JumpStart catalogue can't be read");
    match failure.code() {
        Some("AccessDeniedException" | "AccessDenied") => {
            "AWS does not let this server read JumpStart's catalogue (sagemaker:ListHubContents and \
             sagemaker:DescribeHubContent)."
                .to_owned()
        }
        _ => failure.to_string(),
    }
}

/// As the API allows them: letters and digits, with hyphens between.
fn is_name(id: &str) -> bool {
    (1..=63).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !id.starts_with('-')
        && !id.ends_with('-')
}

fn is_version(version: &str) -> bool {
    let parts: Vec<_> = version.split('.').collect();
    let number =
        |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts.iter().all(number)
}
