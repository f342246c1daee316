//! How far a position turns each pair of a head's values (Su et al. 2021), with the scalings that models use to read
//! more than they were first trained on. Figures and roundings are those of `transformers`.

use super::ConfigError;
use serde_json::{Map, Value};
use std::f64::consts::TAU;

/// Angle of each pair of values per position.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// For half of a head's width.
    pub frequencies: Vec<f32>,
    /// Sines and cosines are multiplied by this (YaRN's); 1 otherwise.
    pub factor: f32,
}

/// Reads `rope_parameters`, or an older file's `rope_scaling` with its `rope_theta`. `field` is what an error names.
pub(super) fn rotary(
    field: &'static str,
    parameters: &Map<String, Value>,
    theta: Option<f64>,
    head_width: usize,
    positions: usize,
) -> Result<Rotary, ConfigError> {
    let rotary = scaled(&Reader { field, parameters }, theta, head_width, positions)?;
    // Each figure may be a number and what they come to none: 1 / 1e308 is 0 in f32.
    if rotary.frequencies.iter().chain([&rotary.factor]).all(|number| number.is_finite()) {
        return Ok(rotary);
    }
    let value = Value::Object(parameters.clone()).to_string();
    Err(ConfigError::Bounds { field, value, must: "numbers by which a position turns a finite way" })
}

fn scaled(
    read: &Reader<'_>,
    theta: Option<f64>,
    head_width: usize,
    positions: usize,
) -> Result<Rotary, ConfigError> {
    let theta = read.number("rope_theta", theta.or(Some(10_000.0)))?;
    if read.number("partial_rotary_factor", Some(1.0))? != 1.0 {
        return Err(read.unsupported("partial_rotary_factor", "1 (the whole head is rotated)"));
    }
    // In f32, as there, so that far positions turn by the same angle.
    let pairs = head_width / 2;
    let powers = (0..pairs).map(|i| theta.powf(f64::from((2 * i) as f32 / head_width as f32)) as f32);
    let powers: Vec<f32> = powers.collect();
    let plain = || powers.iter().map(|power| 1.0 / power);
    let kind = ["rope_type", "type"].iter().find_map(|key| read.parameters.get(*key)).and_then(Value::as_str);
    let frequencies = match kind.unwrap_or("default") {
        // Dynamic scaling begins beyond the positions that the model has.
        "default" | "dynamic" => plain().collect(),
        "linear" => {
            let factor = read.number("factor", None)? as f32;
            plain().map(|frequency| frequency / factor).collect()
        }
        "llama3" => {
            let factor = read.number("factor", None)? as f32;
            let low = read.number("low_freq_factor", None)?;
            let high = read.number("high_freq_factor", None)?;
            let original = read.number("original_max_position_embeddings", None)?;
            let scaled = |frequency: f32| {
                let wavelength = (TAU / f64::from(frequency)) as f32;
                if wavelength > (original / low) as f32 {
                    frequency / factor
                } else if wavelength < (original / high) as f32 {
                    frequency
                } else {
                    let smooth = (original as f32 / wavelength - low as f32) / (high - low) as f32;
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                }
            };
            plain().map(scaled).collect()
        }
        "yarn" => return yarn(read, &powers, theta, head_width, positions),
        _ => return Err(read.unsupported("rope_type", "default, linear, dynamic, llama3 and yarn")),
    };
    Ok(Rotary { frequencies, factor: 1.0 })
}

