//! The training form as typed: field names to text, the same for the page's address, the form's body, the fragment
//! that shows the plan, and a job that is cloned.

use crate::{
    domain::ids::DatasetId,
    services::training::{Request, cloud::Where},
};
use llm_tuner_engine::hyperparameters::NAMES;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Before the name of a setting that is a JumpStart model's own.
pub const OWN: &str = "own_";

/// Fields are called `form[name]` on the wire, as server functions take a map.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed(pub BTreeMap<String, String>);

impl Typed {
    /// From an address' query; also takes the bare names, for links like `/training/new?dataset=…`.
    pub fn from_query(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .map(|(name, value)| {
                    let name =
                        name.strip_prefix("form[").and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
                    (name.to_owned(), value.into_owned())
                })
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Takes the default where nothing was typed.
    pub fn or(&mut self, name: &str, value: impl Into<String>) {
        self.0.entry(name.to_owned()).or_insert_with(|| value.into());
    }

    /// The form's own key, bound to what was typed: pressed again it is the same job, changed it is another one.
    fn idempotency_key(&self) -> String {
        match self.get("key") {
            "" => String::new(),
            key => format!("{key}-{}", &hex::encode(Sha256::digest(format!("{:?}", self.0)))[..16]),
        }
    }

    /// Ours by their names; those of a JumpStart model, which has its own, stand behind [`OWN`].
    fn hyperparameters(&self) -> BTreeMap<String, String> {
        let set = |(name, value): (&str, &str)| {
            let value = value.trim();
            (!value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
        };
        if self.get("base_model").starts_with("jumpstart:") {
            let own =
                self.0.iter().filter_map(|(name, value)| Some((name.strip_prefix(OWN)?, value.as_str())));
            return own.filter_map(set).collect();
        }
        NAMES.into_iter().map(|name| (name, self.get(name))).filter_map(set).collect()
    }

    /// What the service is asked. Checks nothing: the plan names what is wrong.
    pub fn request(&self) -> Request {
        Request {
            base: match self.get("base_model") {
                "hub" => format!("hub:{}", self.get("hub_id").trim()),
                base => base.to_owned(),
            },
            datasets: self.get("dataset").split(',').filter_map(DatasetId::parse).collect(),
            title: self.get("title").to_owned(),
            validation_share: self.get("validation_share").to_owned(),
            hyperparameters: self.hyperparameters(),
            place: Where {
                place: self.get("place").to_owned(),
                instance_type: self.get("instance_type").to_owned(),
                fallback: self.get("fallback_instance_types").to_owned(),
                spot: self.get("spot") == "true",
                max_hours: self.get("max_hours").to_owned(),
            },
            accept_warnings: self.get("accept_warnings") == "true",
            idempotency_key: self.idempotency_key(),
        }
    }

    /// The form of a request: for cloning a job.
    pub fn of(request: &Request) -> Self {
        let own = if request.base.starts_with("jumpstart:") { OWN } else { "" };
        let settings = request.hyperparameters.iter();
        let mut typed = Self(settings.map(|(name, value)| (format!("{own}{name}"), value.clone())).collect());
        let place = &request.place;
        for (name, value) in [
            ("place", &place.place),
            ("instance_type", &place.instance_type),
            ("fallback_instance_types", &place.fallback),
            ("max_hours", &place.max_hours),
        ] {
            if !value.is_empty() {
                typed.set(name, value.clone());
            }
        }
        if place.spot {
            typed.set("spot", "true");
        }
        match request.base.strip_prefix("hub:") {
            Some(id) => {
                typed.set("base_model", "hub");
                typed.set("hub_id", id);
            }
            None => typed.set("base_model", request.base.clone()),
        }
        typed.set("dataset", request.datasets.iter().map(DatasetId::as_str).collect::<Vec<_>>().join(","));
        typed.set("title", request.title.clone());
        typed.set("validation_share", request.validation_share.clone());
        typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_form() {
        let request = Request {
            base: "nano".to_owned(),
            datasets: vec![DatasetId::from_parts(1, 2)],
            title: "Ünïcode & co".to_owned(),
            validation_share: "0.1".to_owned(),
            hyperparameters: BTreeMap::from([("learning_rate".to_owned(), "0.003".to_owned())]),
            ..Request::default()
        };
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&Typed::of(&request).0);
        let again = Typed::from_query(&query.finish()).request();
        assert_eq!(format!("{again:?}"), format!("{request:?}"));
    }

    #[test]
    fn the_same_form_has_the_same_key_and_a_changed_one_another() {
        let key = |query: &str| Typed::from_query(query).request().idempotency_key;
        assert_eq!(key("epochs=3"), "");
        assert_eq!(key("key=a&epochs=3"), key("epochs=3&key=a"));
        assert_ne!(key("key=a&epochs=3"), key("key=a&epochs=4"));
        assert_ne!(key("key=a&epochs=3"), key("key=b&epochs=3"));
    }

    #[test]
    fn both_spellings_of_a_field_are_read() {
        assert_eq!(Typed::from_query("form%5Bepochs%5D=3&dataset=x").0.len(), 2);
        assert_eq!(Typed::from_query("form[epochs]=3").get("epochs"), "3");
    }
}
