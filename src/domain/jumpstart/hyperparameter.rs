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
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("{what} from {min} to {max}"),
            (Some(min), None) => format!("{what}, {min} or more"),
            (None, Some(max)) => format!("{what}, {max} or less"),
            (None, None) => what.to_owned(),
        }
    }
}
