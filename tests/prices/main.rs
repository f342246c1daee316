//! Prices and quotas as AWS's own services tell them, asked of the fake one with the SDK's own clients.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "../support/fake_sagemaker.rs"]
mod fake_sagemaker;
#[path = "../support/moto.rs"]
mod moto;

use aws_sdk_sagemaker::types::{ProductionVariantInstanceType, TrainingInstanceType};
use fake_sagemaker::FakeSageMaker;
use llm_tuner::{
    backends::{
        prices::Usage,
        sagemaker::{prices, quotas},
    },
    domain::{
        instance::INSTANCE_TYPES,
        money::Money,
        time::{Clock, Instant},
    },
};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// 2026-11-21, moved by hand.
struct Hand(AtomicI64);

impl Hand {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_795_222_800)))
    }
    fn later(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::Relaxed) * 1_000_000)
    }
}

#[test]
fn every_type_on_offer_is_one_of_sagemakers() {
    for kind in &INSTANCE_TYPES {
        assert_eq!(TrainingInstanceType::values().contains(&kind.name), kind.trains, "{kind:?}");
        assert_eq!(ProductionVariantInstanceType::values().contains(&kind.name), kind.hosts, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_is_asked_once_a_day() {
    let aws = FakeSageMaker::start();
    let clock = Hand::new();
    let prices = prices::new(&aws.config().await, clock.clone());
    for usage in [Usage::Training, Usage::SpotTraining, Usage::Hosting] {
        let quote = prices.per_hour("ml.g5.2xlarge", usage).await;
        assert_eq!(quote.per_hour, Some(Money(1_515_000)));
        assert_eq!(
            (quote.source(), quote.as_of.as_str(), quote.region.as_str()),
            ("aws", "2026-11-21", "us-east-1")
        );
        assert_eq!(quote.problem, None);
    }
    assert_eq!(asked(&aws, "GetProducts").await, 1);
    // A day later the old price is told at once, and the new one follows.
    clock.later(24 * 3600);
    assert_eq!(prices.per_hour("ml.g5.2xlarge", Usage::Training).await.as_of, "2026-11-21");
    while prices.per_hour("ml.g5.2xlarge", Usage::Training).await.as_of != "2026-11-22" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(asked(&aws, "GetProducts").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_does_not_list_is_unknown() {
    let aws = FakeSageMaker::start();
    let prices = prices::new(&aws.config().await, Hand::new());
    for kind in ["ml.g5.large", "ml.g6e.xlarge", "ml.nonsense.9xlarge"] {
        let quote = prices.per_hour(kind, Usage::Training).await;
        assert_eq!((quote.per_hour, quote.source()), (None, "unknown"), "{kind}");
        assert_eq!(quote.problem, Some(format!("AWS's price list has no price of {kind} in us-east-1.")));
    }
    // No name at all is not even asked for.
    aws.forget_requests().await;
    for kind in ["", "g5.2xlarge", "ml.", "ml.g5.2xlarge; drop", "ml.a.b.c"] {
        assert_eq!(prices.per_hour(kind, Usage::Training).await.per_hour, None, "{kind}");
    }
    assert_eq!(asked(&aws, "GetProducts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_nobody_knows_has_no_price() {
    let aws = FakeSageMaker::start();
    let config = aws.config().await.into_builder().region(aws_config::Region::new("eu-central-1")).build();
    let quote = prices::new(&config, Hand::new()).per_hour("ml.g5.2xlarge", Usage::Training).await;
    assert_eq!((quote.per_hour, quote.live), (None, true));
    aws.fault(json!({ "op": "GetProducts", "times": 99, "error": "AccessDeniedException" })).await;
    let quote = prices::new(&config, Hand::new()).per_hour("ml.g5.2xlarge", Usage::Training).await;
    assert_eq!((quote.per_hour, quote.live), (None, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_gives_the_listed_price_and_is_remembered_for_a_minute() {
    let aws = FakeSageMaker::start();
    let clock = Hand::new();
    let prices = prices::new(&aws.config().await, clock.clone());
    aws.fault(
        json!({ "op": "GetProducts", "times": 99, "error": "AccessDeniedException", "message": "No." }),
    )
    .await;
    for _ in 0..3 {
        let quote = prices.per_hour("ml.g5.2xlarge", Usage::Training).await;
        assert_eq!((quote.per_hour, quote.source()), (Some(Money(1_515_000)), "snapshot"));
        assert_eq!(quote.as_of, "2026-08-20");
        assert_eq!(quote.problem.as_deref(), Some("AWS refused (AccessDeniedException): No."));
    }
    assert_eq!(asked(&aws, "GetProducts").await, 1);
    aws.mend().await;
    clock.later(60);
    assert_eq!(prices.per_hour("ml.g5.2xlarge", Usage::Training).await.source(), "aws");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_once_it_asks_again_by_itself() {
    let aws = FakeSageMaker::start();
    let prices = prices::new(&aws.config().await, Hand::new());
    aws.fault(json!({ "op": "GetProducts", "error": "ThrottlingException" })).await;
    assert_eq!(prices.per_hour("ml.g5.2xlarge", Usage::Training).await.source(), "aws");
    assert_eq!(asked(&aws, "GetProducts").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_hangs_holds_nobody_up() {
    let aws = FakeSageMaker::start();
    let prices = prices::new(&aws.config().await, Hand::new());
    aws.fault(json!({ "op": "GetProducts", "times": 99, "hang": true })).await;
    let begun = std::time::Instant::now();
    let quote = prices.per_hour("ml.g5.2xlarge", Usage::Training).await;
    assert_eq!((quote.per_hour, quote.live), (Some(Money(1_515_000)), false));
    assert_eq!(quote.problem.as_deref(), Some("AWS's price list did not answer within 3s."));
    for kind in &INSTANCE_TYPES {
        prices.per_hour(kind.name, Usage::Training).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_the_answer_is_immediate() {
    let region = aws_config::Region::new("us-east-1");
    let mut config = llm_tuner::aws::config().await.into_builder().region(region);
    config.set_credentials_provider(None);
    let config = config.build();
    let begun = std::time::Instant::now();
    let quote = prices::new(&config, Hand::new()).per_hour("ml.g5.2xlarge", Usage::Training).await;
    assert_eq!((quote.per_hour, quote.live), (Some(Money(1_515_000)), false));
    assert!(quote.problem.unwrap().starts_with("AWS did not answer"));
    let quota = quotas::new(&config, Hand::new()).limit("ml.g5.2xlarge", Usage::Training).await;
    assert!(quota.unwrap_err().starts_with("AWS did not answer"));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_found_by_its_name() {
    let aws = FakeSageMaker::start();
    let clock = Hand::new();
    let quotas = quotas::new(&aws.config().await, clock.clone());
    aws.control("quota", json!({ "ml.g5.2xlarge": 1, "ml.g5.2xlarge for spot training job usage": 3 })).await;
    for (usage, limit, words) in [
        (Usage::Training, 1.0, "training job"),
        (Usage::SpotTraining, 3.0, "spot training job"),
        (Usage::Hosting, 0.0, "endpoint"),
    ] {
        let quota = quotas.limit("ml.g5.2xlarge", usage).await.unwrap().unwrap();
        assert_eq!((quota.limit, quota.name), (limit, format!("ml.g5.2xlarge for {words} usage")));
        assert!(quota.url.starts_with(
            "https://us-east-1.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/L-"
        ));
    }
    // Every page of the list, and that once.
    let pages = asked(&aws, "ListServiceQuotas").await;
    assert!(pages > 3, "{pages}");
    assert_eq!(quotas.limit("ml.g5.large", Usage::Training).await, Ok(None));
    assert_eq!(asked(&aws, "ListServiceQuotas").await, pages);
    assert!(asked(&aws, "ListAWSDefaultServiceQuotas").await > 3, "what was not set may have a default");

    // A raised quota is seen after some minutes, and a refusal is told.
    aws.control("quota", json!({ "ml.g5.2xlarge": 7 })).await;
    clock.later(600);
    loop {
        let quota = quotas.limit("ml.g5.2xlarge", Usage::Training).await.unwrap().unwrap();
        if quota.limit == 7.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let others = quotas::new(&aws.config().await, clock);
    aws.fault(
        json!({ "op": "ListServiceQuotas", "times": 99, "error": "AccessDeniedException", "message": "No." }),
    )
    .await;
    let refused = others.limit("ml.g5.2xlarge", Usage::Training).await;
    assert_eq!(refused, Err("AWS refused (AccessDeniedException): No.".to_owned()));
}

/// How often.
async fn asked(aws: &FakeSageMaker, operation: &str) -> usize {
    let requests = aws.requests().await;
    requests.iter().filter(|request| request["operation"] == operation).count()
}
