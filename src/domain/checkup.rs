//! What a look at AWS found: everything that the server needs there, tried and explained. Plain data, the same for the
//! page, the API and the command line.

use super::{instance::Usage, money::Money, time::Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    Fail,
    /// Not needed with these settings, or nothing that could be tried without an effect.
    Skip,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// What a finding is about; in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// The machine that the server runs on: folders, pages, database.
    Server,
    Settings,
    Credentials,
    Region,
    Bucket,
    Role,
    Tables,
    Training,
    Hosting,
    Catalogue,
    Logs,
    Quotas,
    Prices,
}

impl Area {
    /// Stable, for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Settings => "settings",
            Self::Credentials => "credentials",
            Self::Region => "region",
            Self::Bucket => "bucket",
            Self::Role => "role",
            Self::Tables => "tables",
            Self::Training => "training",
            Self::Hosting => "hosting",
            Self::Catalogue => "catalogue",
            Self::Logs => "logs",
            Self::Quotas => "quotas",
            Self::Prices => "prices",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Server => "This machine",
            Self::Settings => "Settings",
            Self::Credentials => "Credentials",
            Self::Region => "Region",
            Self::Bucket => "Bucket",
            Self::Role => "Role of jobs and endpoints",
            Self::Tables => "Tables",
            Self::Training => "Permissions for training",
            Self::Hosting => "Permissions for hosting",
            Self::Catalogue => "Permissions for JumpStart",
            Self::Logs => "Permissions for logs",
            Self::Quotas => "Permissions for quotas",
            Self::Prices => "Permissions for prices",
        }
    }
}

/// One thing that was looked at or tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub area: Area,
    /// A setting, or a permission as a policy names it.
    pub what: String,
    /// What the server needs it for.
    pub purpose: String,
    pub verdict: Verdict,
    pub found: String,
    pub next_step: Option<String>,
}

impl Finding {
    pub fn is_fail(&self) -> bool {
        self.verdict == Verdict::Fail
    }

    pub fn ok(area: Area, what: impl Into<String>, purpose: &str, found: impl Into<String>) -> Self {
        let (what, found) = (what.into(), found.into());
        Self { area, what, purpose: purpose.to_owned(), verdict: Verdict::Ok, found, next_step: None }
    }

    /// Wrong, and what to do about it.
    pub fn fail(
        area: Area,
        what: impl Into<String>,
        purpose: &str,
        found: impl Into<String>,
        next: &str,
    ) -> Self {
        Self {
            verdict: Verdict::Fail,
            next_step: Some(next.to_owned()),
            ..Self::ok(area, what, purpose, found)
        }
    }

    /// Not needed or not known; what to do where it is wanted.
    pub fn skip(
        area: Area,
        what: impl Into<String>,
        purpose: &str,
        found: impl Into<String>,
        next: Option<&str>,
    ) -> Self {
        Self {
            verdict: Verdict::Skip,
            next_step: next.map(str::to_owned),
            ..Self::ok(area, what, purpose, found)
        }
    }
}

/// How many machines of a type the account may run at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    pub instance_type: &'static str,
    pub usage: Usage,
    /// `None`: AWS lists no such quota.
    pub limit: Option<f64>,
    /// Where a larger one is asked for.
    pub url: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftoverKind {
    Job,
    Endpoint,
}

impl LeftoverKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Job => "training_job",
            Self::Endpoint => "endpoint",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Job => "training job",
            Self::Endpoint => "endpoint",
        }
    }
}

/// Something that runs on AWS under this installation's tag, and that no open row of the database knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    pub kind: LeftoverKind,
    /// Its name on AWS.
    pub name: String,
    pub since: Option<Instant>,
    /// `2 × ml.g5.2xlarge`, where AWS says so.
    pub machine: Option<String>,
    /// Of all its machines. `None`: unknown, never 0.
    pub per_hour: Option<Money>,
    pub why: String,
    pub next_step: String,
}

/// All that one look found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checkup {
    pub findings: Vec<Finding>,
    pub limits: Vec<Limit>,
    pub leftovers: Vec<Leftover>,
    /// Why the leftovers are not known, or not all.
    pub leftovers_problem: Option<String>,
}

impl Checkup {
    pub fn is_well(&self) -> bool {
        !self.findings.iter().any(Finding::is_fail)
    }
}
