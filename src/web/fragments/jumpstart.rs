//! Pieces of the JumpStart catalogue: what a search finds, and one row with all that is known of its model.

use crate::{
    services::{catalogue::Line, error::ServiceError},
    web::{
        error::FragmentError,
        pages::jumpstart::list::{self, SearchQuery},
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
    Router::new().route("/jumpstart", get(table)).route("/jumpstart/{id}/row", get(row))
}

async fn table(
    State(state): State<AppState>,
    FragmentActor(actor): FragmentActor,
    Query(query): Query<SearchQuery>,
) -> Result<Html<String>, FragmentError> {
    let results = list::load(&state, &actor, &query).await?;
    Ok(Html(render(|| list::table(results, &query))))
}

async fn row(
    State(state): State<AppState>,
    FragmentActor(actor): FragmentActor,
    Path(id): Path<String>,
) -> Result<Html<String>, FragmentError> {
    let line = match state.catalogue.model(&actor, &id).await {
        Ok(shown) => Line {
            listed: shown.model.listed(),
            accepted: shown.accepted.is_some(),
            model: Some(shown.model),
        },
        // The row stays as it is: its model's page says what is wrong with it.
        Err(ServiceError::Refused { .. }) => state.catalogue.line(&actor, &id).await?,
        Err(error) => return Err(error.into()),
    };
    Ok(Html(render(|| list::row(line, false))))
}
