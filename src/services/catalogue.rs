//! JumpStart's models as a person sees them: search, one model, its licence. What AWS says is the business of the port.
//!
//! The catalogue is the same for everybody who is signed in; what a person accepted is their own.

use super::{
    context::{Actor, Environment},
    error::{ServiceError, ServiceResult},
};
use crate::{
    backends::catalogue::{Catalogue, CatalogueError, Found},
    domain::{
        ids::UserId,
        jumpstart::{Licence, Listed, Model, Source},
        licence::LicenceAcceptance,
    },
    store::{PageRequest, Store},
};
use std::{collections::BTreeSet, sync::Arc};

pub struct ModelCatalogue {
    catalogue: Arc<dyn Catalogue>,
    store: Arc<dyn Store>,
    env: Environment,
}

/// What is searched for. Empty text is no condition.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Words that all occur, in whatever order, in what the catalogue says of the model.
    pub words: String,
    pub task: String,
    pub provider: String,
    /// Also those that can't be fine-tuned.
    pub all: bool,
}

/// One line of the answer.
#[derive(Debug, Clone)]
pub struct Line {
    pub listed: Listed,
    /// The rest of it, where that is known already.
    pub model: Option<Model>,
    /// The person accepted the licence of this version.
    pub accepted: bool,
}

#[derive(Debug, Clone)]
pub struct Results {
    pub lines: Vec<Line>,
    /// How many there are on all pages.
    pub found: usize,
    /// Cursor of the next page.
    pub next: Option<String>,
    /// What one can choose from.
    pub tasks: BTreeSet<String>,
    pub providers: BTreeSet<String>,
    pub source: Source,
    pub problem: Option<String>,
}

/// One model.
#[derive(Debug, Clone)]
pub struct Shown {
    pub model: Model,
    pub problem: Option<String>,
    /// The person's acceptance of this version's licence.
    pub accepted: Option<LicenceAcceptance>,
}

impl ModelCatalogue {
    pub fn new(catalogue: Arc<dyn Catalogue>, store: Arc<dyn Store>, env: Environment) -> Self {
        Self { catalogue, store, env }
    }

    pub async fn search(&self, actor: &Actor, search: &Search, page: &PageRequest) -> ServiceResult<Results> {
        let listing = self.catalogue.list().await;
        let words: Vec<_> = search.words.split_whitespace().map(str::to_lowercase).collect();
        let offered = || listing.models.iter().filter(|model| search.all || model.fine_tuning);
        let matching: Vec<_> = offered().filter(|model| search.admits(model, &words)).collect();
        // A page begins after the id of the last line of the one before; the list is in the order of ids.
        let after = page.cursor.clone().unwrap_or_default();
        let mut rest = matching.iter().filter(|model| model.id > after);
        let shown: Vec<_> = rest.by_ref().take(page.limit).collect();
        let next = rest.next().and(shown.last()).map(|model| model.id.clone());
        let accepted = self.store.accepted_licences(&actor.user.id).await?;
        let line = |listed: &Listed| Line {
            model: self.catalogue.known(&listed.id),
            accepted: accepted.iter().any(|one| one.covers(&listed.id, &listed.version)),
            listed: listed.clone(),
        };
        Ok(Results {
            lines: shown.into_iter().map(|model| line(model)).collect(),
            found: matching.len(),
            next,
            tasks: offered().map(|model| model.task.clone()).filter(|task| !task.is_empty()).collect(),
            providers: offered().map(|model| model.provider.clone()).collect(),
            source: listing.source,
            problem: listing.problem,
        })
    }

    /// A line of the list, as the search has it.
    pub async fn line(&self, actor: &Actor, id: &str) -> ServiceResult<Line> {
        let listing = self.catalogue.list().await;
        let listed = listing.models.iter().find(|model| model.id == id);
        let listed = listed.ok_or(ServiceError::NotFound("JumpStart model"))?.clone();
        let accepted = self.acceptance(actor, id, &listed.version).await?.is_some();
        Ok(Line { model: self.catalogue.known(id), listed, accepted })
    }

    /// The newest version of a model.
    pub async fn model(&self, actor: &Actor, id: &str) -> ServiceResult<Shown> {
        let Found { model, problem } = self.find(id, None).await?;
        let accepted = self.acceptance(actor, &model.id, &model.version).await?;
        Ok(Shown { model, problem, accepted })
    }

    /// Records that this person accepts the licence of this version, the one whose page they saw. Once is enough; a
    /// second time changes nothing.
    pub async fn accept(&self, actor: &Actor, id: &str, version: Option<&str>) -> ServiceResult<Shown> {
        let Found { model, problem } = self.find(id, version).await?;
        let Some(Licence { url, .. }) = model.licence.clone().filter(|_| model.gated) else {
            return Err(ServiceError::refused(
                "no_licence",
                format!("{} has no licence that must be accepted.", model.name),
                "Tune it without.",
            ));
        };
        let at = self.env.now();
        let acceptance = LicenceAcceptance {
            user_id: actor.user.id.clone(),
            model: model.id.clone(),
            version: model.version.clone(),
            licence: url,
            at,
        };
        let object = format!("{}@{}", model.id, model.version);
        self.store.accept_licence(&acceptance, &actor.audit(at, "licence.accept", &object)).await?;
        // The first acceptance is the one that counts.
        let accepted = self.acceptance(actor, &model.id, &model.version).await?;
        Ok(Shown { model, problem, accepted })
    }

    async fn acceptance(
        &self,
        actor: &Actor,
        id: &str,
        version: &str,
    ) -> ServiceResult<Option<LicenceAcceptance>> {
        acceptance(&*self.store, &actor.user.id, id, version).await
    }

    async fn find(&self, id: &str, version: Option<&str>) -> ServiceResult<Found> {
        self.catalogue.model(id, version).await.map_err(|error| match error {
            CatalogueError::Unknown => ServiceError::NotFound("JumpStart model"),
            CatalogueError::Unusable(why) => ServiceError::refused(
                "model_unusable",
                format!("AWS describes this model in a way that can't be used: {why}."),
                "Choose another model of the catalogue.",
            ),
            CatalogueError::NoAnswer(why) => ServiceError::refused(
                "aws_no_answer",
                format!("{why} The list that came with this server does not have this model."),
                "Try again in a minute; if it stays so, run llm-tuner doctor on the server.",
            ),
        })
    }
}

/// This person's acceptance of the licence of this version of a model: what training and hosting ask, too.
pub async fn acceptance(
    store: &dyn Store,
    person: &UserId,
    id: &str,
    version: &str,
) -> ServiceResult<Option<LicenceAcceptance>> {
    let all = store.accepted_licences(person).await?;
    Ok(all.into_iter().find(|one| one.covers(id, version)))
}

impl Search {
    fn admits(&self, model: &Listed, words: &[String]) -> bool {
        let text = [&model.id, &model.name, &model.description, &model.provider, &model.task]
            .map(|part| part.to_lowercase());
        let has = |word: &String| text.iter().any(|part| part.contains(word.as_str()));
        (self.task.is_empty() || self.task == model.task)
            && (self.provider.is_empty() || self.provider == model.provider)
            && words.iter().all(has)
    }
}
