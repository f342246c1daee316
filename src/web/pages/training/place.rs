//! The part of the training form that says where the job runs, and the settings that a JumpStart model has of its own.

use super::form::field;
use crate::{
    domain::{
        instance::{INSTANCE_TYPES, InstanceType, Usage},
        jumpstart::{Hyperparameter, Model, Scope, hyperparameter::explanation},
    },
    web::{
        components::{
            Checkbox, MaybeText, Notice, RadioCard, RadioCards, SelectField, SelectOption, Severity,
            TextField,
        },
        state::AppState,
        typed::{OWN, Typed},
    },
};
use futures::future::join_all;
use leptos::prelude::*;
use std::collections::BTreeMap;

/// What there is to choose from.
pub struct Choice {
    /// Why nothing can run on SageMaker.
    pub missing: Option<String>,
    pub own_image: bool,
    /// The chosen JumpStart model.
    pub model: Option<Model>,
    /// Machines that can train what was chosen, each with its price in words.
    machines: Vec<(&'static InstanceType, String)>,
}

impl Choice {
    pub async fn of(state: &AppState, typed: &Typed) -> Self {
        let cloud = state.training.cloud();
        let id = typed.get("base_model").strip_prefix("jumpstart:");
        let model = match id {
            Some(id) => cloud.model(id).await.ok(),
            None => None,
        };
        let allowed = model.as_ref().and_then(|model| model.training.as_ref());
        let kinds = INSTANCE_TYPES.iter().filter(|kind| {
            kind.trains
                && allowed.is_none_or(|recipe| recipe.instance_types.iter().any(|one| one == kind.name))
        });
        let machines = match cloud.missing {
            Some(_) => Vec::new(),
            // All at once: each answer may take a moment the first time.
            None => {
                join_all(kinds.map(async |kind| {
                    let quote = cloud.costs.quote(kind.name, Usage::Training).await;
                    (
                        kind,
                        quote
                            .per_hour
                            .map_or_else(|| "price unknown".to_owned(), |price| format!("{price}/h")),
                    )
                }))
                .await
            }
        };
        Self { missing: cloud.missing.clone(), own_image: cloud.own_image, model, machines }
    }

