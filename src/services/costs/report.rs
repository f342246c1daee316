//! A month's costs as a person sees them: the lines, their sums, the endpoints that run right now; and, for
//! administrators, everybody's.

use super::{Costs, Month, Sums};
use crate::{
    domain::{
        account::{Email, User},
        charge::Charge,
        endpoint::{Endpoint, EndpointState},
        ids::UserId,
        money::Money,
        time::Instant,
    },
    services::{
        context::Actor,
        error::{ServiceError, ServiceResult},
        policy::{Action, Resource, authorize},
    },
    store::{Page, PageRequest},
};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

/// Unused for so long, an endpoint is told to be idle; sooner, where its own limit is sooner.
const IDLE_AFTER: Duration = Duration::from_secs(15 * 60);

/// Whose costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Mine,
    /// For administrators.
    Everybody,
}

#[derive(Debug, Clone)]
pub struct Report {
    pub month: Month,
    /// The months that can be looked at, newest first; this one and that of today are among them.
    pub months: Vec<Month>,
    pub scope: Scope,
    pub sums: Sums,
    /// The caller's own; `None` sets no limit.
    pub budget: Option<Money>,
    /// Newest first.
    pub lines: Vec<Line>,
    /// Right now, whatever the month.
    pub running: Vec<Running>,
}

#[derive(Debug, Clone)]
pub struct Line {
    pub charge: Charge,
    /// The e-mail address.
    pub person: String,
    /// The caller's: they may look at what it was for.
    pub own: bool,
}

/// An endpoint that is not deleted.
#[derive(Debug, Clone)]
pub struct Running {
    pub endpoint: Endpoint,
    pub person: String,
    /// Since it is billed; `None` where the price is unknown.
    pub cost: Option<Money>,
    /// How long nobody has used it, where that is long.
    pub idle: Option<Duration>,
}

/// One person's month.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: UserId,
    pub email: Email,
    pub full_name: String,
    pub month: Month,
    pub sums: Sums,
    pub budget: Option<Money>,
}

impl Running {
    fn new(endpoint: Endpoint, person: String, now: Instant) -> Self {
        let billed = endpoint.in_service_at.map_or(Duration::ZERO, |since| now.since(since));
        let unused = now.since(endpoint.last_used_at.max(endpoint.in_service_at.unwrap_or_default()));
        let limit = IDLE_AFTER.min(Duration::from_secs(endpoint.idle_seconds));
        let idle = (endpoint.state == EndpointState::InService && unused >= limit).then_some(unused);
        let cost = endpoint.price_per_hour.map(|price| price.for_seconds(billed.as_secs(), 1));
        Self { endpoint, person, cost, idle }
    }
}

impl Costs {
    /// The costs of a month; of today's, where none is named.
    pub async fn report(&self, actor: &Actor, month: Option<Month>, scope: Scope) -> ServiceResult<Report> {
        let me = &actor.user.id;
        if scope == Scope::Everybody && !authorize(actor, Action::Read, Resource::Platform) {
            return Err(ServiceError::NotFound("report"));
        }
        let whose = (scope == Scope::Mine).then_some(me);
        let now = self.env.now();
        let today = Month::of(now);
        let month = month.unwrap_or(today);

        let charges = self.store.charges(&month.to_string(), whose).await?;
        let endpoints: Vec<Endpoint> = self.store.open_endpoints().await?;
        let endpoints: Vec<Endpoint> =
            endpoints.into_iter().filter(|endpoint| whose.is_none_or(|me| endpoint.user_id == *me)).collect();

        let mut sums = Sums::default();
        charges.iter().for_each(|charge| sums.add(charge));
        if month == today && scope == Scope::Mine {
            for job in self.waiting(me, &charges).await? {
                sums.add_waiting(&job);
            }
        }
        let people = charges.iter().map(|charge| &charge.user_id);
        let names = self.names(people.chain(endpoints.iter().map(|endpoint| &endpoint.user_id))).await?;
        let name = |id: &UserId| names.get(id).map_or_else(String::new, ToString::to_string);
        let mut running: Vec<Running> = endpoints
            .into_iter()
            .map(|endpoint| {
                let person = name(&endpoint.user_id);
                Running::new(endpoint, person, now)
            })
            .collect();
        running.sort_by_key(|running| std::cmp::Reverse(running.idle));

        let charged = self.store.charged_months(whose).await?;
        let mut months: Vec<Month> = charged.iter().filter_map(|text| Month::parse(text)).collect();
        months.extend([today, month]);
        months.sort_unstable_by(|a, b| b.cmp(a));
        months.dedup();

        let line =
            |charge: Charge| Line { person: name(&charge.user_id), own: charge.user_id == *me, charge };
        let lines = charges.into_iter().map(line).collect();
        Ok(Report { month, months, scope, sums, budget: self.store.budget(me).await?, lines, running })
    }

    /// Everybody's month with their budget, a page at a time. For administrators.
    pub async fn people(
        &self,
        actor: &Actor,
        month: Option<Month>,
        page: &PageRequest,
    ) -> ServiceResult<Page<Person>> {
        if !authorize(actor, Action::Read, Resource::Platform) {
            return Err(ServiceError::NotFound("report"));
        }
        let users = self.store.list_users(page).await?;
        let mut people = Vec::with_capacity(users.items.len());
        for user in users.items {
            people.push(self.person(user, month).await?);
        }
        Ok(Page { items: people, next: users.next })
    }

    /// One person's costs of a month, with what waits where it is today's.
    pub(super) async fn person(&self, user: User, month: Option<Month>) -> ServiceResult<Person> {
        let today = Month::of(self.env.now());
        let month = month.unwrap_or(today);
        let charges = self.store.charges(&month.to_string(), Some(&user.id)).await?;
        let mut sums = Sums::default();
        charges.iter().for_each(|charge| sums.add(charge));
        if month == today {
            for job in self.waiting(&user.id, &charges).await? {
                sums.add_waiting(&job);
            }
        }
        let budget = self.store.budget(&user.id).await?;
        Ok(Person { id: user.id, email: user.email, full_name: user.full_name, month, sums, budget })
    }

    async fn names<'a>(
        &self,
        ids: impl Iterator<Item = &'a UserId>,
    ) -> ServiceResult<HashMap<UserId, Email>> {
        let mut names = HashMap::new();
        for id in ids.collect::<BTreeSet<_>>() {
            if let Some(user) = self.store.user(id).await? {
                names.insert(id.clone(), user.email);
            }
        }
        Ok(names)
    }
}
