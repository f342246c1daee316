//! A job that runs on machines that are not ours: what is written before it is made there, which machine it gets, and
//! what it costs. For a job of this machine nearly all of it does nothing.

use super::{LetGo, explain, lease::Held};
use crate::{
    backends::{BackendError, RunStatus},
    domain::{
        charge::{Charge, ChargeKind},
        cloud::CloudRun,
        job::Job,
        time::Instant,
    },
    services::costs::Month,
    store::{JobUpdate, StoreResult},
};

impl Held {
    /// How the job stands, as often asked as it takes to get an answer.
    pub async fn look(&mut self) -> Result<RunStatus, LetGo> {
        loop {
            // Whether we asked it to end decides what its end means.
            self.job.stop = self.asked_to_stop();
            match self.parts.backend.status(&self.job).await {
                Ok(look) => {
                    if let Some(run) = look.run {
                        self.keep_run(run).await?;
                    }
                    return Ok(look.status);
                }
                Err(BackendError::Unavailable(why)) => self.no_answer(&why).await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Says that nobody answers, and waits before the next question.
    pub async fn no_answer(&mut self, why: &str) -> Result<(), LetGo> {
        self.note(&format!("{why} It is asked again; what runs there goes on.")).await?;
        tokio::time::sleep(self.parts.settings.poll).await;
        Ok(())
    }

    /// Starts the present try on the first machine that is to be had. `false`: the job ended instead.
    pub async fn begin(&mut self) -> Result<bool, LetGo> {
        loop {
            if let Some(run) = self.parts.backend.next_run(&self.job) {
                self.keep_run(run).await?;
            }
            match self.parts.backend.start(&self.job).await {
                Ok(()) => return Ok(true),
                Err(BackendError::Unavailable(why)) => {
                    self.no_answer(&why).await?;
                    if self.stopped_early().await? {
                        return Ok(false);
                    }
                }
                Err(BackendError::NoCapacity { cause, next_step, busy }) => {
                    if self.other_machine(&cause).await? {
                        continue;
                    }
                    if !busy {
                        self.fail(explain::because(cause, next_step)).await?;
                        return Ok(false);
                    }
                    self.note(&format!("Waiting for a machine. {cause}")).await?;
                    self.choose(0).await?;
                    let _ = tokio::time::timeout(self.parts.settings.poll * 6, self.stop.changed()).await;
                    if self.stopped_early().await? {
                        return Ok(false);
                    }
                }
                Err(error) => {
                    self.fail(explain::backend(error)).await?;
                    return Ok(false);
                }
            }
        }
    }

    /// Goes on to the next kind of machine that the person agreed to. `false` where there is none.
    pub async fn other_machine(&mut self, why: &str) -> Result<bool, LetGo> {
        let (Some(spec), Some(run)) = (&self.job.spec.cloud, &self.job.cloud) else { return Ok(false) };
        let next = run.choice + 1;
        let Some(kind) = spec.choice(next).map(str::to_owned) else { return Ok(false) };
        self.choose(next).await?;
        self.note(&format!("{why} It goes on with {kind}, as was agreed when it was started.")).await?;
        Ok(true)
    }

    async fn choose(&mut self, choice: usize) -> Result<(), LetGo> {
        let kind = self.job.spec.cloud.as_ref().and_then(|spec| spec.choice(choice)).map(str::to_owned);
        if let (Some(kind), Some(run)) = (kind, self.job.cloud.clone()) {
            self.keep_run(CloudRun { choice, instance_type: kind, ..run }).await?;
        }
        Ok(())
    }

    /// Writes how the job stands there, and what it has cost by now.
    async fn keep_run(&mut self, run: CloudRun) -> StoreResult<()> {
        if self.job.cloud.as_ref() == Some(&run) {
            return Ok(());
        }
        let update = JobUpdate { cloud: Some(run), ..JobUpdate::default() };
        self.record(update, Vec::new()).await?;
        self.save_charge(false).await
    }

    pub async fn save_charge(&self, ended: bool) -> StoreResult<()> {
        match charge_of(&self.job, self.now(), ended) {
            Some(charge) => self.parts.store.save_charge(&charge).await,
            None => Ok(()),
        }
    }
}

/// What a job cost by now, or in all; `None` for one of this machine.
pub fn charge_of(job: &Job, now: Instant, ended: bool) -> Option<Charge> {
    let spec = job.spec.cloud.as_ref()?;
    let run = job.cloud.clone().unwrap_or_default();
    let seconds = run.earlier_seconds + run.seconds();
    Some(Charge {
        id: format!("job:{}", job.id),
        user_id: job.user_id.clone(),
        kind: ChargeKind::Training,
        name: job.name.clone(),
        instance_type: if run.instance_type.is_empty() {
            spec.instance_type.clone()
        } else {
            run.instance_type
        },
        month: Month::of(now).to_string(),
        estimate: spec.estimate.or_else(|| spec.at_most()),
        cost: job.cost(),
        seconds,
        ended,
        updated_at: now,
    })
}
