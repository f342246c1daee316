//! The page's views: plain data in.

use super::Address;
use crate::{
    domain::{charge::ChargeKind, endpoint::EndpointState, money::Money, time::Instant},
    services::costs::{Line, Report, Running, Scope},
    web::{
        components::{
            Card, Column, DataTable, EmptyState, LinkButton, Mark, NameCell, Notice, PageHeader, Pill,
            Progress, RelativeTime, Severity, Stat, StatePill, Stats, Tab, Tabs, Tone,
        },
        format,
        icons::Icon,
    },
};
use leptos::prelude::*;
use std::time::Duration;

/// Months to choose from, and lines in the table; the CSV has all.
const MONTHS: usize = 12;
const LINES: usize = 200;

pub fn costs(
    report: &Report,
    address: &Address,
    admin: bool,
    no_aws: Option<String>,
    now: Instant,
    people: Option<AnyView>,
) -> AnyView {
    let csv = address.csv();
    let actions =
        view! { <LinkButton icon=Icon::Download download=true href=csv>"Download CSV"</LinkButton> }
            .into_any();
    let everybody = report.scope == Scope::Everybody;
    let whose = admin.then(|| {
        let tabs = vec![
            Tab::new("Everybody", address.whose(Scope::Everybody), everybody),
            Tab::new("Mine", address.whose(Scope::Mine), !everybody),
        ];
        view! { <Tabs label="Whose costs" tabs=tabs/> }
    });
    let running = (!report.running.is_empty()).then(|| running_card(&report.running, everybody, now));
    view! {
        <PageHeader title="Costs" lead="What runs on AWS. Jobs on this machine cost nothing." actions=actions/>
        {whose}
        <div class="stack-lg">
            {running}
            <div>
                {(report.months.len() > 1).then(|| months(report, address))}
                {figures(report)}
            </div>
            {lines_card(report, no_aws)}
            {people}
        </div>
    }
    .into_any()
}

fn months(report: &Report, address: &Address) -> AnyView {
    let recent = report.months.iter().take(MONTHS);
    let chosen = report.months.iter().skip(MONTHS).filter(|month| **month == report.month);
    let tabs = recent
        .chain(chosen)
        .map(|month| Tab::new(month.words(), address.month(&month.to_string()), *month == report.month))
        .collect();
    view! { <Tabs label="Month" tabs=tabs/> }.into_any()
}

fn figures(report: &Report) -> AnyView {
    let sums = report.sums;
    let mine = report.scope == Scope::Mine;
    let budget = mine.then(|| {
        let words = report.budget.map_or_else(|| "none".to_owned(), |budget| budget.to_string());
        view! { <Stat label="Budget" value=words/> }
    });
    let bar = report.budget.filter(|_| mine).map(|budget| bar(sums.spent, sums.expected(), budget));
    let unknown = (sums.unknown > 0).then(|| {
        let count = format::plural(sums.unknown, "cost is unknown and is", "costs are unknown and are");
        view! { <p class="muted">{format!("{count} not in these figures.")}</p> }
    });
    view! {
        <Card title=report.month.words()>
            <div class="stack">
                <Stats>
                    <Stat label="Spent" value=sums.spent.to_string()/>
                    <Stat label="Expected with what runs" value=sums.expected().to_string()/>
                    {budget}
                </Stats>
                {bar}
                {unknown}
            </div>
        </Card>
    }
    .into_any()
}

fn bar(spent: Money, expected: Money, budget: Money) -> AnyView {
    let cents = |amount: Money| u64::try_from(amount.0 / 10_000).unwrap_or(0);
    let detail = format!("{spent} of {budget}");
    let warning = (expected > budget).then(|| {
        let (title, next) = if spent > budget {
            ("The budget of this month is used up", "Nothing more can be started on AWS this month.")
        } else {
            (
                "What runs may go over the budget",
                "Nothing more can be started on AWS until something ends for less.",
            )
        };
        view! { <Notice severity=Severity::Warning title=title next_step=next/> }
    });
    view! {
        <Progress label="Spent of the budget" value=cents(spent) max=Some(cents(budget).max(1)) detail=detail/>
        {warning}
    }
    .into_any()
}

fn running_card(running: &[Running], everybody: bool, now: Instant) -> AnyView {
    let per_hour: Money = running.iter().filter_map(|one| one.endpoint.price_per_hour).sum();
    let unknown = running.iter().filter(|one| one.endpoint.price_per_hour.is_none()).count();
    let title = match unknown {
        0 => format!("Running now: {per_hour} an hour"),
        _ if unknown == running.len() => "Running now: price unknown".to_owned(),
        _ => format!("Running now: {per_hour} an hour, and {unknown} of unknown price"),
    };
    let rows = running.iter().map(|one| running_row(one, everybody, now)).collect_view();
    let mut columns = vec![
        Column::text("Endpoint"),
        Column::text("Last used"),
        Column::text("Instance type"),
        Column::text("State"),
        Column::figure("An hour"),
        Column::figure("So far"),
    ];
    if everybody {
        columns.insert(2, Column::text("Person"));
    }
    view! {
        <Card title=title flush=true>
            <DataTable caption="Endpoints that run now" columns=columns>{rows}</DataTable>
        </Card>
    }
    .into_any()
}

