//! `/api/aws/status`: what the last look at AWS found, for administrators; the same document that `llm-tuner doctor
//! --json` prints.

use super::extract::rfc3339;
use crate::{
    domain::{
        checkup::{Checkup, Finding, Leftover, Limit},
        instance::Usage,
        money::Money,
    },
    services::checkup::Shown,
    web::{
        error::{ApiError, ErrorBody},
        session::ApiActor,
        state::AppState,
    },
};
use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(status)).routes(routes!(check))
}

/// One thing that was looked at or tried.
#[derive(Serialize, utoipa::ToSchema)]
pub struct FindingBody {
    /// `settings`, `credentials`, `region`, `bucket`, `role`, `tables`, `training`, `hosting`, `catalogue`, `logs`,
    /// `quotas`, `prices`; of the doctor also `server`.
    area: &'static str,
    /// A setting, or a permission as a policy names it.
    what: String,
    purpose: String,
    /// `ok`, `fail`, or `skip`: not needed, or nothing to try it on.
    result: &'static str,
    found: String,
    next_step: Option<String>,
}

impl From<&Finding> for FindingBody {
    fn from(finding: &Finding) -> Self {
        Self {
            area: finding.area.as_str(),
            what: finding.what.clone(),
            purpose: finding.purpose.clone(),
            result: finding.verdict.as_str(),
            found: finding.found.clone(),
            next_step: finding.next_step.clone(),
        }
    }
}

/// How many machines of a type may run at once.
#[derive(Serialize, utoipa::ToSchema)]
pub struct LimitBody {
    instance_type: &'static str,
    /// `training`, `spot_training`, `hosting`
    usage: &'static str,
    /// `null`: AWS lists no such quota.
    limit: Option<f64>,
    /// Where a larger one is asked for.
    request_url: Option<String>,
}

impl From<&Limit> for LimitBody {
    fn from(limit: &Limit) -> Self {
        let usage = match limit.usage {
            Usage::Training => "training",
            Usage::SpotTraining => "spot_training",
            Usage::Hosting => "hosting",
        };
        Self { instance_type: limit.instance_type, usage, limit: limit.limit, request_url: limit.url.clone() }
    }
}

/// What runs on AWS under this installation's tag without an open row here. Nothing is stopped by itself.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OrphanBody {
    /// `training_job`, `endpoint`
    kind: &'static str,
    name: String,
    since: Option<String>,
    machine: Option<String>,
    /// US dollars an hour; `null`: unknown.
    hourly_cost: Option<f64>,
    why: String,
    next_step: String,
}

impl From<&Leftover> for OrphanBody {
    fn from(leftover: &Leftover) -> Self {
        Self {
            kind: leftover.kind.as_str(),
            name: leftover.name.clone(),
            since: leftover.since.map(rfc3339),
            machine: leftover.machine.clone(),
            hourly_cost: leftover.per_hour.map(Money::dollars),
            why: leftover.why.clone(),
            next_step: leftover.next_step.clone(),
        }
    }
}

/// What one look found.
#[derive(Serialize, utoipa::ToSchema)]
pub struct CheckupBody {
    /// Nothing failed.
    well: bool,
    findings: Vec<FindingBody>,
    quotas: Vec<LimitBody>,
    orphans: Vec<OrphanBody>,
    /// Why the orphans are not known, or not all.
    orphans_problem: Option<String>,
}

impl From<&Checkup> for CheckupBody {
    fn from(checkup: &Checkup) -> Self {
        Self {
            well: checkup.is_well(),
            findings: checkup.findings.iter().map(Into::into).collect(),
            quotas: checkup.limits.iter().map(Into::into).collect(),
            orphans: checkup.leftovers.iter().map(Into::into).collect(),
            orphans_problem: checkup.leftovers_problem.clone(),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct StatusBody {
    /// Is anything of AWS used with the server's settings?
    used: bool,
    /// A look goes on.
    checking: bool,
    /// What the settings say, without asking AWS.
    settings: Vec<FindingBody>,
    /// When the last look ended. `null`: there was none since the server's start.
    checked_at: Option<String>,
    last: Option<CheckupBody>,
}

impl From<&Shown> for StatusBody {
    fn from(shown: &Shown) -> Self {
        Self {
            used: shown.used,
            checking: shown.looking.is_some(),
            settings: shown.settings.iter().map(Into::into).collect(),
            checked_at: shown.last.as_ref().map(|last| rfc3339(last.at)),
            last: shown.last.as_ref().map(|last| (&last.checkup).into()),
        }
    }
}

/// What the last look at AWS found. For administrators; asks nothing of AWS.
#[utoipa::path(get, path = "/api/aws/status", tag = "AWS",
    responses((status = 200, body = StatusBody), (status = 404, body = ErrorBody)))]
async fn status(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
) -> Result<Json<StatusBody>, ApiError> {
    Ok(Json((&state.checkups.shown(&actor)?).into()))
}

/// Begins a look at AWS, unless one goes on; `GET /api/aws/status` tells when it is over, within a minute. For
/// administrators.
#[utoipa::path(post, path = "/api/aws/check", tag = "AWS",
    responses((status = 202, body = StatusBody), (status = 404, body = ErrorBody)))]
async fn check(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
) -> Result<(StatusCode, Json<StatusBody>), ApiError> {
    state.checkups.begin(&actor).await?;
    Ok((StatusCode::ACCEPTED, Json((&state.checkups.shown(&actor)?).into())))
}
