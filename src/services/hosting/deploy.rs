//! Puts a model on a machine: what it takes is said first, and one press makes one endpoint.

use super::Endpoints;
use crate::{
    backends::{
        hosting::{Deployment, ModelFiles, NAME_PREFIX, Recipe},
        prices::{Quote, Usage},
    },
    domain::{
        cloud::Route,
        endpoint::{Endpoint, EndpointState},
        ids::{EndpointId, ModelId},
        instance::INSTANCE_TYPES,
        job::BaseModel,
        model::{Model, ModelKind},
    },
    services::{
        catalogue::acceptance,
        context::Actor,
        error::{ServiceError, ServiceResult},
        policy::{Action, Resource, authorize},
    },
    store::StoreError,
};
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;

/// An idle limit, in minutes. Without one an endpoint that is forgotten costs a thousand dollars a month.
pub const IDLE_MINUTES: RangeInclusive<u64> = 15..=1_440;

/// A type of machine, and what an hour of it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub instance_type: String,
    pub quote: Quote,
}

/// What a person chooses from.
#[derive(Debug, Clone)]
pub struct Offer {
    pub model: Model,
    pub machines: Vec<Machine>,
    /// There is one of this model already.
    pub open: Option<Endpoint>,
}

/// What a person wants.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub model: String,
    pub instance_type: String,
    pub idle_minutes: u64,
    /// The same key gives the same endpoint.
    pub key: Option<String>,
}

impl Endpoints {
    /// Why this model can't be hosted; `None` where it can.
    pub fn why_not(&self, model: &Model) -> Option<String> {
        if let Some(why) = self.missing() {
            return Some(why.to_owned());
        }
        if model.files.is_empty() {
            return Some("It has no files.".to_owned());
        }
        let catalogued = matches!(model.base, BaseModel::JumpStart { .. });
        (model.kind == ModelKind::Adapter && !catalogued).then(|| {
            "It is a LoRA adapter, which a serving container can't load without its base. Train it with the adapter \
             merged into the model."
                .to_owned()
        })
    }

    /// The machines that the model can be put on, with their prices.
    ///
    /// # Errors
    /// `NotFound`; `Refused` where it can't be hosted.
    pub async fn offer(&self, actor: &Actor, model: &str) -> ServiceResult<Offer> {
        let model = self.own_model(actor, model).await?;
        let quotes = self.machines(&model).await?.into_iter().map(|instance_type| async {
            let quote = self.parts.costs.quote(&instance_type, Usage::Hosting).await;
            Machine { instance_type, quote }
        });
        let machines = futures::future::join_all(quotes).await;
        let open = self.of_model(actor, &model.id).await?;
        Ok(Offer { model, machines, open })
    }

