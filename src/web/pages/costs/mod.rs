//! What a month cost on AWS: figures, lines, endpoints that run now, and everybody's budgets for administrators; and the
//! same as CSV.

mod people;
mod views;

use crate::{
    services::{
        costs::{Report, Scope, csv},
        error::ServiceError,
    },
    store::PageRequest as ListPage,
    web::{
        api::costs::ReportQuery, attachment::disposition, error::PageError, page::SignedPage, shell::Nav,
        state::AppState,
    },
};
use axum::{
    extract::{Query, State},
    http::header,
    response::{IntoResponse, Response},
};

/// People on a page.
const PEOPLE: usize = 50;

/// Where on the page the people's list is; the months and whose costs are `ReportQuery`'s.
#[derive(serde::Deserialize)]
pub struct PeopleQuery {
    people: Option<String>,
}

pub async fn page(
    State(state): State<AppState>,
    Query(query): Query<ReportQuery>,
    Query(PeopleQuery { people: cursor }): Query<PeopleQuery>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let (month, scope) = parse(&query, actor.is_admin())?;
    let report = state.costs.report(&actor, month, scope).await?;
    let first = cursor.is_none();
    let people = if scope == Scope::Everybody {
        Some(state.costs.people(&actor, Some(report.month), &ListPage { cursor, limit: PEOPLE }).await?)
    } else {
        None
    };
    let no_aws = state.config.aws.missing(&state.config.storage);
    let (flash, now, admin) = (page.flash.clone(), page.now(), actor.is_admin());
    let page = page.at(Nav::Costs, &[("Costs", "/costs")]);
    Ok(page.show("Costs", move || {
        let address = Address::of(&report);
        let people = people.map(|people| people::card(people, first, &address, flash.as_ref()));
        views::costs(&report, &address, admin, no_aws, now, people)
    }))
}

/// The lines of a month as a file for spreadsheets.
pub async fn download(
    State(state): State<AppState>,
    Query(query): Query<ReportQuery>,
    SignedPage { actor, .. }: SignedPage,
) -> Result<Response, PageError> {
    let (month, scope) = parse(&query, actor.is_admin())?;
    let report = state.costs.report(&actor, month, scope).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, disposition(&format!("costs-{}.csv", report.month))),
        // Its name looks like a static file's, which anybody may keep.
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, csv(&report)).into_response())
}

/// A page's address that names no month and nobody is one that does not exist.
fn parse(
    query: &ReportQuery,
    is_admin: bool,
) -> Result<(Option<crate::services::costs::Month>, Scope), ServiceError> {
    query.parse(is_admin).map_err(|_| ServiceError::NotFound("page"))
}

/// How this page is addressed, and its neighbours.
pub struct Address {
    month: String,
    of: &'static str,
}

impl Address {
    fn of(report: &Report) -> Self {
        Self { month: report.month.to_string(), of: of(report.scope) }
    }
    fn month(&self, month: &str) -> String {
        format!("/costs?month={month}&of={}", self.of)
    }
    fn whose(&self, scope: Scope) -> String {
        format!("/costs?month={}&of={}", self.month, of(scope))
    }
    fn csv(&self) -> String {
        format!("/costs.csv?month={}&of={}", self.month, self.of)
    }
    fn people(&self, cursor: Option<&str>) -> String {
        let here = self.month(&self.month);
        cursor.map_or_else(|| here.clone(), |cursor| format!("{here}&people={cursor}"))
    }
}

fn of(scope: Scope) -> &'static str {
    match scope {
        Scope::Mine => "me",
        Scope::Everybody => "all",
    }
}
