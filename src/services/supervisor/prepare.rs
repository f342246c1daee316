//! Fills a job's directory: the base model, the data as JSON Lines, the settings. Done in `input.part`, which becomes
//! `input` in one step, so what is there is whole and a job that is taken up again finds it done.

use super::{
    Parts,
    explain::{self, Explained, because},
};
use crate::{
    domain::{
        cloud::{CloudSpec, Place},
        ids::DatasetId,
        job::{BaseModel, Job},
        model::ModelKind,
    },
    services::datasets::samples,
    storage::{ByteStream, StorageError, blocking_reader},
    store::StoreError,
};
use llm_tuner_dataset::{
    ColumnMapping, Partition, ReadError, Report, Schema, SplitCounts, convert, convert_split,
};
use serde_json::json;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Read},
    os::unix::fs::DirBuilderExt,
    path::{Component, Path, PathBuf},
};
use tokio_util::sync::CancellationToken;

const OTHER_BASE: &str = "Start a new job with another base model.";
const OTHER_DATA: &str = "Look at the dataset's page, then start a new job.";

#[derive(Debug)]
pub(super) enum PrepareError {
    /// May work again soon.
    Store(StoreError),
    /// Files can't be had just now.
    Later(String),
    /// The job can't be run.
    Failed(Explained),
}

impl From<StoreError> for PrepareError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Explained> for PrepareError {
    fn from(why: Explained) -> Self {
        Self::Failed(why)
    }
}

pub(super) async fn prepare(parts: &Parts, job: &Job) -> Result<(), PrepareError> {
    let directory = parts.backend.directory(job);
    let (input, part) = (directory.join("input"), directory.join("input.part"));
    if let BaseModel::Directory { name } = &job.spec.base {
        // Also where it was linked before: the operator may have taken it away since.
        source(parts, name)?;
    }
    if input.is_dir() {
        return Ok(());
    }
    // Dropped with this future: a conversion that nobody waits for any more ends.
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();

    let fresh = part.clone();
    files(move || {
        match fs::remove_dir_all(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for folder in ["config", "data/training", "data/validation"] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(fresh.join(folder))?;
        }
        Ok(())
    })
    .await?;

    base(parts, job, &part).await?;
    let mut counts = SplitCounts::default();
    for (number, id) in job.spec.datasets.iter().enumerate() {
        let name = job.spec.dataset_names.get(number).map_or("", String::as_str);
        let added = dataset(parts, job, id, name, number, &part.join("data"), stop.clone()).await?;
        counts.training += added.training;
        counts.validation += added.validation;
    }
    if counts.training == 0 {
        return Err(because("There is no row in the data that could be learned from.", OTHER_DATA).into());
    }
    if let Some(CloudSpec { layout: Some(layout), .. }) = &job.spec.cloud {
        let (data, layout) = (part.join("data"), *layout);
        files(move || super::jumpstart::lay_out(&data, layout)).await?;
        counts.validation = 0;
    }
    let config = Config { hyperparameters: &job.spec.hyperparameters, validates: counts.validation > 0 };
    let texts = config.texts();
    files(move || {
        for (name, text) in texts {
            fs::write(part.join("config").join(name), text)?;
        }
        if counts.validation == 0 {
            match fs::remove_dir(part.join("data/validation")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&part, &input)?;
        File::open(directory)?.sync_all()
    })
    .await
}

/// The three small files of `config`, as SageMaker hands them over.
struct Config<'a> {
    hyperparameters: &'a std::collections::BTreeMap<String, String>,
    validates: bool,
}

impl Config<'_> {
    fn texts(&self) -> [(&'static str, String); 3] {
        let channel = json!({
            "ContentType": "application/jsonlines",
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        });
        let mut channels = json!({ "training": channel });
        if self.validates {
            channels["validation"] = channel;
        }
        [
            ("hyperparameters.json", json!(self.hyperparameters).to_string()),
            ("inputdataconfig.json", channels.to_string()),
            ("resourceconfig.json", json!({ "current_host": "algo-1", "hosts": ["algo-1"] }).to_string()),
        ]
    }
}