    /// Where the job runs when nothing is chosen.
    pub fn place(&self, typed: &Typed) -> String {
        match typed.get("place") {
            _ if self.model.is_some() => "jumpstart".to_owned(),
            "" => "local".to_owned(),
            place => place.to_owned(),
        }
    }
}

pub fn section(choice: &Choice, typed: &Typed, errors: &BTreeMap<String, String>) -> AnyView {
    let place = choice.place(typed);
    if let (Some(why), "local") = (&choice.missing, place.as_str()) {
        return view! {
            <input type="hidden" name="form[place]" value="local"/>
            <p>"On this machine, with its own engine. It costs nothing beyond its power."</p>
            <p class="muted">"Nothing can run on SageMaker yet. "{why.clone()}" docs/AWS_SETUP.md has each step."</p>
        }
        .into_any();
    }
    let card = |value: &str, title: &str, detail: &str, problem: Option<String>| RadioCard {
        value: value.to_owned(),
        title: title.to_owned(),
        detail: detail.to_owned(),
        meta: problem.clone().unwrap_or_default(),
        disabled: problem.is_some(),
    };
    let cards = if choice.model.is_some() {
        let detail = "The model's own container and script, on a machine that you pay AWS for by the second.";
        vec![card("jumpstart", "SageMaker JumpStart", detail, choice.missing.clone())]
    } else {
        let no_image = (!choice.own_image).then(|| "Not set up: SAGEMAKER_TRAINING_IMAGE".to_owned());
        let missing = || choice.missing.as_ref().map(|_| "Not set up".to_owned());
        vec![
            card("local", "This machine", "With its own engine. No cost beyond its power.", None),
            card(
                "script",
                "SageMaker, Hugging Face container",
                "Any model of the Hub or of yours, on a GPU that you pay AWS for by the second.",
                missing(),
            ),
            card(
                "image",
                "SageMaker, our own image",
                "The same engine as here, on a larger processor.",
                missing().or(no_image),
            ),
        ]
    };
    let why = choice.missing.clone().map(|why| {
        view! { <Notice severity=Severity::Info title="Nothing can run on SageMaker yet" cause=why
        next_step="docs/AWS_SETUP.md has each step."/> }
    });
    let machine = choice.missing.is_none().then(|| machine(choice, typed, errors));
    view! {
        <RadioCards legend="Where the job runs" name="form[place]" cards=cards selected=place
            error=errors.get("place").cloned() hide_legend=true/>
        {why}
        {machine}
    }
    .into_any()
}

/// Shown by the stylesheet while a place at AWS is chosen.
fn machine(choice: &Choice, typed: &Typed, errors: &BTreeMap<String, String>) -> impl IntoView + use<> {
    let usual = choice.model.as_ref().and_then(|model| model.training.as_ref());
    let chosen = match typed.get("instance_type") {
        "" => usual.map_or("", |recipe| recipe.default_instance_type.as_str()).to_owned(),
        kind => kind.to_owned(),
    };
    let mut options = vec![SelectOption::new("", "Choose a machine")];
    options.extend(choice.machines.iter().map(|(kind, price)| {
        SelectOption::new(kind.name, format!("{}: {}, {price}", kind.name, kind.words()))
    }));
    let jumpstart = choice.model.is_some();
    let spot = typed.get("spot") == "true";
    let fallback = !typed.get("fallback_instance_types").is_empty();
    let hours = typed.get("max_hours").to_owned();
    view! {
        <div class="stack if-elsewhere">
            <SelectField label="Machine" name="form[instance_type]" id="instance_type" options=options selected=chosen
                error=errors.get("instance_type").cloned()/>
            <div class="fields-2">
                <TextField label="At most" name="form[max_hours]" id="max_hours" value=hours unit="hours" inputmode="decimal"
                    hint="SageMaker stops the job then, whatever happens. Empty: three times what is expected."
                    error=MaybeText(errors.get("max_hours").cloned())/>
            </div>
            <Checkbox label="Where this machine is not to be had, take the next that fits" id="fallback_instance_types"
                name="form[fallback_instance_types]" value="auto" checked=fallback/>
            {(!jumpstart).then(|| view! {
                <Checkbox label="Spare capacity (spot): cheaper, may be interrupted, and goes on from its last checkpoint"
                    name="form[spot]" id="spot" checked=spot/>
            })}
        </div>
    }
}

/// The settings of a JumpStart model, by its own list.
pub fn own_settings(model: &Model, typed: &Typed, errors: &BTreeMap<String, String>) -> AnyView {
    let settings: Vec<&Hyperparameter> =
        model.hyperparameters.iter().filter(|one| one.scope == Scope::Algorithm).collect();
    let one = |setting: &&Hyperparameter| own_field(setting, typed, errors);
    // What most people look at first; each family spells it its own way.
    let first = ["epoch", "epochs", "learning_rate", "max_input_length"];
    let (open, more): (Vec<&Hyperparameter>, Vec<_>) =
        settings.into_iter().partition(|setting| first.contains(&setting.name.as_str()));
    let changed = more.iter().any(|setting| !typed.get(&format!("{OWN}{}", setting.name)).is_empty());
    let wrong = more.iter().any(|setting| errors.contains_key(&setting.name));
    let (open, more) = (open.iter().map(one).collect_view(), more.iter().map(one).collect_view());
    view! {
        <p class="muted">"The settings of this model. Empty takes its own default; how it reads your data is set for you."</p>
        <div class="fields-3">{open}</div>
        <TextField label="Title" name="form[title]" id="title" value=typed.get("title").to_owned() maxlength=200
            hint="What you call this run; may stay empty." error=errors.get("title").cloned()/>
        <details class="more" open=changed || wrong>
            <summary>"More settings"</summary>
            <div class="fields-2">{more}</div>
        </details>
    }
    .into_any()
}

fn own_field(setting: &Hyperparameter, typed: &Typed, errors: &BTreeMap<String, String>) -> AnyView {
    let (name, own) = (setting.name.clone(), format!("{OWN}{}", setting.name));
    let value = typed.get(&own).to_owned();
    let label = name.replace('_', " ");
    let mut letters = label.chars();
    let label: String =
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    if setting.options.is_empty() {
        // The error is told under the setting's own name; the field's name says whose it is.
        let error: BTreeMap<String, String> =
            errors.get(&name).map(|error| (own.clone(), error.clone())).into_iter().collect();
        let hint = match explanation(&name) {
            Some(what) => format!("{} ({})", what.trim_end_matches('.'), setting.range()),
            None => setting.range(),
        };
        return field(typed, &error, &own, &label, &hint, setting.default.clone());
    }
    let usual = setting.default.clone().unwrap_or_default();
    let mut options = vec![SelectOption::new("", format!("{usual} (its default)"))];
    options.extend(setting.options.iter().map(|option| SelectOption::new(option.as_str(), option.as_str())));
    view! {
        <SelectField label=label name=format!("form[{own}]") id=own options=options selected=value
            error=errors.get(&name).cloned()/>
    }
    .into_any()
}
