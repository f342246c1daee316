//! `/api/datasets…` and `/api/samples…`: list, show, download, map, repair, delete; bundled samples.

use super::extract::{ApiJson, PageQuery, rfc3339};
use crate::{
    domain::{
        dataset::{Dataset, DatasetState},
        ids::DatasetId,
    },
    services::{
        datasets::{repairs::Repaired, report_of},
        error::ServiceError,
    },
    web::{
        attachment::attachment,
        error::{ApiError, ErrorBody},
        session::ApiActor,
        state::AppState,
    },
};
use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use bytes::Bytes;
use llm_tuner_dataset::{
    ColumnMapping, RepairCounts, RepairOptions,
    samples::{Bundled, LICENCE},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(rename))
        .routes(routes!(remove))
        .routes(routes!(download))
        .routes(routes!(rejected))
        .routes(routes!(set_mapping))
        .routes(routes!(repair))
        .routes(routes!(samples))
        .routes(routes!(add_sample))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct DatasetView {
    pub id: String,
    pub name: String,
    pub original_name: String,
    /// `chat`, `share_gpt`, `alpaca`, `dolly`, `prompt_completion`, `question_answer`, `text`, `table` or `preference`.
    pub format: Option<String>,
    pub bytes: u64,
    /// Hexadecimal, of the uploaded bytes.
    pub sha256: String,
    /// `checking`, `ready`, `needs_mapping`, `needs_fixing`, `refused` or `failed`.
    #[schema(value_type = String)]
    pub state: DatasetState,
    /// How far the check is, of `bytes`.
    pub checked_bytes: u64,
    /// Usable rows; 0 until checked.
    pub rows: u64,
    /// Why it is not `ready`: the worst thing found, or why the check could not finish.
    pub reason: Option<String>,
    pub version: u32,
    /// Versions of one dataset share it.
    pub family_id: String,
    /// The bundled sample it was made from.
    pub sample: Option<String>,
    pub created_at: String,
    pub updated_at: String,
}

impl From<&Dataset> for DatasetView {
    fn from(dataset: &Dataset) -> Self {
        Self {
            id: dataset.id.to_string(),
            name: dataset.name.clone(),
            original_name: dataset.original_name.clone(),
            format: dataset.format.clone(),
            bytes: dataset.bytes,
            sha256: dataset.sha256.clone(),
            state: dataset.state,
            checked_bytes: dataset.checked_bytes,
            rows: dataset.rows,
            reason: reason(dataset),
            version: dataset.version,
            family_id: dataset.family_id.to_string(),
            sample: dataset.sample.clone(),
            created_at: rfc3339(dataset.created_at),
            updated_at: rfc3339(dataset.updated_at),
        }
    }
}

fn reason(dataset: &Dataset) -> Option<String> {
    if matches!(dataset.state, DatasetState::Ready | DatasetState::Checking) {
        return None;
    }
    let headline =
        || report_of(dataset).ok().flatten().and_then(|report| report.headline().map(str::to_owned));
    dataset.failure.clone().or_else(headline)
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct DatasetsBody {
    datasets: Vec<DatasetView>,
    /// For the next page's `cursor`; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct DatasetDetail {
    #[serde(flatten)]
    dataset: DatasetView,
    /// What the check found: schema, findings grouped by kind with line numbers, statistics, verdict.
    #[schema(value_type = Option<Object>)]
    report: Option<llm_tuner_dataset::Report>,
    /// Names of the jobs that use this version.
    used_by: Vec<String>,
    /// Ids of all versions, newest first.
    versions: Vec<String>,
}

fn id(text: &str) -> Result<DatasetId, ApiError> {
    Ok(DatasetId::parse(text).ok_or(ServiceError::NotFound("dataset"))?)
}

/// The newest version of each of the caller's datasets, newest first.
#[utoipa::path(get, path = "/api/datasets", tag = "Datasets", params(PageQuery),
    responses((status = 200, body = DatasetsBody)))]
async fn list(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Query(query): Query<PageQuery>,
) -> Result<Json<DatasetsBody>, ApiError> {
    let page = state.datasets.list(&actor, &query.into()).await?;
    let datasets = page.items.iter().map(DatasetView::from).collect();
    Ok(Json(DatasetsBody { datasets, next_cursor: page.next }))
}

/// One dataset with its report.
#[utoipa::path(get, path = "/api/datasets/{id}", tag = "Datasets", params(("id" = String, Path)),
    responses((status = 200, body = DatasetDetail), (status = 404, body = ErrorBody)))]
