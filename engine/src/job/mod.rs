//! A training job: one directory in, one directory out, wherever it runs.
//!
//! The layout is that of a SageMaker training container, so that the same directory runs in a child process of
//! the server and in a container on AWS:
//!
//! ```text
//! input/config/hyperparameters.json            every value a JSON string
//! input/config/{inputdataconfig,resourceconfig}.json   optional
//! input/config/stop                            optional: "discard" or "checkpoint", see below
//! input/data/training/*.jsonl                  input/data/validation/*.jsonl
//! input/data/model/                            the base model; without one, nano is trained from nothing
//! checkpoints/                                 see [`crate::checkpoint`]
//! model/                                       the result, put in place whole
//! output/failure                               on failure, in plain words
//! stdout                                       log lines; metrics and events as lines of JSON
//! ```
//!
//! Exit codes: 0 completed, 1 failed, 3 stopped by SIGTERM with a checkpoint written. On SIGTERM the current step
//! is finished and a checkpoint written; then the model as it is, unless `input/config/stop` says `discard` (the
//! person wants neither) or `checkpoint` (the run will go on later). Running the directory again continues from
//! the newest whole checkpoint, bit for bit as if it had never stopped.

mod card;
pub mod clock;
mod error;
mod finish;
mod inputs;
mod layout;
mod prepare;
mod report;
mod samples;
mod train;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::kernels::tier::{self, Tier};
use crate::memory;
pub use clock::{Clock, SystemClock};
pub use error::JobError;
pub use layout::JobDirectory;
use report::Reporter;

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub status: Status,
    /// Optimizer steps taken in all.
    pub steps: u64,
    pub train_loss: f64,
    pub eval_loss: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Completed,
    /// Asked to stop; a checkpoint is there.
    Stopped,
}

/// What a run takes from its surroundings.
pub struct Surroundings<'a> {
    pub clock: &'a dyn Clock,
    /// Log lines, metrics and events.
    pub out: &'a mut (dyn Write + Send),
    /// Set from outside to stop the run after its current step.
    pub stop: &'a AtomicBool,
}

/// Runs a job, or continues it.
pub fn run(directory: &Path, surroundings: Surroundings<'_>) -> Result<Summary, JobError> {
    let layout = JobDirectory::new(directory);
    let Surroundings { clock, out, stop } = surroundings;
    let mut report = Reporter::new(out, clock);
    layout.clear_failure()?;
    report.phase("preparing");
    report.log(&format!("Kernels: {}.", Tier::chosen().words()));
    let hyperparameters = inputs::hyperparameters(&layout)?;
    let threads = hyperparameters.threads;
    let mut work = || {
        let (prepared, model) = prepare::prepare(&layout, hyperparameters.clone(), &mut report)?;
        train::train(&layout, &prepared, model, &mut report, stop)
    };
    match threads {
        // A pool of its own: the number of threads is this job's matter alone.
        Some(threads) => rayon::ThreadPoolBuilder::new()
            .num_threads(threads as usize)
            .build()
            .map_err(|error| JobError::Threads { message: error.to_string() })?
            .install(work),
        None => work(),
    }
}

/// The process of a job: runs it, prints to stdout, leaves `output/failure` on failure.
pub fn main(directory: &Path) -> ExitCode {
    memory::give_back_what_is_freed();
    let stop = Arc::new(AtomicBool::new(false));
    // Without the handler the process still works; it then loses what came after the last checkpoint.
    let handler = signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop));
    if let Err(error) = handler {
        eprintln!("SIGTERM cannot be handled: {error}");
    }
    let clock = SystemClock::default();
    let mut out = std::io::stdout();
    let surroundings = Surroundings { clock: &clock, out: &mut out, stop: &stop };
    let work = || {
        Tier::wanted(std::env::var(tier::VARIABLE).ok().as_deref())?.choose()?;
        run(directory, surroundings)
    };
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    let error = match outcome {
        Ok(Ok(Summary { status: Status::Completed, .. })) => return ExitCode::SUCCESS,
        Ok(Ok(Summary { status: Status::Stopped, .. })) => return ExitCode::from(3),
        Ok(Err(error)) => error,
        Err(_) => JobError::Panic,
    };
    let text = error.failure_text(directory);
    eprintln!("{text}");
    if let Err(error) = JobDirectory::new(directory).write_failure(&text) {
        eprintln!("{error}");
    }
    ExitCode::FAILURE
}
