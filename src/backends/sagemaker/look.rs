//! How a training job stands, by `DescribeTrainingJob`.

use super::{Inner, failure};
use crate::{
    aws::Failure,
    backends::{BackendError, Look, Progress, RunOutcome, RunStatus},
    domain::{cloud::CloudRun, job::JobState, time::Instant},
};
use aws_sdk_sagemaker::{
    operation::describe_training_job::DescribeTrainingJobOutput,
    types::{SecondaryStatus, TrainingJobStatus},
};

/// Running time is told in steps of so many seconds: each step is a write.
const STEP: u64 = 15;

/// The job of this name; `None` where there is none.
pub async fn describe(inner: &Inner, name: &str) -> Result<Option<DescribeTrainingJobOutput>, BackendError> {
    match inner.sagemaker.describe_training_job().training_job_name(name).send().await {
        Ok(found) => Ok(Some(found)),
        Err(error) => match Failure::of(&error) {
            // SageMaker says both, depending on the call.
            Failure::Refused { code, message }
                if code == "ResourceNotFound"
                    || (code == "ValidationException" && message.contains("not found")) =>
            {
                Ok(None)
            }
            failure => Err(failure::of_call(&failure, "look at the training job")),
        },
    }
}

/// What SageMaker says of the job. `asked`: we asked it to stop.
pub fn read(found: &DescribeTrainingJobOutput, run: CloudRun, asked: bool, now: Instant) -> Look {
    let whole = |seconds: Option<i32>| seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let status = found.training_job_status();
    let secondary = found.secondary_status();
    let over = matches!(
        status,
        Some(TrainingJobStatus::Completed | TrainingJobStatus::Failed | TrainingJobStatus::Stopped)
    );
    let running = found.training_start_time().filter(|_| !over).map(|began| {
        let seconds = u64::try_from(now.seconds().saturating_sub(began.secs())).unwrap_or(0);
        seconds / STEP * STEP
    });
    let artifact = found.model_artifacts().and_then(|artifacts| artifacts.s3_model_artifacts());
    let run = CloudRun {
        arn: found.training_job_arn().map(str::to_owned).or(run.arn),
        status: status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        secondary_status: secondary.map(|status| status.as_str().to_owned()).unwrap_or_default(),
        billable_seconds: whole(found.billable_time_in_seconds()).filter(|_| over),
        training_seconds: whole(found.training_time_in_seconds()).filter(|_| over).or(running),
        artifact: artifact.map(str::to_owned).filter(|_| over),
        ..run
    };
    let status = match status {
        Some(TrainingJobStatus::Completed) => RunStatus::Ended(RunOutcome::Completed),
        Some(TrainingJobStatus::Failed) => {
            RunStatus::Ended(failure::of_job(found.failure_reason().unwrap_or_default()))
        }
        Some(TrainingJobStatus::Stopped) => RunStatus::Ended(stopped(secondary, asked)),
        Some(TrainingJobStatus::Stopping) => {
            let state = if asked { JobState::Stopping } else { JobState::Training };
            running_as(state, "SageMaker is stopping it")
        }
        _ => under_way(secondary),
    };
    Look { status, run: Some(run) }
}

fn stopped(secondary: Option<&SecondaryStatus>, asked: bool) -> RunOutcome {
    let failed = |message: &str, next_step: &str| RunOutcome::Failed {
        message: message.to_owned(),
        next_step: Some(next_step.to_owned()),
    };
    match secondary {
        Some(SecondaryStatus::MaxRuntimeExceeded) => failed(
            "The job reached the limit of its time and was stopped.",
            "Resume it where it has a checkpoint, or clone it and give it more time.",
        ),
        Some(SecondaryStatus::MaxWaitTimeExceeded) => failed(
            "No spare capacity came in time, so the job was stopped.",
            "Resume or clone it later, choose another instance type, or pay the full price.",
        ),
        _ if asked => RunOutcome::Stopped,
        _ => failed(
            "The job was stopped on AWS, not from here.",
            "Ask whoever has access to the AWS account; then resume or clone it.",
        ),
    }
}

