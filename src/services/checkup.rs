//! Looks whether AWS is as the server needs it, and what runs there without anybody knowing. For administrators, on
//! demand; nothing is changed, stopped or deleted.
//!
//! A look goes on behind the request that asked for it. Its result is kept by this server until the next look or the
//! next start; another server has a look of its own.

use super::{
    context::{Actor, Environment},
    error::{ServiceError, ServiceResult},
    policy::{Action, Resource, authorize},
};
use crate::{
    backends::{
        account::{Account, Machines, Running},
        prices::{Prices, Usage},
    },
    domain::{
        checkup::{Area, Checkup, Finding, Leftover, LeftoverKind},
        endpoint::EndpointState,
        ids::{EndpointId, JobId},
        money::Money,
        time::Instant,
    },
    store::{Store, StoreResult},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// No look takes longer, whatever hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// A clone is the same service.
#[derive(Clone)]
pub struct Checkups {
    parts: Arc<Parts>,
}

struct Parts {
    store: Arc<dyn Store>,
    account: Arc<dyn Account>,
    prices: Arc<dyn Prices>,
    env: Environment,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Since when one looks.
    begun: Option<Instant>,
    last: Option<Arc<Looked>>,
}

/// A look that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    pub at: Instant,
    pub checkup: Checkup,
}

/// What is known now.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Is anything of AWS used with these settings?
    pub used: bool,
    /// What the settings say: known without asking AWS.
    pub settings: Vec<Finding>,
    /// A look goes on since then.
    pub looking: Option<Instant>,
    pub last: Option<Arc<Looked>>,
}

impl Checkups {
    pub fn new(
        store: Arc<dyn Store>,
        account: Arc<dyn Account>,
        prices: Arc<dyn Prices>,
        env: Environment,
    ) -> Self {
        Self { parts: Arc::new(Parts { store, account, prices, env, state: Mutex::default() }) }
    }

    /// The last look, and whether another goes on. Asks nothing of AWS.
    pub fn shown(&self, actor: &Actor) -> ServiceResult<Shown> {
        if !authorize(actor, Action::Read, Resource::Platform) {
            return Err(ServiceError::NotFound("page"));
        }
        let (begun, last) = {
            let state = self.lock();
            (state.begun, state.last.clone())
        };
        Ok(Shown {
            used: self.parts.account.is_used(),
            settings: self.parts.account.settings(),
            looking: begun.filter(|begun| self.goes_on(*begun)),
            last,
        })
    }

    /// Begins a look, unless one goes on.
    pub async fn begin(&self, actor: &Actor) -> ServiceResult<()> {
        if !authorize(actor, Action::Write, Resource::Platform) {
            return Err(ServiceError::NotFound("page"));
        }
        let now = self.parts.env.now();
        {
            let mut state = self.lock();
            if state.begun.is_some_and(|begun| self.goes_on(begun)) {
                return Ok(());
            }
            state.begun = Some(now);
        }
        let audited = self.parts.store.audit(&actor.audit(now, "aws.check", "aws")).await;
        if let Err(error) = audited {
            self.lock().begun = None;
            return Err(error.into());
        }
        let this = self.clone();
        tokio::spawn(async move {
            let checkup = this.look().await;
            let at = this.parts.env.now();
            let mut state = this.lock();
            state.begun = None;
            state.last = Some(Arc::new(Looked { at, checkup }));
        });
        Ok(())
    }

    /// Looks at everything, and waits for it: for the operator at the command line, who asks nobody's leave.
    pub async fn look(&self) -> Checkup {
        let Parts { store, account, prices, .. } = &*self.parts;
        match tokio::time::timeout(LONGEST, look(&**account, &**prices, &**store)).await {
            Ok(checkup) => checkup,
            Err(_) => {
                let mut findings = account.settings();
                findings.push(Finding::fail(
                    Area::Credentials,
                    "AWS",
                    "all that runs there",
                    format!("did not answer everything within {} seconds", LONGEST.as_secs()),
                    "Look at the way from this server to AWS (proxy, firewall, endpoints), then look again.",
                ));
                Checkup { findings, ..Checkup::default() }
            }
        }
    }