/// Puts the base model at `data/model` of the input; nothing for nano, which has none.
async fn base(parts: &Parts, job: &Job, input: &Path) -> Result<(), PrepareError> {
    let (name, target) = (&job.spec.base_name, input.join("data/model"));
    match &job.spec.base {
        BaseModel::Nano => Ok(()),
        // Its container brings it.
        BaseModel::Hub { .. } | BaseModel::JumpStart { .. } => Ok(()),
        BaseModel::Directory { name: directory } => {
            // A link: the engine reads it only, and it may be large.
            let source = source(parts, directory)?;
            files(move || std::os::unix::fs::symlink(source.canonicalize()?, target)).await
        }
        BaseModel::Model { id } => {
            let model = parts
                .store
                .model(id)
                .await?
                .filter(|model| model.user_id == job.user_id)
                .ok_or_else(|| because(format!("The base model \"{name}\" was deleted."), OTHER_BASE))?;
            if model.kind == ModelKind::Adapter {
                return Err(because(
                    format!("The base model \"{name}\" is an adapter, and an adapter can't be tuned further."),
                    "Tune its base instead, or make the adapter again with \"merge the adapter\" switched on.",
                )
                .into());
            }
            if job.spec.place() == Place::SageMaker {
                // SageMaker takes it from the bucket, where it lies.
                let (note, prefix) = (input.join("config/base"), model.prefix.clone());
                return files(move || fs::write(note, prefix)).await;
            }
            let folder = target.clone();
            files(move || fs::create_dir(folder)).await?;
            // What lies in folders (an adapter beside its merged model) is not part of the weights.
            for file in model.files.iter().filter(|file| !file.path.contains('/')) {
                let key = format!("{}/{}", model.prefix, file.path);
                let copied = parts.storage.get_file(&key, &target.join(&file.path)).await;
                copied.map_err(|error| unread(&error, &format!("the base model \"{name}\"")))?;
            }
            Ok(())
        }
    }
}

/// Where a base model of the operator lies.
fn source(parts: &Parts, name: &str) -> Result<PathBuf, PrepareError> {
    inside(&parts.settings.models_dir, name).filter(|path| path.is_dir()).ok_or_else(|| {
        because(format!("The base model \"{name}\" is not on this machine any more."), OTHER_BASE).into()
    })
}

/// The path of a plain name under a directory.
fn inside(root: &Path, name: &str) -> Option<PathBuf> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(part)), None) => Some(root.join(part)),
        _ => None,
    }
}

/// Writes one dataset's rows to `training` and, where some are held out, to `validation`.
async fn dataset(
    parts: &Parts,
    job: &Job,
    id: &DatasetId,
    name: &str,
    number: usize,
    data: &Path,
    stop: CancellationToken,
) -> Result<SplitCounts, PrepareError> {
    let what = format!("the dataset \"{name}\"");
    let dataset = parts.store.dataset(id).await?.filter(|dataset| dataset.user_id == job.user_id);
    let dataset =
        dataset.ok_or_else(|| because(format!("The dataset \"{name}\" was deleted."), OTHER_DATA))?;
    let (schema, rows) = schema(dataset.report.as_deref(), dataset.mapping.as_deref())
        .ok_or_else(|| because(format!("It is not known how to read {what}."), OTHER_DATA))?;
    let held_out = dataset.sample.as_deref().and_then(samples::held_out);
    let share = if held_out.is_some() { 0.0 } else { job.spec.validation_share };
    let seed = job.spec.hyperparameters.get("seed").and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let work = Work {
        schema,
        partition: (share > 0.0).then(|| Partition::new(seed, share, rows)),
        held_out,
        training: data.join(format!("training/{number:03}-{id}.jsonl")),
        validation: data.join(format!("validation/{number:03}-{id}.jsonl")),
        stop,
    };
    let content = parts.storage.get(&dataset.object_key, None).await;
    let content = content.map_err(|error| unread(&error, &what))?;
    let converted = tokio::task::spawn_blocking(move || work.run(content)).await;
    match converted {
        Ok(Ok(counts)) => Ok(counts),
        Ok(Err(ReadError::Write(error))) => Err(disk(&error).into()),
        Ok(Err(ReadError::Read(error))) => {
            Err(explain::storage(&StorageError::Io(error.to_string()), &what).into())
        }
        Ok(Err(error)) => Err(because(error.to_string(), OTHER_DATA).into()),
        Err(error) => Err(explain::engine(error.to_string(), None).into()),
    }
}

