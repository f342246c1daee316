//! What only DynamoDB has: tables to be made, items with a limit, and a service that throttles.

use crate::support::{databases, moto::Moto};
use llm_tuner::store::{Store, dynamodb::DynamoStore};

#[tokio::test]
async fn the_tables_are_made_once() {
    let moto = Moto::start();
    let store = DynamoStore::new(&moto.config().await, &databases::tables());
    let first = store.migrate().await.unwrap();
    assert!(first.iter().all(|table| table.made && table.missing.is_empty()), "{first:?}");
    let again = store.migrate().await.unwrap();
    assert!(again.iter().all(|table| !table.made && table.missing.is_empty()), "{again:?}");
    store.ping().await.unwrap();
}
