//! A job that is to run on SageMaker: which container, which machine, for how long and for how much.

use super::{
    Request,
    bases::Base,
    reckoning::{Load, expected, fallback, hours, volume},
};
use crate::{
    backends::{
        Folders,
        catalogue::{Catalogue, CatalogueError},
        prices::Quotas,
    },
    domain::{
        cloud::{CloudSpec, Route},
        field::FieldError,
        instance::{InstanceType, Usage},
        job::BaseModel,
        jumpstart::{DataLayout, Model},
    },
    services::{
        costs::Costs,
        error::{ServiceError, ServiceResult},
    },
};
use llm_tuner_engine::data::rows::Kind;
use std::{collections::BTreeMap, sync::Arc};

/// What this installation can do on AWS.
#[derive(Clone)]
pub struct Cloud {
    /// Why nothing can run on SageMaker; `None` where it can.
    pub missing: Option<String>,
    /// Is there an image of our own?
    pub own_image: bool,
    pub quotas: Arc<dyn Quotas>,
    pub costs: Arc<Costs>,
    pub catalogue: Arc<dyn Catalogue>,
    /// `None` where nothing can run there.
    pub folders: Option<Arc<dyn Folders>>,
}

/// Where a person wants a job to run. Text, as a form sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Where {
    /// `local`, `image`, `script` or `jumpstart`; empty is `local`, or `jumpstart` for one of its models.
    pub place: String,
    pub instance_type: String,
    /// Types to go on with where the first is not to be had, separated by commas; `auto` takes those that fit.
    pub fallback: String,
    pub spot: bool,
    /// The longest that it may take; empty takes a limit that follows the estimate.
    pub max_hours: String,
}

/// What a container takes as a base, for the refusals below.
pub enum Asked {
    Local,
    Container(Route),
    JumpStart,
}

impl Where {
    /// # Errors
    /// Of the field `place`, `base_model`.
    pub fn asked(&self, base: &Base) -> Result<Asked, FieldError> {
        let jumpstart = matches!(base.base, BaseModel::JumpStart { .. });
        let wrong = |message: String| Err(FieldError::new("place", message));
        match (self.place.as_str(), jumpstart) {
            ("" | "jumpstart", true) => Ok(Asked::JumpStart),
            (_, true) => wrong(format!("{} is a JumpStart model: choose JumpStart.", base.name)),
            ("jumpstart", false) => {
                Err(FieldError::new("base_model", "Choose a JumpStart model from its catalogue."))
            }
            ("" | "local", false) => match base.base {
                BaseModel::Hub { .. } => wrong(format!(
                    "{} is fetched from the Hugging Face Hub by a container: choose SageMaker with the Hugging Face container.",
                    base.name
                )),
                _ => Ok(Asked::Local),
            },
            ("image", false) => match base.base {
                BaseModel::Hub { .. } => wrong(
                    "Our own image trains what this machine can: choose the Hugging Face container."
                        .to_owned(),
                ),
                _ => Ok(Asked::Container(Route::Image)),
            },
            ("script", false) => match base.base {
                BaseModel::Nano => Err(FieldError::new(
                    "base_model",
                    "The Hugging Face container needs a model to start from; nano is made by our own engine. Choose another model, or our own image.",
                )),
                _ => Ok(Asked::Container(Route::Script)),
            },
            (other, false) => wrong(format!(
                "There is no place called \"{}\": it is local, image, script or jumpstart.",
                other.chars().take(40).collect::<String>()
            )),
        }
    }
}

impl Cloud {
    /// # Errors
    /// `Refused` where SageMaker is not set up.
    pub fn check(&self) -> ServiceResult<()> {
        match &self.missing {
            None => Ok(()),
            Some(why) => Err(ServiceError::refused(
                "aws_not_configured",
                format!("Nothing can run on SageMaker yet. {why}"),
                "Ask your administrator; docs/AWS_SETUP.md has each step.",
            )),
        }
    }

