//! The playground: choose a model, talk to it, beside its base where it has one. With JavaScript the conversation is
//! an island; without, the form asks by GET and the answer stands on the page.

use crate::{
    domain::model::Model,
    services::{
        error::ServiceError,
        playground::{Piece, Question, Side, Talk},
    },
    store::PageRequest as ListPage,
    web::{
        assets::Island,
        components::{
            Button, ButtonKind, Card, ChatBubble, ChatRole, EmptyState, LinkButton, Notice, PageHeader,
            SelectField, SelectOption, Severity,
        },
        error::{PageError, Problem},
        icons::Icon,
        islands::chat::{Chat, Settings, Speaker},
        page::SignedPage,
        shell::Nav,
        state::AppState,
    },
};
use axum::{
    extract::{Query, State},
    response::Response,
};
use leptos::prelude::*;
use llm_tuner_engine::inference::GenerateParams;

/// Who was asked, and the answer with its end, or why there is none.
type Answered = (String, Result<(String, Option<Piece>), Problem>);

/// What the page's address holds: everything a person can type.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct Asked {
    model: String,
    /// `base`: the base stands beside the model.
    beside: String,
    prompt: String,
    max_new_tokens: String,
    temperature: String,
    top_p: String,
    top_k: String,
    repetition_penalty: String,
    seed: String,
}

pub async fn page(
    State(state): State<AppState>,
    Query(asked): Query<Asked>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let models = state.models.list(&actor, &ListPage { cursor: None, limit: 100 }).await?.items;
    let page = page.at(Nav::Playground, &[("Playground", "/playground")]);
    let id = if asked.model.is_empty() {
        models.first().map(|model| model.id.to_string())
    } else {
        Some(asked.model.clone())
    };
    let Some(id) = id else {
        return Ok(page.show("Playground", empty_view));
    };
    let talk = match state.talk(&actor, &id).await {
        Ok(talk) => talk,
        // A model that can't be opened is told on the page, where another can be chosen.
        Err(ServiceError::Refused { message, next_step, .. }) => {
            return Ok(page.show("Playground", move || {
                view! {
                    <PageHeader title="Playground" actions=choice(&models, &id, false, false).into_any()/>
                    <Notice severity=Severity::Error title=message cause=next_step/>
                }
            }));
        }
        Err(error) => return Err(error.into()),
    };
    let beside = talk.has_base && asked.beside == "base";
    let mut answers = Vec::new();
    if !asked.prompt.trim().is_empty() {
        for side in sides(beside) {
            let answer = state.answer(&actor, &asked.question(&talk, side)).await;
            answers.push((name_of(&talk, side), answer.map_err(Problem::from)));
        }
    }
    let example = state.example(&actor, &id).await.unwrap_or_default();
    Ok(page
        .with_island(Island::Chat)
        .show("Playground", move || talk_view(&models, &talk, beside, &asked, answers, example)))
}

impl Asked {
    fn question(&self, talk: &Talk, side: Side) -> Question {
        let mut question = Question {
            model: talk.model.id.clone(),
            side,
            prompt: self.prompt.clone(),
            ..Question::default()
        };
        question.max_new_tokens = number(&self.max_new_tokens);
        question.temperature = number(&self.temperature);
        question.top_p = number(&self.top_p);
        question.top_k = number(&self.top_k);
        question.repetition_penalty = number(&self.repetition_penalty);
        question.seed = number(&self.seed);
        question
    }
    fn settings(&self, defaults: &GenerateParams) -> Settings {
        let or = |typed: &str, default: String| if typed.is_empty() { default } else { typed.to_owned() };
        Settings {
            max_new_tokens: or(&self.max_new_tokens, defaults.max_new_tokens.to_string()),
            temperature: or(&self.temperature, defaults.temperature.to_string()),
            top_p: or(&self.top_p, defaults.top_p.to_string()),
            top_k: or(&self.top_k, defaults.top_k.to_string()),
            repetition_penalty: or(&self.repetition_penalty, defaults.repetition_penalty.to_string()),
            seed: or(&self.seed, defaults.seed.to_string()),
        }
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

fn sides(beside: bool) -> Vec<Side> {
    if beside { vec![Side::Tuned, Side::Base] } else { vec![Side::Tuned] }
}

fn name_of(talk: &Talk, side: Side) -> String {
    match side {
        Side::Tuned => talk.model.name.clone(),
        Side::Base => format!("{} (base)", talk.model.base_name),
    }
}

fn empty_view() -> impl IntoView {
    view! {
        <PageHeader title="Playground"/>
        <EmptyState icon=Icon::Playground title="Nobody to talk to yet"
            text="Tune a model first. It takes a minute or two with the sample data.">
            <LinkButton kind=ButtonKind::Primary href="/training/new">"New training"</LinkButton>
        </EmptyState>
    }
}

/// Which model, and whether its base stands beside it: a form that works by GET.
fn choice(models: &[Model], chosen: &str, has_base: bool, beside: bool) -> impl IntoView + use<> {
    let options =
        models.iter().map(|model| SelectOption::new(model.id.to_string(), model.name.clone())).collect();
    view! {
        <form method="get" action="/playground" class="actions">
            <SelectField label="Model" name="model" hide_label=true options=options selected=chosen.to_owned()/>
            {has_base.then(|| view! {
                <label class="check"><input type="checkbox" name="beside" value="base" checked=beside/>"Beside its base"</label>
            })}
            <Button>"Show"</Button>
        </form>
    }
}

fn talk_view(
    models: &[Model],
    talk: &Talk,
    beside: bool,
    asked: &Asked,
    answers: Vec<Answered>,
    example: String,
) -> impl IntoView + use<> {
    let speakers: Vec<Speaker> = sides(beside)
        .into_iter()
        .map(|side| Speaker {
            model: talk.model.id.clone(),
            side: if side == Side::Base { "base".to_owned() } else { "tuned".to_owned() },
            name: name_of(talk, side),
        })
        .collect();
    let asked_before = (!answers.is_empty()).then(|| asked.prompt.clone());
    let actions = choice(models, &talk.model.id, talk.has_base, beside).into_any();
    view! {
        <PageHeader title="Playground" actions=actions/>
        {asked_before.map(|prompt| view! { <Card><div class="chat">
            <ChatBubble role=ChatRole::User text=prompt/>
            {answers.into_iter().map(answer_view).collect_view()}
        </div></Card> })}
        <Chat speakers=speakers kind=talk.kind.to_owned() settings=asked.settings(&talk.defaults) prompt=String::new() example=example/>
    }
}

fn answer_view((name, answer): Answered) -> impl IntoView {
    match answer {
        Ok((text, end)) => {
            let figures = match end {
                Some(Piece::End { tokens, tokens_per_second, .. }) => {
                    format!(
                        "{}, {tokens_per_second:.0} tokens/s",
                        crate::web::format::plural(tokens as u64, "token", "tokens")
                    )
                }
                _ => String::new(),
            };
            view! { <ChatBubble role=ChatRole::Assistant who=name text=text><span class="muted t-12">{figures}</span></ChatBubble> }
                .into_any()
        }
        Err(problem) => {
            view! { <Notice severity=Severity::Error title=problem.message next_step=problem.next_step/> }
                .into_any()
        }
    }
}