fn running_row(Running { endpoint, person, cost, idle }: &Running, everybody: bool, now: Instant) -> AnyView {
    let used = match idle {
        Some(idle) => {
            let left = Duration::from_secs(endpoint.idle_seconds).saturating_sub(*idle);
            let then = if left.is_zero() {
                "It is due to be deleted.".to_owned()
            } else {
                format!("It is deleted in {}.", format::duration(left))
            };
            view! {
                <Pill tone=Tone::Bad icon=Icon::Warning>{format!("idle for {}", format::duration(*idle))}</Pill>
                " " <span class="muted">{then}</span>
            }
            .into_any()
        }
        None => view! { <RelativeTime at=endpoint.last_used_at now=now/> }.into_any(),
    };
    let model = endpoint.model_name.clone();
    view! {
        <tr>
            <td class="name" title=endpoint.name.clone()><bdi>{model}</bdi></td>
            <td>{used}</td>
            {everybody.then(|| view! { <td class="name"><bdi>{person.clone()}</bdi></td> })}
            <td class="mono">{endpoint.instance_type.clone()}</td>
            <td><StatePill state=endpoint_mark(endpoint.state)/></td>
            <td class="figure">{amount(endpoint.price_per_hour)}</td>
            <td class="figure">{amount(*cost)}</td>
        </tr>
    }
    .into_any()
}

fn endpoint_mark(state: EndpointState) -> Mark {
    let (word, icon, tone, turning) = match state {
        EndpointState::Creating => ("starting", Icon::Working, Tone::Active, true),
        EndpointState::InService => ("in service", Icon::Check, Tone::Good, false),
        EndpointState::Deleting => ("being deleted", Icon::Working, Tone::Warn, true),
        EndpointState::Failed => ("failed, may still cost", Icon::Error, Tone::Bad, false),
        EndpointState::Deleted => ("deleted", Icon::Stopped, Tone::Neutral, false),
    };
    Mark { word, icon, tone, turning }
}

fn lines_card(report: &Report, no_aws: Option<String>) -> AnyView {
    if report.lines.is_empty() {
        let title = format!("Nothing was spent in {}", report.month.words());
        let text = match no_aws {
            Some(why) => format!("Jobs on this machine cost nothing. Nothing runs on AWS yet: {why}"),
            None => "Jobs on this machine cost nothing. What runs on SageMaker is listed here.".to_owned(),
        };
        return view! { <EmptyState icon=Icon::Costs title=title text=text/> }.into_any();
    }
    let everybody = report.scope == Scope::Everybody;
    let rows = report.lines.iter().take(LINES).map(|line| line_row(line, everybody)).collect_view();
    let mut columns = vec![
        Column::text("Name"),
        Column::text("State"),
        Column::text("Kind"),
        Column::text("Instance type"),
        Column::figure("Time"),
        Column::figure("Estimate"),
        Column::figure("Cost"),
    ];
    if everybody {
        columns.push(Column::text("Person"));
    }
    let more = (report.lines.len() > LINES).then(|| {
        let words = format!(
            "The newest {LINES} of {}. The CSV has all.",
            format::plural(report.lines.len() as u64, "line", "lines")
        );
        view! { <p class="muted">{words}</p> }
    });
    view! {
        <div class="stack">
            <Card title="Jobs and endpoints" flush=true>
                <DataTable caption="Jobs and endpoints of the month" columns=columns>{rows}</DataTable>
            </Card>
            {more}
        </div>
    }
    .into_any()
}

fn line_row(Line { charge, person, own }: &Line, everybody: bool) -> AnyView {
    let page = match charge.kind {
        ChargeKind::Training => format!("/training/{}", charge.name),
        ChargeKind::Hosting => format!("/endpoints/{}", charge.subject()),
    };
    let name = if *own {
        view! { <NameCell name=charge.name.clone() href=page/> }.into_any()
    } else {
        view! { <td class="name" title=charge.name.clone()><bdi>{charge.name.clone()}</bdi></td> }.into_any()
    };
    let kind = match charge.kind {
        ChargeKind::Training => "Training",
        ChargeKind::Hosting => "Hosting",
    };
    let state = if charge.ended {
        Mark { word: "ended", icon: Icon::Check, tone: Tone::Neutral, turning: false }
    } else {
        Mark { word: "running", icon: Icon::Working, tone: Tone::Active, turning: true }
    };
    view! {
        <tr>
            {name}
            <td><StatePill state=state/></td>
            <td>{kind}</td>
            <td class="mono">{charge.instance_type.clone()}</td>
            <td class="figure">{format::duration(Duration::from_secs(charge.seconds))}</td>
            <td class="figure">{amount(charge.estimate)}</td>
            <td class="figure">{amount(charge.cost)}</td>
            {everybody.then(|| view! { <td class="name"><bdi>{person.clone()}</bdi></td> })}
        </tr>
    }
    .into_any()
}

/// What is not known says so; it is never $0.
pub fn amount(amount: Option<Money>) -> AnyView {
    match amount {
        Some(amount) => amount.to_string().into_any(),
        None => view! { <span class="muted">"unknown"</span> }.into_any(),
    }
}
