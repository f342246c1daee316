//! The account port: what of AWS the server may use, tried with the server's own credentials and settings. Nothing is
//! changed by it, and nothing waits long. Adapter: `sagemaker::account`.

use crate::domain::{
    checkup::{Finding, LeftoverKind, Limit},
    time::Instant,
};
use async_trait::async_trait;

/// What was tried.
#[derive(Debug, Default)]
pub struct Examined {
    pub findings: Vec<Finding>,
    pub limits: Vec<Limit>,
}

/// Something that runs under this installation's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub kind: LeftoverKind,
    pub name: String,
    /// The id of its row, as its tag says.
    pub row: Option<String>,
    pub since: Option<Instant>,
}

/// What runs, and whether that is all.
#[derive(Debug, Default)]
pub struct AllRunning {
    pub running: Vec<Running>,
    /// Why there may be more.
    pub problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machines {
    pub instance_type: String,
    pub count: u32,
}

#[async_trait]
pub trait Account: Send + Sync {
    /// Is anything of AWS used with these settings?
    fn is_used(&self) -> bool;
    /// What the settings say, without asking anybody.
    fn settings(&self) -> Vec<Finding>;
    /// Tries everything that the server needs. Ends within half a minute, whatever answers or not.
    async fn examine(&self) -> Examined;
    /// Training jobs and endpoints that run and carry the installation's tag. Nothing where SageMaker is not used.
    async fn running(&self) -> AllRunning;
    /// What it runs on, where AWS says so.
    async fn machines(&self, running: &Running) -> Option<Machines>;
}
