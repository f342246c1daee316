//! What every adapter does to a value before it stores it, so that all of them give the same back.

use super::{StoreError, StoreResult};
use crate::domain::event::EventBody;

/// Not every database can hold NUL in a text: it becomes `␀` (U+2400). Inside JSON it is escaped anyway and survives.
pub(super) fn without_nul(text: &str) -> String {
    if text.contains('\0') { text.replace('\0', "\u{2400}") } else { text.to_owned() }
}

/// The JSON of a value, as it is stored.
pub(super) fn to_json<T: serde::Serialize>(what: &'static str, value: &T) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt(what, error.to_string()))
}

/// The JSON of an event. JSON has no word for a number that is none, and a loss may become NaN: such a value is stored
/// as a text.
pub(super) fn encode_event(body: &EventBody) -> StoreResult<String> {
    let EventBody::Metric { value, .. } = body else { return to_json("event", body) };
    if value.is_finite() {
        return to_json("event", body);
    }
    let mut json =
        serde_json::to_value(body).map_err(|error| StoreError::Corrupt("event", error.to_string()))?;
    if let Some(object) = json.as_object_mut() {
        object.insert("value".to_owned(), value.to_string().into());
    }
    to_json("event", &json)
}

/// Reads what [`encode_event`] made.
pub(super) fn decode_event(text: &str) -> StoreResult<EventBody> {
    let odd = |error| -> Result<EventBody, serde_json::Error> {
        let mut json: serde_json::Value = serde_json::from_str(text)?;
        let value = json["value"].as_str().and_then(|value| value.parse::<f64>().ok()).ok_or(error)?;
        json["value"] = 0.into();
        match serde_json::from_value(json)? {
            EventBody::Metric { name, step, .. } => Ok(EventBody::Metric { name, value, step }),
            other => Ok(other),
        }
    };
    serde_json::from_str(text).or_else(odd).map_err(|error| StoreError::Corrupt("event", error.to_string()))
}
