//! The list of models, and one model with its files.

use crate::{
    domain::{
        endpoint::Endpoint,
        model::{Model, ModelKind},
        time::Instant,
    },
    store::PageRequest as ListPage,
    web::{
        components::{
            Button, ButtonKind, Card, Column, DataTable, DefinitionList, Dialog, EmptyState, FileRow,
            FormErrors, LinkButton, NameCell, PageHeader, Pagination, RelativeTime, StatePill, TextField,
        },
        error::PageError,
        flash::Flash,
        format,
        icons::Icon,
        page::SignedPage,
        shell::Nav,
        state::AppState,
    },
};
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use leptos::prelude::*;

const ROWS: usize = 50;

#[derive(serde::Deserialize)]
pub struct Cursor {
    cursor: Option<String>,
}

pub async fn list(
    State(state): State<AppState>,
    Query(Cursor { cursor }): Query<Cursor>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let first = cursor.is_none();
    let models = state.models.list(&actor, &ListPage { cursor, limit: ROWS }).await?;
    let now = page.now();
    let page = page.at(Nav::Models, &[("Models", "/models")]);
    let models_shown =
        models.items.into_iter().map(|model| (state.endpoints.why_not(&model).is_none(), model));
    let rows: Vec<_> = models_shown.collect();
    Ok(page.show("Models", move || list_view(rows, models.next, first, now)))
}

/// Each model with whether it can be deployed.
fn list_view(models: Vec<(bool, Model)>, next: Option<String>, first: bool, now: Instant) -> impl IntoView {
    if models.is_empty() {
        return view! {
            <PageHeader title="Models" actions=catalogue_link()/>
            <EmptyState icon=Icon::Models title="No models yet"
                text="A training job leaves its model here: to talk to, and to download.">
                <LinkButton kind=ButtonKind::Primary href="/training/new">"New training"</LinkButton>
            </EmptyState>
        }
        .into_any();
    }
    let shown = models.len();
    let rows = models.into_iter().map(|(deployable, model)| row(model, deployable, now)).collect_view();
    view! {
        <PageHeader title="Models" actions=links()/>
        <Card flush=true>
            <DataTable caption="Models" columns=vec![
                Column::text("Name"), Column::text("Tuned from"), Column::text("On"), Column::figure("Final loss"),
                Column::figure("Size"), Column::text("Made"), Column::hidden("Actions"),
            ]>{rows}</DataTable>
        </Card>
        {(!first || next.is_some()).then(|| view! {
            <Pagination showing=format::plural(shown as u64, "model", "models")
                previous=(!first).then(|| "/models".to_owned()) next=next.map(|cursor| format!("/models?cursor={cursor}"))/>
        })}
    }
    .into_any()
}

fn links() -> AnyView {
    view! {
        <LinkButton href="/endpoints">"Endpoints"</LinkButton>
        {catalogue_link()}
    }
    .into_any()
}

fn catalogue_link() -> AnyView {
    view! { <LinkButton href="/models/jumpstart">"JumpStart models"</LinkButton> }.into_any()
}

fn row(model: Model, deployable: bool, now: Instant) -> impl IntoView {
    let href = format!("/models/{}", model.id);
    let talk = model.answers_here().then(|| format!("/playground?model={}", model.id));
    let deploy = deployable.then(|| format!("/models/{}/deploy", model.id));
    view! {
        <tr>
            <NameCell name=model.name.clone() href=href/>
            <td>{model.base_name.clone()}</td>
            <td class="name" title=model.dataset_names.join(", ")><bdi>{model.dataset_names.join(", ")}</bdi></td>
            <td class="figure">{loss(&model)}</td>
            <td class="figure">{format::bytes(model.bytes)}</td>
            <td><RelativeTime at=model.created_at now=now/></td>
            <td class="row-actions">
                {talk.map(|href| view! { <LinkButton small=true href=href>"Talk"</LinkButton> })}
                {deploy.map(|href| view! { <LinkButton small=true href=href>"Deploy"</LinkButton> })}
            </td>
        </tr>
    }
}

/// Evaluation loss where there is one, else training loss.
fn loss(model: &Model) -> String {
    model.eval_loss.or(model.train_loss).map_or_else(|| "–".to_owned(), format::loss)
}

