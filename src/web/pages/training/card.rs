//! The training form's card: the sentence, the figures and doubts of the plan, or what is missing. A fragment too.

use crate::{
    domain::{
        cloud::{CloudSpec, Route},
        field::FieldError,
    },
    services::{context::Actor, error::ServiceError, training::plan::Plan},
    web::{
        components::{Button, ButtonKind, Card, Checkbox, DefinitionList, Notice, Severity},
        error::{FragmentError, Problem},
        format,
        render::render,
        session::FragmentActor,
        state::AppState,
        typed::Typed,
    },
};
use axum::{
    extract::{RawQuery, State},
    response::Html,
};
use leptos::prelude::*;
use std::time::Duration;

/// The card alone.
pub async fn plan_fragment(
    State(state): State<AppState>,
    RawQuery(query): RawQuery,
    FragmentActor(actor): FragmentActor,
) -> Result<Html<String>, FragmentError> {
    let typed = Typed::from_query(&query.unwrap_or_default());
    let plan = plan_of(&state, &actor, &typed).await;
    Ok(Html(render(move || card(&typed, plan))))
}

/// What the card shows: a plan, or what is missing.
pub enum Ready {
    Plan(Box<Plan>),
    Missing(Problem),
}

pub async fn plan_of(state: &AppState, actor: &Actor, typed: &Typed) -> Ready {
    if typed.get("dataset").is_empty() {
        return Ready::Missing(ServiceError::invalid("dataset", "Choose a dataset.").into());
    }
    match state.training.plan(actor, &typed.request()).await {
        Ok(plan) => Ready::Plan(Box::new(plan)),
        Err(error) => Ready::Missing(error.into()),
    }
}

/// The sentence, the figures, the doubts, and the button that says what is missing.
pub fn card(typed: &Typed, ready: Ready) -> AnyView {
    match ready {
        Ready::Missing(problem) => {
            let lines = if problem.fields.is_empty() {
                view! { <li>{problem.message.clone()}</li> }.into_any()
            } else {
                problem.fields.iter().map(missing).collect_view().into_any()
            };
            let label = match problem.fields.first().map(|error| error.field.as_str()) {
                Some("dataset") => "Choose a dataset",
                Some("base_model") => "Choose a model",
                Some(_) => "Correct the settings",
                None => "Not ready",
            };
            view! {
                <Card title="Not ready">
                    <ul class="missing">{lines}</ul>
                    {(!problem.next_step.is_empty()).then(|| view! { <p class="muted">{problem.next_step.clone()}</p> })}
                    <Button kind=ButtonKind::Primary wide=true disabled=true>{label}</Button>
                    {check_button()}
                </Card>
            }
            .into_any()
        }
        Ready::Plan(plan) => plan_view(typed, &plan),
    }
}

/// Leads to its field, which app.js marks.
fn missing(error: &FieldError) -> impl IntoView + use<> {
    let (id, href) = (format!("plan-{}", error.field), format!("#{}", error.field));
    view! { <li id=id data-field=error.field.clone()><a class="link" href=href>{error.message.clone()}</a></li> }
}

/// For pages without JavaScript: asks for the same page, filled in.
fn check_button() -> impl IntoView {
    view! { <button class="btn btn-quiet no-js" formmethod="get" formaction="/training/new" formnovalidate>"Check again"</button> }
}

/// A setting's value, and why it was chosen where the person left it open.
fn explained(plan: &Plan, setting: &str, value: String) -> String {
    match plan.automatic.iter().find(|one| one.setting == setting) {
        Some(chosen) => format!("{value}, automatic: {}", chosen.reason),
        None => value,
    }
}

