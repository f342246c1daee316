//! Writing: all steps of a transaction, or none.
//!
//! A method reads what it needs, decides, and writes on the condition that nothing of it changed meanwhile: each row
//! has a revision (`rev`) that every write of it renews. Where somebody was quicker, [`Transaction::commit`] says
//! `false`, and the method reads and decides anew.
//!
//! An answer may be lost on its way. The SDK then sends the transaction again under the same token, and DynamoDB knows
//! it by that for ten minutes. Beyond that, and with stand-ins for DynamoDB that forget tokens, a refusal is looked at
//! once more: if what we would have written is there, it was ours.

use super::super::{StoreError, StoreResult};
use super::{
    DynamoStore,
    error::{failed, incomplete, is_conflict},
    item::{Item, REVISION},
    tables::Key,
};
use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};
use std::collections::HashMap;

/// Steps that one transaction takes.
pub(super) const STEPS: usize = 100;

/// What it means that a step's condition does not hold.
pub(super) enum Refused {
    /// Somebody wrote in between: read and decide anew.
    Changed,
    Error(StoreError),
}

/// A row as it was read.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub key: Key,
    pub item: Item,
}

pub(super) struct Transaction<'a> {
    store: &'a DynamoStore,
    /// Of everything that it writes.
    revision: String,
    /// An item that is there, with our revision, when it was written.
    mark: Option<Key>,
    steps: Vec<(TransactWriteItem, Refused)>,
    broken: Option<StoreError>,
}

/// An expression with its names and values, all of them by alias: `name`, `state` and many others are reserved.
#[derive(Default)]
struct Expression {
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Expression {
    fn name(&mut self, name: &str) -> String {
        let alias = format!("#n{}", self.names.len());
        self.names.insert(alias.clone(), name.to_owned());
        alias
    }

    fn value(&mut self, value: &AttributeValue) -> String {
        let alias = format!(":v{}", self.values.len());
        self.values.insert(alias.clone(), value.clone());
        alias
    }

    fn exists(&mut self, key: &Key) -> String {
        format!("attribute_exists({})", self.name(key.table.keys().0))
    }

    fn unchanged(&mut self, item: &Item, names: &[&str]) -> String {
        let conditions = names.iter().map(|name| {
            let alias = self.name(name);
            match item.get(name) {
                Some(value) => format!("{alias} = {}", self.value(value)),
                None => format!("attribute_not_exists({alias})"),
            }
        });
        conditions.collect::<Vec<_>>().join(" and ")
    }

    fn values(self) -> Option<HashMap<String, AttributeValue>> {
        Some(self.values).filter(|values| !values.is_empty())
    }
}

impl DynamoStore {
    pub(super) fn transaction(&self) -> Transaction<'_> {
        let revision = format!("{:016x}", rand::random::<u64>());
        Transaction { store: self, revision, mark: None, steps: Vec::new(), broken: None }
    }

    pub(super) async fn row(&self, key: Key) -> StoreResult<Option<Row>> {
        Ok(self.get(&key).await?.map(|item| Row { key, item }))
    }
}

