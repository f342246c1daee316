//! What a form's answer carries over the redirect to the next page: a notice, or the errors with what was typed, so
//! that nothing is lost. A short-lived HttpOnly cookie; never a password, never in the URL.

use super::{session::cookie, state::AppState};
use crate::domain::field::FieldError;
use axum_extra::extract::cookie::{Cookie, CookieJar};
use base64::Engine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const NAME: &str = "flash";
/// Browsers keep 4 kB a cookie; longer typed values are dropped, the errors are not.
const MAX_BYTES: usize = 3_000;
const SECONDS: i64 = 60;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Flash {
    /// Which form it answers; empty for a notice of the whole page.
    pub form: String,
    /// "Saved.", "The dataset was deleted."
    pub notice: Option<String>,
    /// What went wrong, where no field is to blame, and what to do next.
    pub problem: Option<(String, String)>,
    pub errors: Vec<FieldError>,
    /// What was typed, by field.
    pub values: BTreeMap<String, String>,
}

impl Flash {
    pub fn notice(text: impl Into<String>) -> Self {
        Self { notice: Some(text.into()), ..Self::default() }
    }
    /// The error of one field of this form.
    pub fn error(&self, field: &str) -> Option<String> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.clone())
    }
    /// What was typed into one field.
    pub fn value(&self, field: &str) -> String {
        self.values.get(field).cloned().unwrap_or_default()
    }
    /// The flash, if it answers this form; else an empty one.
    pub fn of(flash: Option<&Self>, form: &str) -> Self {
        flash.filter(|flash| flash.form == form).cloned().unwrap_or_default()
    }

    pub fn to_cookie(&self, state: &AppState) -> Cookie<'static> {
        let mut flash = self.clone();
        loop {
            let text = base64::engine::general_purpose::URL_SAFE_NO_PAD
                .encode(serde_json::to_vec(&flash).unwrap_or_default());
            let longest =
                flash.values.iter().max_by_key(|(_, value)| value.len()).map(|(name, _)| name.clone());
            match longest {
                Some(name) if text.len() > MAX_BYTES => flash.values.remove(&name),
                _ => return cookie(&state.config, NAME, text, SECONDS),
            };
        }
    }

    pub fn from_jar(jar: &CookieJar) -> Option<Self> {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jar.get(NAME)?.value()).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The cookie that removes it, once shown.
    pub fn removal(state: &AppState) -> Cookie<'static> {
        cookie(&state.config, NAME, String::new(), 0)
    }
}
