//! A job that runs on SageMaker: what was decided when it was made, and how it stands there.

use super::{jumpstart::DataLayout, money::Money};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a job runs. A supervisor takes the jobs of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// This machine, with the embedded engine.
    Local,
    SageMaker,
}

impl Place {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::SageMaker => "sagemaker",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Local, Self::SageMaker].into_iter().find(|place| place.as_str() == text)
    }
}

/// Which container trains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Route {
    /// Our own image: the same engine as on this machine.
    Image,
    /// A Hugging Face container with our `finetune.py`.
    Script,
    /// A JumpStart model with its own container, script and settings; pinned to a version.
    JumpStart { model: String, version: String },
}

/// What was decided for SageMaker when the job was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudSpec {
    pub route: Route,
    /// How the data is laid out, where the container wants it otherwise than this machine does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<DataLayout>,
    /// `ml.g5.2xlarge`
    pub instance_type: String,
    pub instance_count: u32,
    pub volume_gb: u32,
    /// SageMaker stops the job after so many seconds, whatever happens.
    pub max_runtime_seconds: u64,
    /// Spare capacity at a lower price; may be interrupted, and goes on from the last checkpoint.
    pub spot: bool,
    /// Types that the person agreed to where the first is not to be had, in this order.
    pub fallback: Vec<String>,
    /// Per hour, for the types above whose price is known …
    pub prices: BTreeMap<String, Money>,
    /// … on this day (`2026-11-21`), as AWS or our own list said.
    pub prices_as_of: Option<String>,
    /// Of the whole run; `None` where the price or the time is unknown.
    pub estimate: Option<Money>,
    /// The person has accepted the model's licence.
    pub licence_accepted: bool,
}

impl CloudSpec {
    /// The type that the `n`th choice names; the first is 0.
    pub fn choice(&self, n: usize) -> Option<&str> {
        std::iter::once(&self.instance_type).chain(&self.fallback).nth(n).map(String::as_str)
    }

    /// The most that it can cost: the limit of its time at the highest price. Unknown where a price is.
    pub fn at_most(&self) -> Option<Money> {
        let prices: Option<Vec<Money>> = std::iter::once(&self.instance_type)
            .chain(&self.fallback)
            .map(|kind| self.prices.get(kind).copied())
            .collect();
        let highest = prices?.into_iter().max()?;
        Some(highest.for_seconds(self.max_runtime_seconds, self.instance_count))
    }
}

/// How a job stands on SageMaker. Written before and after each call that matters, so that another server finds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloudRun {
    /// The training job's name there; decided and written before it is made.
    pub external_name: String,
    pub instance_type: String,
    /// Which of the choices of instance types it is at.
    pub choice: usize,
    /// SageMaker's own job, once it is known to exist.
    pub arn: Option<String>,
    /// `InProgress` …
    pub status: String,
    /// `Downloading`, `Interrupted` …
    pub secondary_status: String,
    /// What AWS bills, once it says so.
    pub billable_seconds: Option<u64>,
    pub training_seconds: Option<u64>,
    /// Where AWS put the result: `s3://…`
    pub artifact: Option<String>,
    /// Seconds that earlier tries of this job were billed for …
    pub earlier_seconds: u64,
    /// … and what they cost; `None` where a price was unknown.
    pub earlier_cost: Option<Money>,
}

impl CloudRun {
    /// Of the present try: what is billed, or has passed.
    pub fn seconds(&self) -> u64 {
        self.billable_seconds.or(self.training_seconds).unwrap_or(0)
    }
}

impl Default for CloudRun {
    fn default() -> Self {
        Self {
            external_name: String::new(),
            instance_type: String::new(),
            choice: 0,
            arn: None,
            status: String::new(),
            secondary_status: String::new(),
            billable_seconds: None,
            training_seconds: None,
            artifact: None,
            earlier_seconds: 0,
            // Nothing, and that is known.
            earlier_cost: Some(Money::default()),
        }
    }
}