/// What is known, and nothing else: of a model elsewhere less is.
fn facts(plan: &Plan, length: &str) -> Vec<(String, AnyView)> {
    let mut facts: Vec<(&str, String)> = Vec::new();
    if let Some(settings) = &plan.hyperparameters {
        facts.push(("Trained for", explained(plan, "epochs", length.to_owned())));
        facts.push(("Rows", format::integer(plan.rows)));
        facts.push(("Tokens an epoch", format::integer(plan.tokens_per_epoch)));
        let tokens = format!("{} tokens", format::integer(u64::from(settings.max_sequence_length)));
        facts.push(("Maximum length", explained(plan, "max_sequence_length", tokens)));
        facts.push(("Rows cut", format::percent(plan.truncated_share)));
        facts.push(("Steps", format::integer(plan.steps)));
    } else {
        facts.push(("Rows", format::integer(plan.rows)));
        facts.push(("Tokens an epoch", format!("about {}", format::integer(plan.tokens_per_epoch))));
    }
    if plan.trainable_parameters > 0 {
        facts.push(("Trained weights", format::compact(plan.trainable_parameters)));
    }
    match (plan.memory_bytes, plan.memory_available) {
        (0, _) => {}
        (bytes, Some(free)) => {
            facts.push(("Memory", format!("{} of {} free", format::bytes(bytes), format::bytes(free))));
        }
        (bytes, None) => facts.push(("Memory", format::bytes(bytes))),
    }
    let time = plan.seconds.map_or_else(
        || "unknown".to_owned(),
        |seconds| format!("about {}", format::duration(Duration::from_secs(seconds.max(1)))),
    );
    facts.push(("Time", time));
    match &plan.spec.cloud {
        None => facts.push(("Cost", "$0, this machine".to_owned())),
        Some(spec) => facts.extend(money(spec)),
    }
    facts.into_iter().map(|(name, value)| (name.to_owned(), value.into_any())).collect()
}

fn money(spec: &CloudSpec) -> Vec<(&'static str, String)> {
    let price = match (spec.prices.get(&spec.instance_type), &spec.prices_as_of) {
        (Some(price), Some(date)) => format!("{price} an hour, as of {date}"),
        (Some(price), None) => format!("{price} an hour"),
        (None, _) => "unknown".to_owned(),
    };
    let spot = if spec.spot { ", less on spare capacity" } else { "" };
    let estimate =
        spec.estimate.map_or_else(|| "unknown".to_owned(), |estimate| format!("about {estimate}{spot}"));
    let limit = format::duration(Duration::from_secs(spec.max_runtime_seconds));
    let most = spec.at_most().map_or_else(
        || format!("unknown; it is stopped after {limit}"),
        |most| format!("{most}: it is stopped after {limit}"),
    );
    let mut facts = vec![("Price", price), ("Cost", estimate), ("At most", most)];
    if !spec.fallback.is_empty() {
        facts.push(("Or else on", spec.fallback.join(", ")));
    }
    facts
}

/// `SageMaker, ml.g5.2xlarge`
pub fn place_words(spec: &CloudSpec) -> String {
    let route = match spec.route {
        Route::Image => "SageMaker (our own image)",
        Route::Script => "SageMaker (Hugging Face container)",
        Route::JumpStart { .. } => "SageMaker JumpStart",
    };
    let spot = if spec.spot { ", spot" } else { "" };
    format!("{route}, {}{spot}", spec.instance_type)
}

fn plan_view(typed: &Typed, plan: &Plan) -> AnyView {
    let spec = &plan.spec;
    let length = match spec.hyperparameters.get("max_steps") {
        Some(steps) => format!("{steps} steps"),
        None => {
            let named = spec.hyperparameters.get("epochs").cloned();
            let own = plan.own_epochs.map(|epochs| epochs.to_string());
            let epochs = match (own.or(named), &plan.hyperparameters) {
                (Some(epochs), _) => epochs,
                (None, Some(_)) => "1".to_owned(),
                // A JumpStart model whose description does not say.
                (None, None) => "its usual number of".to_owned(),
            };
            if epochs == "1" { "1 epoch".to_owned() } else { format!("{epochs} epochs") }
        }
    };
    let facts = facts(plan, &length);
    let place = spec.cloud.as_ref().map_or_else(|| "this machine".to_owned(), place_words);
    let warnings = plan.warnings.clone();
    let doubtful = !warnings.is_empty();
    let base = spec.base_name.clone();
    let data = spec.dataset_names.join(", ");
    let accepted = typed.get("accept_warnings") == "true";
    view! {
        <Card title="Ready">
            <p>"Tune "<strong>{base}</strong>" on "<strong><bdi>{data}</bdi></strong>" for "<strong>{length}</strong>" on "<strong>{place}</strong>"."</p>
            <DefinitionList entries=facts/>
            {warnings.into_iter().map(|warning| view! { <Notice severity=Severity::Warning title=warning/> }).collect_view()}
            {doubtful.then(|| view! {
                <Checkbox label="I have read this and go on" name="form[accept_warnings]" id="accept_warnings" checked=accepted/>
            })}
            <Button kind=ButtonKind::Primary wide=true>"Start training"</Button>
            {check_button()}
        </Card>
    }
    .into_any()
}
