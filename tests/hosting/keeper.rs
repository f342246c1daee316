//! The keeper through an endpoint's whole life, with every clock in hand and a crash at every step.

use crate::{
    make::model_id,
    world::{MACHINE, World, accepted, deployment},
};
use async_trait::async_trait;
use llm_tuner::{
    backends::hosting::{Hosting, HostingError, HostingResult, Recipe, Recipes},
    domain::{
        cloud::{CloudSpec, Route},
        endpoint::{Endpoint, EndpointState},
        job::BaseModel,
        money::Money,
    },
    services::{
        error::ServiceError,
        hosting::{Endpoints, Wanted},
        playground::{Piece, Question},
        talk::name_of_endpoint,
    },
    store::{
        AuditLog, Costs, EndpointUpdate, Endpoints as _, Jobs as _, Licences as _, Models as _, PageRequest,
    },
};
use serde_json::json;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

fn wanted(n: u64) -> Wanted {
    Wanted { model: model_id(n).to_string(), instance_type: MACHINE.to_owned(), idle_minutes: 60, key: None }
}

async fn now(world: &World, endpoint: &Endpoint) -> Endpoint {
    world.store.endpoint(&endpoint.id).await.unwrap().unwrap()
}

/// Rounds, with time for AWS between them, until it is in this state.
async fn until(world: &World, keeper: &Endpoints, endpoint: &Endpoint, state: EndpointState) -> Endpoint {
    for _ in 0..12 {
        keeper.tick().await.unwrap();
        let endpoint = now(world, endpoint).await;
        if endpoint.state == state {
            return endpoint;
        }
        world.later(Duration::from_secs(30)).await;
    }
    panic!("it does not become {state:?}: {:?}", now(world, endpoint).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_from_press_to_bill() {
    let world = World::start().await;
    let keeper = &world.endpoints;
    let made = keeper.deploy(&world.actor, &wanted(1)).await.unwrap();
    assert_eq!((made.state, made.price_per_hour), (EndpointState::Creating, Some(Money(1_500_000))));
    assert_eq!(made.name, format!("llm-tuner-{}", made.id));
    let serving = until(&world, keeper, &made, EndpointState::InService).await;
    let since = serving.in_service_at.unwrap();
    // AWS's own moment, whenever we looked.
    assert_eq!(since.since(made.created_at), Duration::from_secs(120));

    world.later(Duration::from_secs(1800)).await;
    keeper.tick().await.unwrap();
    let month = jiff_month(since);
    let line = world.store.charges(&month, Some(&world.actor.user.id)).await.unwrap().remove(0);
    let seconds = world.now().since(since).as_secs();
    assert_eq!(
        (line.id, line.seconds, line.ended),
        (format!("endpoint:{}:{month}", made.id), seconds, false)
    );
    assert_eq!(line.cost, Some(Money(1_500_000).for_seconds(seconds, 1)));
    assert_eq!(line.estimate, Some(Money(1_500_000)), "the least: one idle limit");

    keeper.delete(&world.actor, made.id.as_str()).await.unwrap();
    keeper.delete(&world.actor, made.id.as_str()).await.unwrap();
    let over = until(&world, keeper, &made, EndpointState::Deleted).await;
    assert_eq!(world.hosted().await, 0);
    let line = world.store.charges(&month, None).await.unwrap().remove(0);
    assert_eq!((line.ended, line.seconds), (true, over.ended_at.unwrap().since(since).as_secs()));
    let log = world.store.list_audit(&PageRequest { cursor: None, limit: 100 }).await.unwrap().items;
    let actions: Vec<_> = log.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions.iter().filter(|action| **action == "endpoint.delete").count(), 1);
    assert!(actions.contains(&"endpoint.create"));
    assert!(keeper.ask(&world.actor, made.id.as_str(), &Question::default()).await.is_err());
}

fn jiff_month(at: llm_tuner::domain::time::Instant) -> String {
    jiff::Timestamp::from_microsecond(at.micros()).unwrap().strftime("%Y-%m").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_and_it_goes() {
    let world = World::start().await;
    let keeper = &world.endpoints;
    let made = keeper.deploy(&world.actor, &wanted(1)).await.unwrap();
    until(&world, keeper, &made, EndpointState::InService).await;
    world.later(Duration::from_secs(3000)).await;
    // A question begins the limit anew.
    let question = Question { prompt: "Hello".into(), ..Question::default() };
    let mut answer = keeper.ask(&world.actor, made.id.as_str(), &question).await.unwrap();
    let mut text = String::new();
    while let Some(piece) = answer.recv().await {
        if let Piece::Text(more) = piece {
            text.push_str(&more);
        }
    }
    assert_eq!(text, "Good morning! How can I help you?");
    world.later(Duration::from_secs(3500)).await;
    keeper.tick().await.unwrap();
    assert_eq!(now(&world, &made).await.state, EndpointState::InService);
    world.later(Duration::from_secs(200)).await;
    let over = until(&world, keeper, &made, EndpointState::Deleted).await;
    assert_eq!(over.phase, "Deleted because nobody asked it for 60 minutes");
    assert_eq!((over.failure, world.hosted().await), (None, 0));
    let log = world.store.list_audit(&PageRequest { cursor: None, limit: 100 }).await.unwrap().items;
    let entry = log.iter().find(|entry| entry.action == "endpoint.delete_idle").unwrap();
    assert_eq!((&entry.actor, entry.object.as_str()), (&None, made.id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_presses_make_one_endpoint() {
    let world = World::start().await;
    let (one, other) = (&world.endpoints, world.another());
    let plain = wanted(1);
    let (a, b) = tokio::join!(one.deploy(&world.actor, &plain), one.deploy(&world.actor, &plain));
    assert_eq!(a.unwrap().id, b.unwrap().id);
    // Two servers know each other by the key of the form.
    let keyed = Wanted { key: Some("form-1".to_owned()), ..wanted(2) };
    let (a, b) = tokio::join!(one.deploy(&world.actor, &keyed), other.deploy(&world.actor, &keyed));
    assert_eq!(a.unwrap().id, b.unwrap().id);
    assert_eq!(world.store.open_endpoints().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_says_why_and_costs_nothing() {
    let world = World::start().await;
    let keeper = &world.endpoints;
    let big = Wanted { instance_type: "ml.p5.48xlarge".to_owned(), ..wanted(1) };
    let quota = keeper.deploy(&world.actor, &big).await.unwrap();
    let over = until(&world, keeper, &quota, EndpointState::Deleted).await;
    assert_eq!(over.shown_state(), EndpointState::Failed);
    assert!(over.failure.unwrap().contains("ml.p5.48xlarge for endpoint usage"));
    assert!(over.next_step.unwrap().contains("Service Quotas"));

    let broken = keeper.deploy(&world.actor, &wanted(2)).await.unwrap();
    let reason =
        "The primary container for production variant AllTraffic did not pass the ping health check.";
    world.fake.control("endpoints", json!([{ "name": broken.name, "fail": reason }])).await;
    let over = until(&world, keeper, &broken, EndpointState::Deleted).await;
    assert!(over.failure.unwrap().contains("did not come up"));
    assert_eq!((over.in_service_at, world.hosted().await), (None, 0));
    assert_eq!(accepted(&world.fake, "DeleteModel").await.len(), 2);
    assert!(world.store.open_endpoints().await.unwrap().is_empty());
    let month = jiff_month(broken.created_at);
    assert!(world.store.charges(&month, None).await.unwrap().iter().all(|line| line.cost == Some(Money(0))));
    // The failure is no obstacle to another try.
    assert_ne!(keeper.deploy(&world.actor, &wanted(2)).await.unwrap().id, broken.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_deletion_is_noticed() {
    let world = World::start().await;
    let keeper = &world.endpoints;
    let made = keeper.deploy(&world.actor, &wanted(1)).await.unwrap();
    until(&world, keeper, &made, EndpointState::InService).await;
    let client = aws_sdk_sagemaker::Client::new(&world.fake.config().await);
    client.delete_endpoint().endpoint_name(&made.name).send().await.unwrap();
    world.later(Duration::from_secs(30)).await;
    let over = until(&world, keeper, &made, EndpointState::Deleted).await;
    assert!(over.failure.unwrap().contains("outside LLM Tuner"));
    assert_eq!(accepted(&world.fake, "DeleteModel").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_changes_nothing() {
    let world = World::start().await;
    let keeper = &world.endpoints;
    let made = keeper.deploy(&world.actor, &wanted(1)).await.unwrap();
    let serving = until(&world, keeper, &made, EndpointState::InService).await;
    // Every operation answers as if the credentials were over; that is not tried again.
    for op in ["DescribeEndpoint", "ListEndpoints", "DeleteEndpoint"] {
        world.fake.fault(json!({ "op": op, "times": 1000, "error": "ExpiredTokenException" })).await;
    }
    let begun = world.now();
    for _ in 0..3 {
        keeper.tick().await.unwrap();
        world.later(Duration::from_secs(700)).await;
    }
    assert_eq!(now(&world, &made).await.state, serving.state);
    let silence = keeper.silence().unwrap();
    assert_eq!(silence.since, begun);
    // Its bill runs on, for AWS's does.
    let line = world.store.charges(&jiff_month(begun), None).await.unwrap().remove(0);
    assert!(line.seconds >= 1400, "{line:?}");
    keeper.delete(&world.actor, made.id.as_str()).await.unwrap();
    keeper.tick().await.unwrap();
    assert_eq!(now(&world, &made).await.state, EndpointState::Deleting);
    world.fake.mend().await;
    until(&world, keeper, &made, EndpointState::Deleted).await;
    assert_eq!((keeper.silence(), world.hosted().await), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlived_its_row_is_found_and_deleted() {
    let world = World::start().await;
    let keeper = &world.endpoints;
    // A server was slow: it asked AWS to make what another one had deleted meanwhile, to the end.
    let made = keeper.deploy(&world.actor, &wanted(1)).await.unwrap();
    keeper.delete(&world.actor, made.id.as_str()).await.unwrap();
    until(&world, keeper, &made, EndpointState::Deleted).await;
    let late = crate::world::hosting(&world.fake, &[]).await;
    let late_deployment = llm_tuner::backends::hosting::Deployment {
        name: made.name.clone(),
        endpoint: made.id.clone(),
        ..deployment(1)
    };
    late.deploy(&late_deployment).await.unwrap();
    // One that no row knows is reported only: it may be another database's.
    late.deploy(&deployment(99)).await.unwrap();
    for _ in 0..4 {
        world.later(Duration::from_secs(700)).await;
        keeper.tick().await.unwrap();
    }
    let left = late.list_ours().await.unwrap();
    assert_eq!(left.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), [deployment(99).name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_keepers_make_one_endpoint_and_delete_it_once() {
    let world = World::start().await;
    let others = [world.another(), world.another(), world.another()];
    let made = world.endpoints.deploy(&world.actor, &wanted(1)).await.unwrap();
    let rounds = async |count: usize| {
        for _ in 0..count {
            let (a, b, c) = tokio::join!(others[0].tick(), others[1].tick(), others[2].tick());
            for tick in [a, b, c] {
                tick.unwrap();
            }
            world.later(Duration::from_secs(40)).await;
        }
    };
    rounds(5).await;
    assert_eq!(now(&world, &made).await.state, EndpointState::InService);
    world.endpoints.delete(&world.actor, made.id.as_str()).await.unwrap();
    rounds(4).await;
    assert_eq!(now(&world, &made).await.state, EndpointState::Deleted);
    for operation in
        ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "DeleteEndpoint", "DeleteModel"]
    {
        assert_eq!(accepted(&world.fake, operation).await.len(), 1, "{operation}");
    }
}

/// Dropped after so many polls, as a process is that is killed.
struct Crashing<F> {
    inner: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for Crashing<F> {
    type Output = Option<F::Output>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.inner.as_mut().poll(context).map(Some)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_point_neither_doubles_nor_loses_one() {
    let world = World::start().await;
    world.fake.control("quota", json!({ "ml.g5.xlarge for endpoint usage": 1 })).await;
    let mut survived = 0;
    // Until even the longest round of the keeper is no longer cut short.
    for polls in 1.. {
        world.fake.forget_requests().await;
        let made = world.endpoints.deploy(&world.actor, &wanted(1)).await.unwrap();
        let mut crashed = false;
        for (end, state) in [(false, EndpointState::InService), (true, EndpointState::Deleted)] {
            if end {
                world.endpoints.delete(&world.actor, made.id.as_str()).await.unwrap();
            }
            for _ in 0..4 {
                // Each server lives for so many polls, and the next begins with nothing in mind.
                let server = world.another();
                crashed |= Crashing { inner: Box::pin(server.tick()), polls }.await.is_none();
                world.later(Duration::from_secs(31)).await;
            }
            let last = until(&world, &world.another(), &made, state).await;
            assert_eq!(last.failure, None, "{polls}");
        }
        assert_eq!(world.hosted().await, 0, "{polls}");
        for operation in
            ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "DeleteEndpoint", "DeleteModel"]
        {
            assert_eq!(accepted(&world.fake, operation).await.len(), 1, "{operation} after {polls} polls");
        }
        survived += usize::from(!crashed);
        if survived == 2 {
            assert!(polls > 10, "the crashes came too late to tell anything: {polls}");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_went_on_is_left_alone() {
    let world = World::start().await;
    let made = world.endpoints.deploy(&world.actor, &wanted(1)).await.unwrap();
    // The model goes before AWS was asked.
    world.store.delete_model(&model_id(1), &crate::make::audit("model.delete")).await.unwrap();
    let over = until(&world, &world.endpoints, &made, EndpointState::Deleted).await;
    assert_eq!(over.failure.as_deref(), Some("The model was deleted."));
    assert_eq!(accepted(&world.fake, "CreateEndpoint").await.len(), 0);
    let late = EndpointUpdate { state: Some(EndpointState::InService), ..EndpointUpdate::default() };
    assert!(world.store.update_endpoint(&made.id, EndpointState::Creating, &late).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_can_be_hosted_is_begun() {
    let world = World::start().await;
    let deploy = async |wanted: Wanted| world.endpoints.deploy(&world.actor, &wanted).await;
    let Err(ServiceError::Invalid(errors)) =
        deploy(Wanted { instance_type: "ml.t3.medium".to_owned(), idle_minutes: 5, ..wanted(1) }).await
    else {
        panic!()
    };
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["instance_type", "idle_minutes"]);
    let mut adapter = crate::make::model(4, 1, 4);
    adapter.kind = llm_tuner::domain::model::ModelKind::Adapter;
    world.store.create_model(&adapter).await.unwrap();
    let refused = deploy(wanted(4)).await;
    assert!(matches!(refused, Err(ServiceError::Refused { code: "cannot_be_hosted", .. })), "{refused:?}");
    assert!(world.store.open_endpoints().await.unwrap().is_empty());
}

/// Hosts a model with these files, asks it in a conversation, and gives what it said and what reached the container.
async fn asked(files: &[(&str, String)]) -> (Vec<Piece>, serde_json::Value) {
    let world = World::start().await;
    let keeper = &world.endpoints;
    let mut chat = crate::make::model(5, 1, 5);
    for (path, text) in files {
        let bytes = bytes::Bytes::from(text.clone());
        let sent = Box::pin(futures::stream::iter([Ok(bytes.clone())]));
        llm_tuner::storage::Storage::put(&*world.storage, &format!("{}/{path}", chat.prefix), sent, 10_000)
            .await
            .unwrap();
        let sha256 = "ab".repeat(32);
        chat.files.push(llm_tuner::domain::model::ModelFile {
            path: (*path).to_owned(),
            bytes: bytes.len() as u64,
            sha256,
        });
    }
    world.store.create_model(&chat).await.unwrap();
    let made = keeper.deploy(&world.actor, &wanted(5)).await.unwrap();
    let serving = until(&world, keeper, &made, EndpointState::InService).await;
    assert!(name_of_endpoint(&serving).starts_with("endpoint:"));
    let talk = keeper.talk(&world.actor, made.id.as_str()).await.unwrap();
    assert_eq!((talk.kind, talk.has_base), ("chat", false));
    let turn = |role: &str, content: &str| {
        serde_json::from_value(json!({ "role": role, "content": content })).unwrap()
    };
    let question = Question {
        messages: vec![turn("user", "Hi"), turn("assistant", "Yes?"), turn("user", "Go on")],
        ..Question::default()
    };
    let mut answer = keeper.ask(&world.actor, made.id.as_str(), &question).await.unwrap();
    let mut pieces = Vec::new();
    while let Some(piece) = answer.recv().await {
        pieces.push(piece);
    }
    (pieces, accepted(&world.fake, "InvokeEndpointWithResponseStream").await.remove(0))
}

/// By the base's chat template where it was trained with that; the container writes the first token itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_a_chat_template_of_its_own_is_asked_by_that() {
    let record = json!({ "engine_version": "1", "base_model": "llama", "hyperparameters": {}, "data": [],
        "own_chat_template": true, "chat_template_date": "2026-03-09",
        "template": { "kind": "chat", "prompt": "", "system": "", "user": "", "assistant": "", "stop": [] } });
    let template = "{{ bos_token }}Today is {{ strftime_now('%d %b') }}.{% for m in messages %}[{{ m.role }}]{{ m.content }}\
                    {{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    let (_, body) = asked(&[
        ("llm_tuner.json", record.to_string()),
        (
            "tokenizer_config.json",
            json!({ "bos_token": "<s>", "eos_token": { "content": "</s>" } }).to_string(),
        ),
        ("chat_template.jinja", template.to_owned()),
    ])
    .await;
    assert_eq!(body["inputs"], "Today is 09 Mar.[user]Hi</s>[assistant]Yes?</s>[user]Go on</s>[assistant]");
    assert_eq!(body["parameters"]["stop"], json!(["</s>"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_asked_as_it_was_trained() {
    let record = json!({ "engine_version": "1", "base_model": "nano", "hyperparameters": {}, "data": [],
        "template": { "kind": "chat", "prompt": "{content}\n###\n", "system": "System:\n{content}\n\n",
            "user": "User:\n{content}\n\n", "assistant": "Assistant:\n", "stop": [" How"] } });
    let files = [
        ("llm_tuner.json", record.to_string()),
        ("tokenizer_config.json", json!({ "eos_token": { "content": "</s>" } }).to_string()),
    ];
    let (pieces, body) = asked(&files).await;
    let text: String = pieces
        .iter()
        .filter_map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!(text, "Good morning!", "the template's stop text ends it");
    assert!(matches!(pieces.last(), Some(Piece::End { finish_reason: "stop", .. })));
    assert_eq!(body["inputs"], "User:\nHi\n\nAssistant:\nYes?</s>User:\nGo on\n\nAssistant:\n");
    assert_eq!(body["parameters"], json!({ "max_new_tokens": 256, "do_sample": false, "stop": [" How"] }));
}

/// Knows the recipe of a gated model, once it is asked the second time.
struct Moody(AtomicBool);

#[async_trait]
impl Recipes for Moody {
    async fn recipe(
        &self,
        model: &str,
        version: Option<&str>,
        on: Option<&str>,
    ) -> HostingResult<Option<Recipe>> {
        assert_eq!(model, "meta-textgeneration-llama-2-7b");
        if on.is_some() && !self.0.swap(true, Ordering::Relaxed) {
            return Err(HostingError::NoAnswer("the catalogue is away".to_owned()));
        }
        Ok(Some(Recipe {
            version: version.unwrap_or("4.0.0").to_owned(),
            image: Some("763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.23.0".to_owned()),
            instance_types: vec![MACHINE.to_owned()],
            gated: true,
            needs_network: true,
            patience_seconds: Some(2400),
            ..Recipe::default()
        }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogued_model_is_hosted_by_its_recipe_or_not_yet() {
    let world = World::with(Some(Arc::new(Moody(AtomicBool::new(false))))).await;
    let keeper = &world.endpoints;
    let mut llama = crate::make::model(6, 1, 6);
    llama.base = BaseModel::JumpStart { id: "meta-textgeneration-llama-2-7b".to_owned() };
    world.store.create_model(&llama).await.unwrap();
    let mut job = crate::make::job(6, 1, &[]);
    let route =
        Route::JumpStart { model: "meta-textgeneration-llama-2-7b".to_owned(), version: "3.0.0".to_owned() };
    job.spec.cloud = Some(CloudSpec { route, ..crate::make::cloud() });
    world.store.create_job(&job, &crate::make::audit("job.create")).await.unwrap();
    // The licence is that of the version it was trained with; another version's does not do.
    for version in [None, Some("4.0.0"), Some("3.0.0")] {
        if let Some(version) = version {
            let licence = crate::make::licence(1, "meta-textgeneration-llama-2-7b", version, 0);
            world.store.accept_licence(&licence, &crate::make::audit("licence.accept")).await.unwrap();
        }
        let offer = keeper.offer(&world.actor, model_id(6).as_str()).await;
        match version {
            Some("3.0.0") => assert!(offer.is_ok(), "{offer:?}"),
            _ => assert!(
                matches!(offer, Err(ServiceError::Refused { code: "licence_not_accepted", .. })),
                "{version:?}: {offer:?}"
            ),
        }
    }
    let other = Wanted { instance_type: "ml.g5.2xlarge".to_owned(), ..wanted(6) };
    assert!(matches!(keeper.deploy(&world.actor, &other).await, Err(ServiceError::Invalid(_))));

    let made = keeper.deploy(&world.actor, &wanted(6)).await.unwrap();
    keeper.tick().await.unwrap();
    assert_eq!(now(&world, &made).await.state, EndpointState::Creating);
    assert!(accepted(&world.fake, "CreateModel").await.is_empty(), "not in the wrong container");
    until(&world, keeper, &made, EndpointState::InService).await;
    let model = accepted(&world.fake, "CreateModel").await.remove(0);
    assert_eq!(model["EnableNetworkIsolation"], false);
    assert_eq!(
        model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["ModelAccessConfig"]["AcceptEula"],
        true
    );
    let config = accepted(&world.fake, "CreateEndpointConfig").await.remove(0);
    assert_eq!(config["ProductionVariants"][0]["ContainerStartupHealthCheckTimeoutInSeconds"], 2400);
    let question = Question { prompt: "Hello".into(), ..Question::default() };
    let mut answer = keeper.ask(&world.actor, made.id.as_str(), &question).await.unwrap();
    while answer.recv().await.is_some() {}
    let asked =
        world.fake.requests().await.into_iter().find(|one| one["service"] == "SageMakerRuntime").unwrap();
    assert_eq!(asked["custom_attributes"], "accept_eula=true");
}
