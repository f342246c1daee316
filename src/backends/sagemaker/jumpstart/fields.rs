//! Reading single fields of documents that nobody promised anything about.

use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// The field under its PascalCase name, or in lower case: both occur in one document.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).or_else(|| value.get(name.to_ascii_lowercase()))
}

/// Text that says something.
pub fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    field(value, name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

pub fn flag(value: &Value, name: &str) -> Option<bool> {
    field(value, name)?.as_bool()
}

pub fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    field(value, name).and_then(Value::as_array).into_iter().flatten()
}

pub fn number(value: &Value, name: &str) -> Option<f64> {
    let value = field(value, name)?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

/// A whole number above zero that fits.
pub fn whole<T: TryFrom<u64>>(value: &Value, name: &str) -> Option<T> {
    field(value, name)?.as_u64().filter(|&number| number > 0).and_then(|number| T::try_from(number).ok())
}

/// An address in S3.
pub fn s3<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    text(value, name).filter(|uri| uri.strip_prefix("s3://").is_some_and(|rest| rest.contains('/')))
}

/// A default or an environment variable, as the container is to read it.
pub fn scalar(value: &Value, name: &str) -> Option<String> {
    as_text(field(value, name)?)
}

/// As Python's `str` has it, which JumpStart's own client uses and its scripts expect: `True`, `0.0001`, `1e-08`.
pub fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(on) => Some(if *on { "True" } else { "False" }.to_owned()),
        Value::Number(number) => Some(python(number)),
        _ => None,
    }
}

fn python(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    // The same shortest digits as Python's; it writes two digits of exponent at least, and its sign.
    let plain = format!("{float:?}");
    match plain.split_once('e') {
        None => plain,
        Some((digits, exponent)) => {
            let (sign, size) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
            format!("{digits}e{sign}{size:0>2}")
        }
    }
}

/// An object of names and scalars.
pub fn pairs(value: &Value) -> BTreeMap<String, String> {
    let all = value.as_object().into_iter().flatten();
    all.filter_map(|(name, value)| Some((name.clone(), as_text(value)?))).collect()
}

/// The values of `@key:value` among the keywords.
pub fn keywords<'a>(all: &'a [String], key: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
    all.iter().filter_map(move |word| {
        let (name, value) = word.strip_prefix('@')?.split_once(':')?;
        (name.eq_ignore_ascii_case(key) && !value.trim().is_empty()).then_some(value.trim())
    })
}

/// `text-generation` for "Text Generation".
pub fn slug(words: &str) -> String {
    let parts = words.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    parts.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}
