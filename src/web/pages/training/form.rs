//! The form of a new training job: four sections, and a card that says *ready* or what is missing. The card is a
//! fragment: htmx fetches it again as the form changes; without JavaScript "Check" does.

use super::{
    card::{Ready, card, plan_of},
    place,
};
use crate::{
    domain::{
        dataset::{Dataset, DatasetState},
        field::FieldError,
    },
    services::training::bases::Base,
    store::PageRequest as ListPage,
    web::{
        components::{
            Card, Checkbox, FormErrors, LinkButton, MaybeText, Notice, PageHeader, RadioCard, RadioCards,
            SelectField, SelectOption, Severity, TextField,
        },
        error::PageError,
        flash::Flash,
        format,
        page::SignedPage,
        shell::Nav,
        state::AppState,
        typed::Typed,
    },
};
use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use leptos::prelude::*;
use llm_tuner_engine::hyperparameters::{Hyperparameters, Preset};
use std::collections::BTreeMap;

pub async fn page(
    State(state): State<AppState>,
    RawQuery(query): RawQuery,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let query = query.unwrap_or_default();
    let mut typed = Typed::from_query(&query);
    // The key stays in the address: who comes back to the form and presses again starts nothing twice.
    if typed.get("key").is_empty() {
        let mark = if query.is_empty() { "" } else { "&" };
        let to = format!("/training/new?{query}{mark}key={}", state.env.secret());
        return Ok(Redirect::to(&to).into_response());
    }
    // Asked for by the form itself, where there is no script.
    let checked = query.contains("form[") || query.contains("form%5B");
    let key = typed.get("key").to_owned();
    let clone = typed.get("clone").to_owned();
    if !clone.is_empty() {
        let job = state.training.job(&actor, &clone).await?;
        typed = Typed::of(&state.training.clone_request(&job));
    }
    // A link from the catalogue.
    if !typed.get("base").is_empty() {
        typed.set("base_model", typed.get("base").to_owned());
    }
    // A form that came back with mistakes: what was typed wins.
    let flash = Flash::of(page.flash.as_ref(), "training");
    if !flash.values.is_empty() {
        typed = Typed(flash.values.clone());
    }
    let bases = state.training.bases.list(&actor).await?;
    let datasets = state.datasets.list(&actor, &ListPage { cursor: None, limit: 200 }).await?.items;
    typed.or("base_model", "nano");
    // The only one there is, unless the person chose none.
    if !typed.0.contains_key("dataset") {
        let ready: Vec<_> = datasets.iter().filter(|dataset| dataset.state == DatasetState::Ready).collect();
        if let [only] = ready.as_slice() {
            typed.set("dataset", only.id.as_str());
        }
    }
    typed.set("key", key);
    let plan = plan_of(&state, &actor, &typed).await;
    let elsewhere = place::Choice::of(&state, &typed).await;
    let page = page.at(Nav::Training, &[("Training", "/training"), ("New training", "/training/new")]);
    Ok(page.show("New training", move || {
        form_view(&bases, &datasets, &typed, &flash, plan, checked, &elsewhere)
    }))
}