fn running_as(state: JobState, words: &str) -> RunStatus {
    RunStatus::Running(Progress { state, words: Some(words.to_owned()) })
}

fn under_way(secondary: Option<&SecondaryStatus>) -> RunStatus {
    use JobState::{Downloading, Starting, Training, Uploading};
    match secondary {
        Some(SecondaryStatus::Downloading) => running_as(Downloading, "The machine fetches the data"),
        Some(SecondaryStatus::DownloadingTrainingImage) => {
            running_as(Downloading, "The machine fetches the container")
        }
        Some(SecondaryStatus::Training) => running_as(Training, "Training"),
        Some(SecondaryStatus::Uploading) => running_as(Uploading, "SageMaker saves the model"),
        Some(SecondaryStatus::Interrupted | SecondaryStatus::Restarting) => running_as(
            Starting,
            "Interrupted: AWS took its machine back. It goes on from its last checkpoint when there is one",
        ),
        Some(SecondaryStatus::Pending) => running_as(Starting, "Waiting for a machine"),
        Some(SecondaryStatus::LaunchingMlInstances | SecondaryStatus::PreparingTrainingStack) => {
            running_as(Starting, "A machine is being made ready")
        }
        _ => running_as(Starting, "SageMaker has the job and looks for a machine"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sagemaker::primitives::DateTime;

    fn answer(status: &str, secondary: &str) -> DescribeTrainingJobOutput {
        DescribeTrainingJobOutput::builder()
            .training_job_name("a")
            .training_job_arn("arn:aws:sagemaker:eu-west-1:123456789012:training-job/a")
            .training_job_status(TrainingJobStatus::from(status))
            .secondary_status(SecondaryStatus::from(secondary))
            .training_start_time(DateTime::from_secs(1_000))
            .billable_time_in_seconds(31)
            .training_time_in_seconds(77)
            .build()
    }

    fn look(status: &str, secondary: &str, asked: bool) -> Look {
        read(&answer(status, secondary), CloudRun::default(), asked, Instant(1_100_000_000))
    }

    #[test]
    fn every_way_of_running_has_a_state_and_words() {
        for (secondary, state) in [
            ("Starting", JobState::Starting),
            ("Pending", JobState::Starting),
            ("PreparingTrainingStack", JobState::Starting),
            ("Interrupted", JobState::Starting),
            ("Downloading", JobState::Downloading),
            ("DownloadingTrainingImage", JobState::Downloading),
            ("Training", JobState::Training),
            ("Uploading", JobState::Uploading),
            ("SomethingNew", JobState::Starting),
        ] {
            let RunStatus::Running(progress) = look("InProgress", secondary, false).status else {
                panic!("{secondary}")
            };
            assert_eq!(progress.state, state, "{secondary}");
            assert!(progress.words.is_some());
        }
    }

    #[test]
    fn time_runs_while_it_runs_and_the_bill_comes_at_the_end() {
        let run = look("InProgress", "Training", false).run.unwrap();
        assert_eq!((run.billable_seconds, run.training_seconds), (None, Some(90)));
        let run = look("Completed", "Completed", false).run.unwrap();
        assert_eq!((run.billable_seconds, run.training_seconds), (Some(31), Some(77)));
    }

    #[test]
    fn ends_are_told_apart() {
        let end = |secondary, asked| match look("Stopped", secondary, asked).status {
            RunStatus::Ended(outcome) => outcome,
            other => panic!("{other:?}"),
        };
        assert_eq!(end("Stopped", true), RunOutcome::Stopped);
        for (secondary, words) in
            [("Stopped", "not from here"), ("MaxRuntimeExceeded", "limit"), ("MaxWaitTimeExceeded", "spare")]
        {
            let RunOutcome::Failed { message, .. } = end(secondary, false) else { panic!("{secondary}") };
            assert!(message.contains(words), "{message}");
        }
        assert_eq!(look("Completed", "Completed", false).status, RunStatus::Ended(RunOutcome::Completed));
    }
}
