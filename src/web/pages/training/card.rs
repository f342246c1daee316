//! The training form's card: the sentence, the figures and doubts of the plan, or what is missing. A fragment too.

use crate::{
    domain::field::FieldError,
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

fn plan_view(typed: &Typed, plan: &Plan) -> AnyView {
    let spec = &plan.spec;
    let length = match spec.hyperparameters.get("max_steps") {
        Some(steps) => format!("{steps} steps"),
        None => {
            let epochs = spec.hyperparameters.get("epochs").map_or("1", String::as_str);
            if epochs == "1" { "1 epoch".to_owned() } else { format!("{epochs} epochs") }
        }
    };
    let memory = match plan.memory_available {
        Some(free) => format!("{} of {} free", format::bytes(plan.memory_bytes), format::bytes(free)),
        None => format::bytes(plan.memory_bytes),
    };
    let max_length =
        format!("{} tokens", format::integer(u64::from(plan.hyperparameters.max_sequence_length)));
    let text = |text: String| text.into_any();
    let facts: Vec<(String, AnyView)> = vec![
        ("Trained for".into(), text(explained(plan, "epochs", length.clone()))),
        ("Rows".into(), text(format::integer(plan.rows))),
        ("Tokens an epoch".into(), text(format::integer(plan.tokens_per_epoch))),
        ("Maximum length".into(), text(explained(plan, "max_sequence_length", max_length))),
        ("Rows cut".into(), text(format::percent(plan.truncated_share))),
        ("Steps".into(), text(format::integer(plan.steps))),
        ("Trained weights".into(), text(format::compact(plan.trainable_parameters))),
        ("Memory".into(), text(memory)),
        (
            "Time".into(),
            text(format!("about {}", format::duration(Duration::from_secs(plan.seconds.max(1))))),
        ),
        ("Cost".into(), text("$0, this machine".to_owned())),
    ];
    let warnings = plan.warnings.clone();
    let doubtful = !warnings.is_empty();
    let base = spec.base_name.clone();
    let data = spec.dataset_names.join(", ");
    let accepted = typed.get("accept_warnings") == "true";
    view! {
        <Card title="Ready">
            <p>"Tune "<strong>{base}</strong>" on "<strong><bdi>{data}</bdi></strong>" for "<strong>{length}</strong>" on "<strong>"this machine"</strong>"."</p>
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