/// A file that can't be read: now, or at all.
fn unread(error: &StorageError, what: &str) -> PrepareError {
    match error {
        StorageError::Unavailable(why) => PrepareError::Later(why.clone()),
        error => explain::storage(error, what).into(),
    }
}

/// How the check found that the file is to be read, and how many rows can be used.
fn schema(report: Option<&str>, mapping: Option<&str>) -> Option<(Schema, u64)> {
    let report: Report = serde_json::from_str(report?).ok()?;
    let schema = report.schema?;
    let schema = match mapping {
        Some(mapping) => schema.with_mapping(serde_json::from_str::<ColumnMapping>(mapping).ok()?),
        None => schema,
    };
    Some((schema, report.statistics.rows))
}

/// The conversion of one dataset, for a blocking thread.
struct Work {
    schema: Schema,
    partition: Option<Partition>,
    held_out: Option<&'static [u8]>,
    training: PathBuf,
    validation: PathBuf,
    stop: CancellationToken,
}

impl Work {
    fn run(self, content: ByteStream) -> Result<SplitCounts, ReadError> {
        let reader = Stoppable { inner: blocking_reader(content), stop: self.stop };
        let mut training = create(&self.training)?;
        let mut counts = match self.partition {
            Some(partition) => {
                let mut validation = create(&self.validation)?;
                let counts = convert_split(reader, &self.schema, partition, &mut training, &mut validation)?;
                keep(validation)?;
                counts
            }
            None => {
                let counts = convert(reader, &self.schema, &mut training)?;
                SplitCounts { training: counts.rows, validation: 0, rejected: counts.rejected }
            }
        };
        keep(training)?;
        if let Some(rows) = self.held_out {
            fs::write(&self.validation, rows).map_err(ReadError::Write)?;
            counts.validation =
                rows.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).count() as u64;
        } else if self.validation.exists() && counts.validation == 0 {
            fs::remove_file(&self.validation).map_err(ReadError::Write)?;
        }
        Ok(counts)
    }
}

fn create(path: &Path) -> Result<BufWriter<File>, ReadError> {
    Ok(BufWriter::with_capacity(128 * 1024, File::create_new(path).map_err(ReadError::Write)?))
}

fn keep(writer: BufWriter<File>) -> Result<(), ReadError> {
    let file = writer.into_inner().map_err(|error| ReadError::Write(error.into_error()))?;
    file.sync_all().map_err(ReadError::Write)
}

/// A reader that ends with an error once it is told to.
struct Stoppable<R> {
    inner: R,
    stop: CancellationToken,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("nobody needs the data any more"));
        }
        self.inner.read(buffer)
    }
}

/// Blocking work with the job's directory.
async fn files(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), PrepareError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| disk(&error).into()),
        Err(error) => Err(explain::engine(error.to_string(), None).into()),
    }
}

fn disk(error: &io::Error) -> Explained {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let error = match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => StorageError::Full,
        _ => StorageError::Io(error.to_string()),
    };
    explain::storage(&error, "the job's directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_model_is_a_plain_name() {
        let root = Path::new("/models");
        assert_eq!(inside(root, "gpt2"), Some(PathBuf::from("/models/gpt2")));
        for name in ["", ".", "..", "../x", "a/b", "/etc", "a/.."] {
            assert_eq!(inside(root, name), None, "{name}");
        }
    }

    #[test]
    fn what_was_not_checked_can_not_be_read() {
        for report in [None, Some(""), Some("{}"), Some("[1]")] {
            assert!(schema(report, None).is_none(), "{report:?}");
        }
    }
}
