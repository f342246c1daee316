//! `llm-tuner doctor`: tries each thing that `serve` needs, with the same settings, and says what is wrong with which
//! and what to do. Changes nothing but the database, which it brings up to date.

use crate::{
    config::{Config, StorageLocation},
    domain::{
        checkup::{Area, Checkup, Finding},
        time::Instant,
    },
    services::{checkup::Checkups, context::Environment},
    storage::{Storage, disk::DiskStorage},
    store::{Location, Store},
    web::{api::aws::CheckupBody, assets::Assets},
};
use aws_config::SdkConfig;
use std::{process::ExitCode, sync::Arc, time::Duration};

/// For the SDK's settings: where no region is set it asks a metadata service that may not be there.
const SETTINGS_WITHIN: Duration = Duration::from_secs(3);
/// For the database: DynamoDB without credentials would be asked long.
const DATABASE_WITHIN: Duration = Duration::from_secs(20);

pub fn run(json: bool) -> ExitCode {
    let checkup = match Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime.block_on(look(&config)),
            Err(error) => alone("threads", &error.to_string(), "Let this process start threads."),
        },
        Err(errors) => alone("settings", &errors.to_string(), "Correct each, then look again."),
    };
    if json {
        match serde_json::to_string_pretty(&CheckupBody::from(&checkup)) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("{error}"),
        }
    } else {
        print!("{}", words(&checkup, Environment::system().now()));
    }
    if checkup.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Nothing but this, and it is wrong.
fn alone(what: &str, why: &str, next: &str) -> Checkup {
    let finding = Finding::fail(Area::Server, what, "all that the server does", why.trim_end(), next);
    Checkup { findings: vec![finding], ..Checkup::default() }
}

async fn look(config: &Config) -> Checkup {
    let mut findings = vec![
        Finding::ok(Area::Server, "settings", "all that the server does", "whole"),
        folder(config),
        site(config),
        Finding::ok(
            Area::Server,
            "kernels (ENGINE_TIER)",
            "training and talking on this machine",
            config.engine_tier.words(),
        ),
    ];
    let (found, store) = database(config).await;
    findings.push(found);
    if let StorageLocation::Disk(path) = &config.storage {
        findings.push(files(path).await);
    }
    let sdk = sdk(config).await;
    let account = super::aws::account(config, sdk.as_ref());
    let checkup = if account.is_used() {
        let env = Environment::system();
        let elsewhere = super::aws::elsewhere(config, sdk.as_ref(), env.clock.clone());
        match store {
            Some(store) => Checkups::new(store, account, elsewhere.prices, env).look().await,
            None => {
                let examined = account.examine().await;
                Checkup {
                    findings: examined.findings,
                    limits: examined.limits,
                    leftovers_problem: Some("the database does not answer".to_owned()),
                    ..Checkup::default()
                }
            }
        }
    } else {
        let words = "not used: files, database and training are on this machine";
        let next = config.aws.role_arn.as_ref().map(|_| "SAGEMAKER_EXECUTION_ROLE_ARN is set, but STORAGE_URL is not s3://BUCKET/PREFIX: SageMaker can't read this machine's disk.");
        let unused = Finding::skip(Area::Settings, "AWS", "training and hosting on SageMaker", words, next);
        Checkup { findings: vec![unused], ..Checkup::default() }
    };
    findings.extend(checkup.findings);
    Checkup { findings, ..checkup }
}

/// As the server finds them, but for no longer than somebody waits.
async fn sdk(config: &Config) -> Option<SdkConfig> {
    match tokio::time::timeout(SETTINGS_WITHIN, super::aws::sdk(config)).await {
        Ok(sdk) => sdk,
        // Without a region, which is then said.
        Err(_) => Some(SdkConfig::builder().build()),
    }
}

fn folder(config: &Config) -> Finding {
    let (what, purpose) = ("data folder (DATA_DIR)", "database, files and running jobs");
    let path = config.data_dir.display();
    let made =
        std::fs::create_dir_all(&config.data_dir).and_then(|()| tempfile::tempfile_in(&config.data_dir));
    match made {
        Ok(_) => Finding::ok(Area::Server, what, purpose, format!("{path} can be written to")),
        Err(error) => {
            let next = "Give this user the folder, or set DATA_DIR to another.";
            Finding::fail(Area::Server, what, purpose, format!("{path}: {error}"), next)
        }
    }
}

