//! Hosted models: the list, one endpoint, and the form that deploys a model.

use crate::{
    domain::{
        endpoint::{Endpoint, EndpointState},
        money::Money,
        time::Instant,
    },
    services::{
        error::ServiceError,
        hosting::{IDLE_MINUTES, Machine, Offer, Silence, cost, idle_left},
        talk::name_of_endpoint,
    },
    store::PageRequest as ListPage,
    web::{
        components::{
            Button, ButtonKind, Card, Column, DataTable, DefinitionList, Dialog, EmptyState, FormErrors,
            LinkButton, NameCell, Notice, PageHeader, Pagination, RelativeTime, SelectField, SelectOption,
            Severity, Stat, StatePill, Stats, TextField,
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
use std::time::Duration;

const ROWS: usize = 50;
/// The default idle limit.
const IDLE: &str = "60";
/// What a month without any pause takes.
const MONTH: Duration = Duration::from_secs(730 * 3600);

#[derive(serde::Deserialize)]
pub struct Cursor {
    cursor: Option<String>,
}

/// What of AWS concerns every endpoint.
#[derive(Clone)]
struct Aws {
    missing: Option<String>,
    silence: Option<Silence>,
}

impl Aws {
    fn of(state: &AppState) -> Self {
        Self { missing: state.endpoints.missing().map(str::to_owned), silence: state.endpoints.silence() }
    }

    fn notice(&self, now: Instant) -> Option<AnyView> {
        if let Some(why) = self.missing.clone() {
            return Some(
                view! { <Notice severity=Severity::Warning title="Models can't be hosted on this server" cause=why
                    next_step="Ask the operator to set it up. Endpoints that were made before are not looked after until then."/> }
                .into_any(),
            );
        }
        let silence = self.silence.clone()?;
        let ago = format::ago(now.since(silence.since));
        Some(
            view! { <Notice severity=Severity::Warning title="AWS does not answer"
                cause=format!("The last answer came {ago}. What stands here is as it was then; nothing was changed since.")
                next_step="This page goes on by itself when AWS answers again."/> }
            .into_any(),
        )
    }
}

pub async fn list(
    State(state): State<AppState>,
    Query(Cursor { cursor }): Query<Cursor>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let first = cursor.is_none();
    let endpoints = state.endpoints.list(&actor, &ListPage { cursor, limit: ROWS }).await?;
    let (now, aws) = (page.now(), Aws::of(&state));
    let page = page.at(Nav::Models, &[("Models", "/models"), ("Endpoints", "")]);
    Ok(page.show("Endpoints", move || list_view(endpoints.items, endpoints.next, first, &aws, now)))
}

/// The list; while anything is up it fetches itself again.
fn list_view(
    endpoints: Vec<Endpoint>,
    next: Option<String>,
    first: bool,
    aws: &Aws,
    now: Instant,
) -> impl IntoView + use<> {
    let lead = "Models on machines of AWS. They cost money for every hour that they are up, used or not.";
    if endpoints.is_empty() && first {
        return view! {
            <PageHeader title="Endpoints"/>
            {aws.notice(now)}
            <EmptyState icon=Icon::Models title="No endpoints"
                text="Deploy a finished model to have it answer from a machine of its own at AWS.">
                <LinkButton kind=ButtonKind::Primary href="/models">"Choose a model"</LinkButton>
            </EmptyState>
        }
        .into_any();
    }
    let pace = first.then(|| endpoints.iter().filter_map(pace).min()).flatten();
    let shown = endpoints.len();
    let notice = aws.notice(now);
    let rows = endpoints.into_iter().map(|endpoint| row(endpoint, now)).collect_view();
    view! {
        <PageHeader title="Endpoints" lead=lead/>
        <div id="endpoints" class="stack-lg" hx-get=pace.map(|_| "/endpoints") hx-select="#endpoints"
            hx-trigger=pace.map(every) hx-swap="outerHTML">
            {notice}
            <Card flush=true>
                <DataTable caption="Endpoints" columns=vec![
                    Column::text("Model"), Column::text("State"), Column::text("Machine"), Column::figure("An hour"),
                    Column::figure("So far"), Column::text("Idle"), Column::text("Made"), Column::hidden("Actions"),
                ]>{rows}</DataTable>
            </Card>
        </div>
        {(!first || next.is_some()).then(|| view! {
            <Pagination showing=format::plural(shown as u64, "endpoint", "endpoints")
                previous=(!first).then(|| "/endpoints".to_owned()) next=next.map(|cursor| format!("/endpoints?cursor={cursor}"))/>
        })}
    }
    .into_any()
}

fn row(endpoint: Endpoint, now: Instant) -> impl IntoView {
    let talk = (endpoint.state == EndpointState::InService).then(|| talk_href(&endpoint));
    view! {
        <tr>
            <NameCell name=endpoint.model_name.clone() href=format!("/endpoints/{}", endpoint.id)/>
            <td><StatePill state=endpoint.shown_state()/></td>
            <td class="mono">{endpoint.instance_type.clone()}</td>
            <td class="figure">{money(endpoint.price_per_hour)}</td>
            <td class="figure">{money(cost(&endpoint, now))}</td>
            <td>{idle_left(&endpoint, now).map(|left| format!("deleted in {}", coarse(left)))}</td>
            <td><RelativeTime at=endpoint.created_at now=now/></td>
            <td class="row-actions">{talk.map(|href| view! { <LinkButton small=true href=href>"Talk"</LinkButton> })}</td>
        </tr>
    }
}

/// Seconds between two looks; `None` where nothing changes any more.
fn pace(endpoint: &Endpoint) -> Option<u64> {
    match endpoint.state {
        EndpointState::Creating | EndpointState::Deleting | EndpointState::Failed => Some(3),
        EndpointState::InService => Some(15),
        EndpointState::Deleted => None,
    }
}

fn every(seconds: u64) -> String {
    format!("every {seconds}s")
}

fn talk_href(endpoint: &Endpoint) -> String {
    format!("/playground?model={}", name_of_endpoint(endpoint))
}

fn money(amount: Option<Money>) -> String {
    amount.map_or_else(|| "unknown".to_owned(), |amount| amount.to_string())
}

/// Minutes, and seconds only below one: a countdown that is drawn every few seconds.
fn coarse(left: Duration) -> String {
    let seconds = left.as_secs();
    format::duration(Duration::from_secs(if seconds < 60 { seconds } else { seconds / 60 * 60 }))
}

pub async fn show(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let endpoint = state.endpoints.endpoint(&actor, &id).await?;
    let (now, aws) = (page.now(), Aws::of(&state));
    let title = endpoint.model_name.clone();
    let page = page.at(Nav::Models, &[("Models", "/models"), ("Endpoints", "/endpoints"), (&title, "")]);
    Ok(page.show(&title, move || show_view(&endpoint, &aws, now)))
}

fn show_view(endpoint: &Endpoint, aws: &Aws, now: Instant) -> impl IntoView + use<> {
    let state = endpoint.shown_state();
    let pace = pace(endpoint);
    let own = format!("/endpoints/{}", endpoint.id);
    let talk = (endpoint.state == EndpointState::InService).then(|| talk_href(endpoint));
    let deletable = matches!(endpoint.state, EndpointState::Creating | EndpointState::InService);
    let actions = view! {
        {talk.map(|href| view! { <LinkButton kind=ButtonKind::Primary icon=Icon::Playground href=href>"Talk to it"</LinkButton> })}
        {deletable.then(|| view! { <Button kind=ButtonKind::Danger r#type="button" popovertarget="delete-endpoint">"Delete"</Button> })}
    }
    .into_any();
    let failure = endpoint.failure.clone().map(|failure| {
        let next_step = endpoint.next_step.clone().unwrap_or_default();
        view! { <Notice severity=Severity::Error title=failure next_step=next_step/> }
    });
    let waiting = (endpoint.state == EndpointState::Creating).then(|| {
        view! { <Notice title="It takes five to fifteen minutes until the model answers"
        cause="You can leave this page. AWS bills the machine once it answers."/> }
    });
    let idle = idle_left(endpoint, now)
        .map(|left| view! { <Stat label="Deleted if unused for" value=coarse(left)/> });
    let up = endpoint.in_service_at.map(|since| endpoint.ended_at.unwrap_or(now).since(since));
    let limit = format::duration(Duration::from_secs(endpoint.idle_seconds));
    let moment = |at: Option<Instant>| match at {
        Some(at) => view! { <RelativeTime at=at now=now/> }.into_any(),
        None => "–".into_any(),
    };
    let mut facts: Vec<(String, AnyView)> = vec![
        (
            "Model".into(),
            view! { <a class="link" href=format!("/models/{}", endpoint.model_id)>{endpoint.model_name.clone()}</a> }
                .into_any(),
        ),
        ("Machine".into(), view! { <span class="mono">{endpoint.instance_type.clone()}</span> }.into_any()),
        ("Name at AWS".into(), view! { <span class="mono">{endpoint.name.clone()}</span> }.into_any()),
        ("Idle limit".into(), limit.clone().into_any()),
        ("Made".into(), moment(Some(endpoint.created_at))),
        ("Answers since".into(), moment(endpoint.in_service_at)),
        ("Last asked".into(), moment(Some(endpoint.last_used_at).filter(|at| *at > endpoint.created_at))),
    ];
    if endpoint.ended_at.is_some() {
        facts.push(("Ended".into(), moment(endpoint.ended_at)));
    }
    let id = endpoint.id.to_string();
    let (price, so_far) = (money(endpoint.price_per_hour), money(cost(endpoint, now)));
    view! {
        <div id="endpoint" class="stack-lg" hx-get=pace.map(|_| own) hx-select="#endpoint" hx-trigger=pace.map(every)
            hx-swap="outerHTML">
            <PageHeader title=endpoint.model_name.clone() lead=endpoint.phase.clone()
                beside=view! { <StatePill state=state/> }.into_any() actions=actions/>
            {aws.notice(now)}
            {failure}
            {waiting}
            <Stats>
                <Stat label="Cost so far" value=so_far/>
                <Stat label="An hour" value=price/>
                <Stat label="Up for" value=up.map_or_else(|| "–".to_owned(), coarse)/>
                {idle}
            </Stats>
            <Card title="About"><DefinitionList entries=facts/></Card>
        </div>
        {deletable.then(|| view! { <Dialog id="delete-endpoint" title="Delete this endpoint?">
            <form method="post" action="/fn/delete_endpoint" class="stack">
                <input type="hidden" name="id" value=id/>
                <p>"The machine is given back and costs nothing more. The model stays, and can be deployed again."</p>
                <div class="actions">
                    <Button kind=ButtonKind::Danger>"Delete endpoint"</Button>
                    <Button r#type="button" popovertarget="delete-endpoint">"Keep it"</Button>
                </div>
            </form>
        </Dialog> })}
    }
}

pub async fn deploy(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let model = state.models.model(&actor, &id).await?;
    let href = format!("/models/{id}");
    let page = page.at(Nav::Models, &[("Models", "/models"), (&model.name, &href), ("Deploy", "")]);
    let (now, aws) = (page.now(), Aws::of(&state));
    match state.endpoints.offer(&actor, &id).await {
        Ok(offer) => {
            let flash = Flash::of(page.flash.as_ref(), "deploy");
            // The form's own: pressed twice, it makes one endpoint.
            let key = Some(flash.value("idempotency_key")).filter(|key| !key.is_empty());
            let key = key.unwrap_or_else(|| state.env.secret());
            Ok(page.show("Deploy", move || deploy_view(offer, &flash, key, &aws, now)))
        }
        Err(ServiceError::Refused { message, next_step, .. }) => Ok(page.show("Deploy", move || {
            let title = format!("{} can't be deployed", model.name);
            view! {
                <PageHeader title=format!("Deploy {}", model.name)/>
                <Notice severity=Severity::Error title=title cause=message next_step=next_step/>
            }
        })),
        Err(error) => Err(error.into()),
    }
}

fn deploy_view(offer: Offer, flash: &Flash, key: String, aws: &Aws, now: Instant) -> impl IntoView + use<> {
    let Offer { model, machines, open } = offer;
    let header = view! { <PageHeader title=format!("Deploy {}", model.name)
    lead="Puts the model on a machine of its own at AWS, where it answers until it is deleted."/> };
    if let Some(open) = open {
        let href = format!("/endpoints/{}", open.id);
        return view! {
            {header}
            <Notice title="This model has an endpoint already" cause=format!("It is on {}.", open.instance_type)
                next_step="Delete it first to move the model to another machine.">
                <div class="actions"><LinkButton kind=ButtonKind::Primary href=href>"Open the endpoint"</LinkButton></div>
            </Notice>
        }
        .into_any();
    }
    let options: Vec<SelectOption> = machines
        .iter()
        .map(|machine| SelectOption::new(machine.instance_type.clone(), machine_label(machine)))
        .collect();
    let typed = |field: &str, default: &str| {
        Some(flash.value(field)).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let first = machines.first().map(|machine| machine.instance_type.clone()).unwrap_or_default();
    let chosen = typed("instance_type", &first);
    let idle = typed("idle_minutes", IDLE);
    let source = prices_source(&machines);
    let errors = flash.errors.clone();
    let (machine_error, idle_error) = (flash.error("instance_type"), flash.error("idle_minutes"));
    let notice = aws.notice(now);
    let (least, most) = (IDLE_MINUTES.start().to_string(), IDLE_MINUTES.end().to_string());
    view! {
        {header}
        {notice}
        <Card>
            <form method="post" action="/fn/deploy_model" class="stack form-narrow">
                <FormErrors errors=errors/>
                <input type="hidden" name="model" value=model.id.to_string()/>
                <input type="hidden" name="idempotency_key" value=key/>
                <SelectField label="Machine" name="instance_type" options=options selected=chosen
                    hint="The price of an hour, and of a month if it were never deleted" error=machine_error/>
                <TextField label="Idle limit" name="idle_minutes" kind="number" inputmode="numeric" unit="minutes" value=idle
                    min=least max=most required=true error=idle_error
                    hint="Deleted by itself after so long without a question: 15 minutes to 24 hours"/>
                <p class="muted">{source}" The machine is billed from when the model answers until the endpoint is deleted, used or not."</p>
                <div class="actions"><Button kind=ButtonKind::Primary>"Deploy"</Button></div>
            </form>
        </Card>
    }
    .into_any()
}

fn machine_label(machine: &Machine) -> String {
    let Machine { instance_type, quote } = machine;
    match quote.per_hour {
        Some(price) => {
            let month = price.for_seconds(MONTH.as_secs(), 1);
            format!("{instance_type}: {price} an hour, {month} a month")
        }
        None => format!("{instance_type}: price unknown"),
    }
}

/// Where the prices are from, or why they are not known.
fn prices_source(machines: &[Machine]) -> String {
    let known = machines.iter().find(|machine| machine.quote.per_hour.is_some());
    match known.map(|machine| &machine.quote) {
        Some(quote) if quote.live => format!("Prices are from AWS's price list of {}.", quote.as_of),
        Some(quote) => {
            format!("Prices are estimates, from the list of {} that comes with LLM Tuner.", quote.as_of)
        }
        None => {
            let why = machines.iter().find_map(|machine| machine.quote.problem.clone());
            format!("No price is known: {}", why.unwrap_or_else(|| "AWS lists none.".to_owned()))
        }
    }
}
