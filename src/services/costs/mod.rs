//! What running things on AWS costs: an estimate before, the ledger of a month, budgets that refuse a start. What runs
//! on this machine costs nothing and is not in it.
//!
//! Whoever runs something writes the ledger's lines (`store::Costs::save_charge`); here they are read.
//!
//! - [`month`]: months, in UTC.   - [`sums`]: adding up.   - [`report`]: what a person sees.   - [`csv`]: for spreadsheets.

mod csv;
mod month;
mod report;
mod sums;

pub use csv::csv;
pub use month::Month;
pub use report::{Line, Person, Report, Running, Scope};
pub use sums::Sums;

use super::{
    context::{Actor, Environment},
    error::{ServiceError, ServiceResult},
    policy::{Action, Resource, authorize},
};
use crate::{
    backends::prices::{Prices, Quote, Usage},
    domain::{
        charge::Charge, cloud::Place, field::FieldError, ids::UserId, instance::InstanceType, job::Job,
        money::Money,
    },
    store::{PageRequest, Store},
};
use std::sync::Arc;

/// SageMaker runs no job for longer: 28 days.
const MAX_HOURS: f64 = 28.0 * 24.0;
/// A budget nobody means.
const MAX_BUDGET: Money = Money(100_000_000 * 1_000_000);

pub struct Costs {
    store: Arc<dyn Store>,
    prices: Arc<dyn Prices>,
    env: Environment,
    starting: tokio::sync::Mutex<()>,
}

/// What a machine would cost for some hours.
#[derive(Debug, Clone)]
pub struct Estimate {
    pub instance_type: &'static InstanceType,
    pub hours: f64,
    pub quote: Quote,
    /// `None`: the price is unknown.
    pub total: Option<Money>,
}

impl Costs {
    pub fn new(store: Arc<dyn Store>, prices: Arc<dyn Prices>, env: Environment) -> Self {
        Self { store, prices, env, starting: tokio::sync::Mutex::default() }
    }

    /// Held from [`check_budget`](Self::check_budget) until what was checked is written: two starts at once would both
    /// find room for one.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.starting.lock().await
    }

    /// What an hour of this machine costs.
    pub async fn quote(&self, instance_type: &str, usage: Usage) -> Quote {
        self.prices.per_hour(instance_type, usage).await
    }

    /// What training on this machine would cost, by today's price.
    pub async fn estimate(&self, instance_type: &str, hours: f64) -> ServiceResult<Estimate> {
        let mut errors = Vec::new();
        let instance_type =
            InstanceType::parse(instance_type, Usage::Training).map_err(|error| errors.push(error));
        if !(hours > 0.0 && hours <= MAX_HOURS) {
            let message = format!("The hours must be more than 0 and at most {MAX_HOURS} (28 days).");
            errors.push(FieldError::new("estimated_hours", message));
        }
        let Ok(instance_type) = instance_type else { return Err(ServiceError::Invalid(errors)) };
        if !errors.is_empty() {
            return Err(ServiceError::Invalid(errors));
        }
        let quote = self.quote(instance_type.name, Usage::Training).await;
        let total = quote.per_hour.and_then(|price| Money::from_dollars(price.dollars() * hours));
        Ok(Estimate { instance_type, hours, quote, total })
    }

    /// May the person start something that costs so much? Counted against their budget is what they spent this month,
    /// what runs and waits, and this. `None`: nobody knows what it costs.
    ///
    /// # Errors
    /// `Refused` with the code `over_budget`, the figures, and what to do.
    pub async fn check_budget(&self, actor: &Actor, amount: Option<Money>) -> ServiceResult<()> {
        const NEXT: &str = "Wait for what runs to end, choose a smaller instance type or a shorter time, or ask an administrator for a larger budget.";
        let Some(budget) = self.store.budget(&actor.user.id).await? else { return Ok(()) };
        let person = self.person(actor.user.clone(), None).await?;
        let (month, sums) = (person.month.words(), person.sums);
        let Some(amount) = amount else {
            return Err(ServiceError::refused(
                "over_budget",
                format!(
                    "You have a budget of {budget} for {month}, and what this would cost is unknown: an unknown price can't be held against a budget."
                ),
                "Choose an instance type whose price is known, or ask an administrator to lift your budget.",
            ));
        };
        if sums.expected().plus(amount) <= budget {
            return Ok(());
        }
        let unknown = match sums.unknown {
            0 => String::new(),
            1 => " One thing's cost is unknown and is not in these figures.".to_owned(),
            n => format!(" The costs of {n} things are unknown and are not in these figures."),
        };
        Err(ServiceError::refused(
            "over_budget",
            format!(
                "This would go over your budget of {budget} for {month}: {} spent, {} more for what runs and waits, and {amount} for this.{unknown}",
                sums.spent, sums.to_come
            ),
            NEXT,
        ))
    }

    /// A person's budget and how it stands this month: the caller's own, or anybody's for an administrator.
    pub async fn budget(&self, actor: &Actor, id: &str) -> ServiceResult<Person> {
        let id = UserId::parse(id).ok_or(ServiceError::NotFound("user"))?;
        let may = authorize(actor, Action::Read, Resource::Owned(&id))
            || authorize(actor, Action::Read, Resource::Platform);
        let user = if may { self.store.user(&id).await? } else { None };
        self.person(user.ok_or(ServiceError::NotFound("user"))?, None).await
    }

    /// Sets what a person may spend in a month; `None` sets no limit. For administrators.
    pub async fn set_budget(&self, actor: &Actor, id: &str, budget: Option<Money>) -> ServiceResult<()> {
        if !authorize(actor, Action::Write, Resource::Platform) {
            // Their own they know of, and may not change.
            return Err(if id == actor.user.id.as_str() {
                ServiceError::refused(
                    "not_allowed",
                    "Only administrators set budgets.",
                    "Ask an administrator of this server.",
                )
            } else {
                ServiceError::NotFound("user")
            });
        }
        let id = UserId::parse(id).ok_or(ServiceError::NotFound("user"))?;
        if budget.is_some_and(|budget| !(Money::default()..=MAX_BUDGET).contains(&budget)) {
            return Err(ServiceError::invalid("budget", BUDGET_WORDS));
        }
        let audit = actor.audit(self.env.now(), "budget.set", id.as_str());
        Ok(self.store.set_budget(&id, budget, &audit).await?)
    }

    /// Jobs of this person that go to AWS and have no line in the ledger yet.
    async fn waiting(&self, user: &UserId, charges: &[Charge]) -> ServiceResult<Vec<Job>> {
        let mut active = self.store.count_active_jobs(user).await?;
        let mut page = PageRequest { cursor: None, limit: 100 };
        let mut waiting = Vec::new();
        while active > 0 {
            let jobs = self.store.list_jobs(user, &page).await?;
            for job in jobs.items.into_iter().filter(|job| !job.state.is_final()) {
                active = active.saturating_sub(1);
                let line = format!("job:{}", job.id);
                if job.spec.place() != Place::Local && charges.iter().all(|charge| charge.id != line) {
                    waiting.push(job);
                }
            }
            page.cursor = jobs.next;
            if page.cursor.is_none() {
                break;
            }
        }
        Ok(waiting)
    }
}

const BUDGET_WORDS: &str = "A budget is an amount of US dollars from 0 to 100,000,000, such as 50 or 49.90; leave it empty for no limit.";

/// A budget as typed; empty sets no limit.
pub fn parse_budget(text: &str) -> Result<Option<Money>, FieldError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    Money::parse(text).map(Some).ok_or_else(|| FieldError::new("budget", BUDGET_WORDS))
}