    /// Begins it. The answer is the endpoint that there is already, where the person has one of this model that is up
    /// or the same key was used before.
    ///
    /// # Errors
    /// `Invalid` with every wrong field; `NotFound`; `Refused` where it can't be hosted.
    pub async fn deploy(&self, actor: &Actor, wanted: &Wanted) -> ServiceResult<Endpoint> {
        let model = self.own_model(actor, &wanted.model).await?;
        let machines = self.machines(&model).await?;
        let mut errors = Vec::new();
        if !machines.contains(&wanted.instance_type) {
            let fitting = machines.join(", ");
            errors.push(wrong(
                "instance_type",
                format!("Choose an instance type that hosts models: {fitting}."),
            ));
        }
        if !IDLE_MINUTES.contains(&wanted.idle_minutes) {
            errors
                .push(wrong("idle_minutes", "The idle limit is from 15 minutes to 24 hours (1440 minutes)."));
        }
        if wanted.key.as_ref().is_some_and(|key| key.is_empty() || key.len() > 200) {
            errors.push(wrong("idempotency_key", "A key has 1 to 200 characters."));
        }
        if !errors.is_empty() {
            return Err(ServiceError::Invalid(errors));
        }
        let quote = self.parts.costs.quote(&wanted.instance_type, Usage::Hosting).await;
        let _one = self.parts.beginning.lock().await;
        let id = self.id_for(actor, wanted);
        if let Some(same) = self.parts.store.endpoint(&id).await? {
            return Ok(same);
        }
        if let Some(open) = self.of_model(actor, &model.id).await? {
            return Ok(open);
        }
        let now = self.parts.env.now();
        let endpoint = Endpoint {
            name: format!("{NAME_PREFIX}{id}"),
            user_id: actor.user.id.clone(),
            model_id: model.id,
            model_name: model.name,
            instance_type: wanted.instance_type.clone(),
            state: EndpointState::Creating,
            phase: "Asking AWS".to_owned(),
            failure: None,
            next_step: None,
            idle_seconds: wanted.idle_minutes * 60,
            price_per_hour: quote.per_hour,
            created_at: now,
            in_service_at: None,
            last_used_at: now,
            ended_at: None,
            id,
        };
        let _turn = self.parts.costs.turn().await;
        self.check_budget(actor, &endpoint).await?;
        let audit = actor.audit(now, "endpoint.create", endpoint.id.as_str());
        match self.parts.store.create_endpoint(&endpoint, &audit).await {
            Ok(()) => {}
            // Another server was asked the same at the same moment.
            Err(StoreError::Taken(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.parts.news.notify_one();
        self.parts.store.endpoint(&endpoint.id).await?.ok_or(ServiceError::NotFound("endpoint"))
    }

    /// The one place where a deployment may be refused for its cost.
    async fn check_budget(&self, actor: &Actor, endpoint: &Endpoint) -> ServiceResult<()> {
        // It costs its idle limit at least; what it costs then is what it is used for.
        let least = endpoint.price_per_hour.map(|price| price.for_seconds(endpoint.idle_seconds, 1));
        self.parts.costs.check_budget(actor, least).await
    }

    /// From the key, so that the same key is the same endpoint on every server; else fresh.
    fn id_for(&self, actor: &Actor, wanted: &Wanted) -> EndpointId {
        let Some(key) = &wanted.key else {
            let (millis, random) = self.parts.env.id_parts();
            return EndpointId::from_parts(millis, random);
        };
        let mut hasher = Sha256::new();
        for part in [actor.user.id.as_str(), &wanted.model, key] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut random = [0; 16];
        random.copy_from_slice(&hasher.finalize()[..16]);
        EndpointId::from_parts(0, u128::from_le_bytes(random))
    }

    async fn own_model(&self, actor: &Actor, id: &str) -> ServiceResult<Model> {
        let id = ModelId::parse(id).ok_or(ServiceError::NotFound("model"))?;
        self.parts
            .store
            .model(&id)
            .await?
            .filter(|model| authorize(actor, Action::Write, Resource::Owned(&model.user_id)))
            .ok_or(ServiceError::NotFound("model"))
    }

    async fn machines(&self, model: &Model) -> ServiceResult<Vec<String>> {
        if let Some(why) = self.why_not(model) {
            let next_step = "It can be downloaded, and be talked to on this server where it fits.";
            return Err(ServiceError::refused("cannot_be_hosted", why, next_step));
        }
        let recipe = self.recipe(model, None).await?;
        let gated = recipe.as_ref().is_some_and(|recipe| recipe.gated);
        if gated && !self.licence_accepted(model, recipe.as_ref()).await? {
            return Err(ServiceError::refused(
                "licence_not_accepted",
                "The licence of the model that it was tuned from is not accepted.",
                "Accept it in the catalogue of models, then deploy.",
            ));
        }
        let own = recipe.map(|recipe| recipe.instance_types).unwrap_or_default();
        // A model with a recipe has its own list.
        let usual = INSTANCE_TYPES.iter().filter(|kind| kind.serves_models());
        Ok(if own.is_empty() { usual.map(|kind| kind.name.to_owned()).collect() } else { own })
    }

    /// How JumpStart hosts what the model was tuned from, on this machine or on its usual one: the version that it was
    /// trained with, or the newest where the job was deleted.
    async fn recipe(&self, model: &Model, instance_type: Option<&str>) -> ServiceResult<Option<Recipe>> {
        let (BaseModel::JumpStart { id }, Some(recipes)) = (&model.base, &self.parts.outside.recipes) else {
            return Ok(None);
        };
        let job = self.parts.store.job(&model.job_id).await?;
        let version = job.and_then(|job| match job.spec.cloud?.route {
            Route::JumpStart { version, .. } => Some(version),
            _ => None,
        });
        Ok(recipes.recipe(id, version.as_deref(), instance_type).await?)
    }

    /// Did its owner accept the licence of the version that the recipe is of?
    async fn licence_accepted(&self, model: &Model, recipe: Option<&Recipe>) -> ServiceResult<bool> {
        let (BaseModel::JumpStart { id }, Some(recipe)) = (&model.base, recipe) else { return Ok(false) };
        Ok(acceptance(&*self.parts.store, &model.user_id, id, &recipe.version).await?.is_some())
    }

    /// What AWS is to make.
    pub(super) async fn deployment(&self, endpoint: &Endpoint, model: &Model) -> ServiceResult<Deployment> {
        let files = match model.files.as_slice() {
            [only] if only.path.ends_with(".tar.gz") => {
                ModelFiles::Archive(format!("{}/{}", model.prefix, only.path))
            }
            _ => ModelFiles::Folder(model.prefix.clone()),
        };
        let recipe = self.recipe(model, Some(&endpoint.instance_type)).await?;
        Ok(Deployment {
            name: endpoint.name.clone(),
            endpoint: endpoint.id.clone(),
            owner: endpoint.user_id.clone(),
            instance_type: endpoint.instance_type.clone(),
            files,
            licence_accepted: self.licence_accepted(model, recipe.as_ref()).await?,
            recipe,
        })
    }

    /// What a question needs to know of the model beyond its manner: the prompt's key, and whether the container wants
    /// to hear that the licence is accepted.
    pub(super) async fn asking(
        &self,
        endpoint: &Endpoint,
        model: &Model,
    ) -> ServiceResult<(Option<String>, bool)> {
        let recipe = self.recipe(model, Some(&endpoint.instance_type)).await?;
        let accepted = self.licence_accepted(model, recipe.as_ref()).await?;
        Ok((recipe.and_then(|recipe| recipe.prompt_key), accepted))
    }
}

fn wrong(field: &str, message: impl Into<String>) -> crate::domain::field::FieldError {
    crate::domain::field::FieldError::new(field, message)
}
