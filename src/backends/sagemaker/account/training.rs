//! What training needs: jobs, the role that they run with, their logs.

use super::{
    AwsAccount,
    trying::{Outcome, beyond_rights, finding, outcome},
};
use crate::{
    aws::{Failure, Tried},
    backends::sagemaker::tags,
    domain::checkup::{Area, Finding},
};
use aws_config::SdkConfig;
use aws_sdk_sagemaker::{
    Client,
    types::{
        AlgorithmSpecification, OutputDataConfig, ResourceConfig, StoppingCondition, Tag, TrainingInputMode,
        TrainingInstanceType, TrainingJobStatus,
    },
};

/// The name of what is not there.
pub const NOBODY: &str = "llm-tuner-doctor";
const LOG_GROUP: &str = "/aws/sagemaker/TrainingJobs";

/// What AWS says of a name that is not there, where the right is tied to a tag.
pub const BY_TAG: &str = "can't be told: there is nothing of ours to try it on, and for a name that is not there AWS says the same with and without the right";

pub async fn findings(account: &AwsAccount, sdk: &SdkConfig, role: &str, caller: &str) -> Vec<Finding> {
    let client = Client::new(sdk);
    let (mut created, described, listed, tags, stopped) = tokio::join!(
        create(account, &client, role, caller),
        describe(&client),
        list(&client),
        list_tags(&client, role, account.region()),
        stop(account, &client, caller),
    );
    let tried = |permission, purpose, outcome| {
        finding(Area::Training, "", Tried { permission, purpose, outcome }, caller)
    };
    created.extend([
        tried("sagemaker:DescribeTrainingJob", "how a job stands", described),
        tried("sagemaker:ListTrainingJobs", "finds jobs that run without a row here", listed),
        tried("sagemaker:ListTags", "whose a job or an endpoint is", tags),
        stopped,
    ]);
    created
}

/// A job that contradicts itself: as a spot job it must be waited for at least as long as it may run. Its image does not
/// exist either. Should AWS make it all the same, it is stopped at once.
async fn create(account: &AwsAccount, client: &Client, role: &str, caller: &str) -> Vec<Finding> {
    let image = format!(
        "{}.dkr.ecr.{}.amazonaws.com/{NOBODY}:none",
        role.split(':').nth(4).unwrap_or_default(),
        account.region()
    );
    let asked = client
        .create_training_job()
        .training_job_name(NOBODY)
        .role_arn(role)
        .algorithm_specification(
            AlgorithmSpecification::builder()
                .training_image(image)
                .training_input_mode(TrainingInputMode::File)
                .build(),
        )
        .output_data_config(OutputDataConfig::builder().s3_output_path(account.root()).build())
        .resource_config(
            ResourceConfig::builder()
                .instance_type(TrainingInstanceType::MlM5Large)
                .instance_count(1)
                .volume_size_in_gb(1)
                .build(),
        )
        .enable_managed_spot_training(true)
        .stopping_condition(
            StoppingCondition::builder().max_runtime_in_seconds(2).max_wait_time_in_seconds(1).build(),
        )
        .tags(tag(account));
    let made = outcome(asked.send().await);
    if made.is_ok() {
        let _ = client.stop_training_job().training_job_name(NOBODY).send().await;
    }
    let said = made.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let allowed = beyond_rights(made);
    let pass = match &allowed {
        Err(failure) if failure.is_denied() && said.contains("iam:PassRole") => Err(failure.clone()),
        _ => Ok(()),
    };
    let may_pass = pass.is_ok();
    let create = if may_pass { allowed } else { Ok(()) };
    let known = create.is_ok();
    let (role_area, pass_purpose) = (Area::Role, "a job is given its role");
    let permission = "iam:PassRole";
    let pass = match known {
        true => finding(role_area, "", Tried { permission, purpose: pass_purpose, outcome: pass }, caller),
        false => Finding::skip(
            role_area,
            permission,
            pass_purpose,
            "not known while sagemaker:CreateTrainingJob is refused",
            None,
        ),
    };
    let taken = role_is_taken(role, &said);
    let tried = Tried { permission: "sagemaker:CreateTrainingJob", purpose: "starts jobs", outcome: create };
    let mut found = vec![pass, finding(Area::Training, " (with sagemaker:AddTags)", tried, caller)];
    found.extend(taken);
    found
}

/// SageMaker may have looked at the role before it looked at the rest.
fn role_is_taken(role: &str, said: &str) -> Option<Finding> {
    let said = said.to_lowercase();
    (said.contains("assume") && said.contains("role")).then(|| {
        Finding::fail(
            Area::Role,
            role,
            "what jobs and endpoints may do",
            "SageMaker can't take this role",
            "Let sagemaker.amazonaws.com assume the role (its trust policy), or correct SAGEMAKER_EXECUTION_ROLE_ARN.",
        )
    })
}

async fn describe(client: &Client) -> Outcome {
    beyond_rights(outcome(client.describe_training_job().training_job_name(NOBODY).send().await))
}

async fn list(client: &Client) -> Outcome {
    outcome(client.list_training_jobs().max_results(1).send().await)
}

async fn list_tags(client: &Client, role: &str, region: &str) -> Outcome {
    let mut parts = role.split(':').skip(1);
    let (partition, account) = (parts.next().unwrap_or("aws"), parts.nth(2).unwrap_or_default());
    let arn = format!("arn:{partition}:sagemaker:{region}:{account}:training-job/{NOBODY}");
    beyond_rights(outcome(client.list_tags().resource_arn(arn).send().await))
}

/// A job of ours that is over can't be stopped, and AWS says so to whoever may stop it.
async fn stop(account: &AwsAccount, client: &Client, caller: &str) -> Finding {
    let (permission, purpose) = ("sagemaker:StopTrainingJob", "stops jobs");
    let over = match account.a_job(client, TrainingJobStatus::Completed).await {
        Some(name) => Some(name),
        None => account.a_job(client, TrainingJobStatus::Stopped).await,
    };
    let name = over.as_deref().unwrap_or(NOBODY);
    let stopped = beyond_rights(outcome(client.stop_training_job().training_job_name(name).send().await));
    if over.is_none() && stopped.as_ref().is_err_and(Failure::is_denied) {
        let next = "Look again after the first job is over.";
        return Finding::skip(Area::Training, permission, purpose, BY_TAG, Some(next));
    }
    finding(Area::Training, "", Tried { permission, purpose, outcome: stopped }, caller)
}

pub fn tag(account: &AwsAccount) -> Tag {
    Tag::builder().key(tags::INSTALLATION).value(&account.settings.installation).build()
}

pub async fn logs(sdk: &SdkConfig, caller: &str) -> Vec<Finding> {
    let client = aws_sdk_cloudwatchlogs::Client::new(sdk);
    let streams = client.describe_log_streams().log_group_name(LOG_GROUP).limit(1).send();
    let lines =
        client.get_log_events().log_group_name(LOG_GROUP).log_stream_name(format!("{NOBODY}/none")).limit(1);
    let (streams, lines) = tokio::join!(streams, lines.send());
    // Before the first job there is no such group.
    [
        ("logs:DescribeLogStreams", "finds a job's log", beyond_rights(outcome(streams))),
        ("logs:GetLogEvents", "the log on a job's page", beyond_rights(outcome(lines))),
    ]
    .into_iter()
    .map(|(permission, purpose, outcome)| {
        finding(Area::Logs, "", Tried { permission, purpose, outcome }, caller)
    })
    .collect()
}
