//! Why a job failed, in words that become its failure reason.

use std::path::Path;

use crate::checkpoint::CheckpointError;
use crate::data::chat_template::ChatTemplateError;
use crate::data::rows::DataError;
use crate::data::template::OwnTemplateError;
use crate::data::tokens::TokensError;
use crate::error::{FileError, NextStep};
use crate::hyperparameters::FieldError;
use crate::inference::InferenceError;
use crate::kernels::tier::TierError;
use crate::model::ModelError;
use crate::tokenizer::TokenizerError;
use crate::trainer::TrainError;

/// SageMaker shows this much of `output/failure`.
const SHOWN: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("input/config/hyperparameters.json: {}", list(.0))]
    Hyperparameters(Vec<FieldError>),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    ChatTemplate(#[from] ChatTemplateError),
    #[error("the base model in input/data/model does not fit together: {0}")]
    Model(#[from] ModelError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Inference(#[from] InferenceError),
    #[error(transparent)]
    Tier(#[from] TierError),
    #[error("the threads cannot be started: {message}")]
    Threads { message: String },
    /// The panic's own message and place are on stderr.
    #[error("the engine stopped because of an error of its own")]
    Panic,
}

impl From<TokensError> for JobError {
    fn from(error: TokensError) -> Self {
        match error {
            TokensError::Data(error) => error.into(),
            TokensError::Tokenizer(error) => error.into(),
            TokensError::ChatTemplate(error) => error.into(),
        }
    }
}

impl From<OwnTemplateError> for JobError {
    fn from(error: OwnTemplateError) -> Self {
        match error {
            OwnTemplateError::Template(error) => error.into(),
            OwnTemplateError::Tokenizer(error) => error.into(),
        }
    }
}

impl NextStep for JobError {
    fn next_step(&self) -> String {
        match self {
            Self::Hyperparameters(_) => "Correct these settings and start the job again.".into(),
            Self::File(error) => error.next_step(),
            Self::Data(error) => error.next_step(),
            Self::Tokenizer(error) => error.next_step(),
            Self::ChatTemplate(error) => error.next_step(),
            Self::Checkpoint(error) => error.next_step(),
            Self::Inference(error) => error.next_step(),
            Self::Model(_) => {
                "Use config.json, weights and tokenizer of one and the same model; save it again with \
                 save_pretrained if unsure."
                    .into()
            }
            Self::Train(TrainError::NotFinite { .. }) => {
                "Start again with a third of the learning rate, and with max_grad_norm 1.".into()
            }
            Self::Train(TrainError::NothingToPredict) => {
                "Raise max_sequence_length, or shorten the prompts.".into()
            }
            Self::Train(_) => "Start the job again; if it fails again, remove its checkpoints.".into(),
            Self::Tier(_) => "Set ENGINE_TIER to auto, or leave it out.".into(),
            Self::Threads { .. } => "Lower \"threads\", or leave it out.".into(),
            Self::Panic => "Start the job again; if it fails again, report the log as an error.".into(),
        }
    }
}

impl JobError {
    /// What happened and what to do, at most 1,024 characters; paths are relative to the job.
    pub fn failure_text(&self, job: &Path) -> String {
        let mut prefix = job.display().to_string();
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let what = self.to_string().replace(&prefix, "");
        let next = self.next_step();
        let room = SHOWN - next.chars().count().min(SHOWN / 2) - 1;
        let mut shown: String = what.chars().take(room).collect();
        if what.chars().count() > room {
            shown.pop();
            shown.push('…');
        }
        if !shown.ends_with(['.', '…']) {
            shown.push('.');
        }
        format!("{shown}\n{next}").chars().take(SHOWN).collect()
    }
}

fn list(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_text_is_short_and_ends_with_the_next_step() {
        let errors = (0..200)
            .map(|i| FieldError { field: format!("field_{i}"), message: "is no setting".into() })
            .collect();
        let text = JobError::Hyperparameters(errors).failure_text(Path::new("/opt/ml"));
        assert!(text.chars().count() <= 1024);
        assert!(text.ends_with("Correct these settings and start the job again."));
        assert!(text.starts_with("input/config/hyperparameters.json: field_0: is no setting"));
    }

    #[test]
    fn paths_are_those_of_the_job() {
        let path = Path::new("/srv/jobs/7/input/data/model/config.json");
        let error = JobError::from(FileError::field(path, "n_head", "must divide n_embd"));
        let text = error.failure_text(Path::new("/srv/jobs/7"));
        assert!(text.starts_with("input/data/model/config.json: field \"n_head\""), "{text}");
    }
}
