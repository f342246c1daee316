//! Pieces of the data pages: the table after an upload, a row and a dataset while they are checked, the length cut.

use crate::{
    domain::ids::DatasetId,
    services::{
        datasets::report_of,
        error::{ServiceError, ServiceResult},
    },
    web::{
        api::extract::PageQuery,
        error::FragmentError,
        pages::datasets::{
            detail::{self, DetailQuery},
            list, statistics,
        },
        render::render,
        session::FragmentActor,
        state::AppState,
    },
};
use axum::{
    Router,
    extract::{Path, Query, State},
    response::Html,
    routing::get,
};

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/datasets", get(table))
        .route("/datasets/{id}", get(body))
        .route("/datasets/{id}/row", get(row))
        .route("/datasets/{id}/lengths", get(lengths))
}

fn id(text: &str) -> ServiceResult<DatasetId> {
    DatasetId::parse(text).ok_or(ServiceError::NotFound("dataset"))
}

async fn table(
    State(state): State<AppState>,
    FragmentActor(actor): FragmentActor,
) -> Result<Html<String>, FragmentError> {
    let list = list::load(&state, &actor, PageQuery { cursor: None, limit: None }).await?;
    Ok(Html(render(|| list::table(list))))
}

async fn row(
    State(state): State<AppState>,
    FragmentActor(actor): FragmentActor,
    Path(text): Path<String>,
) -> Result<Html<String>, FragmentError> {
    let item = state.datasets.listed_one(&actor, &id(&text)?).await?;
    let now = state.env.now();
    Ok(Html(render(|| list::row(item, now))))
}

async fn body(
    State(state): State<AppState>,
    FragmentActor(actor): FragmentActor,
    Path(text): Path<String>,
    Query(query): Query<DetailQuery>,
) -> Result<Html<String>, FragmentError> {
    let detail = detail::load(&state, &actor, &text, query).await?;
    Ok(Html(render(|| detail::body(detail))))
}

async fn lengths(
    State(state): State<AppState>,
    FragmentActor(actor): FragmentActor,
    Path(text): Path<String>,
    Query(query): Query<DetailQuery>,
) -> Result<Html<String>, FragmentError> {
    let dataset = state.datasets.get(&actor, &id(&text)?).await?;
    let report = report_of(&dataset)?.ok_or(ServiceError::NotFound("report"))?;
    let length = query.length.unwrap_or(statistics::DEFAULT_LENGTH);
    Ok(Html(render(|| statistics::lengths(&text, &report.statistics, length))))
}
