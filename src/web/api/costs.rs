//! `/api/costs` and what belongs to it: an estimate before a start, the ledger of a month, budgets. Amounts are US
//! dollars; what is not known is `null`, never 0.

use super::extract::{ApiJson, rfc3339};
use crate::{
    domain::{field::FieldError, money::Money},
    services::{
        costs::{Estimate, Line, Month, Person, Report, Running, Scope, parse_budget},
        error::ServiceError,
    },
    web::{
        error::{ApiError, ErrorBody},
        session::ApiActor,
        state::AppState,
    },
};
use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(estimate)).routes(routes!(report)).routes(routes!(budget, set_budget))
}

fn dollars(amount: Option<Money>) -> Option<f64> {
    amount.map(Money::dollars)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
#[derive(Default)]
pub struct EstimateQuery {
    /// Told back as it is: the price is the machine's.
    base_model: String,
    /// `ml.g5.2xlarge`
    instance_type: String,
    /// More than 0, at most 672 (28 days).
    estimated_hours: String,
}

/// The seed's fields, and where the price is from.
#[derive(Serialize, utoipa::ToSchema)]
pub struct EstimateBody {
    base_model: String,
    instance_type: String,
    estimated_hours: f64,
    /// Of one machine, on demand. Of spot capacity it is the most that it costs.
    hourly_cost: Option<f64>,
    total_estimated_cost: Option<f64>,
    /// `USD`
    currency: &'static str,
    /// The day of the price (`2026-11-21`), or its month.
    as_of: String,
    /// `aws`: its price list; `snapshot`: the list that ships with the product; `unknown`.
    source: &'static str,
    /// The price differs between regions.
    region: String,
    /// Why the price is not AWS's own, or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What training on a SageMaker machine would cost. An unknown price is `null`.
#[utoipa::path(get, path = "/api/training-cost-estimate", tag = "Costs", params(EstimateQuery),
    responses((status = 200, body = EstimateBody), (status = 422, body = ErrorBody)))]
async fn estimate(
    State(state): State<AppState>,
    ApiActor(_): ApiActor,
    Query(query): Query<EstimateQuery>,
) -> Result<Json<EstimateBody>, ApiError> {
    // What is no number is out of every range.
    let hours = query.estimated_hours.trim().parse().unwrap_or(f64::NAN);
    let Estimate { instance_type, hours, quote, total } =
        state.costs.estimate(&query.instance_type, hours).await?;
    Ok(Json(EstimateBody {
        base_model: query.base_model,
        instance_type: instance_type.name.to_owned(),
        estimated_hours: hours,
        hourly_cost: dollars(quote.per_hour),
        total_estimated_cost: dollars(total),
        currency: "USD",
        source: quote.source(),
        as_of: quote.as_of,
        region: quote.region,
        note: quote.problem,
    }))
}

/// Which month, and whose.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// `2026-11`; that of today by default.
    month: Option<String>,
    /// `me`; for administrators also `all`, which is their default.
    of: Option<String>,
}

