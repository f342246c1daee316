//! From text to typed settings, collecting every mistake.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;

use super::{Base, FieldError, Hyperparameters, Lora, LrScheduler, NAMES, Optimizer, Preset, TrainingLength};

/// Longer names of layers than this are none.
const MAX_MODULE: usize = 100;

/// The largest whole number that survives a trip through JavaScript.
const MAX_SEED: u64 = (1 << 53) - 1;

struct Reader<'a> {
    values: &'a BTreeMap<String, String>,
    errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    /// The trimmed value without one layer of JSON quotes; absent and empty are the same.
    fn text(&self, name: &str) -> Option<&'a str> {
        let value = self.values.get(name)?.trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value).trim();
        (!value.is_empty()).then_some(value)
    }

    fn refuse(&mut self, field: &str, message: String) {
        self.errors.push(FieldError { field: field.to_owned(), message });
    }

    /// A number within `range`, described in words by `bounds`.
    fn number<T>(&mut self, name: &str, range: impl RangeBounds<T>, bounds: &str) -> Option<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let text = self.text(name)?;
        match text.parse::<T>() {
            Ok(number) if range.contains(&number) => Some(number),
            Ok(number) => {
                self.refuse(name, format!("must be {bounds}, not {number}"));
                None
            }
            Err(_) => {
                self.refuse(name, format!("must be {bounds}, not \"{}\"", shorten(text)));
                None
            }
        }
    }

    fn boolean(&mut self, name: &str) -> Option<bool> {
        let text = self.text(name)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => {
                self.refuse(name, format!("must be true or false, not \"{}\"", shorten(text)));
                None
            }
        }
    }

    fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        if found.is_none() {
            let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
            self.refuse(name, format!("must be one of {}, not \"{}\"", words.join(", "), shorten(text)));
        }
        found.map(|(_, value)| *value)
    }

    fn target_modules(&mut self) -> Option<Vec<String>> {
        let text = self.text("lora_target_modules")?;
        let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        // Which layers there are, the model knows; here only what can't be a layer of any.
        let plain = |name: &&&str| {
            name.len() <= MAX_MODULE
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if let Some(odd) = names.iter().find(|name| !plain(name)) {
            let message = format!("\"{}\" is no name of a layer; one is like c_attn or q_proj", shorten(odd));
            self.refuse("lora_target_modules", message);
            return None;
        }
        if names.is_empty() {
            self.refuse("lora_target_modules", "must name at least one layer, such as q_proj".to_owned());
            return None;
        }
        let mut unique: Vec<String> = Vec::new();
        for name in names {
            if !unique.iter().any(|seen| seen == name) {
                unique.push(name.to_owned());
            }
        }
        Some(unique)
    }
}

/// A long or odd value must not flood the message.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    if text.chars().count() > 40 {
        short.push('…');
    }
    short
}

