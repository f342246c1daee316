//! `llm-tuner serve`: builds every part, hands each what it needs, serves until a signal, and ends in order.

use crate::{
    backends::{
        TrainingBackend,
        local::{LocalBackend, LocalSettings},
    },
    config::{Config, StorageLocation},
    domain::cloud::Place,
    services::{
        Services,
        context::Environment,
        supervisor::{Supervisor, SupervisorSettings},
    },
    storage::{Storage, disk::DiskStorage, s3::S3Storage},
    web::{assets::Assets, router, state::AppState},
};
use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Jobs on SageMaker that are watched at once: they cost this machine next to nothing.
const MAX_REMOTE_JOBS: usize = 500;

/// How long open requests and tasks may take to end after a signal.
const GRACE: Duration = Duration::from_secs(25);

pub fn run() -> ExitCode {
    let config = match Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("LLM Tuner can't start: {errors}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow)
        .and_then(|runtime| runtime.block_on(serve(config)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "LLM Tuner can't go on");
            eprintln!("LLM Tuner can't go on: {error}");
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn anyhow(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Box::new(error)
}

async fn serve(config: Config) -> Result<(), Failure> {
    std::fs::create_dir_all(&config.data_dir).map_err(|error| {
        format!("the folder {} can't be made: {error} (set DATA_DIR)", config.data_dir.display())
    })?;
    config.engine_tier.choose()?;
    tracing::info!(kernels = config.engine_tier.words(), "the engine's kernels");
    let folder = Folder::lock(&config)?;
    let assets = Assets::load(&config.site_root)?;
    let env = Environment::system();
    let store = config.database.connect().await?;
    let sdk = super::aws::sdk(&config).await;
    let storage = storage(&config, sdk.as_ref()).await?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();

    let elsewhere = super::aws::elsewhere(&config, sdk.as_ref(), env.clock.clone());
    let remote = super::aws::backend(&config, sdk.as_ref(), &elsewhere, storage.clone(), env.clock.clone())?;
    let services = Arc::new(Services::new(
        &config,
        env.clone(),
        store.clone(),
        storage.clone(),
        elsewhere,
        stop.clone(),
    ));
    services.start(&tasks);
    let backend = Arc::new(LocalBackend::new(LocalSettings::new(
        std::env::current_exe()?,
        config.data_dir.join("jobs"),
    ))?);
    let mut settings = SupervisorSettings::new(folder.owner.clone(), config.models_dir.clone());
    settings.max_parallel = config.max_parallel_jobs;
    let mut backends: Vec<(Arc<dyn TrainingBackend>, SupervisorSettings)> = vec![(backend, settings)];
    if let Some(remote) = remote {
        let mut settings =
            SupervisorSettings::new(format!("{}-sagemaker", folder.owner), config.models_dir.clone());
        settings.place = Place::SageMaker;
        settings.max_parallel = MAX_REMOTE_JOBS;
        settings.poll = config.aws.poll;
        backends.push((Arc::new(remote), settings));
    }
    for (backend, settings) in backends {
        let (store, storage, clock) = (store.clone(), storage.clone(), env.clock.clone());
        let supervisor = Supervisor::new(store, storage, backend, clock, settings, services.hub.clone());
        let stop = stop.clone();
        tasks.spawn(async move { supervisor.run(stop).await });
    }

    let listener = tokio::net::TcpListener::bind(config.site_addr).await.map_err(|error| {
        format!("{} can't be listened on: {error} (set LEPTOS_SITE_ADDR)", config.site_addr)
    })?;
    let addr = listener.local_addr()?;
    let state = AppState { config: Arc::new(config), assets: Arc::new(assets), services };
    tracing::info!(url = %state.config.base_url, %addr, "LLM Tuner is ready");
    println!("LLM Tuner is ready at {}", state.config.base_url);

    let app = router::router(state).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            signal().await;
            tracing::info!("ending: no new work is taken");
            stop.cancel();
        }
    });
    let served = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    // Open streams end when `stop` is cancelled; a client that never reads can't hold us longer than GRACE.
    tokio::select! {
        result = async { served.await } => result?,
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => {}
    }
    stop.cancel();
    tasks.close();
    if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
        tracing::warn!("some tasks did not end in time");
    }
    Ok(())
}

async fn storage(config: &Config, sdk: Option<&aws_config::SdkConfig>) -> Result<Arc<dyn Storage>, Failure> {
    Ok(match (&config.storage, sdk) {
        (StorageLocation::Disk(folder), _) => Arc::new(DiskStorage::open(folder)?),
        (StorageLocation::S3 { .. }, None) => return Err("the AWS SDK was not set up".into()),
        (StorageLocation::S3 { bucket, prefix }, Some(sdk)) => {
            let storage = S3Storage::new(sdk, bucket, prefix);
            // A server that can't keep files still shows what is wrong, on /ready and on every page that needs one.
            if let Err(error) = storage.ping().await {
                tracing::error!(%error, bucket, "the bucket can't be used");
            }
            Arc::new(storage)
        }
    })
}

/// The data folder, held by this server alone: a second one would run the same jobs in the same directories.
struct Folder {
    _lock: nix::fcntl::Flock<std::fs::File>,
    /// Who holds our jobs' leases. Written into the lock file by the first server of the folder, so that the next one
    /// takes its jobs up at once, also under another host name, as a container has after each start.
    owner: String,
}

impl Folder {
    fn lock(config: &Config) -> Result<Self, Failure> {
        use std::io::{Read as _, Write as _};
        let path = config.data_dir.join(".lock");
        let file =
            std::fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let mut lock =
            nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock).map_err(|_| {
                format!(
                    "another LLM Tuner uses the folder {}. End it, or set DATA_DIR to another folder.",
                    config.data_dir.display()
                )
            })?;
        let mut owner = String::new();
        lock.read_to_string(&mut owner)?;
        if owner.is_empty() {
            owner = ulid::Ulid::from(rand::random::<u128>()).to_string();
            lock.write_all(owner.as_bytes())?;
        }
        Ok(Self { _lock: lock, owner })
    }
}

async fn signal() {
    let interrupt = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! { () = interrupt => {}, () = terminate => {} }
}
