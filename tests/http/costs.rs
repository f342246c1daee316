//! Money: estimates, the ledger of a month as page, JSON and CSV, endpoints that run, and budgets that refuse a start.

use crate::{
    app::{Person, TestApp},
    make,
};
use llm_tuner::{
    domain::{
        audit::AuditEntry,
        charge::Charge,
        endpoint::{Endpoint, EndpointState},
        ids::{SessionId, UserId},
        money::Money,
        time::Instant,
    },
    services::{
        context::{Actor, Origin},
        costs::Month,
        error::ServiceError,
    },
    store::{EndpointUpdate, PageRequest},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

/// An administrator and a user, in a time that stands still.
struct World {
    app: TestApp,
    admin: Person,
    ann: Person,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::start().await;
        app.stop_the_clock();
        let admin = app.person("admin@example.org").await;
        let ann = app.person("ann@example.org").await;
        Self { app, admin, ann }
    }

    fn now(&self) -> Instant {
        self.app.services.env.now()
    }

    fn month(&self) -> Month {
        Month::of(self.now())
    }

    /// A line of this month's ledger: dollars of cost and estimate, and whether it is over.
    async fn charge(
        &self,
        n: u64,
        of: &Person,
        cost: Option<f64>,
        estimate: Option<f64>,
        ended: bool,
    ) -> Charge {
        let charge = Charge {
            user_id: id(of).await,
            cost: cost.map(dollars),
            estimate: estimate.map(dollars),
            ended,
            updated_at: self.now(),
            ..make::charge(n, 1, &self.month().to_string())
        };
        self.app.store.save_charge(&charge).await.unwrap();
        charge
    }

    /// In service for three hours, and unused for so many minutes.
    async fn endpoint(&self, n: u64, of: &Person, price: Option<f64>, unused_minutes: u64) -> Endpoint {
        let ago = |seconds| self.now().minus(Duration::from_secs(seconds));
        let endpoint = Endpoint {
            user_id: id(of).await,
            price_per_hour: price.map(dollars),
            created_at: ago(11_000),
            last_used_at: ago(unused_minutes * 60),
            ..make::endpoint(n, 1)
        };
        self.app.store.create_endpoint(&endpoint, &audit()).await.unwrap();
        let update = EndpointUpdate {
            state: Some(EndpointState::InService),
            in_service_at: Some(ago(10_800)),
            ..EndpointUpdate::default()
        };
        self.app.store.update_endpoint(&endpoint.id, EndpointState::Creating, &update).await.unwrap();
        endpoint
    }

    /// The person as services know them.
    async fn actor(&self, of: &Person) -> Actor {
        let user = self.app.store.user(&id(of).await).await.unwrap().unwrap();
        Actor { user, session: SessionId::from_parts(1, 1), origin: Origin::default() }
    }

    /// May the person start something that costs so many dollars? The refusal's code, words and next step.
    async fn refusal(&self, of: &Person, amount: Option<f64>) -> Option<(&'static str, String, String)> {
        match self.app.services.costs.check_budget(&self.actor(of).await, amount.map(dollars)).await {
            Ok(()) => None,
            Err(ServiceError::Refused { code, message, next_step }) => Some((code, message, next_step)),
            Err(other) => panic!("{other}"),
        }
    }
}

fn dollars(amount: f64) -> Money {
    Money::from_dollars(amount).unwrap()
}

fn audit() -> AuditEntry {
    make::audit("test")
}

async fn id(of: &Person) -> UserId {
    let me = of.json("/api/auth/me").await;
    UserId::parse(me["user_id"].as_str().unwrap_or_else(|| panic!("{me}"))).unwrap()
}

