//! A job's live pieces: its head, and the stream of its events.

use crate::{
    domain::{
        event::{EventBody, JobEvent},
        job::Job,
    },
    services::{
        context::Actor,
        error::{ServiceError, ServiceResult},
    },
    web::{
        error::FragmentError,
        islands::job::{History, add_point},
        pages::training::views,
        render::render,
        session::FragmentActor,
        state::AppState,
    },
};
use axum::{
    Router,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue},
    response::{
        Html, IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use std::{convert::Infallible, time::Duration};

pub fn router() -> Router<AppState> {
    Router::new().route("/jobs/{name}/head", get(head)).route("/jobs/{name}/events", get(events))
}

async fn head(
    State(state): State<AppState>,
    Path(name): Path<String>,
    FragmentActor(actor): FragmentActor,
) -> Result<Html<String>, FragmentError> {
    let job = state.training.job(&actor, &name).await?;
    let queue = state.training.queue_position(&job).await?;
    let model = state.training.model(&job).await?;
    let now = state.env.now();
    Ok(Html(render(move || views::head(&job, queue, model.as_ref(), now))))
}

#[derive(serde::Deserialize)]
struct After {
    after: Option<u64>,
}

/// Log lines in the history; the rest is the download.
const LINES: usize = 300;
/// Points of one series in the history.
const POINTS: usize = 100_000;
/// Events sent at once.
const BATCH: usize = 500;
/// Looks at the store this often even when nobody nudges (another server may have written), and asks the session
/// again: a revoked one ends its streams within a second.
const RECHECK: Duration = Duration::from_millis(900);
/// No stream lives longer; the browser comes back by itself.
const AGE: Duration = Duration::from_secs(3600);

/// Server-sent events. First everything so far in one `history`, then each event with its number as id; a reconnect
/// says the last number it saw and goes on from there. `end` when the job is over.
async fn events(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
    FragmentActor(actor): FragmentActor,
    cookies: axum_extra::extract::CookieJar,
) -> Result<Response, FragmentError> {
    let job = state.training.job(&actor, &name).await?;
    let seen =
        headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok()).or(after);
    let secret = crate::web::session::secret(&cookies, &state.config).unwrap_or_default();
    let stream = follow(state, job, actor, secret, seen);
    let mut response =
        Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response();
    // Proxies must not hold events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn follow(
    state: AppState,
    job: Job,
    actor: Actor,
    secret: String,
    seen: Option<u64>,
) -> impl futures::Stream<Item = Result<Event, Infallible>> {
    async_stream::stream! {
        let mut news = state.hub.subscribe(&job.id);
        let begin = state.env.now();
        let mut asked = begin;
        let mut last = match seen {
            Some(seen) => seen,
            None => match history(&state, &job).await {
                Ok((history, last)) => {
                    yield Ok(event("history", last, &history));
                    last
                }
                Err(_) => return,
            },
        };
        loop {
            // The state first: what is written after it is read in the next round.
            let over = match state.training.job(&actor, &job.name).await {
                Ok(job) => job.state.is_final(),
                Err(ServiceError::NotFound(_)) => true,
                Err(_) => false,
            };
            let Ok(batch) = state.training.events(&job, last, BATCH).await else {
                // The database is away: the browser comes back with the last number it saw.
                return;
            };
            let full = batch.len() == BATCH;
            for one in batch {
                last = one.seq;
                yield Ok(event(one.body.kind(), one.seq, &one));
            }
            if full {
                continue;
            }
            if over {
                yield Ok(Event::default().event("end").data("{}"));
                return;
            }
            tokio::select! {
                () = state.stop.cancelled() => return,
                _ = news.changed() => {}
                () = tokio::time::sleep(RECHECK) => {}
            }
            let now = state.env.now();
            if now.since(begin) > AGE {
                return;
            }
            if now.since(asked) >= RECHECK {
                asked = now;
                if state.accounts.authenticate(&secret, &actor.origin).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Everything up to the job's last event as it was just read, and that event's number: what came since follows one by
/// one, so nothing is missing and nothing comes twice.
async fn history(state: &AppState, job: &Job) -> ServiceResult<(History, u64)> {
    let last = job.last_seq;
    let mut history = History::default();
    let metrics = state.training.events_of_kind(job, "metric", 0, POINTS).await?;
    let log = state.training.last_events_of_kind(job, "log", LINES).await?;
    let samples = state.training.last_events_of_kind(job, "sample", 32).await?;
    let known = |event: &JobEvent| event.seq <= last;
    for JobEvent { body, .. } in metrics.into_iter().filter(known) {
        if let EventBody::Metric { name, value, step } = body {
            add_point(history.metrics.entry(name).or_default(), step as f64, value);
        }
    }
    for JobEvent { body, .. } in log.into_iter().filter(known) {
        if let EventBody::Log { line } = body {
            history.log.push(line);
        }
    }
    let samples: Vec<JobEvent> = samples.into_iter().filter(known).collect();
    history.samples = views::samples(&samples);
    Ok((history, last))
}

fn event(kind: &str, id: u64, body: &impl serde::Serialize) -> Event {
    Event::default().event(kind).id(id.to_string()).data(serde_json::to_string(body).unwrap_or_default())
}
