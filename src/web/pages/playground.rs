//! The playground: choose a model of this machine or an endpoint, talk to it, beside its base or any other. With
//! JavaScript the conversation is an island; without, the form asks by GET and the answer stands on the page.

use crate::{
    services::{
        context::Actor,
        error::{ServiceError, ServiceResult},
        playground::{Piece, Question, Side, Talk},
        talk::{is_endpoint, name_of_endpoint},
    },
    store::PageRequest as ListPage,
    web::{
        assets::Island,
        components::{
            Button, ButtonKind, Card, ChatBubble, ChatRole, EmptyState, LinkButton, Notice, PageHeader,
            SelectField, SelectOption, Severity,
        },
        error::{PageError, Problem},
        format,
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
    /// Somebody else who stands beside the model, in the base's place.
    other: String,
    prompt: String,
    max_new_tokens: String,
    temperature: String,
    top_p: String,
    top_k: String,
    repetition_penalty: String,
    seed: String,
}

/// Somebody to talk to.
struct Known {
    name: String,
    label: String,
}

/// One column.
struct Voice {
    name: String,
    side: Side,
    label: String,
}

pub async fn page(
    State(state): State<AppState>,
    Query(asked): Query<Asked>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let known = known(&state, &actor).await?;
    let page = page.at(Nav::Playground, &[("Playground", "/playground")]);
    let name = if asked.model.is_empty() {
        known.first().map(|first| first.name.clone())
    } else {
        Some(asked.model.clone())
    };
    let Some(name) = name else {
        return Ok(page.show("Playground", empty_view));
    };
    let talk = match state.talk(&actor, &name).await {
        Ok(talk) => talk,
        // A model that can't be opened is told on the page, where another can be chosen.
        Err(ServiceError::Refused { message, next_step, .. }) => {
            return Ok(page.show("Playground", move || {
                view! {
                    <PageHeader title="Playground" actions=choice(&known, &name, false, &asked).into_any()/>
                    <Notice severity=Severity::Error title=message cause=next_step/>
                }
            }));
        }
        Err(error) => return Err(error.into()),
    };
    let mut voices = vec![Voice { name: name.clone(), side: Side::Tuned, label: talk.model.name.clone() }];
    let mut absent = None;
    if !asked.other.is_empty() && asked.other != name {
        match state.talk(&actor, &asked.other).await {
            Ok(other) => {
                voices.push(Voice { name: asked.other.clone(), side: Side::Tuned, label: other.model.name });
            }
            Err(ServiceError::Refused { message, next_step, .. }) => absent = Some((message, next_step)),
            Err(error) => return Err(error.into()),
        }
    } else if talk.has_base && asked.beside == "base" {
        let label = format!("{} (base)", talk.model.base_name);
        voices.push(Voice { name: name.clone(), side: Side::Base, label });
    }
    let mut answers = Vec::new();
    if !asked.prompt.trim().is_empty() {
        let asking = voices.iter().map(async |voice| {
            let answer = state.answer(&actor, &asked.question(voice)).await;
            (voice.label.clone(), answer.map_err(Problem::from))
        });
        answers = futures::future::join_all(asking).await;
    }
    let example = state.example(&actor, &name).await.unwrap_or_default();
    Ok(page
        .with_island(Island::Chat)
        .show("Playground", move || talk_view(&known, &talk, &voices, &asked, answers, absent, example)))
}

/// The models of this machine, then the endpoints that answer.
async fn known(state: &AppState, actor: &Actor) -> ServiceResult<Vec<Known>> {
    let models = state.models.list(actor, &ListPage { cursor: None, limit: 100 }).await?.items;
    let models = models.into_iter().map(|model| Known { name: model.id.to_string(), label: model.name });
    let endpoints = state.endpoints.answering(actor).await?;
    let endpoints = endpoints.into_iter().map(|endpoint| Known {
        name: name_of_endpoint(&endpoint),
        label: format!("{} on {}", endpoint.model_name, endpoint.instance_type),
    });
    Ok(models.chain(endpoints).collect())
}

impl Asked {
    fn question(&self, voice: &Voice) -> Question {
        let mut question = Question {
            model: voice.name.clone(),
            side: voice.side,
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

fn empty_view() -> impl IntoView {
    view! {
        <PageHeader title="Playground"/>
        <EmptyState icon=Icon::Playground title="Nobody to talk to yet"
            text="Tune a model first. It takes a minute or two with the sample data.">
            <LinkButton kind=ButtonKind::Primary href="/training/new">"New training"</LinkButton>
        </EmptyState>
    }
}

/// Who is asked, and who stands beside: a form that works by GET.
fn choice(known: &[Known], chosen: &str, has_base: bool, asked: &Asked) -> impl IntoView + use<> {
    let option = |one: &Known| SelectOption::new(one.name.clone(), one.label.clone());
    let options: Vec<SelectOption> = known.iter().map(option).collect();
    let others = known.iter().filter(|one| one.name != chosen).map(option);
    let others: Vec<SelectOption> =
        std::iter::once(SelectOption::new("", "Nobody beside it")).chain(others).collect();
    let (beside, other) = (asked.beside == "base", asked.other.clone());
    view! {
        <form method="get" action="/playground" class="actions">
            <SelectField label="Model" name="model" hide_label=true options=options selected=chosen.to_owned()/>
            {has_base.then(|| view! {
                <label class="check"><input type="checkbox" name="beside" value="base" checked=beside/>"Beside its base"</label>
            })}
            {(others.len() > 1).then(|| view! {
                <SelectField label="Beside" name="other" hide_label=true options=others selected=other/>
            })}
            <Button>"Show"</Button>
        </form>
    }
}

fn talk_view(
    known: &[Known],
    talk: &Talk,
    voices: &[Voice],
    asked: &Asked,
    answers: Vec<Answered>,
    absent: Option<(String, String)>,
    example: String,
) -> impl IntoView + use<> {
    let speakers: Vec<Speaker> = voices
        .iter()
        .map(|voice| Speaker {
            model: voice.name.clone(),
            side: if voice.side == Side::Base { "base".to_owned() } else { "tuned".to_owned() },
            name: voice.label.clone(),
            far: is_endpoint(&voice.name),
        })
        .collect();
    let asked_before = (!answers.is_empty()).then(|| asked.prompt.clone());
    let actions = choice(known, &talk.model.id, talk.has_base, asked).into_any();
    view! {
        <PageHeader title="Playground" actions=actions/>
        {absent.map(|(title, next_step)| view! { <Notice severity=Severity::Error title=title next_step=next_step/> })}
        <div class="stack-lg">
        {asked_before.map(|prompt| view! { <Card><div class="chat">
            <ChatBubble role=ChatRole::User text=prompt/>
            {answers.into_iter().map(answer_view).collect_view()}
        </div></Card> })}
        <Chat speakers=speakers kind=talk.kind.to_owned() settings=asked.settings(&talk.defaults) prompt=String::new() example=example/>
        </div>
    }
}

fn answer_view((name, answer): Answered) -> impl IntoView {
    match answer {
        Ok((text, end)) => {
            let figures = match end {
                Some(Piece::End { tokens, tokens_per_second, finish_reason, .. }) => {
                    format::answered(&text, tokens as u64, tokens_per_second, finish_reason)
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
