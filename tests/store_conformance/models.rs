//! Models.

use crate::{
    Db,
    support::make::{at, audit, job, job_id, model, model_id, user, user_id},
};
use llm_tuner::{
    domain::{
        job::{BaseModel, StopMode},
        model::ModelKind,
    },
    store::{PageRequest, StoreError},
};

async fn with_users(db: &Db, count: u64) {
    for n in 1..=count {
        db.create_user(&user(n), &audit("user.create")).await.unwrap();
    }
}

pub async fn a_model_reads_back_as_stored(db: Db) {
    with_users(&db, 1).await;
    db.create_job(&job(1, 1, &[]), &audit("job.create")).await.unwrap();
    let mut made = model(1, 1, 1);
    made.kind = ModelKind::Adapter;
    made.base = BaseModel::Model { id: model_id(9) };
    made.dataset_names = vec!["Zoë 🚀".to_owned(), "\"quoted\"".to_owned()];
    made.bytes = 6_000_000_000;
    db.create_model(&made).await.unwrap();
    assert_eq!(db.model(&model_id(1)).await.unwrap(), Some(made.clone()));
    assert_eq!(db.model_of_job(&job_id(1)).await.unwrap(), Some(made.clone()));
    assert_eq!(db.model_of_job(&job_id(2)).await.unwrap(), None);
    db.request_stop(&job_id(1), StopMode::Keep, at(1), &audit("job.stop")).await.unwrap();
    db.delete_job(&job_id(1), &audit("job.delete")).await.unwrap();
    assert_eq!(db.model(&model_id(1)).await.unwrap(), Some(made), "a model outlives its job");
    let orphan = db.create_model(&model(2, 5, 2)).await;
    assert!(matches!(orphan, Err(StoreError::NotFound("user"))), "{orphan:?}");
}

pub async fn a_second_try_replaces_the_model(db: Db) {
    with_users(&db, 1).await;
    db.create_model(&model(1, 1, 1)).await.unwrap();
    db.create_model(&model(1, 1, 1)).await.unwrap();
    db.create_model(&model(2, 1, 1)).await.unwrap();
    assert_eq!(db.model(&model_id(1)).await.unwrap(), None);
    assert_eq!(db.model_of_job(&job_id(1)).await.unwrap(), Some(model(2, 1, 1)));
    let page = db.list_models(&user_id(1), &PageRequest { cursor: None, limit: 10 }).await.unwrap();
    assert_eq!(page.items, vec![model(2, 1, 1)]);
}

pub async fn models_page_and_change(db: Db) {
    with_users(&db, 2).await;
    for n in 1..=5 {
        db.create_model(&model(n, 1, n)).await.unwrap();
    }
    db.create_model(&model(6, 2, 6)).await.unwrap();
    let first = db.list_models(&user_id(1), &PageRequest { cursor: None, limit: 3 }).await.unwrap();
    assert_eq!(first.items, [5, 4, 3].map(|n| model(n, 1, n)));
    let second = db.list_models(&user_id(1), &PageRequest { cursor: first.next, limit: 3 }).await.unwrap();
    assert_eq!((second.items.len(), second.next), (2, None));
    db.rename_model(&model_id(1), "Käse 🧀", &audit("model.rename")).await.unwrap();
    assert_eq!(db.model(&model_id(1)).await.unwrap().unwrap().name, "Käse 🧀");
    db.delete_model(&model_id(1), &audit("model.delete")).await.unwrap();
    for outcome in [
        db.delete_model(&model_id(1), &audit("model.delete")).await,
        db.rename_model(&model_id(1), "x", &audit("model.rename")).await,
    ] {
        assert!(matches!(outcome, Err(StoreError::NotFound("model"))), "{outcome:?}");
    }
}