/// Peng et al. 2023: fast pairs as they are, slow ones stretched, a ramp between.
fn yarn(
    read: &Reader<'_>,
    powers: &[f32],
    theta: f64,
    head_width: usize,
    positions: usize,
) -> Result<Rotary, ConfigError> {
    let original = read.number("original_max_position_embeddings", None)?;
    let factor = read.number("factor", Some(positions as f64 / original))?;
    let magnitude = |scale: f64, by: f64| if scale <= 1.0 { 1.0 } else { 0.1 * by * scale.ln() + 1.0 };
    let inferred = match (read.optional("mscale")?, read.optional("mscale_all_dim")?) {
        (Some(one), Some(all)) => magnitude(factor, one) / magnitude(factor, all),
        _ => magnitude(factor, 1.0),
    };
    let attention = read.number("attention_factor", Some(inferred))?;
    let width = head_width as f64;
    let pair_of = |turns: f64| width * (original / (turns * TAU)).ln() / (2.0 * theta.ln());
    let (mut low, mut high) =
        (pair_of(read.number("beta_fast", Some(32.0))?), pair_of(read.number("beta_slow", Some(1.0))?));
    if read.parameters.get("truncate").and_then(Value::as_bool).unwrap_or(true) {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, mut high) = (low.max(0.0), high.min(width - 1.0));
    if low == high {
        high += 0.001;
    }
    let frequency = |(i, power): (usize, &f32)| {
        let stretched = (((i as f64 - low) / (high - low)) as f32).clamp(0.0, 1.0);
        1.0 / (factor as f32 * power) * stretched + 1.0 / power * (1.0 - stretched)
    };
    Ok(Rotary { frequencies: powers.iter().enumerate().map(frequency).collect(), factor: attention as f32 })
}

struct Reader<'a> {
    field: &'static str,
    parameters: &'a Map<String, Value>,
}

impl Reader<'_> {
    /// A number above 0, if it is there.
    fn optional(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        match self.parameters.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64().filter(|number| *number > 0.0 && number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => Err(ConfigError::Bounds {
                    field: self.field,
                    value: format!("{{\"{key}\": {value}}}"),
                    must: "numbers above 0",
                }),
            },
        }
    }

    /// A number above 0; an error where it is missing and nothing else is assumed.
    fn number(&self, key: &str, otherwise: Option<f64>) -> Result<f64, ConfigError> {
        self.optional(key)?.or(otherwise).ok_or_else(|| ConfigError::Bounds {
            field: self.field,
            value: format!("without \"{key}\""),
            must: "complete for its rope_type",
        })
    }

    fn unsupported(&self, key: &str, supported: &'static str) -> ConfigError {
        let value = self.parameters.get(key).or_else(|| self.parameters.get("type")).unwrap_or(&Value::Null);
        ConfigError::Unsupported { field: self.field, value: format!("{{\"{key}\": {value}}}"), supported }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Rotary {
        rotary("rope_scaling", &serde_json::from_str(json).unwrap(), Some(10_000.0), 8, 4096).unwrap()
    }

    #[test]
    fn frequencies_fall_by_powers_and_scalings_stretch_them() {
        let plain = of("{}").frequencies;
        for (i, expected) in [1.0, 0.1, 0.01, 0.001].into_iter().enumerate() {
            assert!((plain[i] - expected).abs() < 1e-7 * expected.max(0.1), "{plain:?}");
        }
        assert_eq!(of(r#"{"type":"dynamic","factor":4.0}"#).frequencies, plain);
        let half: Vec<f32> = plain.iter().map(|f| f / 2.0).collect();
        assert_eq!(of(r#"{"rope_type":"linear","factor":2.0}"#).frequencies, half);
    }

    #[test]
    fn scalings_by_wavelength_leave_fast_pairs_and_stretch_slow_ones() {
        let plain = of("{}").frequencies;
        let llama3 = of(
            r#"{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":1024}"#,
        );
        let yarn = of(r#"{"rope_type":"yarn","factor":8.0,"original_max_position_embeddings":1024}"#);
        for scaled in [&llama3, &yarn] {
            assert_eq!(scaled.frequencies[0], plain[0]);
            assert!((scaled.frequencies[3] - plain[3] / 8.0).abs() < 1e-9, "{scaled:?}");
        }
        assert_eq!(llama3.factor, 1.0);
        assert!((yarn.factor - (0.1 * 8f32.ln() + 1.0)).abs() < 1e-6);
    }
}
