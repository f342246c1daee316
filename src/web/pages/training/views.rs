//! Pieces of a job's page that the page and its fragments render alike.

use crate::{
    domain::{
        event::{EventBody, JobEvent},
        job::{Job, JobState},
        model::Model,
        time::Instant,
    },
    web::{
        components::{
            Button, ButtonKind, Dialog, LinkButton, Notice, PageHeader, Progress, Severity, Stat, StatePill,
            Stats,
        },
        format,
        icons::Icon,
    },
};
use leptos::prelude::*;
use std::time::Duration;

/// "42 %", or a dash before anything happened.
pub fn progress_cell(job: &Job) -> String {
    match job.total_steps {
        0 => "–".to_owned(),
        total => format!("{} %", (job.step.min(total) * 100) / total),
    }
}

/// How long it has taken, and how long it will by the pace so far.
pub fn times(job: &Job, now: Instant) -> (Option<Duration>, Option<Duration>) {
    let Some(started) = job.started_at else { return (None, None) };
    let elapsed = job.ended_at.unwrap_or(now).since(started);
    let remaining = (job.state == JobState::Training && job.step > 0 && job.total_steps > job.step)
        .then(|| elapsed.mul_f64((job.total_steps - job.step) as f64 / job.step as f64));
    (Some(elapsed), remaining)
}

/// Everything above the tabs: name, state, progress, figures, what to do next. Fetches itself again on the page's
/// `job-news` event, and every five seconds where nothing tells.
pub fn head(job: &Job, queue: Option<u64>, model: Option<&Model>, now: Instant) -> impl IntoView + use<> {
    let (elapsed, remaining) = times(job, now);
    let title = if job.title.is_empty() { job.name.clone() } else { job.title.clone() };
    let live = !job.state.is_final();
    let fragment = format!("/-/jobs/{}/head", job.name);
    let phase = match (job.state, queue) {
        (JobState::Queued, Some(0) | None) => "Next in the queue".to_owned(),
        (JobState::Queued, Some(1)) => "1 job goes before".to_owned(),
        (JobState::Queued, Some(n)) => format!("{n} jobs go before"),
        // The pill beside the name says it already.
        (state, _) if state.is_final() => match job.can_resume() {
            true => format!("It can go on from step {}", format::integer(job.checkpoint_step)),
            false => String::new(),
        },
        _ => job.phase.clone(),
    };
    let lead: Vec<String> =
        [Some(phase), machine(job)].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    let words = |time: Option<Duration>| time.map_or_else(|| "–".to_owned(), format::duration);
    let loss = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), format::loss);
    let speed =
        job.tokens_per_second.map_or_else(|| "–".to_owned(), |rate| format::integer(rate.round() as u64));
    let cost = cost(job);
    let (state, done, total) = (job.state, job.step, job.total_steps);
    let losses = (loss(job.train_loss), loss(job.eval_loss));
    let step = match job.total_steps {
        0 => format::integer(job.step),
        total => format!("{} / {}", format::integer(job.step), format::integer(total)),
    };
    view! {
        <div id="job-head" class="stack" hx-get=live.then_some(fragment) hx-trigger="job-news from:body, every 5s"
            hx-swap="outerHTML">
            <PageHeader title=title lead=lead.join(" · ") beside=view! { <StatePill state=state/> }.into_any()
                actions=actions(job, model).into_any()/>
            {failure(job)}
            {(state == JobState::Completed).then(|| finished(model))}
            {live.then(|| view! { <Progress label="Steps" value=done max=Some(total) bare=true/> })}
            <Stats>
                <Stat label="Step" value=step/>
                <Stat label="Elapsed" value=words(elapsed)/>
                {live.then(|| view! { <Stat label="Remaining" value=words(remaining)/> })}
                <Stat label="Tokens/s" value=speed/>
                <Stat label="Training loss" value=losses.0/>
                <Stat label="Evaluation loss" value=losses.1/>
                {cost}
            </Stats>
        </div>
    }
}

/// The machine at AWS that it runs on, or is to run on; this one needs no word.
fn machine(job: &Job) -> Option<String> {
    let spec = job.spec.cloud.as_ref()?;
    let run = job.cloud.as_ref().map(|run| run.instance_type.as_str()).filter(|kind| !kind.is_empty());
    let kind = run.unwrap_or(&spec.instance_type);
    Some(if spec.spot { format!("{kind} at AWS, spare capacity") } else { format!("{kind} at AWS") })
}

