//! Runs jobs on AWS SageMaker, and hosts models there ([`hosting`]). What runs there is the same directory as here (`docs/ARCHITECTURE.md`): it goes into the
//! bucket, SageMaker lays it out as `/opt/ml`, and leaves the result in the bucket.
//!
//! ```text
//! s3://<bucket>/<prefix>/users/<user>/training-data/<job>/<channel>/…   what the job reads; goes when it is over
//! s3://<bucket>/<prefix>/users/<user>/checkpoints/<job>/                what it can go on from
//! s3://<bucket>/<prefix>/users/<user>/models/<job>/<name>/output/…      the result, where it stays
//! <jobs>/<job>/input/                                                   the same data, before it is sent
//! <jobs>/<job>/log/                                                     what was read of its log (see `logs`)
//! ```
//!
//! The training job's name there is decided and written into the row before it is made, and it is the only key: a call
//! whose answer was lost is asked about by name, and made again under the same name, which SageMaker refuses. So a job
//! is never doubled and never lost, whenever this server dies. The folder above is a copy that can be made again.
//!
//! - this file: the port        - [`launch`] sends the data and makes the job    - [`request`] the request as data
//! - [`look`] how it stands     - [`logs`] what it says, from CloudWatch         - [`failure`] AWS's words, made plain
//! - [`metrics`] figures in the lines of others' scripts, [`jumpstart`] its models
//! - [`prices`], [`quotas`] what machines cost and how many may run; [`remembered`] keeps a slow service's answers
//! - [`account`] tries what the server may do there
//! - [`names`] names and places - [`tags`] whose it is - [`package`] the script for Hugging Face's containers - [`images`] AWS's containers

pub mod account;
pub mod failure;
pub mod hosting;
mod images;
pub mod jumpstart;
mod launch;
mod logs;
mod look;
mod metrics;
pub mod names;
mod package;
pub mod prices;
pub mod quotas;
pub mod remembered;
pub mod request;
mod tags;

use super::{
    Artifact, BackendError, Look, Progress, RunOutcome, RunStatus, TrainingBackend, catalogue::Catalogue,
};
use crate::{
    aws,
    config::aws::AwsSettings,
    domain::{
        cloud::CloudRun,
        ids::{JobId, UserId},
        job::{Job, JobState},
        time::Clock,
    },
    storage::{Storage, StorageError},
};
use async_trait::async_trait;
use names::Bucket;
use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// How often a job is looked at after its end before it counts as ended: CloudWatch gets the last lines later.
const LAST_LOOKS: u32 = 2;

/// The adapter; a clone is the same backend.
#[derive(Clone)]
pub struct SageMakerBackend {
    inner: Arc<Inner>,
}

struct Inner {
    sagemaker: aws_sdk_sagemaker::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    storage: Arc<dyn Storage>,
    catalogue: Arc<dyn Catalogue>,
    settings: AwsSettings,
    region: String,
    bucket: Bucket,
    /// The directory that holds the jobs' directories.
    jobs: PathBuf,
    clock: Arc<dyn Clock>,
    /// Jobs that are over, and how often they were looked at since.
    ended: Mutex<HashMap<JobId, u32>>,
}

