//! One document of AWS's price list: the price of a machine by the hour, out of what `GetProducts` answers. Whatever is
//! not of the expected shape is no price.

use crate::domain::{instance::Usage, money::Money};
use serde_json::Value;

/// What a machine costs in a region, by what it is used for. `None`: not in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    pub training: Option<Money>,
    pub hosting: Option<Money>,
}

impl Rates {
    pub fn of(&self, usage: Usage) -> Option<Money> {
        match usage {
            Usage::Training | Usage::SpotTraining => self.training,
            Usage::Hosting => self.hosting,
        }
    }

    /// Takes in one document; of two that fit, the higher price.
    pub fn read(&mut self, document: &str, instance_type: &str, region: &str) {
        let Ok(document) = serde_json::from_str::<Value>(document) else { return };
        let attributes = &document["product"]["attributes"];
        let says = |name: &str, wanted: &str| attributes[name].as_str() == Some(wanted);
        if !says("instanceName", instance_type) || !says("regionCode", region) {
            return;
        }
        let rate = match component(attributes) {
            Some(Component::Training) => &mut self.training,
            Some(Component::Hosting) => &mut self.hosting,
            None => return,
        };
        *rate = (*rate).max(per_hour(&document["terms"]["OnDemand"]));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Component {
    Training,
    Hosting,
}

/// AWS names it in one of two attributes, and in the type of usage (`USE1-Train:ml.g5.2xlarge`). Notebooks, Studio,
/// processing and batches are others, with prices of their own.
fn component(attributes: &Value) -> Option<Component> {
    let named = ["component", "platoinstancetype"].into_iter().find_map(|name| attributes[name].as_str());
    let usage = attributes["usagetype"].as_str().and_then(|usage| usage.split_once(':'));
    let word = named.or_else(|| usage.map(|(before, _)| before.rsplit('-').next().unwrap_or(before)))?;
    match word.to_ascii_lowercase().as_str() {
        "training" | "train" => Some(Component::Training),
        "hosting" | "host" => Some(Component::Hosting),
        _ => None,
    }
}

/// The price of an hour in the terms of one product. A price of 0 is one of the free tier's, not of a machine.
fn per_hour(terms: &Value) -> Option<Money> {
    let dimensions = terms.as_object()?.values().filter_map(|term| term["priceDimensions"].as_object());
    dimensions
        .flat_map(serde_json::Map::values)
        .filter(|dimension| {
            let unit = dimension["unit"].as_str().unwrap_or_default().to_ascii_lowercase();
            unit == "hrs" || unit == "hours"
        })
        .filter_map(|dimension| Money::parse(dimension["pricePerUnit"]["USD"].as_str()?))
        .filter(|price| *price > Money::default())
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn product(attributes: Value, unit: &str, dollars: &str) -> String {
        let mut all = json!({ "instanceName": "ml.g5.2xlarge", "regionCode": "us-east-1" });
        all.as_object_mut().unwrap().extend(attributes.as_object().unwrap().clone());
        json!({
            "product": { "sku": "X", "attributes": all },
            "terms": { "OnDemand": { "X.J": { "priceDimensions": { "X.J.6": {
                "unit": unit, "pricePerUnit": { "USD": dollars } } } } } },
        })
        .to_string()
    }

    fn read(documents: &[String]) -> Rates {
        let mut rates = Rates::default();
        for document in documents {
            rates.read(document, "ml.g5.2xlarge", "us-east-1");
        }
        rates
    }

    #[test]
    fn training_and_hosting_are_told_apart_however_they_are_named() {
        let rates = read(&[
            product(json!({ "component": "Training" }), "Hrs", "1.5150000000"),
            product(json!({ "platoinstancetype": "Hosting" }), "Hrs", "1.6"),
            product(json!({ "component": "Studio-JupyterLab" }), "Hrs", "9"),
            product(json!({ "usagetype": "USE1-Notebk:ml.g5.2xlarge" }), "Hrs", "9"),
        ]);
        assert_eq!(rates, Rates { training: Some(Money(1_515_000)), hosting: Some(Money(1_600_000)) });
        for usage in ["USE1-Train:ml.g5.2xlarge", "Train:ml.g5.2xlarge", "EUC1-Train:ml.g5.2xlarge"] {
            let rates = read(&[product(json!({ "usagetype": usage }), "Hrs", "2")]);
            assert_eq!(rates.of(Usage::SpotTraining), Some(Money(2_000_000)), "{usage}");
        }
    }

    #[test]
    fn only_a_price_of_an_hour_of_this_machine_counts() {
        let training = json!({ "component": "Training" });
        for (attributes, unit, dollars) in [
            (training.clone(), "GB-Mo", "3"),
            (training.clone(), "Hrs", "0.0000000000"),
            (training.clone(), "Hrs", "a lot"),
            (json!({ "component": "Training", "instanceName": "ml.g5.4xlarge" }), "Hrs", "2"),
            (json!({ "component": "Training", "regionCode": "eu-west-1" }), "Hrs", "2"),
        ] {
            assert_eq!(read(&[product(attributes, unit, dollars)]), Rates::default());
        }
        // Two SKUs are two prices, not a sum; the higher is the safe one.
        let twice = [product(training.clone(), "Hrs", "1.5"), product(training, "Hrs", "1.25")];
        assert_eq!(read(&twice).training, Some(Money(1_500_000)));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_ignored(text in "\\PC*") {
            let mut rates = Rates::default();
            rates.read(&text, "ml.g5.2xlarge", "us-east-1");
            prop_assert_eq!(rates, Rates::default());
        }

        #[test]
        fn a_damaged_document_gives_no_wrong_price(at in 0..400usize, byte in 32u8..127) {
            let whole = product(json!({ "component": "Training" }), "Hrs", "1.5150000000");
            let mut bytes = whole.into_bytes();
            let at = at % bytes.len();
            // A digit of the price itself may of course become another one.
            prop_assume!(!bytes[at].is_ascii_digit() && !byte.is_ascii_digit() && byte != b'.' && byte != b',');
            bytes[at] = byte;
            let mut rates = Rates::default();
            rates.read(&String::from_utf8(bytes).unwrap(), "ml.g5.2xlarge", "us-east-1");
            prop_assert!(rates == Rates::default() || rates.training == Some(Money(1_515_000)), "{:?}", rates);
        }

        #[test]
        fn every_price_is_read_exactly(millionths in 1..900_000_000i64) {
            let dollars = format!("{:.10}", Money(millionths).dollars());
            let rates = read(&[product(json!({ "component": "Training" }), "Hrs", &dollars)]);
            prop_assert_eq!(rates.training, Some(Money(millionths)));
        }
    }
}