fn site(config: &Config) -> Finding {
    let (what, purpose) = ("pages (LEPTOS_SITE_ROOT)", "styles and scripts of the site");
    match Assets::load(&config.site_root) {
        Ok(_) => Finding::ok(Area::Server, what, purpose, format!("{} is whole", config.site_root.display())),
        Err(error) => {
            let next = "The server does not start without its pages.";
            Finding::fail(Area::Server, what, purpose, error.to_string(), next)
        }
    }
}

async fn database(config: &Config) -> (Finding, Option<Arc<dyn Store>>) {
    let (what, purpose) = ("database (DATABASE_URL)", "people, data, jobs and models");
    let next = match config.database {
        Location::Sql(_) => "Correct DATABASE_URL, or start the database.",
        Location::DynamoDb(_) => {
            "Give the server credentials and a way to AWS; then run `llm-tuner migrate` with credentials that may make tables."
        }
    };
    let why = match tokio::time::timeout(DATABASE_WITHIN, config.database.connect()).await {
        Ok(Ok(store)) => {
            let words = format!("{} answers, its tables are up to date", config.database.scheme());
            return (Finding::ok(Area::Server, what, purpose, words), Some(store));
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} seconds", DATABASE_WITHIN.as_secs()),
    };
    (Finding::fail(Area::Server, what, purpose, why, next), None)
}

async fn files(path: &std::path::Path) -> Finding {
    let (what, purpose) = ("files (STORAGE_URL)", "uploads and models");
    let opened = match DiskStorage::open(path) {
        Ok(disk) => disk.ping().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match opened {
        Ok(()) => Finding::ok(Area::Server, what, purpose, format!("{} can be written to", path.display())),
        Err(why) => {
            let next = "Give this user the folder, or make room on its disk.";
            Finding::fail(Area::Server, what, purpose, why, next)
        }
    }
}

/// Line by line, for people.
fn words(checkup: &Checkup, now: Instant) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    // Writing into a text can't fail.
    for finding in &checkup.findings {
        let Finding { what, found, purpose, .. } = finding;
        let _ = writeln!(text, "{:<5} {what}: {found} (for: {purpose})", finding.verdict.as_str());
        if let Some(next) = &finding.next_step {
            let _ = writeln!(text, "      {next}");
        }
    }
    if !checkup.limits.is_empty() {
        let _ = writeln!(text, "\nquotas: how many of the usual machines may run at once");
    }
    for limit in &checkup.limits {
        let name = crate::backends::sagemaker::quotas::name(limit.instance_type, limit.usage);
        let _ = match (limit.limit, &limit.url) {
            (None, _) => writeln!(text, "      {name}: none listed in this region"),
            (Some(0.0), Some(url)) => writeln!(text, "   0  {name}: ask for more at {url}"),
            (Some(figure), _) => writeln!(text, "{figure:>4}  {name}"),
        };
    }
    if !checkup.leftovers.is_empty() || checkup.leftovers_problem.is_some() {
        let _ = writeln!(text, "\norphans: what runs on AWS and is unknown here");
    }
    for one in &checkup.leftovers {
        let machine = one.machine.as_deref().unwrap_or("unknown machine");
        let price =
            one.per_hour.map_or_else(|| "price unknown".to_owned(), |price| format!("{price} an hour"));
        let age =
            one.since.map(|since| format!(", since {}", crate::web::format::duration(now.since(since))));
        let (kind, name, why, next) = (one.kind.words(), &one.name, &one.why, &one.next_step);
        let age = age.unwrap_or_default();
        let _ = writeln!(text, "      {kind} {name} ({machine}, {price}{age})\n      {why} {next}");
    }
    if let Some(why) = &checkup.leftovers_problem {
        let _ = writeln!(text, "      not known whole: {why}");
    }
    text
}
