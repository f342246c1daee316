//! One model: what it is, how it wants its data, what it may be told, where it runs, and its licence.

use super::{licence_label, problem_notice, source_label, task_label};
use crate::{
    domain::{
        jumpstart::{Hyperparameter, Licence, Model, Scope, hyperparameter::explanation},
        licence::LicenceAcceptance,
        time::Instant,
    },
    services::catalogue::Shown,
    web::{
        components::{
            Button, ButtonKind, Card, Column, DataTable, DefinitionList, LinkButton, Notice, PageHeader,
            RelativeTime, Severity,
        },
        error::PageError,
        icons::Icon,
        page::SignedPage,
        shell::Nav,
        state::AppState,
    },
};
use axum::{
    extract::{Path, State},
    response::Response,
};
use leptos::prelude::*;

pub async fn page(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let shown = state.catalogue.model(&actor, &id).await?;
    let now = page.now();
    let title = shown.model.name.clone();
    let page =
        page.at(Nav::Models, &[("Models", "/models"), ("JumpStart", "/models/jumpstart"), (&title, "")]);
    Ok(page.show(&title, move || view_of(shown, now)))
}

fn view_of(shown: Shown, now: Instant) -> impl IntoView {
    let Shown { model, problem, accepted } = shown;
    let notice = problem_notice(&model.source, problem);
    let tunable = !model.layouts().is_empty();
    let tune = format!("/training/new?base=jumpstart:{}", model.id);
    let actions = match (tunable, model.gated && accepted.is_none()) {
        (false, _) => None,
        (true, true) => Some(
            view! { <LinkButton kind=ButtonKind::Primary href="#licence">"Read the licence"</LinkButton> },
        ),
        (true, false) => Some(
            view! { <LinkButton kind=ButtonKind::Primary icon=Icon::Play href=tune>"Tune this model"</LinkButton> },
        ),
    };
    let header = match actions {
        Some(actions) => view! {
            <PageHeader title=model.name.clone() lead=model.description.clone() actions=actions.into_any()/>
        }
        .into_any(),
        None => view! { <PageHeader title=model.name.clone() lead=model.description.clone()/> }.into_any(),
    };
    let why_not = (!tunable).then(|| {
        let (title, next) = if model.training.is_some() {
            ("It is not known how this model wants its data", "It can't be tuned from here.")
        } else {
            ("This model can't be fine-tuned", "AWS offers it to be hosted as it is.")
        };
        view! { <Notice title=title next_step=next/> }
    });
    let about = about(&model, accepted.is_some());
    let (data, machines, settings) = (data(&model), machines(&model), settings(&model));
    view! {
        {header}
        <div class="stack-lg">
            {notice}
            {why_not}
            <Card title="About">{about}</Card>
            {licence(&model, accepted, now)}
            {data}
            {machines}
            {settings}
        </div>
    }
}

fn about(model: &Model, accepted: bool) -> AnyView {
    let text = |value: String| value.into_any();
    let facts = vec![
        ("Id".to_owned(), view! { <span class="mono">{model.id.clone()}</span> }.into_any()),
        ("Version".to_owned(), text(model.version.clone())),
        ("Provider".to_owned(), text(model.provider.clone())),
        ("Task".to_owned(), text(task_label(&model.task))),
        ("Licence".to_owned(), text(licence_label(model, accepted))),
        ("From".to_owned(), text(source_label(&model.source))),
    ];
    view! { <DefinitionList entries=facts/> }.into_any()
}

/// The text to read, and the button that accepts it; who accepted sees when.
fn licence(model: &Model, accepted: Option<LicenceAcceptance>, now: Instant) -> Option<AnyView> {
    let Licence { name, url } = model.licence.clone()?;
    let (id, version) = (model.id.clone(), model.version.clone());
    let form = match accepted {
        _ if !model.gated => view! { <p class="muted">"It need not be accepted here."</p> }.into_any(),
        Some(accepted) => view! {
            <Notice severity=Severity::Good title="You accepted this licence">
                <p>{format!("Version {}, ", accepted.version)}<RelativeTime at=accepted.at now=now/></p>
            </Notice>
        }
        .into_any(),
        None => view! {
            <form method="post" action="/fn/accept_licence" class="stack">
                <input type="hidden" name="id" value=id/>
                <input type="hidden" name="version" value=version/>
                <p>
                    "Read it, then accept it for yourself. Your name, the time, the model and its version are recorded, \
                     and SageMaker is told that you accepted."
                </p>
                <div class="actions"><Button>"Accept licence"</Button></div>
            </form>
        }
        .into_any(),
    };
    Some(
        view! {
            <Card title="Licence" id="licence">
                <div class="stack">
                    <p><a class="link" href=url rel="noreferrer">{format!("Read the licence: {name}")}</a></p>
                    {form}
                </div>
            </Card>
        }
        .into_any(),
    )
}

fn data(model: &Model) -> Option<AnyView> {
    let layouts = model.layouts();
    let entries: Vec<_> = layouts
        .into_iter()
        .map(|layout| (layout.label().to_owned(), layout.description().into_any()))
        .collect();
    (!entries.is_empty())
        .then(|| view! { <Card title="Data"><DefinitionList entries=entries/></Card> }.into_any())
}

fn machines(model: &Model) -> AnyView {
    let types = |default: &str, all: &[String]| {
        let all = all.iter().map(|kind| {
            let usual = (kind == default).then_some(" (usual)");
            view! { <li><span class="mono">{kind.clone()}</span>{usual}</li> }
        });
        view! { <ul>{all.collect_view()}</ul> }.into_any()
    };
    let unknown = || "not known".into_any();
    let entries =
        vec![
            (
                "To train".to_owned(),
                model.training.as_ref().map_or_else(unknown, |recipe| {
                    types(&recipe.default_instance_type, &recipe.instance_types)
                }),
            ),
            (
                "To answer".to_owned(),
                model.hosting.as_ref().map_or_else(unknown, |recipe| {
                    types(&recipe.default_instance_type, &recipe.instance_types)
                }),
            ),
        ];
    view! { <Card title="Instance types"><DefinitionList entries=entries/></Card> }.into_any()
}

/// As they are on the usual machine; another may have other defaults.
fn settings(model: &Model) -> Option<AnyView> {
    let recipe = model.training.as_ref()?;
    let all = model.hyperparameters_on(&recipe.default_instance_type);
    let rows = all.into_iter().filter(|one| one.scope == Scope::Algorithm).map(setting).collect_view();
    Some(
        view! {
            <Card title="Settings" flush=true>
                <DataTable caption="Settings" columns=vec![
                    Column::text("Name"), Column::text("Usual value"), Column::text("May be"), Column::text("What it does"),
                ]>{rows}</DataTable>
            </Card>
        }
        .into_any(),
    )
}

fn setting(one: Hyperparameter) -> AnyView {
    let range = one.range();
    view! {
        <tr>
            <td class="mono">{one.name.clone()}</td>
            <td class="mono">{one.default.unwrap_or_else(|| "–".to_owned())}</td>
            <td>{range}</td>
            <td class="wrap">{explanation(&one.name).unwrap_or("–")}</td>
        </tr>
    }
    .into_any()
}
