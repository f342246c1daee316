//! Accepted licences.

use crate::{
    Db,
    support::make::{audit, licence, user, user_id},
};
use llm_tuner::store::PageRequest;

pub async fn an_acceptance_is_recorded_once(db: Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    let first = licence(1, "llama", "1.0", 10);
    db.accept_licence(&first, &audit("licence.accept")).await.unwrap();
    // Again, later: the first one stands, and the log has it once.
    db.accept_licence(&licence(1, "llama", "1.0", 99), &audit("licence.accept")).await.unwrap();
    let newer = licence(1, "llama", "2.0", 20);
    db.accept_licence(&newer, &audit("licence.accept")).await.unwrap();
    assert_eq!(db.accepted_licences(&user_id(1)).await.unwrap(), [newer, first]);
    let log = db.list_audit(&PageRequest { cursor: None, limit: 100 }).await.unwrap().items;
    assert_eq!(log.iter().filter(|entry| entry.action == "licence.accept").count(), 2);
}

pub async fn acceptances_are_a_persons_own(db: Db) {
    for n in 1..=2 {
        db.create_user(&user(n), &audit("user.create")).await.unwrap();
    }
    let own = licence(2, "llama", "1.0", 10);
    db.accept_licence(&own, &audit("licence.accept")).await.unwrap();
    assert_eq!(db.accepted_licences(&user_id(1)).await.unwrap(), []);
    assert_eq!(db.accepted_licences(&user_id(2)).await.unwrap(), [own]);
}