impl ReportQuery {
    /// # Errors
    /// `Invalid`, with the field.
    pub fn parse(&self, is_admin: bool) -> Result<(Option<Month>, Scope), ServiceError> {
        let month = match self.month.as_deref().filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let wrong = || FieldError::new("month", "A month is written like 2026-11.");
                Some(Month::parse(text).ok_or_else(wrong)?)
            }
        };
        let scope = match self.of.as_deref().unwrap_or_default() {
            "" if is_admin => Scope::Everybody,
            "" | "me" => Scope::Mine,
            "all" => Scope::Everybody,
            _ => {
                return Err(ServiceError::invalid(
                    "of",
                    "Ask for the costs of \"me\" or, as an administrator, \"all\".",
                ));
            }
        };
        Ok((month, scope))
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct ReportBody {
    month: String,
    /// Months that have costs, newest first.
    months: Vec<String>,
    /// `me` or `all`.
    of: &'static str,
    /// `USD`
    currency: &'static str,
    #[serde(flatten)]
    sums: SumsView,
    /// The caller's own for a month; `null` sets no limit.
    budget: Option<f64>,
    lines: Vec<LineView>,
    /// What is hosted right now.
    endpoints: Vec<EndpointView>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct SumsView {
    /// So far, as far as it is known.
    spent: f64,
    /// With what runs and waits.
    expected: f64,
    /// Jobs and endpoints whose cost is unknown and is in neither figure.
    unknown: u64,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct LineView {
    person: String,
    /// `training` or `hosting`.
    kind: &'static str,
    name: String,
    instance_type: String,
    seconds: u64,
    estimate: Option<f64>,
    cost: Option<f64>,
    /// `running` or `ended`.
    state: &'static str,
    updated_at: String,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct EndpointView {
    person: String,
    name: String,
    model: String,
    instance_type: String,
    /// `creating`, `in_service`, `deleting` or `failed`.
    state: &'static str,
    price_per_hour: Option<f64>,
    /// Since it is billed.
    cost: Option<f64>,
    in_service_since: Option<String>,
    /// Nobody has used it for so long; `null` where it is in use.
    idle_seconds: Option<u64>,
    /// Then it is deleted.
    idle_limit_seconds: u64,
}

impl From<&Line> for LineView {
    fn from(Line { charge, person, .. }: &Line) -> Self {
        Self {
            person: person.clone(),
            kind: charge.kind.as_str(),
            name: charge.name.clone(),
            instance_type: charge.instance_type.clone(),
            seconds: charge.seconds,
            estimate: dollars(charge.estimate),
            cost: dollars(charge.cost),
            state: if charge.ended { "ended" } else { "running" },
            updated_at: rfc3339(charge.updated_at),
        }
    }
}

impl From<&Running> for EndpointView {
    fn from(Running { endpoint, person, cost, idle }: &Running) -> Self {
        Self {
            person: person.clone(),
            name: endpoint.name.clone(),
            model: endpoint.model_name.clone(),
            instance_type: endpoint.instance_type.clone(),
            state: endpoint.state.as_str(),
            price_per_hour: dollars(endpoint.price_per_hour),
            cost: dollars(*cost),
            in_service_since: endpoint.in_service_at.map(rfc3339),
            idle_seconds: idle.map(|idle| idle.as_secs()),
            idle_limit_seconds: endpoint.idle_seconds,
        }
    }
}

impl From<&Report> for ReportBody {
    fn from(report: &Report) -> Self {
        Self {
            month: report.month.to_string(),
            months: report.months.iter().map(ToString::to_string).collect(),
            of: if report.scope == Scope::Mine { "me" } else { "all" },
            currency: "USD",
            sums: SumsView::from(&report.sums),
            budget: dollars(report.budget),
            lines: report.lines.iter().map(LineView::from).collect(),
            endpoints: report.running.iter().map(EndpointView::from).collect(),
        }
    }
}

impl From<&crate::services::costs::Sums> for SumsView {
    fn from(sums: &crate::services::costs::Sums) -> Self {
        Self { spent: sums.spent.dollars(), expected: sums.expected().dollars(), unknown: sums.unknown }
    }
}

/// What a month cost on AWS, and what is hosted now. Jobs on the server's own machine cost nothing and are not in it.
#[utoipa::path(get, path = "/api/costs", tag = "Costs", params(ReportQuery),
    responses((status = 200, body = ReportBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn report(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Query(query): Query<ReportQuery>,
) -> Result<Json<ReportBody>, ApiError> {
    let (month, scope) = query.parse(actor.is_admin())?;
    Ok(Json(ReportBody::from(&state.costs.report(&actor, month, scope).await?)))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct BudgetView {
    user_id: String,
    email: String,
    /// For a month; `null` sets no limit.
    budget: Option<f64>,
    /// `USD`
    currency: &'static str,
    /// The present one.
    month: String,
    #[serde(flatten)]
    sums: SumsView,
}

impl From<&Person> for BudgetView {
    fn from(person: &Person) -> Self {
        Self {
            user_id: person.id.to_string(),
            email: person.email.to_string(),
            budget: dollars(person.budget),
            currency: "USD",
            month: person.month.to_string(),
            sums: SumsView::from(&person.sums),
        }
    }
}

/// A person's budget and how it stands this month: the caller's own; anybody's for administrators.
#[utoipa::path(get, path = "/api/users/{id}/budget", tag = "Costs", params(("id" = String, Path)),
    responses((status = 200, body = BudgetView), (status = 404, body = ErrorBody)))]
async fn budget(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
) -> Result<Json<BudgetView>, ApiError> {
    Ok(Json(BudgetView::from(&state.costs.budget(&actor, &id).await?)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetBody {
    /// US dollars a month, as a number or a text; `null` sets no limit.
    #[schema(value_type = Option<f64>)]
    budget: serde_json::Value,
}

/// Sets what a person may spend on AWS in a month. A start that would go over it is refused. For administrators.
#[utoipa::path(put, path = "/api/users/{id}/budget", tag = "Costs", params(("id" = String, Path)), request_body = BudgetBody,
    responses((status = 200, body = BudgetView), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn set_budget(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
    ApiJson(body): ApiJson<BudgetBody>,
) -> Result<Json<BudgetView>, ApiError> {
    let typed = match body.budget {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    state.costs.set_budget(&actor, &id, parse_budget(&typed)?).await?;
    Ok(Json(BudgetView::from(&state.costs.budget(&actor, &id).await?)))
}
