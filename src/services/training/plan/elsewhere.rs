//! Plans for machines that are not ours: SageMaker with a container of ours or of Hugging Face's, and JumpStart.

use super::super::{
    Request,
    bases::Base,
    cloud, machine, names,
    reckoning::{Load, parameters_by_name},
};
use super::{FEW_ROWS, Plan, Planner, few};
use crate::{
    domain::{
        cloud::Route,
        dataset::Dataset,
        field::FieldError,
        job::{BaseModel, JobSpec},
    },
    services::{
        catalogue::acceptance,
        context::Actor,
        error::{ServiceError, ServiceResult},
    },
};

impl Planner {
    /// The same plan for one of SageMaker's machines.
    pub(super) async fn elsewhere(
        &self,
        request: &Request,
        base: &Base,
        datasets: &[Dataset],
        mut plan: Plan,
        route: Route,
    ) -> ServiceResult<Plan> {
        let hub = matches!(base.base, BaseModel::Hub { .. });
        let flops = match (hub, plan.flops) {
            (false, flops) => Some(flops),
            // Of a model on the Hub only its name is known.
            (true, _) => parameters_by_name(&base.name).map(|size| {
                let epochs_tokens = plan.trained_tokens;
                machine::flops_per_token(size, size) * epochs_tokens
            }),
        };
        let load = Load {
            flops,
            seconds_here: plan.seconds.filter(|_| !hub),
            bytes: base.bytes.max(if hub { 8_000_000_000 } else { 0 })
                + datasets.iter().map(|dataset| dataset.bytes).sum::<u64>(),
        };
        let (spec, seconds) = self.cloud.spec(&request.place, route, None, &load).await?;
        plan.seconds = seconds;
        plan.spec.seconds = seconds.unwrap_or(0);
        plan.memory_bytes = 0;
        plan.spec.memory_bytes = 0;
        plan.memory_available = None;
        // What was said of this machine does not hold there.
        plan.warnings = plan.warnings_of_data.clone();
        if hub {
            plan.trainable_parameters = 0;
            plan.truncated_share = 0.0;
        }
        plan.warnings.extend(self.cloud.doubt(&spec).await);
        plan.spec.cloud = Some(spec);
        Ok(plan)
    }

    /// A JumpStart model: its own settings, its own machines, its own way to read data.
    pub(super) async fn jumpstart(
        &self,
        actor: &Actor,
        request: &Request,
        base: Base,
    ) -> ServiceResult<Plan> {
        let BaseModel::JumpStart { id } = &base.base else {
            return Err(ServiceError::invalid("base_model", "Choose a JumpStart model."));
        };
        let model = self.cloud.model(id).await?;
        let Some(recipe) = &model.training else {
            let message = format!("{} can't be fine-tuned. Choose a model that can.", model.name);
            return Err(ServiceError::invalid("base_model", message));
        };
        let mut errors = Vec::new();
        if let Err(error) = names::parse_title(&request.title) {
            errors.push(error);
        }
        let acceptance = acceptance(&*self.store, &actor.user.id, &model.id, &model.version).await?;
        let licence_accepted = acceptance.is_some();
        if model.gated && !licence_accepted {
            errors.push(FieldError::new(
                "base_model",
                format!("Accept the licence of {} on its page in the catalogue first.", model.name),
            ));
        }
        let datasets = self.datasets(actor, request, &mut errors).await?;
        if !errors.is_empty() {
            return Err(ServiceError::Invalid(errors));
        }
        let counts = self.counter.count(&self.storage, &datasets, None).await?;
        let layout = cloud::layout(&model, counts.kind)?;
        let mut place = request.place.clone();
        if place.instance_type.trim().is_empty() {
            place.instance_type.clone_from(&recipe.default_instance_type);
        }
        let mut chosen = layout.settings(&model);
        let given = request.hyperparameters.iter().filter(|(_, value)| !value.trim().is_empty());
        chosen.extend(given.map(|(name, value)| (name.clone(), value.trim().to_owned())));
        let values = model.settings(&place.instance_type, &chosen).map_err(ServiceError::Invalid)?;
        let own_epochs = ["epoch", "epochs"].iter().find_map(|name| values.get(*name)?.parse::<f64>().ok());
        let epochs = own_epochs.unwrap_or(1.0);
        let tokens: u64 = counts.lengths.iter().map(|length| u64::from(*length)).sum();
        let tokens = (tokens as f64 * counts.factor()) as u64;
        let size = parameters_by_name(id);
        let load = Load {
            flops: size.map(|size| machine::flops_per_token(size, size) * tokens as f64 * epochs),
            seconds_here: None,
            bytes: 0,
        };
        let route = Route::JumpStart { model: model.id.clone(), version: model.version.clone() };
        let (mut spec, seconds) = self.cloud.spec(&place, route, Some(&recipe.instance_types), &load).await?;
        spec.layout = Some(layout);
        spec.licence_accepted = licence_accepted;
        spec.max_runtime_seconds = spec.max_runtime_seconds.min(recipe.max_runtime_seconds);
        let mut warnings = Vec::new();
        if counts.rows < FEW_ROWS {
            warnings.push(few(counts.rows));
        }
        warnings.extend(self.cloud.doubt(&spec).await);
        Ok(Plan {
            spec: JobSpec {
                base: base.base.clone(),
                base_name: model.name.clone(),
                datasets: datasets.iter().map(|dataset| dataset.id.clone()).collect(),
                dataset_names: datasets.iter().map(|dataset| dataset.name.clone()).collect(),
                // Its script holds out rows by itself (validation_split_ratio).
                validation_share: 0.0,
                hyperparameters: chosen,
                tokens,
                total_steps: 0,
                memory_bytes: 0,
                seconds: seconds.unwrap_or(0),
                cloud: Some(spec),
            },
            hyperparameters: None,
            own_epochs,
            automatic: Vec::new(),
            rows: counts.rows,
            tokens_per_epoch: tokens,
            trained_tokens: tokens as f64 * epochs,
            flops: load.flops.unwrap_or(0.0),
            truncated_share: 0.0,
            steps: 0,
            trainable_parameters: 0,
            memory_bytes: 0,
            memory_available: None,
            seconds,
            warnings_of_data: warnings.clone(),
            warnings,
        })
    }
}