pub(super) fn parse(
    values: &BTreeMap<String, String>,
    base: Base,
) -> Result<Hyperparameters, Vec<FieldError>> {
    let mut read = Reader { values, errors: Vec::new() };
    let wants_lora = read.boolean("lora");
    let preset = match (base, wants_lora) {
        (Base::Nano, _) => Preset::Nano,
        (Base::Model, Some(false)) => Preset::Full,
        (Base::Model, _) => Preset::Lora,
    };
    if base == Base::Nano && wants_lora == Some(true) {
        read.refuse(
            "lora",
            "adapts an existing model, and nano starts from nothing; switch it off or choose a base model"
                .to_owned(),
        );
    }
    let mut h = Hyperparameters::defaults_for(preset);

    set(&mut h.learning_rate, read.number("learning_rate", open(0.0, 1.0), "a number above 0 and below 1"));
    let epochs =
        read.number("epochs", (Bound::Excluded(0.0), Bound::Included(1000.0)), "above 0, at most 1000");
    let max_steps = read.number("max_steps", 1..=10_000_000, "a whole number from 1 to 10000000");
    match (epochs, max_steps) {
        (Some(_), Some(_)) => {
            read.refuse("max_steps", "give either epochs or max_steps, not both".to_owned());
        }
        (Some(epochs), None) => h.length = TrainingLength::Epochs(epochs),
        (None, Some(steps)) => h.length = TrainingLength::Steps(steps),
        (None, None) => {}
    }
    let words = "a whole number from 8 to 131072";
    set(&mut h.max_sequence_length, read.number("max_sequence_length", 8..=131_072, words));
    set(&mut h.batch_size, read.number("batch_size", 1..=4096, "a whole number from 1 to 4096"));
    let words = "a whole number from 1 to 1024";
    set(&mut h.gradient_accumulation_steps, read.number("gradient_accumulation_steps", 1..=1024, words));
    let schedulers = [
        ("cosine", LrScheduler::Cosine),
        ("linear", LrScheduler::Linear),
        ("constant", LrScheduler::Constant),
    ];
    set(&mut h.gradient_checkpointing, read.boolean("gradient_checkpointing"));
    set(&mut h.lr_scheduler, read.one_of("lr_scheduler", &schedulers));
    set(&mut h.warmup_ratio, read.number("warmup_ratio", 0.0..1.0, "at least 0 and below 1"));
    let optimizers = [("adamw", Optimizer::AdamW), ("adam", Optimizer::Adam), ("sgd", Optimizer::Sgd)];
    set(&mut h.optimizer, read.one_of("optimizer", &optimizers));
    set(&mut h.weight_decay, read.number("weight_decay", 0.0..=1.0, "from 0 to 1"));
    set(&mut h.max_grad_norm, read.number("max_grad_norm", 0.0..=1000.0, "from 0 (off) to 1000"));
    h.dropout = read.number("dropout", 0.0..=0.9, "from 0 to 0.9").or(h.dropout);
    set(&mut h.seed, read.number("seed", 0..=MAX_SEED, "a whole number from 0 to 9007199254740991"));

    // Checked even where LoRA is off, so that a typing mistake never hides.
    let r = read.number("lora_r", 1..=1024, "a whole number from 1 to 1024");
    let words = "above 0, at most 10000";
    // Less would be 0 in f32.
    let alpha = read.number("lora_alpha", f64::from(f32::MIN_POSITIVE)..=10_000.0, words);
    let dropout = read.number("lora_dropout", 0.0..=0.9, "from 0 to 0.9");
    let target_modules = read.target_modules();
    if let Some(Lora { r: old_r, alpha: old_alpha, dropout: old_dropout, target_modules: old_modules }) =
        &mut h.lora
    {
        // The usual rule of thumb: alpha is twice r unless both are chosen.
        set(old_alpha, alpha.or(r.map(|r| 2.0 * f64::from(r))));
        set(old_r, r);
        set(old_dropout, dropout);
        set(old_modules, target_modules);
    }
    set(&mut h.merge_adapter, read.boolean("merge_adapter").map(|merge| merge && h.lora.is_some()));

    let steps = "a whole number from 1 to 10000000, or empty to choose by itself";
    h.eval_steps = read.number("eval_steps", 1..=10_000_000, steps);
    h.checkpoint_steps = read.number("checkpoint_steps", 1..=10_000_000, steps);
    let words = "a whole number from 1 to 1000, or empty to switch it off";
    h.early_stopping_patience = read.number("early_stopping_patience", 1..=1000, words);
    h.threads = read.number("threads", 1..=1024, "a whole number from 1 to 1024");

    for name in values.keys() {
        let known = NAMES.contains(&name.as_str()) || name == "threads" || name.starts_with("sagemaker_");
        if !known {
            read.refuse(&shorten(name), "is no setting of this engine; check the spelling".to_owned());
        }
    }
    let mut errors = read.errors;
    errors.sort_by_key(|error| NAMES.iter().position(|name| *name == error.field).unwrap_or(NAMES.len()));
    if errors.is_empty() { Ok(h) } else { Err(errors) }
}

fn open(low: f64, high: f64) -> (Bound<f64>, Bound<f64>) {
    (Bound::Excluded(low), Bound::Excluded(high))
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
