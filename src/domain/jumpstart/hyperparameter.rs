//! One setting of a model: what it may be, and what it is when nobody says. Containers take every value as text.

use serde::{Deserialize, Serialize};

/// SageMaker's own limit of a value.
const LONGEST: usize = 2_500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Int,
    Float,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// For the training script; a person may set it.
    Algorithm,
    /// For the container around it; ours alone.
    Container,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameter {
    pub name: String,
    pub kind: Kind,
    pub default: Option<String>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// The only values, where there are any.
    pub options: Vec<String>,
    pub scope: Scope,
}

impl Hyperparameter {
    /// The value as the container is given it.
    ///
    /// # Errors
    /// What would be right, in words for the person who typed it.
    pub fn read(&self, text: &str) -> Result<String, String> {
        let text = text.trim();
        if self.scope == Scope::Container {
            return Err(format!("{} is set by the product. Leave it out.", self.name));
        }
        if !self.options.is_empty() {
            // A switch may come as a JSON boolean, which is spelled in lower case.
            let option = self.options.iter().find(|option| option.eq_ignore_ascii_case(text));
            return option.cloned().ok_or_else(|| self.wrong(text));
        }
        match self.kind {
            Kind::Int => {
                let value: i64 = text.parse().map_err(|_| self.wrong(text))?;
                #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
                let within = self.allows(value as f64);
                if within { Ok(value.to_string()) } else { Err(self.wrong(text)) }
            }
            Kind::Float => {
                let value: f64 = text.parse().map_err(|_| self.wrong(text))?;
                if self.allows(value) { Ok(text.to_owned()) } else { Err(self.wrong(text)) }
            }
            Kind::Text if text.is_empty() => {
                Err(format!("{} is empty. Leave it out to take the model's own value.", self.name))
            }
            Kind::Text if text.len() > LONGEST || text.chars().any(char::is_control) => {
                Err(format!("{} must be one line of at most {LONGEST} bytes.", self.name))
            }
            Kind::Text => Ok(text.to_owned()),
        }
    }

    fn allows(&self, value: f64) -> bool {
        value.is_finite()
            && self.min.is_none_or(|min| value >= min)
            && self.max.is_none_or(|max| value <= max)
    }

    fn wrong(&self, text: &str) -> String {
        let text: String = text.chars().take(40).collect();
        format!("{} is \"{text}\", but must be {}.", self.name, self.range())
    }

    /// What it may be, in words: `a whole number from 1 to 1000`.
    pub fn range(&self) -> String {
        if !self.options.is_empty() {
            return self.options.join(" or ");
        }
        let what = match self.kind {
            Kind::Int => "a whole number",
            Kind::Float => "a number",
            Kind::Text => return "text".to_owned(),
        };
        let plain = |bound: f64| {
            if bound != 0.0 && bound.abs() < 1e-3 { format!("{bound:e}") } else { bound.to_string() }
        };
        match (self.min.map(plain), self.max.map(plain)) {
            (Some(min), Some(max)) => format!("{what} from {min} to {max}"),
            (Some(min), None) => format!("{what}, {min} or more"),
            (None, Some(max)) => format!("{what}, {max} or less"),
            (None, None) => what.to_owned(),
        }
    }
}

/// What a setting does, in one line; for those that a person may want to change.
pub fn explanation(name: &str) -> Option<&'static str> {
    Some(match name {
        "epoch" | "epochs" => "How often training goes through the data.",
        "learning_rate" => "How far each step moves the weights.",
        "per_device_train_batch_size" | "batch_size" => "Rows in one step, on each GPU.",
        "per_device_eval_batch_size" => "Rows in one step of the evaluation, on each GPU.",
        "gradient_accumulation_steps" => "Steps whose gradients are put together before the weights move.",
        "max_input_length" => "Longest row, in tokens; -1 takes what the model was made for.",
        "max_output_length" => "Longest answer, in tokens.",
        "lora_r" => "Size of the adapter: larger learns more and takes more memory.",
        "lora_alpha" => "How strongly the adapter acts.",
        "lora_dropout" => "Share of the adapter that each step leaves out, against learning by heart.",
        "target_modules" => "The layers that get an adapter.",
        "peft_type" => "lora trains an adapter; none trains all weights.",
        "int8_quantization" => "Loads the weights in 8 bits: less memory, no sharding.",
        "enable_fsdp" => "Spreads the model over the GPUs of the machine.",
        "instruction_tuned" => "The data are prompts and answers.",
        "chat_dataset" => "The data are conversations.",
        "chat_template" => "How turns of a conversation are written out.",
        "add_input_output_demarcation_key" => "Marks where the prompt ends and the answer begins.",
        "validation_split_ratio" => "Share of the data that is held out to evaluate on.",
        "train_data_split_seed" | "seed" => "The same number gives the same draw.",
        "max_train_samples" => "Use at most so many rows; -1 uses all.",
        "max_val_samples" | "max_eval_samples" => "Evaluate on at most so many rows; -1 takes all.",
        "max_steps" => "End after so many steps; -1 goes by epochs.",
        "warmup_ratio" | "warmup_steps" => "How long the learning rate rises before it falls.",
        "weight_decay" => "How strongly weights are pulled to zero.",
        "max_grad_norm" => "Longer gradients are cut to this length.",
        "early_stopping_patience" => "Evaluations without progress before training ends.",
        "gradient_checkpointing" => "Less memory, slower steps.",
        _ => return None,
    })
}
