//! What a job is called on AWS, and where its things lie in the bucket.

use crate::{
    backends::Folders,
    domain::{
        ids::{JobId, UserId},
        job::Job,
    },
};

/// SageMaker's limit.
const MAX_NAME: usize = 63;
/// The end of a job's name that makes it unique (`services::training::names`).
const UNIQUE: usize = 11;

/// The training job's name for the present try: the job's own, then `…-2` and so on.
pub fn external(job: &Job) -> String {
    if job.attempt <= 1 {
        return job.name.clone();
    }
    let number = format!("-{}", job.attempt);
    if job.name.len() + number.len() <= MAX_NAME {
        return format!("{}{number}", job.name);
    }
    let (words, unique) = job.name.split_at(job.name.len().saturating_sub(UNIQUE));
    let room = MAX_NAME - unique.len() - number.len();
    format!("{}{unique}{number}", words[..room.min(words.len())].trim_end_matches('-'))
}

/// What the job reads.
pub fn inputs(user: &UserId, job: &JobId) -> String {
    format!("users/{user}/training-data/{job}")
}

/// Where SageMaker puts results, each try's under its own name. The model's id is the job's.
pub fn output(user: &UserId, job: &JobId) -> String {
    format!("users/{user}/models/{job}")
}

pub fn checkpoints(user: &UserId, job: &JobId) -> String {
    format!("users/{user}/checkpoints/{job}")
}

/// The bucket, and what stands before every key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    start: String,
}

impl Bucket {
    pub fn new(bucket: &str, prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let start =
            if prefix.is_empty() { format!("s3://{bucket}/") } else { format!("s3://{bucket}/{prefix}/") };
        Self { start }
    }

    pub fn uri(&self, key: &str) -> String {
        format!("{}{key}", self.start)
    }

    /// The key of an object of ours.
    pub fn key(&self, uri: &str) -> Option<String> {
        uri.strip_prefix(&self.start).filter(|key| !key.is_empty()).map(str::to_owned)
    }
}

impl Folders for Bucket {
    fn training_data(&self, job: &Job) -> String {
        format!("{}/", self.uri(&inputs(&job.user_id, &job.id)))
    }
    fn output(&self, job: &Job) -> String {
        format!("{}/", self.uri(&output(&job.user_id, &job.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::job_for_tests::job;
    use proptest::prelude::*;

    #[test]
    fn a_bucket_knows_its_own() {
        let bucket = Bucket::new("bucket", "/team/");
        assert_eq!(bucket.uri("users/u"), "s3://bucket/team/users/u");
        assert_eq!(bucket.key("s3://bucket/team/users/u").as_deref(), Some("users/u"));
        assert_eq!(bucket.key("s3://bucket/other/users/u"), None);
        assert_eq!(Bucket::new("bucket", "").uri("a"), "s3://bucket/a");
    }

    proptest! {
        /// Every try has a name of its own that SageMaker takes, and the end that makes it unique stays.
        #[test]
        fn every_try_has_a_name(words in "[a-z0-9](-?[a-z0-9]){0,51}", unique in "[0-9a-z]{10}", attempts in 2u32..2000) {
            let mut job = job();
            job.name = format!("{words}-{unique}");
            prop_assume!(job.name.len() <= MAX_NAME);
            let mut seen = std::collections::BTreeSet::new();
            for attempt in [1, attempts, attempts + 1] {
                job.attempt = attempt;
                let name = external(&job);
                let plain = |c: char| c.is_ascii_alphanumeric();
                prop_assert!(name.len() <= MAX_NAME && name.starts_with(plain) && name.ends_with(plain), "{}", name);
                prop_assert!(name.contains(&unique));
                prop_assert!(seen.insert(name));
            }
        }
    }
}
