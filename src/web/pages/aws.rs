//! Settings, AWS: what the last look found, and the button that looks again. For administrators.

use crate::{
    domain::{
        checkup::{Area, Checkup, Finding, Leftover, Limit, Verdict},
        instance::Usage,
        time::Instant,
    },
    services::checkup::Shown,
    web::{
        components::{
            Button, ButtonKind, Card, Column, DataTable, Notice, PageHeader, Pill, RelativeTime, Severity,
            Tone,
        },
        error::PageError,
        format,
        icons::Icon,
        page::SignedPage,
        shell::Nav,
        state::AppState,
    },
};
use axum::{extract::State, response::Response};
use leptos::prelude::*;

pub async fn page(
    State(state): State<AppState>,
    SignedPage { actor, page }: SignedPage,
) -> Result<Response, PageError> {
    let shown = state.checkups.shown(&actor)?;
    let now = page.now();
    let page = page.at(Nav::Settings, &[("Settings", "/settings"), ("AWS", "/settings/aws")]);
    Ok(page.show("AWS", move || aws_view(&shown, now)))
}

/// While a look goes on, the page fetches itself again.
fn aws_view(shown: &Shown, now: Instant) -> AnyView {
    let looking = shown.looking.is_some();
    let button = shown.used.then(|| {
        view! {
            <form method="post" action="/fn/check_aws">
                <Button kind=ButtonKind::Primary disabled=looking>"Check now"</Button>
            </form>
        }
        .into_any()
    });
    let lead = "Whether AWS is as this server needs it. Nothing is changed by looking.";
    let body = match &shown.last {
        Some(last) => results(&last.checkup, now),
        None => view! { <div class="stack-lg">{groups(&shown.settings)}</div> }.into_any(),
    };
    view! {
        <div id="aws" class="stack-lg" hx-get=looking.then_some("/settings/aws") hx-select="#aws"
            hx-trigger=looking.then_some("every 2s") hx-swap="outerHTML">
            {match button {
                Some(button) => view! { <PageHeader title="AWS" lead=lead actions=button/> }.into_any(),
                None => view! { <PageHeader title="AWS" lead=lead/> }.into_any(),
            }}
            {state_of(shown, now)}
            {body}
        </div>
    }
    .into_any()
}

/// How old the result is, or why there is none.
fn state_of(shown: &Shown, now: Instant) -> AnyView {
    if !shown.used {
        return view! {
            <Notice title="AWS is not used" cause="Everything is on this machine: files, database and training."
                next_step="To use AWS, set AWS_REGION, credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role), STORAGE_URL and SAGEMAKER_EXECUTION_ROLE_ARN, and start the server again. docs/AWS_SETUP.md says how, step by step."/>
        }
        .into_any();
    }
    if let Some(since) = shown.looking {
        return view! {
            <p role="status">"Looking, since "<RelativeTime at=since now=now/>
                ". It takes a minute at most. Without JavaScript, load this page again."</p>
        }
        .into_any();
    }
    match &shown.last {
        None => view! { <p class="muted">"Not looked at since the server's start. Until then only the settings are known."</p> }
        .into_any(),
        Some(last) => {
            let failed = last.checkup.findings.iter().filter(|one| one.is_fail()).count() as u64;
            let age = view! { <p class="muted">"Looked at "<RelativeTime at=last.at now=now/></p> };
            if failed == 0 {
                view! { <Notice severity=Severity::Good title="AWS is as this server needs it"/> {age} }.into_any()
            } else {
                let words = format::plural(failed, "thing is wrong", "things are wrong");
                view! {
                    <Notice severity=Severity::Warning title=words
                        next_step="Each line below says what to do. docs/AWS_SETUP.md has the whole way."/>
                    {age}
                }
                .into_any()
            }
        }
    }
}

fn results(checkup: &Checkup, now: Instant) -> AnyView {
    view! {
        <div class="stack-lg">
            {leftovers(checkup, now)}
            {groups(&checkup.findings)}
            {(!checkup.limits.is_empty()).then(|| limits(&checkup.limits))}
        </div>
    }
    .into_any()
}

/// A card for each area.
fn groups(findings: &[Finding]) -> Vec<AnyView> {
    let mut areas: Vec<Area> = findings.iter().map(|finding| finding.area).collect();
    areas.sort_unstable();
    areas.dedup();
    areas
        .into_iter()
        .map(|area| {
            let rows = findings.iter().filter(|one| one.area == area).map(row).collect_view();
            view! {
                <Card title=area.title() flush=true>
                    <DataTable caption=area.title() columns=vec![
                        Column::text("Result"), Column::text("What"), Column::text("Found"), Column::text("For"),
                    ]>{rows}</DataTable>
                </Card>
            }
            .into_any()
        })
        .collect()
}

