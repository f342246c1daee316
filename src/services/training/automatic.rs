//! Settings that follow the data where the person left them open: the maximum length, and for nano how long to train.
//! A job's stored settings hold the numbers chosen here, so that it can be repeated.

use super::tokens::Counts;
use llm_tuner_engine::{data::rows::Kind, hyperparameters::Hyperparameters};

/// A setting that was chosen for the person, and why it has this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Automatic {
    /// A hyperparameter's name.
    pub setting: &'static str,
    pub value: String,
    pub reason: String,
}

/// Lengths are multiples of this, …
const GRAIN: u32 = 64;
/// … and not shorter, so that a question may be somewhat longer than those of the data.
const SHORTEST: u32 = 128;
/// All rows are kept whole where the longest is at most so many times as long as 99 % of them; else 99 % are.
const STRETCH: u32 = 2;

/// What nano takes to learn a small task: as many steps as *Sentences to commands* takes in six epochs …
const NANO_STEPS: f64 = 2_250.0;
/// … but of long rows no more tokens than two processor cores get through in a few minutes …
const NANO_TOKENS: f64 = 3e6;
/// … and of few rows no more repetitions: it would know them by heart.
const NANO_EPOCHS: f64 = 40.0;

/// The longest sequence to train on: every row, or at least 99 % of them, as far as the model can read. Plain text has
/// no rows; its windows have the length that the settings come with.
pub fn max_length(counts: &Counts, window: u32, limit: u32) -> (u32, Automatic) {
    let (length, reason) = if counts.kind == Kind::Text {
        (window.min(limit), "the text is read in windows of this length".to_owned())
    } else {
        rows(counts.lengths.clone(), limit)
    };
    (length, Automatic { setting: "max_sequence_length", value: length.to_string(), reason })
}

fn rows(mut lengths: Vec<u32>, limit: u32) -> (u32, String) {
    lengths.sort_unstable();
    let longest = lengths.last().copied().unwrap_or(0);
    let most = lengths.get((lengths.len() * 99).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0);
    let wanted = if longest <= most.saturating_mul(STRETCH) { longest } else { most };
    let length = wanted.div_ceil(GRAIN).saturating_mul(GRAIN).max(SHORTEST).min(limit);
    let whole = lengths.partition_point(|row| *row <= length) as f64 / lengths.len().max(1) as f64;
    let reason = if longest <= length {
        format!("every row fits; the longest has {longest} tokens")
    } else if wanted > length {
        // Rounded down, so that it never says 100 %.
        format!("the most that the model reads at once; {:.0} % of the rows fit", (whole * 100.0).floor())
    } else {
        format!("{:.0} % of the rows fit; the longest has {longest} tokens", (whole * 100.0).floor())
    };
    (length, reason)
}

/// How often nano goes through so many sequences with so many tokens in all.
pub fn nano_epochs(sequences: u64, tokens: u64, settings: &Hyperparameters) -> (f64, Automatic) {
    let per_step = f64::from(settings.batch_size) * f64::from(settings.gradient_accumulation_steps);
    let by_steps = NANO_STEPS * per_step / sequences.max(1) as f64;
    let by_tokens = NANO_TOKENS / tokens.max(1) as f64;
    let (epochs, reason) = [
        (by_steps, "enough steps to learn a small task"),
        (by_tokens, "as much as a processor gets through in a few minutes"),
        (NANO_EPOCHS, "few rows, often repeated"),
    ]
    .into_iter()
    .min_by(|a, b| a.0.total_cmp(&b.0))
    .unwrap_or((1.0, ""));
    let epochs = if epochs >= 1.0 { epochs.round() } else { (epochs * 1000.0).ceil() / 1000.0 };
    (epochs, Automatic { setting: "epochs", value: epochs.to_string(), reason: reason.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use llm_tuner_engine::hyperparameters::Preset;

    fn of_rows(lengths: &[u32], limit: u32) -> (u32, String) {
        rows(lengths.to_vec(), limit)
    }

    #[test]
    fn the_length_follows_the_rows() {
        let even: Vec<u32> = (101..=300).collect();
        assert_eq!(of_rows(&even, 1024), (320, "every row fits; the longest has 300 tokens".into()));
        // One row out of two hundred is far longer than all others: the length is not for it.
        let outlier: Vec<u32> = (101..300).chain([5_000]).collect();
        let reason = "99 % of the rows fit; the longest has 5000 tokens";
        assert_eq!(of_rows(&outlier, 1024), (320, reason.into()));
        let reason = "the most that the model reads at once; 49 % of the rows fit";
        assert_eq!(of_rows(&(900..=1100).collect::<Vec<_>>(), 999), (999, reason.into()));
        assert_eq!(of_rows(&[10; 5], 1024).0, 128);
        assert_eq!(of_rows(&[10; 5], 64).0, 64);
        assert_eq!(of_rows(&[], 1024).0, 128);
        assert_eq!(of_rows(&[u32::MAX], 1024).0, 1024);
    }

    #[test]
    fn text_is_read_in_windows() {
        let counts = Counts { kind: Kind::Text, lengths: vec![9_000], rows: 1, vocabulary: 300 };
        assert_eq!(max_length(&counts, 256, 1024).0, 256);
        assert_eq!(max_length(&counts, 512, 64).0, 64);
    }

    #[test]
    fn nano_trains_for_minutes_whatever_the_size() {
        let settings = Hyperparameters::defaults_for(Preset::Nano);
        let epochs = |sequences, tokens| nano_epochs(sequences, tokens, &settings).0;
        assert_eq!(epochs(3_000, 150_000), 6.0, "Sentences to commands");
        assert_eq!(epochs(50, 5_000), 40.0);
        assert_eq!(epochs(1_800, 300_000), 10.0);
        assert_eq!(epochs(1_000_000, 100_000_000), 0.018, "3 million steps would take days");
        assert!(epochs(1 << 40, 1 << 50) > 0.0);
        let more = Hyperparameters { gradient_accumulation_steps: 2, ..settings.clone() };
        assert_eq!(nano_epochs(3_000, 150_000, &more).0, 12.0, "fewer steps in an epoch, more epochs");
    }
}