impl SageMakerBackend {
    /// `storage` is the `bucket`, as a port. Asks nothing of AWS yet.
    ///
    /// # Errors
    /// Where the jobs' directory can't be made.
    pub fn new(
        sdk: &aws_config::SdkConfig,
        settings: AwsSettings,
        storage: Arc<dyn Storage>,
        catalogue: Arc<dyn Catalogue>,
        bucket: Bucket,
        jobs: PathBuf,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BackendError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&jobs).map_err(disk)?;
        let jobs = jobs.canonicalize().map_err(disk)?;
        let sagemaker = aws_sdk_sagemaker::config::Builder::from(sdk).timeout_config(aws::brief()).build();
        let logs = aws_sdk_cloudwatchlogs::config::Builder::from(sdk).timeout_config(aws::brief()).build();
        let inner = Inner {
            sagemaker: aws_sdk_sagemaker::Client::from_conf(sagemaker),
            logs: aws_sdk_cloudwatchlogs::Client::from_conf(logs),
            storage,
            catalogue,
            settings,
            region: sdk.region().map(ToString::to_string).unwrap_or_default(),
            bucket,
            jobs,
            clock,
            ended: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Inner {
    fn directory(&self, job: &JobId) -> PathBuf {
        self.jobs.join(job.as_str())
    }

    /// Is the job over, and all it said heard? Counts the looks.
    fn is_heard(&self, job: &JobId) -> bool {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = ended.entry(job.clone()).or_insert(0);
        *looks += 1;
        *looks > LAST_LOOKS
    }

    async fn status(&self, job: &Job) -> Result<Look, BackendError> {
        let name = names::external(job);
        let Some(run) = job.cloud.clone().filter(|run| run.external_name == name) else {
            return Ok(RunStatus::Absent.into());
        };
        let Some(found) = look::describe(self, &name).await? else {
            return Ok(match run.arn {
                None => RunStatus::Absent.into(),
                Some(_) => RunStatus::Ended(RunOutcome::Failed {
                    message: "The training job is not on SageMaker any more: somebody deleted it there."
                        .to_owned(),
                    next_step: Some("Clone the job to start it anew.".to_owned()),
                })
                .into(),
            });
        };
        if run.arn.is_none() && !launch::is_ours(self, job, &found).await? {
            return Ok(RunStatus::Ended(launch::taken(&name)).into());
        }
        let mut look = look::read(&found, run, job.stop.is_some(), self.clock.now());
        if matches!(look.status, RunStatus::Ended(_)) && !self.is_heard(&job.id) {
            let words = Some("Ended on SageMaker; reading its last lines".to_owned());
            look.status = RunStatus::Running(Progress { state: job.state, words });
        }
        Ok(look)
    }
}

#[async_trait]
impl TrainingBackend for SageMakerBackend {
    fn next_run(&self, job: &Job) -> Option<CloudRun> {
        let spec = job.spec.cloud.as_ref()?;
        let name = names::external(job);
        let before = job.cloud.clone().unwrap_or_default();
        let instance_type = spec.choice(before.choice).unwrap_or(&spec.instance_type).to_owned();
        if before.external_name == name {
            return Some(CloudRun { instance_type, ..before });
        }
        Some(CloudRun {
            external_name: name,
            instance_type,
            choice: before.choice,
            // What earlier tries were billed for stays.
            earlier_seconds: before.earlier_seconds + before.seconds(),
            earlier_cost: job.cost(),
            ..CloudRun::default()
        })
    }

    fn started(&self) -> Progress {
        let words = "SageMaker has the job and looks for a machine".to_owned();
        Progress { state: JobState::Starting, words: Some(words) }
    }

    fn directory(&self, job: &Job) -> PathBuf {
        self.inner.directory(&job.id)
    }

    async fn start(&self, job: &Job) -> Result<(), BackendError> {
        launch::start(&self.inner, job).await
    }

    async fn status(&self, job: &Job) -> Result<Look, BackendError> {
        self.inner.status(job).await
    }

    async fn output(&self, job: &Job, offset: u64, limit: usize) -> Result<(Vec<String>, u64), BackendError> {
        logs::read(&self.inner, job, offset, limit).await
    }

    async fn stop(&self, job: &Job, _keep: bool) -> Result<(), BackendError> {
        let name = names::external(job);
        match self.inner.sagemaker.stop_training_job().training_job_name(&name).send().await {
            Ok(_) => Ok(()),
            Err(error) => match aws::Failure::of(&error) {
                // It has ended already, or never began: the next look tells.
                aws::Failure::Refused { code, .. } if code == "ValidationException" => Ok(()),
                failure => Err(failure::of_call(&failure, "stop the training job")),
            },
        }
    }

    async fn checkpoint(&self, job: &Job) -> Result<Option<u64>, BackendError> {
        let keys = self.inner.storage.list(&names::checkpoints(&job.user_id, &job.id)).await;
        let steps = keys.map_err(stored)?.into_iter().filter_map(|key| {
            let (folder, file) = key.split_once('/')?;
            (file == "manifest.json").then_some(())?;
            // The script's, and our own engine's.
            ["checkpoint-", "step-"].iter().find_map(|start| folder.strip_prefix(start)?.parse().ok())
        });
        Ok(steps.max())
    }

    async fn result(&self, job: &Job) -> Result<Artifact, BackendError> {
        let artifact = job.cloud.as_ref().and_then(|run| run.artifact.as_deref());
        let Some(key) = artifact.and_then(|uri| self.inner.bucket.key(uri)) else {
            return Ok(Artifact::Nothing);
        };
        // Packed, it lies alone in its folder.
        let prefix = key.strip_suffix("/model.tar.gz").unwrap_or(&key).trim_end_matches('/').to_owned();
        match self.inner.storage.list(&prefix).await.map_err(stored)?.is_empty() {
            true => Ok(Artifact::Nothing),
            false => Ok(Artifact::Stored(prefix)),
        }
    }

    async fn present(&self) -> Result<Vec<JobId>, BackendError> {
        let jobs = self.inner.jobs.clone();
        let read = move || -> io::Result<Vec<JobId>> {
            let entries = fs::read_dir(&jobs)?;
            Ok(entries.filter_map(|entry| JobId::parse(entry.ok()?.file_name().to_str()?)).collect())
        };
        blocking(read).await
    }

    async fn clean(&self, job: &JobId) -> Result<(), BackendError> {
        let directory = self.inner.directory(job);
        self.inner.ended.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
        let owner = fs::read_to_string(directory.join("owner")).ok();
        if let Some(owner) = owner.and_then(|text| UserId::parse(text.trim())) {
            for prefix in [names::inputs(&owner, job), names::checkpoints(&owner, job)] {
                self.inner.storage.delete_prefix(&prefix).await.map_err(stored)?;
            }
        }
        blocking(move || match fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BackendError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| BackendError::Io(error.to_string()))?.map_err(disk)
}

fn disk(error: io::Error) -> BackendError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackendError::Full,
        _ => BackendError::Io(error.to_string()),
    }
}

fn stored(error: StorageError) -> BackendError {
    match error {
        StorageError::Full => BackendError::Full,
        StorageError::Unavailable(_) => BackendError::Unavailable("The bucket does not answer.".to_owned()),
        other => BackendError::Io(other.to_string()),
    }
}
