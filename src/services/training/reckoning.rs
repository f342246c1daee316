//! What a run on SageMaker needs, reckoned: other machines, its time and the limit of it, room on the disk.

use super::cloud::Where;
use crate::domain::{
    cloud::Route,
    field::FieldError,
    instance::{InstanceType, Usage},
};

/// SageMaker's own limit: 28 days.
const MAX_HOURS: f64 = 672.0;
/// Where nothing is known of the time.
const USUAL_HOURS: f64 = 24.0;
/// How often another machine is tried.
const FALLBACKS: usize = 3;
/// A machine is billed while it fetches container and data, too.
const START_SECONDS: u64 = 300;

/// What the plan reckons with.
pub struct Load {
    /// Operations of the whole run, where they are known.
    pub flops: Option<f64>,
    /// Where the engine itself runs: seconds on this machine.
    pub seconds_here: Option<u64>,
    /// Of base model and data.
    pub bytes: u64,
}

/// The machines to go on with where the first is not to be had.
pub fn fallback(
    asked: &Where,
    kind: &'static InstanceType,
    usage: Usage,
    allowed: Option<&[String]>,
) -> Result<Vec<String>, FieldError> {
    let may = |name: &str| allowed.is_none_or(|types| types.iter().any(|one| one == name));
    if asked.fallback.trim() == "auto" {
        let fitting = kind.fitting_instead(usage).map(|other| other.name).filter(|name| may(name));
        return Ok(fitting.take(FALLBACKS).map(str::to_owned).collect());
    }
    let mut names = Vec::new();
    for name in asked.fallback.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let wrong = |message: String| FieldError::new("fallback_instance_types", message);
        let other = InstanceType::parse(name, usage).map_err(|error| wrong(error.message))?;
        if !may(other.name) {
            return Err(wrong(format!("This model does not train on {}.", other.name)));
        }
        if other.name != kind.name && !names.iter().any(|one| one == other.name) {
            names.push(other.name.to_owned());
        }
    }
    match names.len() {
        0..=5 => Ok(names),
        _ => Err(FieldError::new("fallback_instance_types", "Name at most five other instance types.")),
    }
}

/// Seconds on this machine's like, getting ready included; `None` where nothing is known.
pub fn expected(kind: &InstanceType, load: &Load, route: &Route) -> Option<u64> {
    let seconds = match (route, kind.training_flops_per_second(), load.flops) {
        // Our own engine runs on processors only, about as fast on theirs as on ours.
        (Route::Image, ..) => load.seconds_here?,
        (_, Some(speed), Some(flops)) => (flops / speed).ceil() as u64,
        _ => return None,
    };
    Some(seconds + START_SECONDS)
}

/// The limit of the time, in hours.
pub fn hours(text: &str, expected: Option<u64>) -> Result<f64, FieldError> {
    if text.trim().is_empty() {
        // Three times what is expected: a limit, not a guess.
        let hours = expected.map_or(USUAL_HOURS, |seconds| (seconds as f64 * 3.0 / 3600.0).ceil());
        return Ok(hours.clamp(1.0, MAX_HOURS));
    }
    let hours = text.trim().parse::<f64>().ok().filter(|hours| (0.1..=MAX_HOURS).contains(hours));
    hours.ok_or_else(|| {
        FieldError::new("max_hours", "The longest run is a number of hours from 0.1 to 672 (28 days).")
    })
}

/// Room for the model, its checkpoints and the data.
pub fn volume(bytes: u64) -> u32 {
    let gb = bytes.saturating_mul(8) / 1_000_000_000 + 30;
    u32::try_from(gb.min(1024)).unwrap_or(1024)
}

/// The number of weights that a model's name tells (`…-7b`, `SmolLM2-135M`); `None` where it tells none.
pub fn parameters_by_name(name: &str) -> Option<u64> {
    let lower = name.to_lowercase();
    lower.split(['-', '_', '/', ' ']).rev().find_map(|word| {
        let (number, unit) = word.split_at(word.len().checked_sub(1)?);
        let scale = match unit {
            "b" => 1e9,
            "m" => 1e6,
            _ => return None,
        };
        let number: f64 = number.parse().ok().filter(|number| (0.01..=2000.0).contains(number))?;
        Some((number * scale) as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_sizes() {
        for (name, size) in [
            ("meta-textgeneration-llama-2-7b", Some(7_000_000_000)),
            ("meta-textgeneration-llama-3-1-70b", Some(70_000_000_000)),
            ("HuggingFaceTB/SmolLM2-135M", Some(135_000_000)),
            ("Qwen/Qwen2.5-0.5B-Instruct", Some(500_000_000)),
            ("huggingface-text2text-flan-t5-base", None),
            ("gpt2", None),
            ("", None),
        ] {
            assert_eq!(parameters_by_name(name), size, "{name}");
        }
    }

    #[test]
    fn the_limit_of_time_is_the_persons_or_follows_the_estimate() {
        assert_eq!(hours("", None).unwrap(), 24.0);
        assert_eq!(hours("", Some(600)).unwrap(), 1.0);
        assert_eq!(hours("", Some(7200)).unwrap(), 6.0);
        assert_eq!(hours(" 2.5 ", None).unwrap(), 2.5);
        for wrong in ["0", "-1", "673", "x", "NaN", "inf"] {
            assert_eq!(hours(wrong, None).unwrap_err().field, "max_hours", "{wrong}");
        }
    }

    #[test]
    fn other_machines_fit_and_are_allowed() {
        let kind = InstanceType::find("ml.g5.12xlarge").unwrap();
        let chosen = |text: &str, allowed: Option<&[String]>| {
            let asked = Where { fallback: text.to_owned(), ..Where::default() };
            fallback(&asked, kind, Usage::Training, allowed)
        };
        assert_eq!(chosen("", None).unwrap(), Vec::<String>::new());
        assert_eq!(chosen("auto", None).unwrap().len(), 3);
        let allowed = ["ml.g5.48xlarge".to_owned()];
        assert_eq!(chosen("auto", Some(&allowed)).unwrap(), allowed);
        assert_eq!(chosen("ml.g5.48xlarge, ml.g5.48xlarge", None).unwrap(), allowed);
        assert!(chosen("ml.g5.24xlarge", Some(&allowed)).is_err());
        assert!(chosen("ml.g5.large", None).unwrap_err().message.contains("ml.g5.xlarge"));
    }
}