impl<'a> Transaction<'a> {
    pub fn store(&self) -> &'a DynamoStore {
        self.store
    }

    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Which item tells that the transaction was written: one that nobody changes afterwards is best.
    pub fn mark(&mut self, key: Key) {
        self.mark = Some(key);
    }

    /// An item that must not be there yet.
    pub fn create(&mut self, key: &Key, item: Item, taken: StoreError) {
        self.create_or(key, item, Refused::Error(taken));
    }

    /// An item that was not there a moment ago.
    pub fn create_unless_quicker(&mut self, key: &Key, item: Item) {
        self.create_or(key, item, Refused::Changed);
    }

    fn create_or(&mut self, key: &Key, item: Item, taken: Refused) {
        let mut expression = Expression::default();
        let absent = format!("attribute_not_exists({})", expression.name(key.table.keys().0));
        let put = self.put_of(key, item).condition_expression(absent);
        self.push(put.set_expression_attribute_names(Some(expression.names)).build(), taken);
        self.mark.get_or_insert_with(|| key.clone());
    }

    /// An item, whatever is there.
    pub fn put(&mut self, key: &Key, item: Item) {
        let put = self.put_of(key, item);
        self.push(put.build(), Refused::Changed);
    }

    fn put_of(&self, key: &Key, mut item: Item) -> aws_sdk_dynamodb::types::builders::PutBuilder {
        item.0.extend(key.attributes());
        item.set(REVISION, self.revision.as_str());
        Put::builder().table_name(self.store.names.of(key.table)).set_item(Some(item.0))
    }

    /// Makes `row` into `after`, unless somebody wrote to it since it was read.
    pub fn change(&mut self, row: &Row, after: &Item) {
        self.change_unless(row, after, &[REVISION]);
    }

    /// As [`change`](Self::change), but only what happened to these attributes counts.
    pub fn change_unless(&mut self, row: &Row, after: &Item, changed: &[&str]) {
        let mut expression = Expression::default();
        let condition = expression.unchanged(&row.item, changed);
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        let mut after = after.clone();
        after.set(REVISION, self.revision.as_str());
        for (name, value) in &after.0 {
            if row.item.get(name) != Some(value) {
                set.push(format!("{} = {}", expression.name(name), expression.value(value)));
            }
        }
        for name in row.item.0.keys().filter(|name| after.get(name).is_none()) {
            remove.push(expression.name(name));
        }
        let mut text = format!("set {}", set.join(", "));
        if !remove.is_empty() {
            text = format!("{text} remove {}", remove.join(", "));
        }
        let update = self.update_of(&row.key, text).condition_expression(condition);
        let update = update.set_expression_attribute_names(Some(std::mem::take(&mut expression.names)));
        self.push(update.set_expression_attribute_values(expression.values()).build(), Refused::Changed);
        self.mark.get_or_insert_with(|| row.key.clone());
    }

    /// Adds to a number of an item that must be there. Its revision stays: only numbers that nobody writes in another
    /// way are added to.
    pub fn add(&mut self, key: &Key, name: &str, number: i64, missing: StoreError) {
        let mut expression = Expression::default();
        let condition = expression.exists(key);
        let number = AttributeValue::N(number.to_string());
        let text = format!("add {} {}", expression.name(name), expression.value(&number));
        let update = self.update_of(key, text).condition_expression(condition);
        let update = update.set_expression_attribute_names(Some(std::mem::take(&mut expression.names)));
        let update = update.set_expression_attribute_values(expression.values());
        self.push(update.build(), Refused::Error(missing));
    }

    fn update_of(&self, key: &Key, text: String) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
        let update = Update::builder().table_name(self.store.names.of(key.table));
        update.set_key(Some(key.attributes())).update_expression(text)
    }

    /// Takes an item away, if it is there.
    pub fn delete(&mut self, key: &Key) {
        let delete = Delete::builder().table_name(self.store.names.of(key.table));
        self.push(delete.set_key(Some(key.attributes())).build(), Refused::Changed);
    }

    /// Takes an item away that must be there.
    pub fn delete_existing(&mut self, key: &Key, missing: Refused) {
        let mut expression = Expression::default();
        let condition = expression.exists(key);
        let delete = Delete::builder().table_name(self.store.names.of(key.table));
        let delete = delete.set_key(Some(key.attributes())).condition_expression(condition);
        self.push(delete.set_expression_attribute_names(Some(expression.names)).build(), missing);
    }

    /// Takes a row away, unless these attributes of it changed since it was read.
    pub fn delete_row(&mut self, row: &Row, changed: &[&str]) {
        let mut expression = Expression::default();
        let condition = expression.unchanged(&row.item, changed);
        let delete = Delete::builder().table_name(self.store.names.of(row.key.table));
        let delete = delete.set_key(Some(row.key.attributes())).condition_expression(condition);
        let delete = delete.set_expression_attribute_names(Some(std::mem::take(&mut expression.names)));
        self.push(delete.set_expression_attribute_values(expression.values()).build(), Refused::Changed);
    }

    /// Changes nothing, but asks for an item to be there.
    pub fn require(&mut self, key: &Key, missing: Refused) {
        let mut expression = Expression::default();
        let condition = expression.exists(key);
        let check = ConditionCheck::builder().table_name(self.store.names.of(key.table));
        let check = check.set_key(Some(key.attributes())).condition_expression(condition);
        self.push(check.set_expression_attribute_names(Some(expression.names)).build(), missing);
    }

    fn push<T: IntoStep, E: std::error::Error>(&mut self, step: Result<T, E>, refused: Refused) {
        match step {
            Ok(step) => self.steps.push((step.into_step(), refused)),
            Err(error) => self.broken = Some(incomplete(error)),
        }
    }

    /// `true` when all of it is written; `false` where nothing is, because somebody was quicker.
    ///
    /// # Errors
    /// What the first refused step means, in the order in which they were given; or that there is no answer.
    pub async fn commit(self) -> StoreResult<bool> {
        let Self { store, revision, mark, steps, broken } = self;
        if let Some(error) = broken {
            return Err(error);
        }
        if steps.len() > STEPS {
            let why = format!("{} steps are more than the {STEPS} that DynamoDB takes", steps.len());
            return Err(StoreError::Corrupt("a transaction", why));
        }
        let (items, meanings): (Vec<_>, Vec<_>) = steps.into_iter().unzip();
        let write = store.client.transact_write_items().set_transact_items(Some(items));
        let Err(error) = write.send().await else { return Ok(true) };
        let refused = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(why)) => {
                let codes = why.cancellation_reasons().iter().map(|reason| reason.code());
                refused(codes, meanings)
            }
            Some(other) if is_conflict(other.meta().code()) => Some(Refused::Changed),
            _ => None,
        };
        match refused {
            None => Err(failed(error)),
            Some(refused) => {
                if let Some(mark) = mark
                    && let Some(item) = store.get(&mark).await?
                    && item.optional_text(REVISION)?.is_some_and(|found| found == revision)
                {
                    return Ok(true);
                }
                match refused {
                    Refused::Changed => Ok(false),
                    Refused::Error(error) => Err(error),
                }
            }
        }
    }
}

