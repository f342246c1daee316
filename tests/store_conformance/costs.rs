//! The ledger and the budgets.

use crate::{
    Db,
    support::make::{audit, charge, user, user_id},
};
use llm_tuner::{domain::money::Money, store::StoreError};

pub async fn a_line_replaces_itself(db: Db) {
    let mut line = charge(1, 1, "2026-11");
    db.save_charge(&line).await.unwrap();
    assert_eq!(db.charges("2026-11", None).await.unwrap(), [line.clone()]);
    line.cost = Some(Money(1_234_567));
    line.seconds = 999;
    line.ended = true;
    line.estimate = None;
    db.save_charge(&line).await.unwrap();
    assert_eq!(db.charges("2026-11", None).await.unwrap(), [line]);
}

pub async fn a_month_is_read_for_one_or_all(db: Db) {
    let lines = [charge(1, 1, "2026-10"), charge(2, 1, "2026-11"), charge(3, 2, "2026-11")];
    for line in &lines {
        db.save_charge(line).await.unwrap();
    }
    // Newest first.
    assert_eq!(db.charges("2026-11", None).await.unwrap(), [lines[2].clone(), lines[1].clone()]);
    assert_eq!(db.charges("2026-11", Some(&user_id(1))).await.unwrap(), [lines[1].clone()]);
    assert_eq!(db.charges("2026-09", None).await.unwrap(), []);
    assert_eq!(db.charged_months(None).await.unwrap(), ["2026-11", "2026-10"]);
    assert_eq!(db.charged_months(Some(&user_id(2))).await.unwrap(), ["2026-11"]);
}

pub async fn a_budget_is_set_and_lifted(db: Db) {
    db.create_user(&user(1), &audit("user.create")).await.unwrap();
    let id = user_id(1);
    assert_eq!(db.budget(&id).await.unwrap(), None);
    for budget in [Some(Money(100)), Some(Money(50_000_000)), None] {
        db.set_budget(&id, budget, &audit("budget.set")).await.unwrap();
        assert_eq!(db.budget(&id).await.unwrap(), budget);
    }
    let nobody = db.set_budget(&user_id(9), Some(Money(1)), &audit("budget.set")).await;
    assert!(matches!(nobody, Err(StoreError::NotFound("user"))), "{nobody:?}");
}
