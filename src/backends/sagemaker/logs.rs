//! A job's lines, from CloudWatch Logs. They are copied into a file, and read from there as those of a job of this
//! machine are: the offset in the row counts bytes of it. The same lines make the same file, so it can be made again
//! when this machine or its disk is gone.
//!
//! ```text
//! <job>/log/<name of the training job>        its lines
//! <job>/log/<name of the training job>.json   how far CloudWatch was read, and how long the file was then
//! ```
//!
//! A stream is `<name>/algo-1-<time>`; an interrupted job has one for each machine it had, and they are read one after
//! the other.

use super::{
    Inner, blocking, failure,
    metrics::{self, Finder},
    names,
};
use crate::{
    aws::Failure,
    backends::{BackendError, local::output},
    domain::job::Job,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

const GROUP: &str = "/aws/sagemaker/TrainingJobs";
/// Pages read in one go; the rest comes with the next look.
const PAGES: usize = 20;

/// How far CloudWatch was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    stream: String,
    token: Option<String>,
    /// Bytes of the file.
    bytes: u64,
    /// How often each metric was found.
    #[serde(default)]
    found: BTreeMap<String, u64>,
    /// That the log can't be read was said.
    #[serde(default)]
    refused: bool,
}

/// As [`TrainingBackend::output`](crate::backends::TrainingBackend::output).
pub async fn read(
    inner: &Inner,
    job: &Job,
    offset: u64,
    limit: usize,
) -> Result<(Vec<String>, u64), BackendError> {
    let name = names::external(job);
    let folder = inner.directory(&job.id).join("log");
    let mut copy = blocking({
        let (folder, name) = (folder.clone(), name.clone());
        move || Copy::open(&folder, &name)
    })
    .await?;
    // What was copied before and is not read yet comes first.
    if copy.mark.bytes <= offset && follows(job) {
        let finder = Finder::new(&metrics::of_job(inner, job).await?, copy.mark.found.clone());
        copy = fetch(inner, &name, copy, finder).await?;
    }
    let path = copy.path;
    blocking(move || output::read(&path, offset, limit, false)).await
}

/// There is nothing to read before the job was made.
fn follows(job: &Job) -> bool {
    job.cloud.as_ref().is_some_and(|run| run.arn.is_some())
}

async fn fetch(inner: &Inner, name: &str, mut copy: Copy, mut finder: Finder) -> Result<Copy, BackendError> {
    let streams = match streams(inner, name).await {
        Ok(streams) => streams,
        Err(failure) => return give_up(failure, copy).await,
    };
    let at = copy.mark.stream.clone();
    for stream in streams.into_iter().filter(|stream| *stream >= at) {
        if stream != copy.mark.stream {
            copy.mark = Mark { stream: stream.clone(), token: None, ..copy.mark };
        }
        for _ in 0..PAGES {
            let page = inner
                .logs
                .get_log_events()
                .log_group_name(GROUP)
                .log_stream_name(&stream)
                .start_from_head(true)
                .set_next_token(copy.mark.token.clone())
                .send()
                .await;
            let page = match page {
                Ok(page) => page,
                Err(error) => return give_up(Failure::of(&error), copy).await,
            };
            let lines = page.events().iter().filter_map(|event| event.message());
            let text: String = lines.map(|line| finder.line(line.trim_end_matches('\n'))).collect();
            copy.mark.found.clone_from(&finder.found);
            let next = page.next_forward_token().map(str::to_owned);
            // The end: an empty page alone does not mean it.
            let end = next.is_none() || next == copy.mark.token;
            copy = blocking(move || copy.append(&text, next)).await?;
            if end {
                break;
            }
        }
    }
    Ok(copy)
}

/// The streams of the first machine, oldest first.
async fn streams(inner: &Inner, name: &str) -> Result<Vec<String>, Failure> {
    let asked = inner.logs.describe_log_streams().log_group_name(GROUP);
    let asked = asked.log_stream_name_prefix(format!("{name}/algo-1-")).send().await;
    let answer = match asked {
        Ok(answer) => answer,
        Err(error) => match Failure::of(&error) {
            // Before the first line there is neither group nor stream.
            Failure::Refused { code, .. } if code == "ResourceNotFoundException" => return Ok(Vec::new()),
            failure => return Err(failure),
        },
    };
    let names = answer.log_streams().iter().filter_map(|stream| stream.log_stream_name());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// A log that nobody may read is no reason to lose sight of the job: it says so once, as a line of its own.
async fn give_up(failure: Failure, copy: Copy) -> Result<Copy, BackendError> {
    match failure::of_call(&failure, "read the job's log") {
        BackendError::Refused { cause, next_step } if !copy.mark.refused => {
            blocking(move || copy.refuse(&format!("{cause} {next_step}\n"))).await
        }
        BackendError::Refused { .. } => Ok(copy),
        other => Err(other),
    }
}

/// The file that the lines are copied into.
struct Copy {
    path: PathBuf,
    mark: Mark,
}

impl Copy {
    /// What a crash added after the last mark is cut off: it is read again.
    fn open(folder: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(name);
        let mark: Mark = match fs::read(Self::mark_path(&path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Mark::default(),
            other => serde_json::from_slice(&other?).unwrap_or_default(),
        };
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let length = file.metadata()?.len();
        if length < mark.bytes {
            // Not the file that the mark is of: all anew.
            file.set_len(0)?;
            return Ok(Self { path, mark: Mark::default() });
        }
        if length > mark.bytes {
            file.set_len(mark.bytes)?;
        }
        Ok(Self { path, mark })
    }

    fn mark_path(path: &Path) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(".json");
        PathBuf::from(name)
    }

    fn append(mut self, text: &str, token: Option<String>) -> io::Result<Self> {
        if !text.is_empty() {
            OpenOptions::new().append(true).open(&self.path)?.write_all(text.as_bytes())?;
        }
        self.mark.bytes += text.len() as u64;
        self.mark.token = token.or(self.mark.token);
        self.keep()?;
        Ok(self)
    }

    fn refuse(mut self, line: &str) -> io::Result<Self> {
        self.mark.refused = true;
        self.append(line, None)
    }

    fn keep(&self) -> io::Result<()> {
        let path = Self::mark_path(&self.path);
        let part = path.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(&serde_json::to_vec(&self.mark)?)?;
        fs::rename(part, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_crash_added_is_cut_off_and_a_lost_file_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Copy::open(folder.path(), "job").unwrap();
        let copy = open().append("one\n", Some("t1".into())).unwrap();
        OpenOptions::new().append(true).open(&copy.path).unwrap().write_all(b"half").unwrap();
        let copy = open();
        assert_eq!((copy.mark.bytes, copy.mark.token.as_deref()), (4, Some("t1")));
        let copy = copy.append("two\n", None).unwrap();
        assert_eq!(fs::read_to_string(&copy.path).unwrap(), "one\ntwo\n");
        assert_eq!(copy.mark.token.as_deref(), Some("t1"));
        fs::remove_file(&copy.path).unwrap();
        assert_eq!(open().mark, Mark::default());
    }
}
