//! What a job is called: a title from the person, a unique name from us.

use crate::domain::{field::FieldError, ids::JobId, job::JobSpec};

/// SageMaker's limit for a training job's name.
const MAX_NAME: usize = 63;

/// One line of at most 200 characters; may be empty.
pub fn parse_title(text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    if text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(FieldError::new("title", "A title is one line of at most 200 characters."));
    }
    Ok(text.to_owned())
}

/// `<title or base-data>-<end of the id>`, in SageMaker's alphabet (`[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`) and length.
/// The id's last ten characters are random: unique on the whole platform.
pub fn job_name(title: &str, spec: &JobSpec, id: &JobId) -> String {
    let title = slug(title);
    let words = if title.is_empty() {
        slug(&format!("{}-{}", spec.base_name, spec.dataset_names.first().map_or("", String::as_str)))
    } else {
        title
    };
    let unique: String = id.as_str().chars().skip(16).collect();
    let room = MAX_NAME - unique.len() - 1;
    let words: String = words.chars().take(room).collect();
    let words = words.trim_matches('-');
    if words.is_empty() { format!("job-{unique}") } else { format!("{words}-{unique}") }
}

/// Lower-case letters and digits, joined by single hyphens.
fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::BaseModel;
    use proptest::prelude::*;

    fn spec(base_name: &str, dataset: &str) -> JobSpec {
        JobSpec {
            base: BaseModel::Nano,
            base_name: base_name.to_owned(),
            datasets: Vec::new(),
            dataset_names: vec![dataset.to_owned()],
            validation_share: 0.1,
            hyperparameters: std::collections::BTreeMap::new(),
            tokens: 0,
            total_steps: 0,
            memory_bytes: 0,
            seconds: 0,
            cloud: None,
        }
    }

    fn is_sagemaker_name(name: &str) -> bool {
        (1..=MAX_NAME).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !name.starts_with('-')
            && !name.ends_with('-')
    }

    #[test]
    fn names_tell_what_they_are_about() {
        let id = JobId::from_parts(1, 0);
        assert_eq!(
            job_name("", &spec("nano", "Sentences to commands"), &id),
            "nano-sentences-to-commands-0000000000"
        );
        assert_eq!(job_name("My 1st try!", &spec("nano", "x"), &id), "my-1st-try-0000000000");
        assert_eq!(job_name("", &spec("日本", "語"), &id), "job-0000000000");
    }

    proptest! {
        #[test]
        fn every_name_is_one_that_sagemaker_takes(title in ".{0,300}", random in any::<u128>()) {
            let name = job_name(&title, &spec("nano", "data"), &JobId::from_parts(7, random));
            prop_assert!(is_sagemaker_name(&name), "{name}");
        }
    }
}
