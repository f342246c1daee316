//! Optional words as a prop, so that a call may pass nothing, a literal, a `String` or an `Option`.

/// `None` where the caller has nothing to say. Empty text counts as nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaybeText(pub Option<String>);

impl MaybeText {
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl From<&str> for MaybeText {
    fn from(text: &str) -> Self {
        Self((!text.is_empty()).then(|| text.to_owned()))
    }
}
impl From<String> for MaybeText {
    fn from(text: String) -> Self {
        Self((!text.is_empty()).then_some(text))
    }
}
impl From<Option<String>> for MaybeText {
    fn from(text: Option<String>) -> Self {
        Self(text.filter(|text| !text.is_empty()))
    }
}
impl From<Option<&str>> for MaybeText {
    fn from(text: Option<&str>) -> Self {
        Self(text.filter(|text| !text.is_empty()).map(str::to_owned))
    }
}