fn row(finding: &Finding) -> AnyView {
    let (tone, icon, word) = match finding.verdict {
        Verdict::Ok => (Tone::Good, Icon::Check, "ok"),
        Verdict::Fail => (Tone::Bad, Icon::Error, "fail"),
        Verdict::Skip => (Tone::Neutral, Icon::Info, "skip"),
    };
    let next = finding.next_step.clone().map(|next| view! { <br/><span class="muted">{next}</span> });
    view! {
        <tr>
            <td><Pill tone=tone icon=icon>{word}</Pill></td>
            <td class="mono">{finding.what.clone()}</td>
            <td class="wrap">{finding.found.clone()}{next}</td>
            <td class="wrap">{finding.purpose.clone()}</td>
        </tr>
    }
    .into_any()
}

fn leftovers(checkup: &Checkup, now: Instant) -> AnyView {
    let problem = checkup.leftovers_problem.clone().map(|why| {
        view! { <Notice severity=Severity::Warning title="What runs on AWS is not known whole" cause=why/> }
    });
    let table = (!checkup.leftovers.is_empty()).then(|| {
        let rows = checkup.leftovers.iter().map(|one| leftover(one, now)).collect_view();
        view! {
            <Card title="Runs on AWS, unknown here" flush=true>
                <DataTable caption="Training jobs and endpoints that run on AWS and are unknown here" columns=vec![
                    Column::text("Name"), Column::text("Kind"), Column::text("Machine"), Column::text("Since"),
                    Column::figure("An hour"), Column::text("What to do"),
                ]>{rows}</DataTable>
            </Card>
        }
    });
    view! { {problem} {table} }.into_any()
}

fn leftover(leftover: &Leftover, now: Instant) -> AnyView {
    let per_hour = leftover.per_hour.map_or_else(|| "unknown".to_owned(), |price| price.to_string());
    view! {
        <tr>
            <td class="mono">{leftover.name.clone()}</td>
            <td>{leftover.kind.words()}</td>
            <td class="mono">{leftover.machine.clone().unwrap_or_else(|| "unknown".to_owned())}</td>
            <td>{leftover.since.map(|at| view! { <RelativeTime at=at now=now/> })}</td>
            <td class="figure">{per_hour}</td>
            <td class="wrap">{leftover.why.clone()}<br/><span class="muted">{leftover.next_step.clone()}</span></td>
        </tr>
    }
    .into_any()
}

/// A row for each type, a column for each use.
fn limits(limits: &[Limit]) -> AnyView {
    let mut kinds: Vec<&str> = limits.iter().map(|limit| limit.instance_type).collect();
    kinds.dedup();
    let rows = kinds
        .into_iter()
        .map(|kind| {
            let cell = |usage: Usage| {
                let limit = limits.iter().find(|one| one.instance_type == kind && one.usage == usage);
                limit_cell(limit)
            };
            view! {
                <tr>
                    <td class="mono">{kind}</td>
                    {cell(Usage::Training)} {cell(Usage::SpotTraining)} {cell(Usage::Hosting)}
                </tr>
            }
        })
        .collect_view();
    view! {
        <Card title="Quotas of the usual machines" flush=true>
            <DataTable caption="Quotas of the usual machines" columns=vec![
                Column::text("Instance type"), Column::figure("Training"), Column::figure("Spot training"),
                Column::figure("Hosting"),
            ]>{rows}</DataTable>
        </Card>
        <p class="muted">"So many may run at once. 0 means none: follow its link, or ask in the AWS console under Service Quotas, Amazon SageMaker. AWS takes hours to days."</p>
    }
    .into_any()
}

fn limit_cell(limit: Option<&Limit>) -> AnyView {
    let (figure, url) = match limit {
        Some(Limit { limit: Some(limit), url, .. }) => (*limit, url.clone()),
        _ => return view! { <td class="figure">"none listed"</td> }.into_any(),
    };
    if figure > 0.0 {
        return view! { <td class="figure">{figure.to_string()}</td> }.into_any();
    }
    let more = url.map(|url| view! { " " <a class="link" href=url rel="noreferrer">"ask for more"</a> });
    view! { <td class="figure"><Pill tone=Tone::Warn icon=Icon::Warning>"0"</Pill>{more}</td> }.into_any()
}