/// What the reasons of a cancelled transaction mean; `None` where it is neither a condition nor a conflict.
fn refused<'a>(codes: impl Iterator<Item = Option<&'a str>>, meanings: Vec<Refused>) -> Option<Refused> {
    let mut conflict = false;
    for (code, meaning) in codes.zip(meanings) {
        match code {
            Some("ConditionalCheckFailed") => return Some(meaning),
            code => conflict |= is_conflict(code),
        }
    }
    conflict.then_some(Refused::Changed)
}

trait IntoStep {
    fn into_step(self) -> TransactWriteItem;
}
macro_rules! step {
    ($($kind:ident: $field:ident),*) => { $(
        impl IntoStep for $kind {
            fn into_step(self) -> TransactWriteItem {
                TransactWriteItem::builder().$field(self).build()
            }
        }
    )* };
}
step!(Put: put, Update: update, Delete: delete, ConditionCheck: condition_check);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_condition_that_fails_is_told_and_a_conflict_only_without_one() {
        let meanings =
            || vec![Refused::Error(StoreError::Taken("a")), Refused::Error(StoreError::Taken("b"))];
        let of = |codes: [Option<&'static str>; 2]| refused(codes.into_iter(), meanings());
        let (failed, conflict) = (Some("ConditionalCheckFailed"), Some("TransactionConflict"));
        assert!(matches!(of([conflict, failed]), Some(Refused::Error(StoreError::Taken("b")))));
        assert!(matches!(of([failed, failed]), Some(Refused::Error(StoreError::Taken("a")))));
        assert!(matches!(of([Some("None"), conflict]), Some(Refused::Changed)));
        assert!(of([Some("None"), Some("ValidationError")]).is_none());
    }
}
