//! The catalogue: what the hub lists and describes, what is kept of it, and what is told when AWS does not answer.

use crate::fake_sagemaker::FakeSageMaker;
use llm_tuner::{
    backends::{
        catalogue::{Catalogue, CatalogueError},
        sagemaker::jumpstart::{hub::Hub, shipped::Shipped, snapshot},
    },
    domain::{
        jumpstart::Source,
        time::{Clock, Instant},
    },
};
use serde_json::json;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Stands still until it is moved.
#[derive(Default)]
struct Hands(AtomicI64);

impl Hands {
    fn later(&self, by: Duration) {
        self.0.fetch_add(by.as_micros().try_into().unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::Relaxed))
    }
}

const LLAMA: &str = "meta-textgeneration-llama-2-7b";

async fn hub(fake: &FakeSageMaker) -> (Hub, Arc<Hands>) {
    let clock = Arc::new(Hands::default());
    (Hub::new(&fake.config().await, clock.clone()), clock)
}

/// How often an operation was asked for.
async fn asked(fake: &FakeSageMaker, operation: &str) -> usize {
    let requests = fake.requests().await;
    requests.iter().filter(|request| request["operation"] == operation).count()
}

fn write(folder: &Path, id: &str, document: &serde_json::Value) {
    let content = json!({
        "HubContentVersion": "1.0.0",
        "HubContentDisplayName": id,
        "HubContentDescription": "",
        "HubContentSearchKeywords": ["@task:text-generation"],
        "HubContentDocument": document,
    });
    std::fs::write(folder.join(format!("{id}.json")), content.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_listed_once_and_kept_for_hours() {
    let folder = tempfile::tempdir().unwrap();
    (0..150).for_each(|n| write(folder.path(), &format!("some-model-{n:03}"), &json!({})));
    let fake = FakeSageMaker::with_hub(folder.path());
    let (hub, clock) = hub(&fake).await;

    let listing = hub.list().await;
    assert_eq!((listing.models.len(), listing.source, listing.problem), (153, Source::Hub, None));
    let llama = listing.models.iter().find(|model| model.id == LLAMA).unwrap();
    assert_eq!((llama.task.as_str(), llama.fine_tuning), ("text-generation", true));
    assert!(listing.models.is_sorted_by_key(|model| &model.id));
    assert_eq!(asked(&fake, "ListHubContents").await, 2);
    assert_eq!(asked(&fake, "DescribeHubContent").await, 0, "nobody looked at one");

    hub.list().await;
    assert_eq!(asked(&fake, "ListHubContents").await, 2);
    clock.later(Duration::from_secs(7 * 3_600));
    hub.list().await;
    assert_eq!(asked(&fake, "ListHubContents").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_described_when_somebody_looks_at_it() {
    let fake = FakeSageMaker::start();
    let (hub, _) = hub(&fake).await;
    let found = hub.model(LLAMA, None).await.unwrap();
    assert_eq!((found.model.source, found.problem), (Source::Hub, None));
    assert_eq!(found.model.version, "3.0.0");
    let shipped = snapshot::models("us-east-1").into_iter().find(|model| model.id == LLAMA).unwrap();
    assert_eq!(found.model.hyperparameters, shipped.hyperparameters);
    let training = found.model.training.unwrap();
    assert!(training.script_uri.contains("jumpstart-cache-prod-us-east-1"));

    hub.model(LLAMA, None).await.unwrap();
    assert_eq!(asked(&fake, "DescribeHubContent").await, 1, "kept");
    hub.model(LLAMA, Some("3.0.0")).await.unwrap();
    assert_eq!(hub.model(LLAMA, Some("9.9.9")).await.unwrap_err(), CatalogueError::Unknown);
    assert_eq!(hub.model("no-such-model", None).await.unwrap_err(), CatalogueError::Unknown);
    let before = asked(&fake, "DescribeHubContent").await;
    for wrong in ["", "a/b", "-a", "ü", &"a".repeat(64)] {
        assert_eq!(hub.model(wrong, None).await.unwrap_err(), CatalogueError::Unknown, "{wrong}");
    }
    assert_eq!(hub.model(LLAMA, Some("newest")).await.unwrap_err(), CatalogueError::Unknown);
    assert_eq!(asked(&fake, "DescribeHubContent").await, before, "AWS is not asked for what can't be a name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_can_not_be_used_says_why() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        "half-described",
        &json!({ "TrainingSupported": true, "FineTuningSupported": true }),
    );
    let fake = FakeSageMaker::with_hub(folder.path());
    let (hub, _) = hub(&fake).await;
    let CatalogueError::Unusable(why) = hub.model("half-described", None).await.unwrap_err() else {
        unreachable!("it has no script")
    };
    assert!(why.contains("half-described") && why.contains("script"), "{why}");
    assert_eq!(hub.list().await.models.len(), 4, "the others are listed all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_aws_refuses_the_shipped_list_answers_and_says_so() {
    let fake = FakeSageMaker::start();
    let (hub, clock) = hub(&fake).await;
    let arn = "User: arn:aws:sts::123456789012:assumed-role/x is not authorized";
    for operation in ["ListHubContents", "DescribeHubContent"] {
        fake.fault(json!({ "op": operation, "times": 50, "error": "AccessDeniedException", "message": arn }))
            .await;
    }
    let listing = hub.list().await;
    let problem = listing.problem.unwrap();
    assert!(problem.contains("sagemaker:ListHubContents") && !problem.contains("123456789012"), "{problem}");
    assert_eq!(listing.source, Source::Snapshot { date: snapshot::DATE.to_owned() });
    assert_eq!(listing.models.len(), 4);

    let found = hub.model(LLAMA, None).await.unwrap();
    assert_eq!(found.model.source, Source::Snapshot { date: snapshot::DATE.to_owned() });
    assert!(found.problem.is_some());
    assert!(matches!(hub.model("something-else", None).await, Err(CatalogueError::NoAnswer(_))));

    // It is not asked for each page anew, and soon enough again.
    let before = asked(&fake, "ListHubContents").await;
    hub.list().await;
    assert_eq!(asked(&fake, "ListHubContents").await, before);
    fake.mend().await;
    clock.later(Duration::from_secs(31));
    assert_eq!(hub.list().await.source, Source::Hub);
    assert_eq!(hub.model(LLAMA, None).await.unwrap().problem, None);

    // An old list of AWS's own is better than the shipped one.
    fake.fault(json!({ "op": "ListHubContents", "times": 50, "status": 500, "body": "garbage" })).await;
    clock.later(Duration::from_secs(7 * 3_600));
    let listing = hub.list().await;
    assert_eq!((listing.models.len(), &listing.source), (3, &Source::Hub));
    assert!(listing.problem.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_aws_hangs_people_wait_once_and_for_seconds() {
    let fake = FakeSageMaker::start();
    let (hub, clock) = hub(&fake).await;
    fake.fault(json!({ "op": "ListHubContents", "times": 50, "hang": true })).await;
    fake.fault(json!({ "op": "DescribeHubContent", "times": 50, "hang": true })).await;
    let begun = std::time::Instant::now();
    let (listing, found) = tokio::join!(hub.list(), hub.model(LLAMA, None));
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(listing.problem.unwrap().contains("did not answer"));
    assert!(found.unwrap().problem.unwrap().contains("did not answer"));

    clock.later(Duration::from_secs(5));
    let begun = std::time::Instant::now();
    assert_eq!(hub.list().await.models.len(), 4);
    hub.model(LLAMA, None).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "told from memory: {:?}", begun.elapsed());
    fake.mend().await;
}

#[tokio::test]
async fn without_aws_the_shipped_list_answers_at_once() {
    let shipped = Shipped::new("us-east-1", "AWS is not set up.");
    let listing = shipped.list().await;
    assert_eq!((listing.models.len(), listing.problem.as_deref()), (4, Some("AWS is not set up.")));
    assert_eq!(shipped.model(LLAMA, Some("3.0.0")).await.unwrap().model.id, LLAMA);
    for (id, version) in [(LLAMA, Some("1.0.0")), ("no-such-model", None)] {
        assert_eq!(shipped.model(id, version).await.unwrap_err(), CatalogueError::Unknown);
    }
}
