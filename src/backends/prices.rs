//! The port that tells what a machine on AWS costs by the hour, and how many of its kind the account may run.

pub use crate::domain::instance::Usage;

use crate::domain::money::Money;
use async_trait::async_trait;

/// A price, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// On demand, for one instance. `None`: not known, which is never 0. Of spot capacity too, whose price nobody
    /// promises: the one on demand is the most that it costs.
    pub per_hour: Option<Money>,
    /// The day it is of (`2026-11-21`), or the month, where no more is known.
    pub as_of: String,
    /// The region that it holds in.
    pub region: String,
    /// From AWS's price list; otherwise from the list that ships with the product.
    pub live: bool,
    /// Why it is not AWS's own, or unknown.
    pub problem: Option<String>,
}

impl Quote {
    /// Where it is from, in a word for scripts.
    pub fn source(&self) -> &'static str {
        match (self.per_hour, self.live) {
            (None, _) => "unknown",
            (_, true) => "aws",
            (_, false) => "snapshot",
        }
    }
}

#[async_trait]
pub trait Prices: Send + Sync {
    /// The price in the region of this installation. Answers at once or within seconds; a failure is a quote too.
    async fn per_hour(&self, instance_type: &str, usage: Usage) -> Quote;
}

/// How many instances of a type the account may run at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// AWS's own name of it (`ml.g5.2xlarge for training job usage`).
    pub name: String,
    pub limit: f64,
    /// Where a larger one is asked for.
    pub url: String,
}

#[async_trait]
pub trait Quotas: Send + Sync {
    /// `Ok(None)` where AWS lists no such quota; `Err` says why it could not be read.
    async fn limit(&self, instance_type: &str, usage: Usage) -> Result<Option<Quota>, String>;
}
