//! Asks an endpoint, in the words of the playground: a question in, pieces of text out.

use super::Endpoints;
use crate::{
    backends::hosting::{Answer, Ask, HostingError, Said},
    domain::{
        endpoint::{Endpoint, EndpointState},
        model::Model,
    },
    services::{
        context::Actor,
        error::{ServiceError, ServiceResult},
        playground::{Piece, Question, Side, Talk, TalkModel, kind_name},
        policy::Action,
    },
};
use futures::StreamExt;
use llm_tuner_engine::inference::{GenerateParams, StopFilter};
use tokio::sync::mpsc;

impl Endpoints {
    /// How an endpoint wants to be asked.
    pub async fn talk(&self, actor: &Actor, id: &str) -> ServiceResult<Talk> {
        let (endpoint, model) = self.speaking(actor, id).await?;
        let kind = self.manner(&model).await?.kind();
        Ok(Talk {
            kind: kind_name(kind),
            defaults: GenerateParams::for_kind(kind),
            has_base: false,
            model: TalkModel {
                id: endpoint.id.to_string(),
                name: format!("{} on {}", endpoint.model_name, endpoint.instance_type),
                base_name: model.base_name,
            },
        })
    }

    /// Begins an answer. Dropping the receiver ends it.
    ///
    /// # Errors
    /// `Invalid` with every wrong field; `NotFound`; `Refused` where the endpoint does not answer, with the reason.
    pub async fn ask(
        &self,
        actor: &Actor,
        id: &str,
        question: &Question,
    ) -> ServiceResult<mpsc::Receiver<Piece>> {
        let (endpoint, model) = self.speaking(actor, id).await?;
        if question.side == Side::Base {
            return Err(ServiceError::invalid("side", "An endpoint holds the tuned model alone."));
        }
        let prompt = question.check()?;
        let manner = self.manner(&model).await?;
        let params = question.params(manner.kind());
        let (prompt_key, licence_accepted) = self.asking(&endpoint, &model).await?;
        let mut stop = manner.stop();
        stop.extend(params.stop);
        let ask = Ask {
            prompt: manner.text(&prompt)?,
            max_new_tokens: params.max_new_tokens,
            temperature: params.temperature,
            top_p: params.top_p,
            top_k: params.top_k,
            repetition_penalty: params.repetition_penalty,
            stop,
            seed: question.seed,
            prompt_key,
            licence_accepted,
        };
        self.parts.store.touch_endpoint(&endpoint.id, self.parts.env.now()).await?;
        let answer = self.parts.outside.hosting.ask(&endpoint.name, &ask).await?;
        let (sender, receiver) = mpsc::channel(64);
        let endpoints = self.clone();
        tokio::spawn(async move {
            endpoints.pass_on(answer, &ask, &sender).await;
            let used = endpoints.parts.env.now();
            if let Err(error) = endpoints.parts.store.touch_endpoint(&endpoint.id, used).await {
                tracing::warn!(%error, "an endpoint's use was not noted");
            }
        });
        Ok(receiver)
    }

    /// Text up to the first stop string, then the end.
    async fn pass_on(&self, mut answer: Answer, ask: &Ask, sender: &mpsc::Sender<Piece>) {
        let mut filter = StopFilter::new(ask.stop.clone());
        let mut first = None;
        let (mut stopped, mut ended) = (false, (None, None));
        while !stopped {
            // Nobody listens any more: dropping the answer ends it.
            let said = tokio::select! {
                () = sender.closed() => return,
                said = answer.next() => said,
            };
            match said {
                Some(Ok(Said::Text(text))) => {
                    first.get_or_insert_with(|| self.parts.env.now());
                    let (certain, stop) = filter.push(&text);
                    stopped = stop;
                    if !certain.is_empty() && sender.send(Piece::Text(certain)).await.is_err() {
                        return;
                    }
                }
                Some(Ok(Said::End { tokens, at_limit })) => ended = (tokens, at_limit),
                Some(Err(error)) => {
                    let rest = filter.finish();
                    if !rest.is_empty() {
                        let _ = sender.send(Piece::Text(rest)).await;
                    }
                    let _ = sender.send(Piece::Failed(in_words(error))).await;
                    return;
                }
                None => break,
            }
        }
        let rest = filter.finish();
        if !rest.is_empty() {
            let _ = sender.send(Piece::Text(rest)).await;
        }
        let now = self.parts.env.now();
        let seconds = first.map(|first| now.since(first).as_secs_f64()).unwrap_or_default();
        let tokens = ended.0.and_then(|tokens: u64| usize::try_from(tokens).ok()).unwrap_or(0);
        let at_limit = !stopped && ended.1.unwrap_or(tokens >= ask.max_new_tokens);
        let end = Piece::End {
            tokens,
            tokens_per_second: if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 },
            finish_reason: if at_limit { "length" } else { "stop" },
            dropped_prompt_tokens: 0,
        };
        let _ = sender.send(end).await;
    }

    /// The person's endpoint that answers, and its model.
    async fn speaking(&self, actor: &Actor, id: &str) -> ServiceResult<(Endpoint, Model)> {
        let endpoint = self.own(actor, Action::Read, id).await?;
        let model = self.parts.store.model(&endpoint.model_id).await?;
        match (endpoint.state, model) {
            (EndpointState::InService, Some(model)) => Ok((endpoint, model)),
            (EndpointState::InService, None) => Err(not_answering(
                "Its model was deleted, and with it how it is asked.",
                "Delete the endpoint.",
            )),
            (EndpointState::Creating, _) => Err(not_answering(
                "The endpoint does not answer yet: AWS is still making it.",
                "Its page says how far it is; it takes five to fifteen minutes.",
            )),
            _ => Err(not_answering(
                "The endpoint does not answer any more.",
                "Deploy the model again to talk to it.",
            )),
        }
    }
}

fn not_answering(message: &str, next_step: &str) -> ServiceError {
    ServiceError::refused("endpoint_not_in_service", message, next_step)
}

fn in_words(error: HostingError) -> String {
    match ServiceError::from(error) {
        ServiceError::Refused { message, next_step, .. } => format!("{message} {next_step}"),
        other => other.to_string(),
    }
}
