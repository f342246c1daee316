//! `/api/jumpstart-models`: the catalogue of JumpStart models, one of them, and accepting its licence.

use super::extract::{ApiJson, rfc3339};
use crate::{
    domain::jumpstart::{Kind, Licence, Listed, Model, Scope, Source},
    services::catalogue::{Line, Search, Shown},
    store::PageRequest,
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
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(accept))
}

/// What is searched for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    /// Words that all occur in id, name, description, provider or task.
    #[serde(default)]
    q: String,
    /// `text-generation` …
    #[serde(default)]
    task: String,
    #[serde(default)]
    provider: String,
    /// Also models that can't be fine-tuned.
    #[serde(default)]
    all: bool,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    limit: Option<usize>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct JumpStartModelsBody {
    models: Vec<JumpStartLine>,
    /// On all pages.
    total: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    #[serde(flatten)]
    origin: Origin,
}

/// Where the facts come from.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Origin {
    /// `aws`, or `snapshot`: the list that came with the server.
    source: &'static str,
    /// The day of the snapshot.
    as_of: Option<String>,
    /// Why it is not what AWS says now.
    problem: Option<String>,
}

impl Origin {
    fn new(source: &Source, problem: Option<String>) -> Self {
        match source {
            Source::Hub => Self { source: "aws", as_of: None, problem },
            Source::Snapshot { date } => Self { source: "snapshot", as_of: Some(date.clone()), problem },
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct JumpStartLine {
    id: String,
    name: String,
    version: String,
    provider: String,
    task: String,
    description: String,
    fine_tuning_supported: bool,
    licence_accepted: bool,
    /// Null in a list where nobody has looked at the model yet.
    #[serde(flatten)]
    facts: Facts,
}

/// What only the model's own description tells.
#[derive(Default, Serialize, utoipa::ToSchema)]
pub struct Facts {
    /// Its licence must be accepted first.
    gated: Option<bool>,
    licence: Option<LicenceView>,
    default_instance_type: Option<String>,
    instance_types: Option<Vec<String>>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct LicenceView {
    name: String,
    url: String,
}

impl From<&Licence> for LicenceView {
    fn from(licence: &Licence) -> Self {
        Self { name: licence.name.clone(), url: licence.url.clone() }
    }
}

impl From<&Model> for Facts {
    fn from(model: &Model) -> Self {
        let training = model.training.as_ref();
        Self {
            gated: Some(model.gated),
            licence: model.licence.as_ref().map(LicenceView::from),
            default_instance_type: training.map(|recipe| recipe.default_instance_type.clone()),
            instance_types: training.map(|recipe| recipe.instance_types.clone()),
        }
    }
}

impl JumpStartLine {
    fn new(listed: Listed, model: Option<&Model>, licence_accepted: bool) -> Self {
        Self {
            id: listed.id,
            name: listed.name,
            version: listed.version,
            provider: listed.provider,
            task: listed.task,
            description: listed.description,
            fine_tuning_supported: listed.fine_tuning,
            licence_accepted,
            facts: model.map(Facts::from).unwrap_or_default(),
        }
    }
}

impl From<Line> for JumpStartLine {
    fn from(line: Line) -> Self {
        Self::new(line.listed, line.model.as_ref(), line.accepted)
    }
}

/// JumpStart's models, in the order of their ids; those that can be fine-tuned, unless `all` is true.
#[utoipa::path(get, path = "/api/jumpstart-models", tag = "JumpStart", params(SearchQuery),
    responses((status = 200, body = JumpStartModelsBody)))]
async fn list(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Query(query): Query<SearchQuery>,
) -> Result<Json<JumpStartModelsBody>, ApiError> {
    let page = PageRequest { cursor: query.cursor, limit: query.limit.unwrap_or(50).clamp(1, 200) };
    let search = Search { words: query.q, task: query.task, provider: query.provider, all: query.all };
    let results = state.catalogue.search(&actor, &search, &page).await?;
    Ok(Json(JumpStartModelsBody {
        origin: Origin::new(&results.source, results.problem),
        models: results.lines.into_iter().map(JumpStartLine::from).collect(),
        total: results.found,
        next_cursor: results.next,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct JumpStartModel {
    #[serde(flatten)]
    line: JumpStartLine,
    /// On the default instance type; another may have other defaults.
    hyperparameters: Vec<HyperparameterView>,
    /// `instruction`, `chat`, `text`: how it can take its data.
    data_layouts: Vec<Layout>,
    hosting_instance_types: Option<Vec<String>>,
    licence_accepted_at: Option<String>,
    #[serde(flatten)]
    origin: Origin,
}

/// A way to take data.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    Instruction,
    Chat,
    Text,
}

#[derive(Serialize, utoipa::ToSchema)]
pub struct HyperparameterView {
    name: String,
    /// `int`, `float` or `text`.
    r#type: &'static str,
    default: Option<String>,
    min: Option<f64>,
    max: Option<f64>,
    /// The only values, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<String>,
}

impl From<Shown> for JumpStartModel {
    fn from(shown: Shown) -> Self {
        use crate::domain::jumpstart::DataLayout;
        let Shown { model, problem, accepted } = shown;
        let usual = model.training.as_ref().map(|recipe| recipe.default_instance_type.as_str());
        let settings = model.hyperparameters_on(usual.unwrap_or_default()).into_iter();
        let settings = settings.filter(|one| one.scope == Scope::Algorithm).map(|one| HyperparameterView {
            name: one.name,
            r#type: match one.kind {
                Kind::Int => "int",
                Kind::Float => "float",
                Kind::Text => "text",
            },
            default: one.default,
            min: one.min,
            max: one.max,
            options: one.options,
        });
        let layout = |layout: DataLayout| match layout {
            DataLayout::Instruction => Layout::Instruction,
            DataLayout::Chat => Layout::Chat,
            DataLayout::Text => Layout::Text,
        };
        Self {
            hyperparameters: settings.collect(),
            data_layouts: model.layouts().into_iter().map(layout).collect(),
            hosting_instance_types: model.hosting.as_ref().map(|recipe| recipe.instance_types.clone()),
            licence_accepted_at: accepted.as_ref().map(|accepted| rfc3339(accepted.at)),
            origin: Origin::new(&model.source, problem),
            line: JumpStartLine::new(model.listed(), Some(&model), accepted.is_some()),
        }
    }
}

/// One model: its own hyperparameters, data layouts, instance types and licence.
#[utoipa::path(get, path = "/api/jumpstart-models/{id}", tag = "JumpStart", params(("id" = String, Path)),
    responses((status = 200, body = JumpStartModel), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn show(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
) -> Result<Json<JumpStartModel>, ApiError> {
    Ok(Json(state.catalogue.model(&actor, &id).await?.into()))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptBody {
    /// The version whose licence you read.
    version: String,
}

/// Accepts the licence of a gated model, for the caller, and records who did and when. Once is enough.
#[utoipa::path(post, path = "/api/jumpstart-models/{id}/licence", tag = "JumpStart", params(("id" = String, Path)),
    request_body = AcceptBody,
    responses((status = 200, body = JumpStartModel), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn accept(
    State(state): State<AppState>,
    ApiActor(actor): ApiActor,
    Path(id): Path<String>,
    ApiJson(body): ApiJson<AcceptBody>,
) -> Result<Json<JumpStartModel>, ApiError> {
    Ok(Json(state.catalogue.accept(&actor, &id, Some(&body.version)).await?.into()))
}