fn form_view(
    bases: &[Base],
    datasets: &[Dataset],
    typed: &Typed,
    flash: &Flash,
    plan: Ready,
    checked: bool,
    elsewhere: &place::Choice,
) -> impl IntoView + use<> {
    let errors: BTreeMap<String, String> = match &plan {
        Ready::Missing(problem) => {
            problem.fields.iter().map(|error| (error.field.clone(), error.message.clone())).collect()
        }
        Ready::Plan(_) => {
            flash.errors.iter().map(|error| (error.field.clone(), error.message.clone())).collect()
        }
    };
    let refused = flash.problem.clone();
    let summary = if checked || !flash.errors.is_empty() {
        errors.iter().map(|(field, message)| FieldError::new(field, message)).collect()
    } else {
        Vec::new()
    };
    let key = typed.get("key").to_owned();
    let model = model_section(bases, typed, &errors, elsewhere);
    let data = data_section(datasets, typed, &errors, elsewhere.model.is_none());
    let settings = match &elsewhere.model {
        Some(model) => place::own_settings(model, typed, &errors),
        None => settings_section(typed, &errors).into_any(),
    };
    let place = place::section(elsewhere, typed, &errors);
    let card = card(typed, plan);
    view! {
        <PageHeader title="New training"/>
        {refused.map(|(message, next)| view! { <Notice severity=Severity::Error title=message next_step=next focus=true/> })}
        <FormErrors errors=summary/>
        <form id="training-form" method="post" action="/fn/start_training" class="training-form">
            <input type="hidden" name="form[key]" value=key/>
            <div class="stack-lg">
                <Card title="1. Model">{model}</Card>
                <Card title="2. Data">{data}</Card>
                <Card title="3. Settings">{settings}</Card>
                <Card title="4. Where">{place}</Card>
            </div>
            <div class="training-card">
                <div id="plan" hx-get="/-/training/plan" hx-include="#training-form" hx-trigger="change from:#training-form delay:250ms"
                    hx-swap="innerHTML" aria-live="polite">{card}</div>
            </div>
        </form>
    }
}

fn model_section(
    bases: &[Base],
    typed: &Typed,
    errors: &BTreeMap<String, String>,
    elsewhere: &place::Choice,
) -> impl IntoView + use<> {
    let mut cards: Vec<RadioCard> = bases
        .iter()
        .map(|base| {
            let size = match (base.parameters, base.bytes) {
                (Some(parameters), _) => format!("{} parameters", format::compact(parameters)),
                (None, 0) => String::new(),
                (None, bytes) => format::bytes(bytes),
            };
            let parts = [base.family.to_owned(), size, base.licence.clone()];
            let figures: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            RadioCard {
                value: base.key.clone(),
                title: base.name.clone(),
                detail: base.about.clone(),
                meta: base.problem.clone().unwrap_or_else(|| figures.join(" · ")),
                disabled: base.problem.is_some(),
            }
        })
        .collect();
    let card = |value: &str, title: &str, detail: &str, meta: &str| RadioCard {
        value: value.to_owned(),
        title: title.to_owned(),
        detail: detail.to_owned(),
        meta: meta.to_owned(),
        disabled: false,
    };
    if let Some(model) = &elsewhere.model {
        let value = typed.get("base_model");
        cards.insert(
            0,
            card(value, &model.name, "A JumpStart model, trained by its own script.", &model.provider),
        );
    }
    let page_of_model = elsewhere.model.as_ref().map(|model| {
        (format!("/models/jumpstart/{}", model.id), format!("About {} and its licence", model.name))
    });
    let of_hub = typed.get("base_model") == "hub";
    let hub = elsewhere.missing.is_none().then(|| {
        cards.push(card("hub", "From the Hugging Face Hub", "Any causal or text-to-text model, by its name.", "Trained on SageMaker"));
        let id = typed.get("hub_id").to_owned();
        let error = if of_hub { errors.get("base_model").cloned() } else { None };
        view! {
            <div class="fields-2 if-hub">
                <TextField label="Name on the Hub" name="form[hub_id]" id="hub_id" value=id placeholder="Qwen/Qwen2.5-0.5B"
                    hint="As it stands on the model's page there." error=MaybeText(error)/>
            </div>
        }
    });
    view! {
        <RadioCards legend="Base model" name="form[base_model]" cards=cards selected=typed.get("base_model").to_owned()
            error=errors.get("base_model").filter(|_| !of_hub).cloned() hide_legend=true/>
        {hub}
        {page_of_model.map(|(href, words)| view! { <p><a class="link" href=href>{words}</a></p> })}
        <p class="muted">"More are in "<a class="link" href="/models/jumpstart">"JumpStart's catalogue"</a>"."</p>
    }
}

