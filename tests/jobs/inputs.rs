//! What a job's directory holds when its trainer starts.

use crate::{bench::Bench, support::make};
use llm_tuner::domain::{
    cloud::Place,
    job::{BaseModel, Job, JobState},
    model::{Model, ModelFile, ModelKind},
};
use std::{collections::HashSet, fs};

/// Shows its input and completes.
const SHOW: &str = r#"cd "$job/input"; find -L . -type f | sort
    for file in data/*/*.jsonl; do cat "$file"; done; save; done_with completed"#;

async fn finished(bench: &Bench, job: &Job) -> (Job, Vec<String>) {
    let job = bench.start_and_finish(&job.id).await;
    let log = bench.log(&job.id).await;
    (job, log)
}

#[tokio::test]
async fn rows_are_held_out_by_the_seed_and_none_is_lost() {
    let bench = Bench::script("cat \"$job\"/input/data/validation/*; save; done_with completed").await;
    let mut held_out = Vec::new();
    for (number, seed) in [(1, "5"), (2, "5"), (3, "6")] {
        let job = bench
            .job(number, |job| {
                job.spec.validation_share = 0.3;
                job.spec.hyperparameters.insert("seed".into(), seed.into());
            })
            .await;
        let (job, log) = finished(&bench, &job).await;
        assert_eq!((job.state, log.len()), (JobState::Completed, 3), "{:?}", job.failure);
        held_out.push(log);
    }
    assert_eq!(held_out[0], held_out[1]);
    assert_ne!(held_out[0], held_out[2]);

    let all = Bench::script("cat \"$job\"/input/data/*/*; save; done_with completed").await;
    let job = all.job(1, |job| job.spec.validation_share = 0.5).await;
    let (_, log) = finished(&all, &job).await;
    assert_eq!(log.len(), 10);
    assert_eq!(log.iter().collect::<HashSet<_>>().len(), 10);
}

#[tokio::test]
async fn the_directory_is_laid_out_as_the_contract_says() {
    let bench = Bench::script(&format!("cat \"$job/input/config/hyperparameters.json\"; echo; {SHOW}")).await;
    let job = bench.job(1, |job| job.spec.validation_share = 0.0).await;
    let (_, log) = finished(&bench, &job).await;
    assert_eq!(log[0], r#"{"learning_rate":"3e-3"}"#);
    assert_eq!(
        log[1..5],
        [
            "./config/hyperparameters.json".to_owned(),
            "./config/inputdataconfig.json".to_owned(),
            "./config/resourceconfig.json".to_owned(),
            format!("./data/training/000-{}.jsonl", make::dataset_id(1)),
        ]
    );
    assert_eq!(log[5], r#"{"prompt":"p0","completion":"c0"}"#);
}

#[tokio::test]
async fn a_samples_own_held_out_rows_are_used() {
    let bench =
        Bench::script("wc -l < \"$(echo \"$job\"/input/data/validation/*)\"; save; done_with completed")
            .await;
    let mut dataset = make::dataset(50, 1);
    let made = bench.dataset(51, b"{\"prompt\":\"a\",\"completion\":\"b\"}\n").await;
    dataset.report = made.report;
    dataset.object_key = made.object_key;
    dataset.sample = Some("sentences-to-commands".into());
    bench.db.store.create_dataset(&dataset, &make::audit("dataset.create")).await.unwrap();
    let job = bench.job(1, |job| job.spec.datasets = vec![dataset.id.clone()]).await;
    let (job, log) = finished(&bench, &job).await;
    assert_eq!((job.failure, log), (None, vec!["200".to_owned()]));
}

#[tokio::test]
async fn a_directory_of_the_operator_is_a_base_model() {
    let bench = Bench::script("cat \"$job/input/data/model/config.json\"; save; done_with completed").await;
    let models = bench.root.path().join("models");
    fs::create_dir_all(models.join("gpt2")).unwrap();
    fs::write(models.join("gpt2/config.json"), "{\"n\":1}\n").unwrap();
    let job = bench.job(1, |job| job.spec.base = BaseModel::Directory { name: "gpt2".into() }).await;
    let (_, log) = finished(&bench, &job).await;
    assert_eq!(log, ["{\"n\":1}"]);
    assert!(models.join("gpt2/config.json").exists(), "tidying up a job leaves the base model alone");

    for name in ["gone", "../jobs", ".."] {
        let number = 10 + name.len() as u64;
        let job = bench.job(number, |job| job.spec.base = BaseModel::Directory { name: name.into() }).await;
        let (job, log) = finished(&bench, &job).await;
        assert_eq!((job.state, log.len()), (JobState::Failed, 0), "{name}");
        assert!(job.next_step.is_some());
    }
}

#[tokio::test]
async fn a_finished_model_is_a_base_model_and_an_adapter_is_not() {
    let bench = Bench::script(
        "ls \"$job/input/data/model\"; echo x > \"$job/input/data/model/a.json\"; save; done_with completed",
    )
    .await;
    for (number, kind) in [(1, ModelKind::Full), (2, ModelKind::Adapter)] {
        let earlier = bench.job(number, |_| {}).await;
        finished(&bench, &earlier).await;
        let mut model: Model = make::model(number, 1, number);
        model.kind = kind;
        model.prefix = format!("models/{number}");
        model.files = vec!["a.json", "adapter/b.json"]
            .into_iter()
            .map(|path| ModelFile { path: path.into(), bytes: 2, sha256: String::new() })
            .collect();
        bench.db.store.create_model(&model).await.unwrap();
        let source = bench.root.path().join("a.json");
        fs::write(&source, "{}").unwrap();
        bench.storage.put_file(&format!("models/{number}/a.json"), &source).await.unwrap();

        let job =
            bench.job(number + 10, |job| job.spec.base = BaseModel::Model { id: model.id.clone() }).await;
        let (job, log) = finished(&bench, &job).await;
        if kind == ModelKind::Full {
            assert_eq!(
                (job.state, log),
                (JobState::Completed, vec!["a.json".to_owned()]),
                "{:?}",
                job.failure
            );
            let stored = bench.storage.head("models/1/a.json").await.unwrap();
            assert_eq!(stored.bytes, 2, "what the trainer does to its copy stays there");
        } else {
            assert_eq!(job.state, JobState::Failed);
            assert!(job.failure.unwrap().contains("adapter"));
        }
    }
}

#[tokio::test]
async fn anothers_data_and_models_are_out_of_reach() {
    let bench = Bench::script(SHOW).await;
    let mut stranger = make::user(2);
    stranger.id = make::user_id(2);
    llm_tuner::store::Accounts::create_user(&*bench.db.store, &stranger, &make::audit("user.create"))
        .await
        .unwrap();
    let job = bench.job(1, |job| job.user_id = make::user_id(2)).await;
    let (job, _) = finished(&bench, &job).await;
    assert_eq!(job.state, JobState::Failed, "the dataset is another's");
}

#[tokio::test]
async fn data_that_is_gone_is_said() {
    let bench = Bench::script(SHOW).await;
    let job = bench.job(1, |_| {}).await;
    let dataset = bench.db.store.dataset(&job.spec.datasets[0]).await.unwrap().unwrap();
    bench.storage.delete(&dataset.object_key).await.unwrap();
    let (job, _) = finished(&bench, &job).await;
    assert_eq!(job.state, JobState::Failed);
    assert_eq!(job.failure.as_deref(), Some("The file of the dataset \"data 1\" is missing."));
    assert!(
        bench.db.store.claim_jobs("x", Place::Local, make::at(0), make::at(1), 10).await.unwrap().is_empty()
    );
}