/// What it cost so far, or in all, against what was expected.
fn cost(job: &Job) -> AnyView {
    let Some(spec) = &job.spec.cloud else {
        return view! { <Stat label="Cost" value="$0" unit="this machine"/> }.into_any();
    };
    let cost = job.cost().map_or_else(|| "unknown".to_owned(), |cost| cost.to_string());
    let of = spec.estimate.map_or_else(String::new, |estimate| format!("of about {estimate}"));
    let label = if job.state.is_final() { "Cost" } else { "Cost so far" };
    view! { <Stat label=label value=cost unit=of/> }.into_any()
}

fn failure(job: &Job) -> Option<impl IntoView + use<>> {
    let cause = job.failure.clone()?;
    let next_step = job.next_step.clone().unwrap_or_default();
    Some(view! { <Notice severity=Severity::Error title="This job failed" cause=cause next_step=next_step/> })
}

fn finished(model: Option<&Model>) -> impl IntoView + use<> {
    model.map(|model| {
        let talk = model.answers_here().then(|| format!("/playground?model={}", model.id));
        let deploy = (!model.answers_here()).then(|| format!("/models/{}/deploy", model.id));
        let download = format!("/api/models/{}/archive", model.id);
        let more = format!("/models/{}", model.id);
        view! {
            <div class="actions finished">
                {talk.map(|href| view! { <LinkButton kind=ButtonKind::Primary icon=Icon::Playground href=href>"Talk to it"</LinkButton> })}
                {deploy.map(|href| view! { <LinkButton kind=ButtonKind::Primary href=href>"Deploy"</LinkButton> })}
                <LinkButton icon=Icon::Download download=true href=download>"Download"</LinkButton>
                <LinkButton kind=ButtonKind::Quiet href=more>"The model"</LinkButton>
            </div>
        }
    })
}

fn actions(job: &Job, model: Option<&Model>) -> impl IntoView + use<> {
    let clone = format!("/training/new?clone={}", job.name);
    let stoppable = !job.state.is_final() && job.stop.is_none();
    let kept_model =
        model.filter(|_| job.state == JobState::Stopped).map(|model| format!("/models/{}", model.id));
    view! {
        {job.can_resume().then(|| resume_form(job))}
        {kept_model.map(|href| view! { <LinkButton href=href>"The model so far"</LinkButton> })}
        <LinkButton href=clone>"Clone"</LinkButton>
        {stoppable.then(|| view! {
            <Button kind=ButtonKind::Danger r#type="button" popovertarget="stop-job">"Stop"</Button>
        })}
    }
}

fn resume_form(job: &Job) -> impl IntoView + use<> {
    let name = job.name.clone();
    view! {
        <form method="post" action="/fn/resume_job">
            <input type="hidden" name="name" value=name/>
            <Button kind=ButtonKind::Primary>"Resume"</Button>
        </form>
    }
}

/// Asks whether to keep what was learned. Stands outside the head: a swap there must not close it.
pub fn stop_dialog(job: &Job) -> Option<impl IntoView + use<>> {
    let name = job.name.clone();
    (!job.state.is_final()).then(|| view! {
        <Dialog id="stop-job" title="Stop this job?">
            <form method="post" action="/fn/stop_job" class="stack">
                <input type="hidden" name="name" value=name/>
                <p>"Keep what it has learned so far as a model, or discard it. The log stays in any case."</p>
                <div class="actions">
                    <Button kind=ButtonKind::Primary name="mode" value="keep">"Stop and keep"</Button>
                    <Button kind=ButtonKind::Danger name="mode" value="discard">"Stop and discard"</Button>
                    <Button r#type="button" popovertarget="stop-job">"Go on training"</Button>
                </div>
            </form>
        </Dialog>
    })
}

/// How held-out prompts are answered at the latest evaluation, and whether that is right.
pub fn samples(events: &[JobEvent]) -> Vec<(u64, String, String, String)> {
    let all = events.iter().filter_map(|event| match &event.body {
        EventBody::Sample { step, prompt, expected, output } => {
            Some((*step, prompt.clone(), expected.clone(), output.clone()))
        }
        _ => None,
    });
    let mut all: Vec<_> = all.collect();
    let last = all.last().map(|sample| sample.0);
    all.retain(|sample| Some(sample.0) == last);
    all
}
