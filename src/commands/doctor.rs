//! `llm-tuner doctor`: tries each thing that `serve` needs, with the same settings, and says what is wrong with which
//! and what to do. Changes nothing but the database, which it brings up to date.

use crate::{
    aws::{self, Failure},
    config::{Config, StorageLocation},
    storage::{Storage, disk::DiskStorage, s3::S3Storage},
    store::Location,
    web::assets::Assets,
};
use std::process::ExitCode;

/// What one look found: words for it, or what is wrong and what to do.
type Found = Result<String, (String, String)>;

pub fn run() -> ExitCode {
    let config = match Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(errors) => {
            print!("fail  settings: {errors}");
            return ExitCode::FAILURE;
        }
    };
    let Ok(runtime) = tokio::runtime::Runtime::new() else {
        println!("fail  this process may start no threads");
        return ExitCode::FAILURE;
    };
    println!("ok    settings: whole");
    let mut healthy = true;
    let mut tell = |what: &str, found: Found| match found {
        Ok(words) => println!("ok    {what}: {words}"),
        Err((why, next)) => {
            healthy = false;
            println!("fail  {what}: {why}\n      {next}");
        }
    };
    tell("data folder (DATA_DIR)", folder(&config));
    tell("pages (LEPTOS_SITE_ROOT)", site(&config));
    runtime.block_on(async {
        tell("database (DATABASE_URL)", database(&config).await);
        files(&config, &mut tell).await;
    });
    if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn folder(config: &Config) -> Found {
    let path = config.data_dir.display();
    std::fs::create_dir_all(&config.data_dir)
        .and_then(|()| tempfile::tempfile_in(&config.data_dir))
        .map(|_| format!("{path} can be written to"))
        .map_err(|error| {
            (format!("{path}: {error}"), "Give this user the folder, or set DATA_DIR to another.".to_owned())
        })
}

fn site(config: &Config) -> Found {
    Assets::load(&config.site_root)
        .map(|_| format!("{} is whole", config.site_root.display()))
        .map_err(|error| (error.to_string(), "The server does not start without its pages.".to_owned()))
}

async fn database(config: &Config) -> Found {
    let next = match config.database {
        Location::Sql(_) => "Correct DATABASE_URL, or start the database.",
        Location::DynamoDb(_) => {
            "Give the server credentials and a way to AWS; then run `llm-tuner migrate` with credentials that may make tables."
        }
    };
    let connected = config.database.connect().await;
    connected
        .map(|_| format!("{} answers, its tables are up to date", config.database.scheme()))
        .map_err(|error| (error.to_string(), next.to_owned()))
}

async fn files(config: &Config, tell: &mut impl FnMut(&str, Found)) {
    match &config.storage {
        StorageLocation::Disk(path) => {
            let opened = match DiskStorage::open(path) {
                Ok(disk) => disk.ping().await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let found = opened.map(|()| format!("{} can be written to", path.display()));
            tell(
                "files (STORAGE_URL)",
                found.map_err(|why| (why, "Give this user the folder, or make room on its disk.".to_owned())),
            );
        }
        StorageLocation::S3 { bucket, prefix } => bucket_files(bucket, prefix, tell).await,
    }
}

async fn bucket_files(bucket: &str, prefix: &str, tell: &mut impl FnMut(&str, Found)) {
    let sdk = aws::config().await;
    if sdk.region().is_none() {
        let next = "Set AWS_REGION to the bucket's region, as in AWS_REGION=eu-central-1.".to_owned();
        return tell("AWS region", Err(("none is set".to_owned(), next)));
    }
    let caller = aws::caller(&sdk).await;
    let name = caller.clone().unwrap_or_else(|_| "these credentials".to_owned());
    tell("AWS credentials", caller.map_err(|failure| (failure.to_string(), step(&failure, "sts", &name))));
    for tried in S3Storage::new(&sdk, bucket, prefix).try_permissions().await {
        let what = format!("{} on {bucket}", tried.permission);
        let words = |failure: Failure| (failure.to_string(), step(&failure, tried.permission, &name));
        tell(&what, tried.outcome.map(|()| "allowed".to_owned()).map_err(words));
    }
}

/// What to do about a failed call.
fn step(failure: &Failure, permission: &str, caller: &str) -> String {
    match failure {
        Failure::NoAnswer(_) => "Give the server credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role) and a way to AWS; then run this again.".to_owned(),
        Failure::Refused { code, .. } => match code.as_str() {
            "NoSuchBucket" => "Make the bucket, or correct STORAGE_URL.".to_owned(),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" => "Set AWS_REGION to the region that the bucket is in.".to_owned(),
            "AccessDenied" | "AccessDeniedException" => format!("Allow {permission} in the policy of {caller}."),
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidClientTokenId" => {
                "The credentials are wrong or too old: make new ones.".to_owned()
            }
            _ => "Look the code up in the AWS documentation of this service.".to_owned(),
        },
    }
}
