//! Whoever can be talked to, under one name: a model on this machine by its id, or an endpoint by `endpoint:<id>`.

use super::{
    all::Services,
    context::Actor,
    error::{ServiceError, ServiceResult},
    playground::{Piece, Question, Talk},
};
use crate::domain::endpoint::Endpoint;
use tokio::sync::mpsc;

/// Before an endpoint's id, where a model's may stand.
const ENDPOINT: &str = "endpoint:";

/// What an endpoint is called where a model's id may stand.
pub fn name_of_endpoint(endpoint: &Endpoint) -> String {
    format!("{ENDPOINT}{}", endpoint.id)
}

/// Is it an endpoint that this name means?
pub fn is_endpoint(name: &str) -> bool {
    name.starts_with(ENDPOINT)
}

impl Services {
    /// How it wants to be asked. A local model is opened, so that the first answer comes at once.
    pub async fn talk(&self, actor: &Actor, name: &str) -> ServiceResult<Talk> {
        match name.strip_prefix(ENDPOINT) {
            Some(id) => {
                let mut talk = self.endpoints.talk(actor, id).await?;
                talk.model.id = name.to_owned();
                Ok(talk)
            }
            None => self.playground.talk(actor, name).await,
        }
    }

    /// Begins an answer. Dropping the receiver ends it.
    pub async fn ask(&self, actor: &Actor, question: &Question) -> ServiceResult<mpsc::Receiver<Piece>> {
        match question.model.strip_prefix(ENDPOINT) {
            Some(id) => self.endpoints.ask(actor, id, question).await,
            None => self.playground.ask(actor, question).await,
        }
    }

    /// The whole answer at once: for pages without JavaScript and for scripts.
    pub async fn answer(&self, actor: &Actor, question: &Question) -> ServiceResult<(String, Option<Piece>)> {
        let mut pieces = self.ask(actor, question).await?;
        let mut text = String::new();
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Text(more) => text.push_str(&more),
                Piece::Failed(why) => {
                    return Err(ServiceError::refused(
                        "generation_failed",
                        why,
                        "Try a shorter prompt or another model.",
                    ));
                }
                end @ Piece::End { .. } => return Ok((text, Some(end))),
            }
        }
        Ok((text, None))
    }

    /// A first prompt to try.
    pub async fn example(&self, actor: &Actor, name: &str) -> ServiceResult<String> {
        match name.strip_prefix(ENDPOINT) {
            Some(id) => {
                let endpoint = self.endpoints.endpoint(actor, id).await?;
                self.playground.example(actor, endpoint.model_id.as_str()).await
            }
            None => self.playground.example(actor, name).await,
        }
    }
}