fn data_section(
    datasets: &[Dataset],
    typed: &Typed,
    errors: &BTreeMap<String, String>,
    // The script of a JumpStart model has a setting of its own for it.
    share: bool,
) -> impl IntoView + use<> {
    if datasets.is_empty() {
        return view! {
            <p class="muted">"You have no data yet."</p>
            <div class="actions"><LinkButton href="/data">"Add data"</LinkButton></div>
        }
        .into_any();
    }
    let mut options = vec![SelectOption::new("", "Choose a dataset")];
    options.extend(datasets.iter().map(|dataset| {
        let state = match dataset.state {
            DatasetState::Ready => format::plural(dataset.rows, "row", "rows"),
            DatasetState::Checking => "being checked".to_owned(),
            DatasetState::NeedsMapping => "needs its columns named".to_owned(),
            DatasetState::NeedsFixing => "needs fixing".to_owned(),
            DatasetState::Refused | DatasetState::Failed => "can't be used".to_owned(),
        };
        let mut option = SelectOption::new(dataset.id.as_str(), format!("{} ({state})", dataset.name));
        option.disabled = !matches!(dataset.state, DatasetState::Ready | DatasetState::Checking);
        option
    }));
    let error: Option<String> = errors.get("dataset").cloned();
    let share = share.then(|| {
        field(
            typed,
            errors,
            "validation_share",
            "Held out for evaluation",
            "Share of the rows that are not trained on, 0 to 0.5. A sample with held-out rows of its own uses those.",
            None,
        )
    });
    view! {
        <SelectField label="Dataset" name="form[dataset]" id="dataset" options=options
            selected=typed.get("dataset").to_owned() error=error required=true/>
        {share}
    }
    .into_any()
}

/// The fields that are always in sight.
const OPEN: [&str; 7] =
    ["base_model", "dataset", "validation_share", "epochs", "learning_rate", "max_sequence_length", "title"];

/// Names, labels and one-line explanations of the settings beyond the first three.
const MORE: [(&str, &str, &str); 14] = [
    ("batch_size", "Batch size", "Rows per pass."),
    ("gradient_accumulation_steps", "Gradient accumulation", "Passes added up before one step."),
    ("max_steps", "Steps", "In place of epochs: this many optimizer steps."),
    ("weight_decay", "Weight decay", "Pulls weights towards 0; 0 switches it off."),
    ("warmup_ratio", "Warm-up", "Share of the steps in which the learning rate rises."),
    ("max_grad_norm", "Gradient clipping", "Largest gradient norm; 0 switches it off."),
    (
        "dropout",
        "Dropout",
        "Share of values dropped while training. Empty: none, but a base model's own where all of it is trained.",
    ),
    ("seed", "Seed", "The same seed gives the same model."),
    ("lora_r", "LoRA rank", "Size of the adapter."),
    ("lora_alpha", "LoRA alpha", "Strength of the adapter; usually twice the rank."),
    ("lora_dropout", "LoRA dropout", "Dropout before the adapter."),
    (
        "lora_target_modules",
        "LoRA target modules",
        "Layers with an adapter, separated by commas, such as q_proj, v_proj; or all-linear. Empty: the usual ones of the model.",
    ),
    ("eval_steps", "Steps between evaluations", "Empty: about ten in a run."),
    ("checkpoint_steps", "Steps between checkpoints", "Empty: about ten in a run."),
];

/// What an empty field means where the plan chooses the value.
const AUTOMATIC: &str = "automatic";