pub async fn show(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let model = state.models.model(&actor, &id).await?;
    let flash = page.flash.clone();
    let now = page.now();
    let title = model.name.clone();
    let hosting = Hosting {
        why_not: state.endpoints.why_not(&model),
        endpoint: state.endpoints.of_model(&actor, &model.id).await?,
    };
    let page = page.at(Nav::Models, &[("Models", "/models"), (&title, "")]);
    Ok(page.show(&title, move || show_view(model, &hosting, Flash::of(flash.as_ref(), "rename"), now)))
}

/// Whether the model is hosted, or can be.
struct Hosting {
    why_not: Option<String>,
    endpoint: Option<Endpoint>,
}

fn show_view(model: Model, hosting: &Hosting, rename: Flash, now: Instant) -> impl IntoView + use<> {
    let talk = model.answers_here().then(|| format!("/playground?model={}", model.id));
    let archive = format!("/api/models/{}/archive", model.id);
    let deploy = (hosting.why_not.is_none() && hosting.endpoint.is_none())
        .then(|| format!("/models/{}/deploy", model.id));
    let actions = view! {
        {talk.map(|href| view! { <LinkButton kind=ButtonKind::Primary icon=Icon::Playground href=href>"Talk to it"</LinkButton> })}
        {deploy.map(|href| view! { <LinkButton href=href>"Deploy"</LinkButton> })}
        <LinkButton icon=Icon::Download download=true href=archive>"Download all"</LinkButton>
        <Button kind=ButtonKind::Danger r#type="button" popovertarget="delete-model">"Delete"</Button>
    }
    .into_any();
    let kind = match model.kind {
        ModelKind::Full => "All weights".to_owned(),
        ModelKind::Adapter => "LoRA adapter: needs its base".to_owned(),
    };
    let optional = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), format::loss);
    let job = format!("/training/{}", model.job_name);
    let facts: Vec<(String, AnyView)> = vec![
        ("Kind".into(), kind.into_any()),
        ("Tuned from".into(), model.base_name.clone().into_any()),
        ("Tuned on".into(), model.dataset_names.join(", ").into_any()),
        (
            "Training job".into(),
            view! { <a class="link mono" href=job>{model.job_name.clone()}</a> }.into_any(),
        ),
        ("Evaluation loss".into(), optional(model.eval_loss).into_any()),
        ("Training loss".into(), optional(model.train_loss).into_any()),
        ("Size".into(), format::bytes(model.bytes).into_any()),
        ("Made".into(), view! { <RelativeTime at=model.created_at now=now/> }.into_any()),
        ("Hosting".into(), hosting_view(hosting)),
    ];
    let files = model
        .files
        .iter()
        .map(|file| {
            let href = format!("/api/models/{}/files/{}", model.id, file.path);
            view! { <FileRow name=file.path.clone() bytes=file.bytes href=href sha256=file.sha256.clone()/> }
        })
        .collect_view();
    let (id, renamed) = (model.id.to_string(), model.id.to_string());
    let name = if rename.errors.is_empty() { model.name.clone() } else { rename.value("name") };
    view! {
        <PageHeader title=model.name.clone() actions=actions/>
        <div class="stack-lg">
            <Card title="About"><DefinitionList entries=facts/></Card>
            <Card title="Files" flush=true>{files}</Card>
            <Card title="Name">
                <form method="post" action="/fn/rename_model" class="stack form-narrow">
                    <FormErrors errors=rename.errors.clone()/>
                    <input type="hidden" name="id" value=renamed/>
                    <TextField label="Name" name="name" required=true value=name error=rename.error("name")/>
                    <div class="actions"><Button>"Save name"</Button></div>
                </form>
            </Card>
        </div>
        <Dialog id="delete-model" title="Delete this model?">
            <form method="post" action="/fn/delete_model" class="stack">
                <input type="hidden" name="id" value=id/>
                <p>"Its files are removed for good. The training job and its log stay."</p>
                <div class="actions">
                    <Button kind=ButtonKind::Danger>"Delete model"</Button>
                    <Button r#type="button" popovertarget="delete-model">"Keep it"</Button>
                </div>
            </form>
        </Dialog>
    }
}

/// The endpoint that there is, or why there can be none.
fn hosting_view(hosting: &Hosting) -> AnyView {
    match (&hosting.endpoint, &hosting.why_not) {
        (Some(endpoint), _) => {
            let href = format!("/endpoints/{}", endpoint.id);
            view! { <a class="link" href=href>"On " {endpoint.instance_type.clone()}</a>" "<StatePill state=endpoint.state/> }
                .into_any()
        }
        (None, Some(why)) => format!("It can't be deployed. {why}").into_any(),
        (None, None) => "Not deployed".into_any(),
    }
}