async fn put(by: &Person, of: &UserId, body: Value) -> (StatusCode, Value) {
    let url = by.at(&format!("/api/users/{of}/budget"));
    let answer = by.client.put(url).json(&body).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_has_the_seeds_fields_and_where_the_price_is_from() {
    let world = World::new().await;
    let ann = &world.ann;
    let ask = async |query: &str| {
        let answer = ann.get(&format!("/api/training-cost-estimate?base_model=llama-2-7b&{query}")).await;
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let (status, body) = ask("instance_type=ml.g5.2xlarge&estimated_hours=2.0").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        json!({
            "base_model": "llama-2-7b", "instance_type": "ml.g5.2xlarge", "estimated_hours": 2.0, "hourly_cost": 1.515,
            "total_estimated_cost": 3.03, "currency": "USD", "as_of": "2026-08-20", "source": "snapshot",
            "region": "us-east-1",
            "note": "AWS is not configured. No region is set: this is the price in us-east-1.",
        })
    );
    // A machine that there is, at a price that nobody knows.
    let (status, body) = ask("instance_type=ml.g6e.xlarge&estimated_hours=1").await;
    assert_eq!((status, &body["source"]), (StatusCode::OK, &json!("unknown")));
    assert_eq!((&body["hourly_cost"], &body["total_estimated_cost"]), (&Value::Null, &Value::Null));
    for (query, field, words) in [
        ("instance_type=ml.g5.large&estimated_hours=1", "instance_type", "Did you mean ml.g5.xlarge?"),
        (
            "instance_type=ml.c5.large&estimated_hours=1",
            "instance_type",
            "can host models but not train them",
        ),
        ("estimated_hours=1", "instance_type", "Name an instance type"),
        ("instance_type=ml.g5.2xlarge", "estimated_hours", "more than 0"),
        ("instance_type=ml.g5.2xlarge&estimated_hours=0", "estimated_hours", "more than 0"),
        ("instance_type=ml.g5.2xlarge&estimated_hours=-3", "estimated_hours", "more than 0"),
        ("instance_type=ml.g5.2xlarge&estimated_hours=inf", "estimated_hours", "more than 0"),
        ("instance_type=ml.g5.2xlarge&estimated_hours=1e300", "estimated_hours", "at most 672"),
        ("instance_type=ml.g5.2xlarge&estimated_hours=two", "estimated_hours", "more than 0"),
    ] {
        let (status, body) = ask(query).await;
        assert_eq!(
            (status, &body["error"]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)),
            "{query}"
        );
        assert!(body["error"]["message"].as_str().unwrap().contains(words), "{query}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_adds_up_and_nobody_sees_anothers() {
    let world = World::new().await;
    world.charge(1, &world.ann, Some(3.0), Some(5.0), true).await;
    world.charge(2, &world.ann, Some(1.0), Some(4.0), false).await;
    world.charge(3, &world.ann, None, None, false).await;
    world.charge(4, &world.admin, Some(100.0), None, true).await;

    let mine = world.ann.json("/api/costs").await;
    assert_eq!((&mine["spent"], &mine["expected"], &mine["unknown"]), (&json!(4.0), &json!(7.0), &json!(1)));
    assert_eq!((&mine["of"], &mine["month"]), (&json!("me"), &json!(world.month().to_string())));
    let lines = mine["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 3);
    let unknown = lines.iter().find(|line| line["name"] == "job-3").unwrap();
    assert_eq!((&unknown["cost"], &unknown["estimate"]), (&Value::Null, &Value::Null));

    // An administrator sees all, or their own alone.
    let all = world.admin.json("/api/costs").await;
    assert_eq!((&all["spent"], &all["of"]), (&json!(104.0), &json!("all")));
    assert_eq!(world.admin.json("/api/costs?of=me").await["spent"], json!(100.0));
    assert_eq!(world.ann.get("/api/costs?of=all").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.ann.get("/costs?of=all").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(world.ann.get("/costs.csv?of=all").await.status(), StatusCode::NOT_FOUND);

    let other = world.ann.json("/api/costs?month=2020-01").await;
    assert_eq!((&other["spent"], &other["lines"]), (&json!(0.0), &json!([])));
    for (path, status) in [
        ("/api/costs?month=2026-13", StatusCode::UNPROCESSABLE_ENTITY),
        ("/api/costs?of=bob", StatusCode::UNPROCESSABLE_ENTITY),
        ("/costs?month=nonsense", StatusCode::NOT_FOUND),
        ("/costs.csv?month=2026-13", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(world.ann.get(path).await.status(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_what_is_unknown_and_what_runs() {
    let world = World::new().await;
    let page = async |by: &Person, path: &str| {
        let answer = by.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    };
    let empty = page(&world.ann, "/costs").await;
    assert!(empty.contains(&format!("Nothing was spent in {}", world.month().words())), "{empty}");
    assert!(
        empty.contains("Jobs on this machine cost nothing. Nothing runs on AWS yet: Files are kept on this"),
        "{empty}"
    );
    assert!(empty.contains("aria-current=\"page\"") && empty.contains("href=\"/costs\""));

    world.charge(1, &world.ann, None, None, true).await;
    world.charge(2, &world.admin, Some(9.5), None, true).await;
    world.endpoint(1, &world.ann, Some(1.5), 5).await;
    let mine = page(&world.ann, "/costs").await;
    assert!(
        mine.contains("unknown") && mine.contains("1 cost is unknown and is not in these figures."),
        "{mine}"
    );
    assert!(mine.contains("Running now: $1.50 an hour") && mine.contains("$4.50"), "{mine}");
    assert!(
        !mine.contains("idle for") && !mine.contains("$9.50") && !mine.contains("People and budgets"),
        "{mine}"
    );

    world.endpoint(2, &world.admin, None, 40).await;
    let all = page(&world.admin, "/costs").await;
    assert!(all.contains("Running now: $1.50 an hour, and 1 of unknown price"), "{all}");
    assert!(all.contains("idle for 40 min") && all.contains("It is deleted in 20 min."), "{all}");
    assert!(all.contains("ann@example.org") && all.contains("People and budgets"), "{all}");
    let own = page(&world.admin, "/costs?of=me").await;
    assert!(own.contains("idle for 40 min") && !own.contains("ann@example.org"), "{own}");

    let endpoints = world.admin.json("/api/costs").await["endpoints"].clone();
    assert_eq!((&endpoints[0]["idle_seconds"], &endpoints[0]["cost"]), (&json!(2_400), &Value::Null));
    assert_eq!((&endpoints[1]["idle_seconds"], &endpoints[1]["cost"]), (&Value::Null, &json!(4.5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_csv_is_private_whole_and_no_formula() {
    let world = World::new().await;
    let mut line = world.charge(1, &world.ann, Some(1.5), None, true).await;
    line.name = "=HYPERLINK(\"http://evil.example\",\"x\")".to_owned();
    world.app.store.save_charge(&line).await.unwrap();
    world.charge(2, &world.admin, Some(2.0), None, true).await;
    let answer = world.ann.get(&format!("/costs.csv?month={}", world.month())).await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    assert_eq!(answer.headers()["cache-control"], "private, no-store");
    let named = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(named.contains(&format!("costs-{}.csv", world.month())), "{named}");
    let text = answer.text().await.unwrap();
    let rows: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(
        rows[0],
        "month,person,kind,name,instance_type,seconds,estimate_usd,cost_usd,state,updated_at"
    );
    let begin = format!(
        "{},ann@example.org,training,\"'=HYPERLINK(\"\"http://evil.example\"\",\"\"x\"\")\",ml.g5.2xlarge,60,unknown,1.5,ended,",
        world.month()
    );
    assert!(rows[1].starts_with(&begin), "{text}");
    assert_eq!(rows.len(), 2, "only her own: {text}");
    let all = world.admin.get("/costs.csv").await.text().await.unwrap();
    assert_eq!(all.split_terminator("\r\n").count(), 3, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_an_administrators_to_set_and_its_owners_to_see() {
    let world = World::new().await;
    let (ann, admin) = (id(&world.ann).await, id(&world.admin).await);
    let (status, body) = put(&world.admin, &ann, json!({ "budget": 49.9 })).await;
    assert_eq!(
        (status, &body["budget"], &body["email"]),
        (StatusCode::OK, &json!(49.9), &json!("ann@example.org"))
    );
    assert_eq!(world.ann.json(&format!("/api/users/{ann}/budget")).await["budget"], json!(49.9));
    assert_eq!(world.ann.get(&format!("/api/users/{admin}/budget")).await.status(), StatusCode::NOT_FOUND);

    // Nobody lifts their own, or anything of another's.
    let (status, body) = put(&world.ann, &ann, json!({ "budget": 1_000 })).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::CONFLICT, &json!("not_allowed")));
    assert_eq!(put(&world.ann, &admin, json!({ "budget": 0 })).await.0, StatusCode::NOT_FOUND);
    let form = [("user", ann.as_str()), ("budget", "1000")];
    let (_, _, page) = world.ann.form("/costs", "/fn/set_budget", &form).await;
    assert!(page.contains("Only administrators set budgets."), "{page}");
    assert_eq!(world.ann.json(&format!("/api/users/{ann}/budget")).await["budget"], json!(49.9));

    for wrong in [json!(-1), json!("1,5"), json!("a lot"), json!(1e12), json!([]), json!(true)] {
        let (status, body) = put(&world.admin, &ann, json!({ "budget": wrong })).await;
        assert_eq!(
            (status, &body["error"]["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("budget")),
            "{wrong}"
        );
    }
    assert_eq!(put(&world.admin, &ann, json!({})).await.0, StatusCode::BAD_REQUEST);
    let nobody = UserId::from_parts(1, 1);
    assert_eq!(put(&world.admin, &nobody, json!({ "budget": 1 })).await.0, StatusCode::NOT_FOUND);

    // By the page's form: what is wrong comes back with what was typed, what is right is said.
    let (status, to, page) = world
        .admin
        .form("/costs?of=all", "/fn/set_budget", &[("user", ann.as_str()), ("budget", "lots")])
        .await;
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/costs?of=all"));
    assert!(
        page.contains("value=\"lots\"") && page.contains("A budget is an amount of US dollars"),
        "{page}"
    );
    let (_, _, page) = world
        .admin
        .form("/costs?of=all", "/fn/set_budget", &[("user", ann.as_str()), ("budget", "$1,250")])
        .await;
    assert!(
        page.contains("The budget is $1,250.00 a month now.") && page.contains("value=\"1250\""),
        "{page}"
    );
    let (_, _, page) =
        world.admin.form("/costs?of=all", "/fn/set_budget", &[("user", ann.as_str()), ("budget", "")]).await;
    assert!(page.contains("There is no budget any more"), "{page}");
    assert_eq!(world.ann.json(&format!("/api/users/{ann}/budget")).await["budget"], Value::Null);

    let audit = world.app.store.list_audit(&PageRequest { cursor: None, limit: 50 }).await.unwrap().items;
    let set: Vec<_> = audit.iter().filter(|entry| entry.action == "budget.set").collect();
    assert_eq!(set.len(), 3, "{set:?}");
    assert!(set.iter().all(|entry| entry.actor.as_ref() == Some(&admin) && entry.object == ann.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_over_the_budget_is_refused_with_its_figures() {
    let world = World::new().await;
    let ann = id(&world.ann).await;
    world.charge(1, &world.ann, Some(30.0), None, true).await;
    world.charge(2, &world.ann, Some(2.0), Some(7.0), false).await;
    assert_eq!(world.refusal(&world.ann, None).await, None, "without a budget nothing is refused");
    assert_eq!(world.refusal(&world.ann, Some(1e6)).await, None);

    put(&world.admin, &ann, json!({ "budget": 50 })).await;
    assert_eq!(world.refusal(&world.ann, Some(13.0)).await, None, "to the cent");
    let (code, message, next) = world.refusal(&world.ann, Some(13.01)).await.unwrap();
    assert_eq!(code, "over_budget");
    let month = world.month().words();
    assert_eq!(
        message,
        format!(
            "This would go over your budget of $50.00 for {month}: $32.00 spent, $5.00 more for what runs and waits, and $13.01 for this."
        )
    );
    assert!(next.contains("ask an administrator for a larger budget"), "{next}");
    let (code, message, _) = world.refusal(&world.ann, None).await.unwrap();
    assert!(
        code == "over_budget" && message.contains("an unknown price can't be held against a budget"),
        "{message}"
    );

    // A job that waits for its turn counts too, though it has cost nothing yet.
    let waiting = |n: u64| {
        let mut job = make::job(n, 1, &[]);
        job.user_id = ann.clone();
        job.spec.cloud = Some(make::cloud());
        job
    };
    world.app.store.create_job(&waiting(7), &audit()).await.unwrap();
    let (_, message, _) = world.refusal(&world.ann, Some(13.0)).await.unwrap();
    assert!(message.contains("$5.75 more for what runs and waits"), "{message}");
    // Once it is in the ledger it is not counted twice.
    let line = world.charge(7, &world.ann, None, Some(0.75), false).await;
    assert_eq!(line.id, format!("job:{}", make::job_id(7)));
    assert!(world.refusal(&world.ann, Some(13.0)).await.unwrap().1.contains("$5.75 more"));
    // One on this machine costs nothing.
    let mut local = waiting(8);
    local.spec.cloud = None;
    world.app.store.create_job(&local, &audit()).await.unwrap();
    assert!(world.refusal(&world.ann, Some(13.0)).await.unwrap().1.contains("$5.75 more"));

    // The next month begins anew.
    world.app.later(Duration::from_secs(32 * 24 * 3600));
    world.ann.sign_in("ann@example.org").await;
    assert_eq!(world.refusal(&world.ann, Some(49.0)).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_lines_are_a_page() {
    let world = World::new().await;
    for n in 0..1_000 {
        world.charge(n, &world.ann, Some(0.01), None, true).await;
    }
    let page = world.ann.get("/costs").await.text().await.unwrap();
    assert!(
        page.contains("The newest 200 of 1,000 lines. The CSV has all.") && page.contains("$10.00"),
        "{page}"
    );
    let csv = world.ann.get("/costs.csv").await.text().await.unwrap();
    assert_eq!(csv.split_terminator("\r\n").count(), 1_001);
}