    /// Everything that is decided about a run there. The seconds it is expected to take come with it.
    ///
    /// # Errors
    /// Of the fields `instance_type`, `fallback_instance_types`, `max_hours`, `spot`, `place`.
    pub async fn spec(
        &self,
        asked: &Where,
        route: Route,
        allowed: Option<&[String]>,
        load: &Load,
    ) -> ServiceResult<(CloudSpec, Option<u64>)> {
        let mut errors = Vec::new();
        if route == Route::Image && !self.own_image {
            errors.push(FieldError::new(
                "place",
                "No image of our own is set up (SAGEMAKER_TRAINING_IMAGE). Choose the Hugging Face container.",
            ));
        }
        let jumpstart = matches!(route, Route::JumpStart { .. });
        if asked.spot && jumpstart {
            errors.push(FieldError::new(
                "spot",
                "JumpStart's scripts write no checkpoints, so an interrupted run would begin anew each time. Leave spot off.",
            ));
        }
        let usage = if asked.spot { Usage::SpotTraining } else { Usage::Training };
        let kind = match InstanceType::parse(&asked.instance_type, usage) {
            Ok(kind) if allowed.is_none_or(|types| types.iter().any(|one| one == kind.name)) => Some(kind),
            Ok(kind) => {
                errors.push(FieldError::new(
                    "instance_type",
                    format!(
                        "This model does not train on {}. It trains on {}.",
                        kind.name,
                        allowed.unwrap_or_default().join(", ")
                    ),
                ));
                None
            }
            Err(error) => {
                errors.push(error);
                None
            }
        };
        let fallback = match kind {
            Some(kind) => fallback(asked, kind, usage, allowed).unwrap_or_else(|error| {
                errors.push(error);
                Vec::new()
            }),
            None => Vec::new(),
        };
        let seconds = kind.and_then(|kind| expected(kind, load, &route));
        let max_runtime_seconds = match hours(&asked.max_hours, seconds) {
            Ok(hours) => (hours * 3600.0).round() as u64,
            Err(error) => {
                errors.push(error);
                0
            }
        };
        let (Some(kind), true) = (kind, errors.is_empty()) else {
            return Err(ServiceError::Invalid(errors));
        };
        let mut prices = BTreeMap::new();
        let mut as_of = None;
        for name in std::iter::once(kind.name).chain(fallback.iter().map(String::as_str)) {
            let quote = self.costs.quote(name, usage).await;
            if let Some(price) = quote.per_hour {
                prices.insert(name.to_owned(), price);
                as_of = Some(quote.as_of);
            }
        }
        let estimate = prices
            .get(kind.name)
            .zip(seconds)
            .map(|(price, seconds)| price.for_seconds(seconds.min(max_runtime_seconds), 1));
        let spec = CloudSpec {
            route,
            layout: None,
            instance_type: kind.name.to_owned(),
            instance_count: 1,
            volume_gb: volume(load.bytes),
            max_runtime_seconds,
            spot: asked.spot,
            fallback,
            prices,
            prices_as_of: as_of,
            estimate,
            licence_accepted: false,
        };
        Ok((spec, seconds))
    }

    /// What the account's quotas say against this machine; nothing where they can't be read.
    pub async fn doubt(&self, spec: &CloudSpec) -> Option<String> {
        let usage = if spec.spot { Usage::SpotTraining } else { Usage::Training };
        let quota = self.quotas.limit(&spec.instance_type, usage).await.ok()??;
        (quota.limit < f64::from(spec.instance_count)).then(|| {
            format!(
                "Your AWS account may run {} of these: its quota \"{}\". Ask for more at {}, or choose another type.",
                quota.limit, quota.name, quota.url
            )
        })
    }

    /// The JumpStart model of this id as the catalogue has it now.
    pub async fn model(&self, id: &str) -> ServiceResult<Model> {
        match self.catalogue.model(id, None).await {
            Ok(found) => Ok(found.model),
            Err(CatalogueError::Unknown) => Err(ServiceError::invalid(
                "base_model",
                "JumpStart has no such model. Choose one from its catalogue.",
            )),
            Err(CatalogueError::Unusable(why)) => Err(ServiceError::invalid("base_model", why)),
            Err(CatalogueError::NoAnswer(why)) => Err(ServiceError::refused(
                "aws_no_answer",
                format!("JumpStart's catalogue can't be asked: {why}"),
                "Try again in a minute.",
            )),
        }
    }
}

/// How the model is to be told to read rows of this kind.
///
/// # Errors
/// Of the field `dataset`.
pub fn layout(model: &Model, kind: Kind) -> Result<DataLayout, FieldError> {
    let wanted = match kind {
        Kind::Text => DataLayout::Text,
        Kind::Chat => DataLayout::Chat,
        Kind::Completion => DataLayout::Instruction,
    };
    let layouts = model.layouts();
    if layouts.contains(&wanted) {
        return Ok(wanted);
    }
    let takes: Vec<&str> = layouts.into_iter().map(DataLayout::label).collect();
    Err(FieldError::new(
        "dataset",
        if takes.is_empty() {
            format!("It is not known how {} wants its data. Choose another model.", model.name)
        } else {
            format!("{} does not learn from data of this kind. It takes: {}.", model.name, takes.join(", "))
        },
    ))
}

/// The settings that are for SageMaker, from a job that ran there: for a filled-in form.
pub fn of_spec(request: &mut Request, spec: &CloudSpec) {
    request.place = Where {
        place: match spec.route {
            Route::Image => "image",
            Route::Script => "script",
            Route::JumpStart { .. } => "jumpstart",
        }
        .to_owned(),
        instance_type: spec.instance_type.clone(),
        fallback: spec.fallback.join(","),
        spot: spec.spot,
        max_hours: (spec.max_runtime_seconds as f64 / 3600.0).to_string(),
    };
}
