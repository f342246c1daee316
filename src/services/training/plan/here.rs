//! What a run takes on this machine, reckoned from the settings and the counted tokens.

use super::super::{
    Request,
    automatic::{self, Automatic},
    bases::Base,
    machine,
    tokens::Counts,
};
use super::{FEW_ROWS, Plan, few};
use crate::domain::{
    dataset::Dataset,
    job::{BaseModel, JobSpec},
};
use llm_tuner_engine::{
    config::ModelConfig,
    data::rows::Kind,
    hyperparameters::{Hyperparameters, TrainingLength},
    kernels::tier::Tier,
    memory::{TrainingLoad, adapter_weights, merging_memory_bytes, training_memory_bytes},
};

/// More rows cut than this share are doubtful.
const MANY_CUT: f64 = 0.05;
/// A job longer than this is doubtful on this machine.
const LONG: u64 = 12 * 3600;

/// Settings that were left open, chosen by the data.
pub(super) fn choose(
    request: &Request,
    base: &Base,
    mut settings: Hyperparameters,
    share: f64,
    counts: &Counts,
    limit: u32,
) -> (Hyperparameters, Vec<Automatic>) {
    let mut chosen = Vec::new();
    if !request.sets("max_sequence_length") {
        let (length, why) = automatic::max_length(counts, settings.max_sequence_length, limit);
        settings.max_sequence_length = length;
        chosen.push(why);
    }
    if base.base == BaseModel::Nano && !request.sets("epochs") && !request.sets("max_steps") {
        let load = Load::of(counts, &settings, share);
        let (epochs, why) = automatic::nano_epochs(load.sequences, load.tokens, &settings);
        settings.length = TrainingLength::Epochs(epochs);
        chosen.push(why);
    }
    (settings, chosen)
}

/// What one epoch goes through.
struct Load {
    rows: u64,
    /// Rows, or windows of plain text.
    sequences: u64,
    tokens: u64,
    /// Tokens of the longest sequence.
    longest: u64,
    truncated_share: f64,
}

impl Load {
    fn of(counts: &Counts, settings: &Hyperparameters, share: f64) -> Self {
        let max_length = u64::from(settings.max_sequence_length);
        let text = counts.kind == Kind::Text;
        let total = |length: &u32| {
            if text { u64::from(*length) } else { u64::from(*length).min(max_length) }
        };
        let counted: u64 = counts.lengths.iter().map(total).sum();
        let tokens = (counted as f64 * counts.factor() * (1.0 - share)).round() as u64;
        let rows = (counts.rows as f64 * (1.0 - share)).round().max(1.0) as u64;
        let cut = counts.lengths.iter().filter(|length| u64::from(**length) > max_length).count();
        let longest = if text { tokens } else { counts.lengths.iter().map(total).max().unwrap_or(0) };
        let longest = longest.min(max_length);
        Self {
            rows,
            // Plain text is one stream, cut into windows.
            sequences: if text { tokens.div_ceil(max_length).max(1) } else { rows },
            tokens,
            longest,
            truncated_share: if text { 0.0 } else { cut as f64 / counts.lengths.len().max(1) as f64 },
        }
    }
}

pub(super) fn reckon(
    base: &Base,
    datasets: &[Dataset],
    settings: &Hyperparameters,
    share: f64,
    mut config: ModelConfig,
    counts: &Counts,
) -> Plan {
    let Load { rows, sequences, tokens: tokens_per_epoch, longest, truncated_share } =
        Load::of(counts, settings, share);
    let (max_length, limit) = (settings.max_sequence_length, config.positions());
    if let (BaseModel::Nano, ModelConfig::Gpt2(nano)) = (&base.base, &mut config) {
        nano.n_positions = max_length as usize;
    }
    let steps = settings.total_steps(sequences);
    let per_step = u64::from(settings.batch_size) * u64::from(settings.gradient_accumulation_steps);
    let mean = tokens_per_epoch as f64 / sequences as f64;
    let trained_tokens = steps as f64 * per_step as f64 * mean;

    let lora = settings.lora.as_ref().map(|lora| lora.on(&config));
    let batch_tokens = u64::from(settings.batch_size) * longest.max(1);
    let load = TrainingLoad {
        batch_tokens: batch_tokens as usize,
        max_len: longest as usize,
        // The rows held back are held too.
        data_tokens: (tokens_per_epoch as f64 / (1.0 - share)) as u64,
        recompute: settings.gradient_checkpointing,
    };
    let memory_bytes = training_memory_bytes(Tier::chosen(), &config, lora.as_ref(), load);
    let parameters = config.parameter_count() as u64;
    let trainable_parameters = lora.as_ref().map_or(parameters, |lora| adapter_weights(&config, lora) as u64);
    let memory_bytes = match &lora {
        Some(lora) if settings.merge_adapter => memory_bytes.max(merging_memory_bytes(&config, lora)),
        _ => memory_bytes,
    };
    let flops = machine::flops_per_token(parameters, trainable_parameters) * trained_tokens;
    let seconds = machine::training_flops_per_second().map_or(0, |speed| (flops / speed).ceil() as u64);
    let memory_available = machine::memory_available();

    let mut of_data = Vec::new();
    let mut warnings = Vec::new();
    if memory_available.is_some_and(|free| memory_bytes > free) {
        warnings.push("This will probably not fit into this machine's free memory. Make the batch size or the maximum length smaller, or keep less in memory (gradient checkpointing, in More settings).".to_owned());
    }
    if truncated_share > MANY_CUT {
        let remedy = if max_length as usize >= limit {
            format!("{} reads no more at once: split long rows, or choose another model.", base.name)
        } else {
            "Make the maximum length larger.".to_owned()
        };
        let share = truncated_share * 100.0;
        of_data.push(format!(
            "{share:.0} % of the rows are longer than {max_length} tokens and will be cut. {remedy}"
        ));
    }
    if rows < FEW_ROWS {
        of_data.push(few(rows));
    }
    if seconds > LONG {
        warnings.push("This will take more than twelve hours on this machine. Fewer epochs or a smaller model are quicker.".to_owned());
    }
    if steps > 0 && sequences < per_step {
        of_data.push(format!(
            "One step takes {per_step} rows, more than there are. Make the batch size smaller."
        ));
    }
    let spec = JobSpec {
        base: base.base.clone(),
        base_name: base.name.clone(),
        datasets: datasets.iter().map(|dataset| dataset.id.clone()).collect(),
        dataset_names: datasets.iter().map(|dataset| dataset.name.clone()).collect(),
        validation_share: share,
        hyperparameters: settings.to_strings(),
        tokens: tokens_per_epoch,
        total_steps: steps,
        memory_bytes,
        seconds,
        cloud: None,
    };
    warnings.extend(of_data.iter().cloned());
    Plan {
        spec,
        hyperparameters: Some(settings.clone()),
        own_epochs: None,
        automatic: Vec::new(),
        rows,
        tokens_per_epoch,
        truncated_share,
        steps,
        trainable_parameters,
        memory_bytes,
        memory_available,
        seconds: Some(seconds),
        warnings,
        warnings_of_data: of_data,
        trained_tokens,
        flops,
    }
}
