//! Tries what the server must be allowed to do with its tables. Nothing is written: each write has a condition that no
//! item meets, and DynamoDB looks at it after the rights.

use super::{
    DynamoStore,
    tables::{Key, Table},
};
use crate::aws::{Failure, Tried};
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    types::{ConditionCheck, DeleteRequest, KeysAndAttributes, TransactWriteItem, WriteRequest},
};
use futures::future::join_all;
use std::collections::HashMap;

/// No item has this key.
const NOBODY: &str = "?";

type Outcome = Result<(), Failure>;

impl DynamoStore {
    /// What was tried, permission by permission; each on every table where it is needed. The first table on which it is
    /// missing is named. Without an answer the rest is not tried.
    pub async fn try_permissions(&self) -> Vec<Tried> {
        let all: Vec<Table> = Table::ALL.to_vec();
        let changed: Vec<Table> = all.iter().copied().filter(|table| *table != Table::Audit).collect();
        let mut tried = Vec::new();
        let mut note = |permission, purpose, outcome: Outcome| {
            let silent = matches!(outcome, Err(Failure::NoAnswer(_)));
            tried.push(Tried { permission, purpose, outcome });
            silent
        };
        let get = worst(join_all(all.iter().map(|table| self.try_get(*table))).await);
        if note("dynamodb:GetItem", "reads a row", get) {
            return tried;
        }
        let query = worst(join_all(all.iter().map(|table| self.try_query(*table))).await);
        note("dynamodb:Query", "reads lists", query);
        let batch = worst(join_all(changed.iter().map(|table| self.try_batch_get(*table))).await);
        note("dynamodb:BatchGetItem", "reads the rows of a list", batch);
        let put = worst(join_all(all.iter().map(|table| self.try_put(*table))).await);
        note("dynamodb:PutItem", "makes rows", put);
        let update = worst(join_all(changed.iter().map(|table| self.try_update(*table))).await);
        note("dynamodb:UpdateItem", "changes rows", update);
        let delete = worst(join_all(changed.iter().map(|table| self.try_delete(*table))).await);
        note("dynamodb:DeleteItem", "removes rows", delete);
        let check = worst(join_all(changed.iter().map(|table| self.try_check(*table))).await);
        note("dynamodb:ConditionCheckItem", "changes rows only while another is as it was", check);
        let batch = worst(join_all(changed.iter().map(|table| self.try_batch_write(*table))).await);
        note("dynamodb:BatchWriteItem", "removes what belonged to a deleted row", batch);
        let scan = [Table::Sessions, Table::Uploads];
        let scan = worst(join_all(scan.iter().map(|table| self.try_scan(*table))).await);
        note("dynamodb:Scan", "clears away sessions and uploads that have run out", scan);
        tried
    }

    async fn try_get(&self, table: Table) -> Outcome {
        let get = self.client.get_item().table_name(self.names.of(table));
        outcome(get.set_key(Some(nobody(table).attributes())).send().await)
    }

    async fn try_query(&self, table: Table) -> Outcome {
        let query = self.client.query().table_name(self.names.of(table)).limit(1);
        let query = query.key_condition_expression("#hash = :nobody");
        let query = query.expression_attribute_names("#hash", table.keys().0);
        let nobody = aws_sdk_dynamodb::types::AttributeValue::S(NOBODY.to_owned());
        outcome(query.expression_attribute_values(":nobody", nobody).send().await)
    }

    async fn try_batch_get(&self, table: Table) -> Outcome {
        let Ok(keys) = KeysAndAttributes::builder().keys(nobody(table).attributes()).build() else {
            return Ok(());
        };
        let get = self.client.batch_get_item().request_items(self.names.of(table), keys);
        outcome(get.send().await)
    }

    async fn try_put(&self, table: Table) -> Outcome {
        let put = self.client.put_item().table_name(self.names.of(table));
        let put = put.set_item(Some(nobody(table).attributes()));
        let put = put.condition_expression("attribute_exists(#hash)");
        outcome(put.expression_attribute_names("#hash", table.keys().0).send().await)
    }

    async fn try_update(&self, table: Table) -> Outcome {
        let update = self.client.update_item().table_name(self.names.of(table));
        let update = update.set_key(Some(nobody(table).attributes())).update_expression("REMOVE #other");
        let names = HashMap::from([
            ("#hash".to_owned(), table.keys().0.to_owned()),
            ("#other".to_owned(), "nothing".to_owned()),
        ]);
        let update = update.condition_expression("attribute_exists(#hash)");
        outcome(update.set_expression_attribute_names(Some(names)).send().await)
    }

    async fn try_delete(&self, table: Table) -> Outcome {
        let delete = self.client.delete_item().table_name(self.names.of(table));
        let delete = delete.set_key(Some(nobody(table).attributes()));
        let delete = delete.condition_expression("attribute_exists(#hash)");
        outcome(delete.expression_attribute_names("#hash", table.keys().0).send().await)
    }

    async fn try_check(&self, table: Table) -> Outcome {
        let check = ConditionCheck::builder()
            .table_name(self.names.of(table))
            .set_key(Some(nobody(table).attributes()))
            .condition_expression("attribute_exists(#hash)")
            .expression_attribute_names("#hash", table.keys().0);
        let Ok(check) = check.build() else { return Ok(()) };
        let write = TransactWriteItem::builder().condition_check(check).build();
        outcome(self.client.transact_write_items().transact_items(write).send().await)
    }

    /// Deletes an item that is not there.
    async fn try_batch_write(&self, table: Table) -> Outcome {
        let Ok(delete) = DeleteRequest::builder().set_key(Some(nobody(table).attributes())).build() else {
            return Ok(());
        };
        let write = WriteRequest::builder().delete_request(delete).build();
        let write = self.client.batch_write_item().request_items(self.names.of(table), vec![write]);
        outcome(write.send().await)
    }

    async fn try_scan(&self, table: Table) -> Outcome {
        outcome(self.client.scan().table_name(self.names.of(table)).limit(1).send().await)
    }
}

fn nobody(table: Table) -> Key {
    let (_, range) = table.keys();
    Key { table, hash: NOBODY.to_owned(), range: range.map(|_| NOBODY.to_owned()) }
}

/// The first that failed.
fn worst(outcomes: Vec<Outcome>) -> Outcome {
    outcomes.into_iter().collect()
}

/// A condition that was not met was looked at, so the right is there.
fn outcome<T, E, R>(result: Result<T, SdkError<E, R>>) -> Outcome
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    const UNMET: [&str; 2] = ["ConditionalCheckFailedException", "TransactionCanceledException"];
    match result.map_err(|error| Failure::of(&error)) {
        Err(failure) if failure.code().is_some_and(|code| UNMET.contains(&code)) => Ok(()),
        other => other.map(drop),
    }
}