async fn show(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(text): Path<String>,
) -> Result<Json<DatasetDetail>, ApiError> {
    let id = id(&text)?;
    let dataset = state.datasets.get(&actor, &id).await?;
    Ok(Json(DatasetDetail {
        report: report_of(&dataset)?,
        used_by: state.datasets.used_by(&actor, &id).await?,
        versions: state
            .datasets
            .versions(&actor, &id)
            .await?
            .iter()
            .map(|version| version.id.to_string())
            .collect(),
        dataset: DatasetView::from(&dataset),
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameBody {
    /// 1 to 255 characters.
    name: String,
}

/// Renames a dataset.
#[utoipa::path(patch, path = "/api/datasets/{id}", tag = "Datasets", params(("id" = String, Path)),
    request_body = RenameBody,
    responses((status = 200, body = DatasetView), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn rename(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(text): Path<String>,
    ApiJson(body): ApiJson<RenameBody>,
) -> Result<Json<DatasetView>, ApiError> {
    let id = id(&text)?;
    state.datasets.rename(&actor, &id, &body.name).await?;
    Ok(Json(DatasetView::from(&state.datasets.get(&actor, &id).await?)))
}

/// Removes one version with its files. Refused with 409 where jobs use it; the message names them.
#[utoipa::path(delete, path = "/api/datasets/{id}", tag = "Datasets", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn remove(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(text): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.datasets.delete(&actor, &id(&text)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The uploaded file, byte for byte.
#[utoipa::path(get, path = "/api/datasets/{id}/download", tag = "Datasets", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)))]
async fn download(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let (dataset, content) = state.datasets.download(&actor, &id(&text)?).await?;
    Ok(attachment(&dataset.original_name, dataset.bytes, Some(&dataset.sha256), content))
}

/// The lines that the repair which made this version left out, as JSON Lines.
#[utoipa::path(get, path = "/api/datasets/{id}/rejected", tag = "Datasets", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)))]
async fn rejected(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(text): Path<String>,
) -> Result<Response, ApiError> {
    let (name, meta, content) = state.datasets.rejected_lines(&actor, &id(&text)?).await?;
    Ok(attachment(&name, meta.bytes, Some(&meta.sha256), content))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MappingBody {
    /// `[{"column": "title", "role": "prompt"}, …]`; roles are `system`, `prompt`, `completion`, `text`, `ignore`.
    #[schema(value_type = Vec<Object>)]
    mapping: ColumnMapping,
}

/// Says what the columns of a table are for, and checks it again. Answers the version that is checked: a new one where
/// jobs use this one.
#[utoipa::path(put, path = "/api/datasets/{id}/mapping", tag = "Datasets", params(("id" = String, Path)),
    request_body = MappingBody,
    responses((status = 200, body = DatasetView), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn set_mapping(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(text): Path<String>,
    ApiJson(body): ApiJson<MappingBody>,
) -> Result<Json<DatasetView>, ApiError> {
    let dataset = state.datasets.set_mapping(&actor, &id(&text)?, &body.mapping).await?;
    Ok(Json(DatasetView::from(&dataset)))
}

#[derive(Deserialize, Default, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RepairBody {
    /// Also keep only the first of equal rows.
    remove_duplicates: bool,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct RepairResult {
    /// The new version; absent while the repair of a large file goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<DatasetView>,
    /// Rows of the new version.
    kept: u64,
    /// Of these, rows that were mended.
    mended: u64,
    /// Rows left out; `GET /api/datasets/{id}/rejected` of the new version has them.
    rejected: u64,
    /// Of these, rows equal to an earlier one.
    duplicates: u64,
}

/// Makes a mended copy as a new version. The body may be left out. 202 where a large file takes longer: the version
/// then appears by itself.
#[utoipa::path(post, path = "/api/datasets/{id}/repair", tag = "Datasets", params(("id" = String, Path)),
    request_body = Option<RepairBody>,
    responses((status = 201, body = RepairResult), (status = 202, body = RepairResult),
        (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn repair(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(text): Path<String>,
    body: Bytes,
) -> Result<(StatusCode, Json<RepairResult>), ApiError> {
    let body: RepairBody = if body.trim_ascii().is_empty() {
        RepairBody::default()
    } else {
        serde_json::from_slice(&body)
            .map_err(|error| ApiError::bad_request(format!("The body can't be read: {error}.")))?
    };
    let options = RepairOptions { remove_duplicates: body.remove_duplicates };
    let (status, dataset, counts) = match state.datasets.repair(&actor, &id(&text)?, options).await? {
        Repaired::Done(dataset, counts) => (StatusCode::CREATED, Some(DatasetView::from(&*dataset)), counts),
        Repaired::Underway => (StatusCode::ACCEPTED, None, RepairCounts::default()),
    };
    let RepairCounts { kept, mended, rejected, duplicates } = counts;
    Ok((status, Json(RepairResult { dataset, kept, mended, rejected, duplicates })))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct SamplesBody {
    samples: Vec<SampleView>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct SampleView {
    slug: &'static str,
    title: &'static str,
    description: &'static str,
    licence: &'static str,
    /// As shown to people.
    format: &'static str,
    bytes: u64,
}

/// Bundled sample datasets of the project's own making.
#[utoipa::path(get, path = "/api/samples", tag = "Datasets", responses((status = 200, body = SamplesBody)))]
async fn samples(State(state): State<AppState>, ApiActor(_): ApiActor) -> Json<SamplesBody> {
    let view = |bundled: Bundled| SampleView {
        slug: bundled.sample.slug,
        title: bundled.sample.title,
        description: bundled.sample.description,
        licence: LICENCE,
        format: bundled.sample.format.label(),
        bytes: bundled.content.len() as u64,
    };
    Json(SamplesBody { samples: state.datasets.samples().into_iter().map(view).collect() })
}

/// Adds a sample to the caller's datasets; where it is there already, answers that one.
#[utoipa::path(post, path = "/api/samples/{slug}", tag = "Datasets", params(("slug" = String, Path)),
    responses((status = 201, body = DatasetView), (status = 404, body = ErrorBody)))]
async fn add_sample(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(slug): Path<String>,
) -> Result<(StatusCode, Json<DatasetView>), ApiError> {
    let dataset = state.datasets.add_sample(&actor, &slug).await?;
    Ok((StatusCode::CREATED, Json(DatasetView::from(&dataset))))
}
