//! The tags on everything that we make on AWS. They say whose it is, and the server's rights on AWS hang on them
//! (`infra/`): a changed name loses what runs.

/// The id of our job, on its training job.
pub const JOB: &str = "llm-tuner:job";
/// The id of our endpoint, on the three things that it is made of.
pub const ENDPOINT: &str = "llm-tuner:endpoint";
/// The person's id.
pub const OWNER: &str = "llm-tuner:owner";
/// The name of the installation: several may use one account.
pub const INSTALLATION: &str = "llm-tuner:installation";
