//! Hosted models.

use crate::{
    Db,
    support::make::{at, audit, endpoint, endpoint_id, user, user_id},
};
use llm_tuner::{
    domain::endpoint::{Endpoint, EndpointState},
    store::{EndpointUpdate, PageRequest, StoreError},
};

/// User 1 with so many endpoints.
async fn host(db: &Db, count: u64) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    for n in 1..=count {
        db.create_endpoint(&endpoint(n, 1), &audit("endpoint.create")).await.unwrap();
    }
}

async fn one(db: &Db, n: u64) -> Endpoint {
    db.endpoint(&endpoint_id(n)).await.unwrap().unwrap()
}

fn into(state: EndpointState) -> EndpointUpdate {
    EndpointUpdate { state: Some(state), ..EndpointUpdate::default() }
}

pub async fn an_endpoint_reads_back_as_stored(db: Db) {
    host(&db, 2).await;
    assert_eq!(one(&db, 1).await, endpoint(1, 1));
    let listed = db.list_endpoints(&user_id(1), &PageRequest { cursor: None, limit: 1 }).await.unwrap();
    assert_eq!(listed.items, [endpoint(2, 1)]);
    let rest = PageRequest { cursor: listed.next, limit: 10 };
    assert_eq!(db.list_endpoints(&user_id(1), &rest).await.unwrap().items, [endpoint(1, 1)]);
    assert_eq!(
        db.list_endpoints(&user_id(2), &PageRequest { cursor: None, limit: 9 }).await.unwrap().items,
        []
    );
}

pub async fn an_endpoint_name_is_taken_once(db: Db) {
    host(&db, 1).await;
    let twin = Endpoint { name: "endpoint-1".to_owned(), ..endpoint(2, 1) };
    let taken = db.create_endpoint(&twin, &audit("endpoint.create")).await;
    assert!(matches!(taken, Err(StoreError::Taken("endpoint name"))), "{taken:?}");
    assert_eq!(db.endpoint(&endpoint_id(2)).await.unwrap(), None);
}

pub async fn open_ones_are_those_that_cost(db: Db) {
    host(&db, 3).await;
    let gone = EndpointUpdate { ended_at: Some(at(50)), ..into(EndpointState::Deleted) };
    db.update_endpoint(&endpoint_id(2), EndpointState::Creating, &gone).await.unwrap();
    db.update_endpoint(&endpoint_id(3), EndpointState::Creating, &into(EndpointState::Failed)).await.unwrap();
    let open: Vec<_> = db.open_endpoints().await.unwrap().into_iter().map(|one| one.id).collect();
    assert_eq!(open, [endpoint_id(1), endpoint_id(3)]);
    assert_eq!(one(&db, 2).await.ended_at, Some(at(50)));
}

pub async fn an_update_needs_its_state(db: Db) {
    host(&db, 1).await;
    let serving = EndpointUpdate {
        phase: Some("Answers".to_owned()),
        in_service_at: Some(at(9)),
        ..into(EndpointState::InService)
    };
    db.update_endpoint(&endpoint_id(1), EndpointState::Creating, &serving).await.unwrap();
    let late =
        db.update_endpoint(&endpoint_id(1), EndpointState::Creating, &into(EndpointState::Failed)).await;
    assert!(matches!(late, Err(StoreError::NotFound(_))), "{late:?}");
    let expected = Endpoint {
        state: EndpointState::InService,
        phase: "Answers".to_owned(),
        in_service_at: Some(at(9)),
        ..endpoint(1, 1)
    };
    assert_eq!(one(&db, 1).await, expected);
}

pub async fn the_end_is_asked_for_once_it_is_not_over(db: Db) {
    host(&db, 1).await;
    let id = endpoint_id(1);
    for _ in 0..2 {
        db.end_endpoint(&id, "Deleting", &audit("endpoint.delete")).await.unwrap();
        assert_eq!(one(&db, 1).await.state, EndpointState::Deleting);
    }
    db.update_endpoint(&id, EndpointState::Deleting, &into(EndpointState::Deleted)).await.unwrap();
    let over = db.end_endpoint(&id, "Deleting", &audit("endpoint.delete")).await;
    assert!(matches!(over, Err(StoreError::NotFound("endpoint"))), "{over:?}");
    assert_eq!(one(&db, 1).await.state, EndpointState::Deleted);
}

pub async fn use_never_goes_back(db: Db) {
    host(&db, 1).await;
    for second in [100, 50] {
        db.touch_endpoint(&endpoint_id(1), at(second)).await.unwrap();
        assert_eq!(one(&db, 1).await.last_used_at, at(100));
    }
}
