//! All services, built once and handed to the web floor.

use super::{
    accounts::Accounts,
    catalogue::ModelCatalogue,
    checkup::Checkups,
    context::{Actor, Environment},
    costs::Costs,
    datasets::{self, Datasets},
    error::{ServiceError, ServiceResult},
    hosting::{self, Endpoints},
    hub::JobHub,
    models::Models,
    playground::Playground,
    training::{Training, cloud::Cloud},
};
use crate::{
    backends::{
        Folders,
        account::Account,
        catalogue::Catalogue,
        prices::{Prices, Quotas},
    },
    config::Config,
    storage::Storage,
    store::Store,
};
use std::{sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What there is beyond this machine.
#[derive(Clone)]
pub struct Elsewhere {
    /// Why nothing can run on SageMaker; `None` where it can.
    pub missing: Option<String>,
    /// Is there an image of our own to train with?
    pub own_image: bool,
    /// Where the files of jobs lie that run there.
    pub folders: Option<Arc<dyn Folders>>,
    pub catalogue: Arc<dyn Catalogue>,
    pub prices: Arc<dyn Prices>,
    pub quotas: Arc<dyn Quotas>,
    pub hosting: hosting::Outside,
    pub account: Arc<dyn Account>,
}

/// All services, built once.
pub struct Services {
    pub env: Environment,
    pub accounts: Accounts,
    pub datasets: Datasets,
    pub training: Training,
    pub models: Models,
    pub playground: Playground,
    pub catalogue: ModelCatalogue,
    pub endpoints: Endpoints,
    pub costs: Arc<Costs>,
    pub checkups: Checkups,
    /// Tells who waits for news of a job.
    pub hub: JobHub,
    /// Cancelled when the server ends: open streams watch it.
    pub stop: CancellationToken,
    store: Arc<dyn Store>,
    storage: Arc<dyn Storage>,
}

impl Services {
    pub fn new(
        config: &Config,
        env: Environment,
        store: Arc<dyn Store>,
        storage: Arc<dyn Storage>,
        elsewhere: Elsewhere,
        stop: CancellationToken,
    ) -> Self {
        let hub = JobHub::default();
        let costs = Arc::new(Costs::new(store.clone(), elsewhere.prices.clone(), env.clone()));
        let prices = elsewhere.prices.clone();
        let checkups = Checkups::new(store.clone(), elsewhere.account, prices, env.clone());
        let cache = config.data_dir.join("cache/models");
        Self {
            training: Training::new(
                store.clone(),
                storage.clone(),
                env.clone(),
                hub.clone(),
                config.models_dir.clone(),
                cache.clone(),
                Cloud {
                    missing: elsewhere.missing,
                    own_image: elsewhere.own_image,
                    folders: elsewhere.folders,
                    costs: costs.clone(),
                    quotas: elsewhere.quotas,
                    catalogue: elsewhere.catalogue.clone(),
                },
            ),
            models: Models::new(store.clone(), storage.clone(), env.clone(), config.data_dir.join("scratch")),
            playground: Playground::new(
                store.clone(),
                storage.clone(),
                cache,
                config.models_dir.clone(),
                env.clone(),
            ),
            catalogue: ModelCatalogue::new(elsewhere.catalogue, store.clone(), env.clone()),
            endpoints: Endpoints::new(
                store.clone(),
                storage.clone(),
                env.clone(),
                elsewhere.hosting,
                costs.clone(),
            ),
            costs,
            checkups,
            accounts: Accounts::new(store.clone(), env.clone(), config.registration),
            datasets: Datasets::new(
                store.clone(),
                storage.clone(),
                env.clone(),
                datasets::Settings { max_upload_bytes: config.max_upload_bytes, parallel_checks: 2 },
                stop.clone(),
            ),
            hub,
            env,
            stop,
            store,
            storage,
        }
    }

    /// Starts the background work that is no training.
    pub fn start(self: &Arc<Self>, tasks: &TaskTracker) {
        self.datasets.start(tasks);
        let (endpoints, stop) = (self.endpoints.clone(), self.stop.clone());
        tasks.spawn(async move { endpoints.keep(stop).await });
        let services = Arc::clone(self);
        tasks.spawn(async move {
            let mut minutely = tokio::time::interval(Duration::from_secs(60));
            while services.stop.run_until_cancelled(minutely.tick()).await.is_some() {
                services.playground.close_unused();
            }
        });
        let services = Arc::clone(self);
        tasks.spawn(async move {
            let mut hourly = tokio::time::interval(Duration::from_secs(3600));
            while services.stop.run_until_cancelled(hourly.tick()).await.is_some() {
                if let Err(error) = services.accounts.sweep().await {
                    tracing::warn!(%error, "sessions that are over could not be removed");
                }
                if let Err(error) = services.datasets.sweep_uploads().await {
                    tracing::warn!(%error, "uploads that nobody went on with could not be removed");
                }
            }
        });
    }

    /// Deletes a model everywhere: its row, its files, what the playground holds open.
    pub async fn delete_model(&self, actor: &Actor, id: &str) -> ServiceResult<()> {
        let model = self.models.model(actor, id).await?;
        if self.endpoints.of_model(actor, &model.id).await?.is_some() {
            let next_step = "Delete the endpoint first, then the model.";
            return Err(ServiceError::refused(
                "model_hosted",
                "An endpoint still hosts this model.",
                next_step,
            ));
        }
        self.models.delete(actor, id).await?;
        self.playground.forget(&model.id);
        Ok(())
    }

    /// How many of the person's jobs are under way: for the pill in the top bar.
    pub async fn running_jobs(&self, actor: &Actor) -> ServiceResult<usize> {
        let count = self.store.count_active_jobs(&actor.user.id).await?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Do database and storage answer?
    pub async fn ready(&self) -> (bool, bool) {
        (self.store.ping().await.is_ok(), self.storage.ping().await.is_ok())
    }
}
