//! Questions to an endpoint in every shape that containers answer in, and what goes wrong with them.

use crate::{
    fake_sagemaker::FakeSageMaker,
    world::{deployment, fake, hosting},
};
use futures::StreamExt;
use llm_tuner::backends::hosting::{Ask, Hosting, HostingError, HostingResult, Refusal, Said};
use serde_json::json;
use std::time::Duration;

const TEXT: &str = "Grüße aus Köln: \"naïve\" 🦀, said the model.";

fn question() -> Ask {
    Ask { prompt: "Hello".into(), max_new_tokens: 20, top_p: 1.0, repetition_penalty: 1.0, ..Ask::default() }
}

/// An endpoint that answers in this manner.
async fn serving(fake: &FakeSageMaker, n: u64, shape: &str, seed: u64) -> String {
    let wanted = deployment(n);
    fake.control("endpoints", json!([{ "name": wanted.name, "shape": shape, "text": TEXT, "seed": seed }]))
        .await;
    hosting(fake, &[]).await.deploy(&wanted).await.unwrap();
    fake.later(Duration::from_secs(120)).await;
    wanted.name
}

/// The whole text, the number of pieces, and how it ended.
async fn heard(
    answer: HostingResult<llm_tuner::backends::hosting::Answer>,
) -> (String, usize, HostingResult<Said>) {
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(error) => return (String::new(), 0, Err(error)),
    };
    let (mut text, mut pieces) = (String::new(), 0);
    while let Some(said) = answer.next().await {
        match said {
            Ok(Said::Text(more)) => {
                text.push_str(&more);
                pieces += 1;
            }
            end => return (text, pieces, end),
        }
    }
    panic!("an answer without an end: {text}")
}

fn kind(outcome: &HostingResult<Said>) -> Refusal {
    match outcome {
        Err(HostingError::Refused { kind, .. }) => *kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_is_understood_streamed_and_whole() {
    let fake = fake().await;
    let hosting = hosting(&fake, &[]).await;
    for (n, shape) in ["tgi", "lmi", "llama2", "flan"].into_iter().enumerate() {
        let name = serving(&fake, n as u64, shape, n as u64).await;
        let key = (shape == "flan").then(|| "text_inputs".to_owned());
        let ask = Ask { prompt_key: key, licence_accepted: shape == "llama2", ..question() };
        let (text, pieces, end) = heard(hosting.ask(&name, &ask).await).await;
        assert_eq!(text, TEXT, "{shape}: {end:?}");
        assert!(pieces > 3, "{shape}: {pieces}");
        assert_eq!(end, Ok(Said::End { tokens: Some(8), at_limit: None }), "{shape}");
        // A container that does not stream is asked for the whole.
        fake.fault(json!({ "op": "InvokeEndpointWithResponseStream", "error": "ModelError",
            "message": "Received client error (400) from primary with message \"{\"error\": \"no streaming\"}\"." }))
            .await;
        let (text, pieces, end) = heard(hosting.ask(&name, &ask).await).await;
        assert_eq!((text.as_str(), pieces), (TEXT, 1), "{shape}");
        assert_eq!(end, Ok(Said::End { tokens: None, at_limit: None }), "{shape}");
        fake.mend().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_by_its_kind() {
    let fake = fake().await;
    let hosting = hosting(&fake, &[]).await;
    let name = serving(&fake, 1, "lmi", 3).await;
    let both = |error: &str| {
        let fault = |op: &str| json!({ "op": op, "error": error });
        json!([fault("InvokeEndpointWithResponseStream"), fault("InvokeEndpoint")])
    };
    for (error, expected, words) in [
        ("ModelError", Refusal::Model, "CUDA out of memory"),
        ("ModelNotReadyException", Refusal::Busy, "not ready"),
        ("ServiceUnavailable", Refusal::Busy, "can't answer just now"),
        ("InternalDependencyException", Refusal::Busy, "can't answer just now"),
        ("ThrottlingException", Refusal::Busy, "trouble of its own"),
        ("ValidationError", Refusal::Invalid, "did not take the question"),
        ("AccessDeniedException", Refusal::Access, "lack the right"),
    ] {
        fake.control("faults", both(error)).await;
        let (_, _, outcome) = heard(hosting.ask(&name, &question()).await).await;
        assert_eq!(kind(&outcome), expected, "{error}");
        assert!(outcome.unwrap_err().to_string().contains(words), "{error}");
        fake.mend().await;
    }
    let (_, _, outcome) = heard(hosting.ask("llm-tuner-nobody", &question()).await).await;
    assert_eq!(kind(&outcome), Refusal::Absent);
    // An invocation is never tried twice by itself: a model would answer twice.
    fake.forget_requests().await;
    fake.fault(json!({ "op": "InvokeEndpointWithResponseStream", "error": "InternalFailure" })).await;
    let (_, _, outcome) = heard(hosting.ask(&name, &question()).await).await;
    assert_eq!(kind(&outcome), Refusal::Busy);
    assert_eq!(fake.requests().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_keeps_its_beginning() {
    let fake = fake().await;
    let hosting = hosting(&fake, &[]).await;
    let name = serving(&fake, 1, "lmi", 5).await;
    fake.control(
        "endpoints",
        json!([{ "name": name, "shape": "lmi", "text": TEXT, "stream_error": "ModelStreamError" }]),
    )
    .await;
    let (text, _, outcome) = heard(hosting.ask(&name, &question()).await).await;
    assert!(!text.is_empty() && TEXT.starts_with(&text), "{text}");
    assert_eq!(kind(&outcome), Refusal::Model);

    fake.control("endpoints", json!([{ "name": name, "shape": "lmi", "text": TEXT }])).await;
    fake.fault(json!({ "op": "InvokeEndpointWithResponseStream", "drop_after_accept": true })).await;
    let (text, _, outcome) = heard(hosting.ask(&name, &question()).await).await;
    assert!(!text.is_empty() && TEXT.starts_with(&text), "{text}");
    assert!(outcome.is_err(), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_licence_is_told_where_it_is_asked_for() {
    let fake = fake().await;
    let hosting = hosting(&fake, &[]).await;
    let name = serving(&fake, 1, "llama2", 5).await;
    let (_, _, outcome) = heard(hosting.ask(&name, &question()).await).await;
    let Err(HostingError::Refused { next_step, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(next_step.contains("Accept the model's licence"), "{next_step}");
}