    /// One that was begun long ago has died with its task.
    fn goes_on(&self, begun: Instant) -> bool {
        self.parts.env.now().since(begun) < LONGEST + Duration::from_secs(5)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.parts.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look(account: &dyn Account, prices: &dyn Prices, store: &dyn Store) -> Checkup {
    let examined = account.examine().await;
    // Where the credentials are at fault, what runs can't be asked for either, and that was said already.
    if examined.findings.iter().any(|one| one.area == Area::Credentials && one.is_fail()) {
        return Checkup { findings: examined.findings, ..Checkup::default() };
    }
    let all = account.running().await;
    let mut leftovers = Vec::new();
    let mut leftovers_problem = all.problem;
    for running in all.running {
        match unknown(store, &running).await {
            Ok(None) => {}
            Ok(Some(why)) => leftovers.push(leftover(account, prices, running, why).await),
            Err(error) => leftovers_problem = Some(format!("The database does not answer: {error}")),
        }
    }
    Checkup { findings: examined.findings, limits: examined.limits, leftovers, leftovers_problem }
}

/// Why nothing here looks after it; `None` where something does.
async fn unknown(store: &dyn Store, running: &Running) -> StoreResult<Option<&'static str>> {
    const NO_ROW: &str = "The database knows nothing of it: it was deleted there, or another server has the same SAGEMAKER_INSTALLATION.";
    Ok(match running.kind {
        LeftoverKind::Job => {
            let id = running.row.as_deref().and_then(JobId::parse);
            let job = match id {
                Some(id) => store.job(&id).await?,
                None => None,
            };
            match job {
                None => Some(NO_ROW),
                Some(job) if job.state.is_final() => {
                    Some("Its job is over here, and nobody follows it any more.")
                }
                Some(job)
                    if job.cloud.as_ref().is_some_and(|run| {
                        !run.external_name.is_empty() && run.external_name != running.name
                    }) =>
                {
                    Some("It is an earlier try of a job that goes on under another name.")
                }
                Some(_) => None,
            }
        }
        LeftoverKind::Endpoint => {
            let id = running.row.as_deref().and_then(EndpointId::parse);
            let endpoint = match id {
                Some(id) => store.endpoint(&id).await?,
                None => None,
            };
            match endpoint {
                None => Some(NO_ROW),
                Some(endpoint) if endpoint.state == EndpointState::Deleted => {
                    Some("It was deleted here; the server deletes it on AWS within ten minutes.")
                }
                Some(_) => None,
            }
        }
    })
}

async fn leftover(account: &dyn Account, prices: &dyn Prices, running: Running, why: &str) -> Leftover {
    let usage = match running.kind {
        LeftoverKind::Job => Usage::Training,
        LeftoverKind::Endpoint => Usage::Hosting,
    };
    let machines = account.machines(&running).await;
    let per_hour = match &machines {
        Some(machines) => {
            let quote = prices.per_hour(&machines.instance_type, usage).await;
            quote.per_hour.map(|one| Money(one.0.saturating_mul(i64::from(machines.count))))
        }
        None => None,
    };
    let name = running.name;
    let command = match running.kind {
        LeftoverKind::Job => format!("aws sagemaker stop-training-job --training-job-name {name}"),
        LeftoverKind::Endpoint => format!("aws sagemaker delete-endpoint --endpoint-name {name}"),
    };
    Leftover {
        kind: running.kind,
        since: running.since,
        machine: machines.map(|Machines { instance_type, count }| match count {
            1 => instance_type,
            count => format!("{count} × {instance_type}"),
        }),
        per_hour,
        why: why.to_owned(),
        next_step: format!("It costs money until it ends. If nobody needs it: {command}"),
        name,
    }
}