fn settings_section(typed: &Typed, errors: &BTreeMap<String, String>) -> impl IntoView + use<> {
    let nano = typed.get("base_model") == "nano" || typed.get("base_model").is_empty();
    let preset = if nano { Preset::Nano } else { Preset::Lora };
    let mut defaults = Hyperparameters::defaults_for(preset).to_strings();
    defaults.insert("max_sequence_length".to_owned(), AUTOMATIC.to_owned());
    if nano {
        defaults.insert("epochs".to_owned(), AUTOMATIC.to_owned());
    }
    let one = |name: &'static str, label: &'static str, hint: &'static str| {
        field(typed, errors, name, label, hint, defaults.get(name).cloned())
    };
    let first = [
        one(
            "epochs",
            "Epochs",
            if nano { "Passes over the data. Empty: chosen for your data." } else { "Passes over the data." },
        ),
        one("learning_rate", "Learning rate", "How far each step goes."),
        one(
            "max_sequence_length",
            "Maximum length",
            "In tokens; longer rows are cut. Empty: chosen for your data.",
        ),
    ];
    let choice = |name: &'static str, label: &'static str, options: &[(&str, &str)]| {
        let options = options.iter().map(|(value, label)| SelectOption::new(*value, *label)).collect();
        let chosen = match typed.get(name) {
            "" => defaults.get(name).cloned().unwrap_or_default(),
            value => value.to_owned(),
        };
        view! { <SelectField label=label name=format!("form[{name}]") id=name options=options selected=chosen error=errors.get(name).cloned()/> }
            .into_any()
    };
    let optimizer = choice("optimizer", "Optimizer", &[("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD")]);
    let schedule = choice(
        "lr_scheduler",
        "Schedule",
        &[("cosine", "Cosine"), ("linear", "Linear"), ("constant", "Constant")],
    );
    let lora = (!nano).then(|| {
        choice("lora", "Method", &[("true", "LoRA: a small adapter"), ("false", "Full: all weights")])
    });
    let merge = (!nano).then(|| view! {
        <Checkbox label="Also merge the adapter into a whole model" name="form[merge_adapter]" id="merge_adapter"
            checked=typed.get("merge_adapter") == "true"/>
    });
    let recompute = view! {
        <Checkbox label="Keep less in memory and compute it again (gradient checkpointing): slower by a third to a half"
            name="form[gradient_checkpointing]" id="gradient_checkpointing"
            checked=typed.get("gradient_checkpointing") == "true"/>
    };
    let changed = MORE.iter().any(|(name, ..)| {
        let value = typed.get(name);
        !value.is_empty() && defaults.get(*name).is_none_or(|default| default != value)
    });
    let wrong = errors.keys().any(|name| !OPEN.contains(&name.as_str()));
    let more = MORE
        .into_iter()
        .filter(|(name, ..)| !(nano && name.starts_with("lora")))
        .map(|(name, label, hint)| one(name, label, hint))
        .collect_view();
    view! {
        <div class="fields-3">{first.into_iter().collect_view()}</div>
        <TextField label="Title" name="form[title]" id="title" value=typed.get("title").to_owned() maxlength=200
            hint="What you call this run; may stay empty." error=errors.get("title").cloned()/>
        <details class="more" open=changed || wrong>
            <summary>"More settings"</summary>
            <div class="fields-2">{lora} {optimizer} {schedule} {more}</div>
            {recompute}
            {merge}
            <div class="fields-2">{one("early_stopping_patience", "Early stopping", "Ends after so many evaluations without improvement; empty never does.")}</div>
        </details>
    }
}

/// A text field of the form; one that differs from its default says so. Not `autocomplete="off"`: browsers would not
/// bring back what was typed when a person comes back to the form.
pub(super) fn field(
    typed: &Typed,
    errors: &BTreeMap<String, String>,
    name: &str,
    label: &str,
    hint: &str,
    default: Option<String>,
) -> AnyView {
    let value = typed.get(name).to_owned();
    let hint = match &default {
        Some(default) if !value.is_empty() && value != *default => {
            format!("{hint} Changed: the default is {default}.")
        }
        _ => hint.to_owned(),
    };
    let placeholder =
        default.unwrap_or_else(|| if name == "validation_share" { "0.1".to_owned() } else { String::new() });
    view! {
        <TextField label=label.to_owned() name=format!("form[{name}]") id=name.to_owned() value=value placeholder=placeholder hint=hint
            error=MaybeText(errors.get(name).cloned())/>
    }
    .into_any()
}
