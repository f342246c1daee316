//! The list that ships with the product, `prices.json`: figures that were seen in AWS's price list or on its pages, each
//! with its region and date. For when AWS can't be asked. What is not in it is unknown.

use super::super::super::prices::{Prices, Quote, Usage};
use crate::domain::money::Money;
use async_trait::async_trait;
use serde::Deserialize;

/// The region that prices are told of where none is set.
const DEFAULT_REGION: &str = "us-east-1";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// When the list as a whole was last looked through.
    as_of: String,
    figures: Vec<Figure>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    instance_type: String,
    usd_per_hour: String,
    component: Component,
    /// Where it was seen; then regions whose prices are the same wherever both were seen.
    region: String,
    #[serde(default)]
    alike: Vec<String>,
    as_of: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Component {
    Training,
    Studio,
}

/// Prices without AWS.
pub struct ListedPrices {
    list: List,
    region: Option<String>,
    why: String,
}

impl ListedPrices {
    /// `why` says why AWS is not asked.
    pub fn new(region: Option<String>, why: &str) -> Self {
        // A test reads it; an unreadable list would know no price.
        let list = serde_json::from_str(include_str!("prices.json"))
            .unwrap_or_else(|_| List { as_of: String::new(), figures: Vec::new() });
        Self { list, region, why: why.to_owned() }
    }

    /// What the list has; `why` says why it is asked.
    pub fn quote(&self, instance_type: &str, usage: Usage, why: &str) -> Quote {
        let region = self.region.as_deref().unwrap_or(DEFAULT_REGION);
        let holds =
            |figure: &&Figure| figure.region == region || figure.alike.iter().any(|one| one == region);
        let figure =
            self.list.figures.iter().filter(|figure| figure.instance_type == instance_type).find(holds);
        let mut doubts = vec![why.to_owned()];
        if self.region.is_none() {
            doubts.push(format!("No region is set: this is the price in {DEFAULT_REGION}."));
        }
        let Some((figure, price)) =
            figure.and_then(|figure| Some((figure, Money::parse(&figure.usd_per_hour)?)))
        else {
            doubts.push(format!(
                "The list that ships with LLM Tuner has no price of {instance_type} in {region}."
            ));
            return Quote {
                per_hour: None,
                as_of: self.list.as_of.clone(),
                region: region.to_owned(),
                live: false,
                problem: Some(doubts.join(" ")),
            };
        };
        match (figure.component, usage) {
            (Component::Training, Usage::Training | Usage::SpotTraining) => {}
            (Component::Training, Usage::Hosting) => doubts.push("It is the price for training.".to_owned()),
            (Component::Studio, _) => doubts.push("It is the price in SageMaker Studio.".to_owned()),
        }
        Quote {
            per_hour: Some(price),
            as_of: figure.as_of.clone(),
            region: region.to_owned(),
            live: false,
            problem: Some(doubts.join(" ")),
        }
    }
}

#[async_trait]
impl Prices for ListedPrices {
    async fn per_hour(&self, instance_type: &str, usage: Usage) -> Quote {
        self.quote(instance_type, usage, &self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instance::InstanceType;

    #[test]
    fn every_figure_of_the_list_can_be_read() {
        let list: List = serde_json::from_str(include_str!("prices.json")).unwrap();
        assert!(list.figures.len() >= 20);
        for figure in &list.figures {
            let price = Money::parse(&figure.usd_per_hour).unwrap();
            assert!(price > Money::default(), "{figure:?}");
            assert!(InstanceType::find(&figure.instance_type).is_some(), "{figure:?}");
            assert!(figure.as_of.len() >= 7 && figure.as_of <= list.as_of, "{figure:?}");
        }
    }

    #[test]
    fn unknown_is_unknown_and_never_nothing() {
        let here = ListedPrices::new(Some("us-east-1".to_owned()), "AWS is not configured.");
        let price = |list: &ListedPrices, kind, usage| list.quote(kind, usage, "Why.").per_hour;
        assert_eq!(price(&here, "ml.g5.2xlarge", Usage::Training), Some(Money(1_515_000)));
        assert_eq!(price(&here, "ml.g5.2xlarge", Usage::SpotTraining), Some(Money(1_515_000)));
        assert_eq!(price(&here, "ml.g6e.xlarge", Usage::Training), None);
        assert_eq!(price(&here, "ml.g5.large", Usage::Training), None);
        let there = ListedPrices::new(Some("eu-central-1".to_owned()), "AWS is not configured.");
        let quote = there.quote("ml.g5.2xlarge", Usage::Training, "AWS is not configured.");
        assert_eq!(
            (quote.per_hour, quote.source(), quote.region.as_str()),
            (None, "unknown", "eu-central-1")
        );
        assert!(quote.problem.unwrap().contains("has no price of ml.g5.2xlarge in eu-central-1"));
    }

    #[test]
    fn a_figure_tells_what_it_is_of() {
        let list = ListedPrices::new(None, "AWS is not configured.");
        let quote = list.quote("ml.p4d.24xlarge", Usage::Training, "AWS is not configured.");
        assert_eq!((quote.per_hour, quote.live), (Some(Money(25_250_000)), false));
        assert_eq!(
            quote.problem.unwrap(),
            "AWS is not configured. No region is set: this is the price in us-east-1. It is the price in SageMaker Studio."
        );
        let hosting = list.quote("ml.g5.2xlarge", Usage::Hosting, "Why.");
        assert!(hosting.problem.unwrap().ends_with("It is the price for training."));
    }
}
