//! One dataset: what it is, in which state, and its tabs.

use super::{findings, format_label, percent, preview, statistics};
use crate::{
    domain::{
        dataset::{Dataset, DatasetState},
        ids::DatasetId,
        time::Instant,
    },
    services::{
        context::Actor,
        datasets::report_of,
        error::{ServiceError, ServiceResult},
    },
    web::{
        components::{
            Button, ButtonKind, Column, DataTable, Dialog, LinkButton, NameCell, Notice, PageHeader,
            Progress, RelativeTime, Severity, Stat, StatePill, Stats, Tab, Tabs, TextField,
        },
        error::PageError,
        flash::Flash,
        format,
        icons::Icon,
        page::SignedPage,
        shell::Nav,
        state::AppState,
    },
};
use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use leptos::prelude::*;
use llm_tuner_dataset::{Grade, Page as PreviewPage, Report};

/// The query of the page and of its fragment.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct DetailQuery {
    pub tab: TabName,
    /// The first row of the preview's page, from 1.
    pub row: Option<u64>,
    pub view: preview::Mode,
    /// Tokens that the statistics cut at.
    pub length: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TabName {
    #[default]
    Preview,
    Findings,
    Statistics,
    Versions,
    UsedBy,
}

/// Everything that the page shows.
pub struct Detail {
    pub dataset: Dataset,
    pub report: Option<Report>,
    pub preview: Option<PreviewPage>,
    pub versions: Vec<Dataset>,
    pub used_by: Vec<String>,
    pub rejected: Option<u64>,
    pub query: DetailQuery,
    pub flash: Option<Flash>,
    pub now: Instant,
}

pub async fn page(
    State(state): State<AppState>,
    SignedPage { actor, page }: SignedPage,
    Path(id): Path<String>,
    Query(query): Query<DetailQuery>,
) -> Result<Response, PageError> {
    let mut detail = load(&state, &actor, &id, query).await?;
    detail.flash = page.flash.clone();
    let name = detail.dataset.name.clone();
    let href = format!("/data/{id}");
    let page = page.at(Nav::Data, &[("Data", "/data"), (&name, &href)]);
    Ok(page.show(&name, move || body(detail)))
}

pub async fn load(state: &AppState, actor: &Actor, id: &str, query: DetailQuery) -> ServiceResult<Detail> {
    let id = DatasetId::parse(id).ok_or(ServiceError::NotFound("dataset"))?;
    let dataset = state.datasets.get(actor, &id).await?;
    let report = report_of(&dataset)?;
    let wanted = query.tab == TabName::Preview && dataset.state != DatasetState::Checking && report.is_some();
    let preview = if wanted {
        Some(state.datasets.preview(actor, &id, query.row.unwrap_or(1).saturating_sub(1)).await?)
    } else {
        None
    };
    Ok(Detail {
        preview,
        versions: state.datasets.versions(actor, &id).await?,
        used_by: state.datasets.used_by(actor, &id).await?,
        rejected: state.datasets.rejected_bytes(actor, &id).await?,
        report,
        dataset,
        query,
        flash: None,
        now: state.env.now(),
    })
}

/// All of the page below the frame. While the file is checked it asks for itself again every second.
pub fn body(detail: Detail) -> AnyView {
    let dataset = detail.dataset.clone();
    let checking = dataset.state == DatasetState::Checking;
    let poll = checking.then(|| format!("/-/datasets/{}", dataset.id));
    let tabs = tabs(&detail);
    let notice = notice(&detail);
    let figures = figures(&detail);
    let content = match (checking, detail.query.tab) {
        (true, TabName::Preview | TabName::Findings | TabName::Statistics) => waiting(&dataset),
        (_, TabName::Preview) => preview::view(&detail),
        (_, TabName::Findings) => findings::view(&detail),
        (_, TabName::Statistics) => statistics::view(&detail),
        (_, TabName::Versions) => versions(&detail),
        (_, TabName::UsedBy) => used_by(&detail),
    };
    let pill = view! { <StatePill state=dataset.state percent=percent(&dataset)/> }.into_any();
    view! {
        <div id="dataset" hx-get=poll hx-trigger=checking.then_some("every 1s") hx-swap=checking.then_some("outerHTML")>
            <PageHeader title=dataset.name.clone() lead=kind(&detail) beside=pill actions=actions(&dataset)/>
            <div class="stack">
                {notice}
                {figures}
                <div>{tabs}{content}</div>
            </div>
            {dialogs(&dataset, detail.flash.as_ref(), &detail.used_by)}
        </div>
    }
    .into_any()
}

fn actions(dataset: &Dataset) -> AnyView {
    let train = (dataset.state == DatasetState::Ready).then(|| {
        let href = format!("/training/new?dataset={}", dataset.id);
        view! { <LinkButton kind=ButtonKind::Primary icon=Icon::Play href=href>"Train on this"</LinkButton> }
    });
    let download = format!("/api/datasets/{}/download", dataset.id);
    view! {
        <Button r#type="button" kind=ButtonKind::Quiet icon=Icon::Edit popovertarget="rename-dataset">"Rename"</Button>
        <LinkButton kind=ButtonKind::Quiet icon=Icon::Download href=download download=true>"Download"</LinkButton>
        <Button r#type="button" kind=ButtonKind::Quiet icon=Icon::Trash popovertarget="delete-dataset">"Delete"</Button>
        {train}
    }
    .into_any()
}

fn dialogs(dataset: &Dataset, flash: Option<&Flash>, used_by: &[String]) -> AnyView {
    let id = dataset.id.to_string();
    let rename = Flash::of(flash, "rename-dataset");
    let name = if rename.errors.is_empty() { dataset.name.clone() } else { rename.value("name") };
    let error = rename.error("name");
    let problem = error.clone().map(|message| {
        view! { <Notice severity=Severity::Error title="The name was not changed" cause=message focus=true/> }
    });
    let delete = if used_by.is_empty() {
        let size = format::bytes(dataset.bytes);
        view! {
            <p><bdi>{dataset.name.clone()}</bdi>{format!(" ({size}) is removed from the server. This can't be undone.")}</p>
            <form method="post" action="/fn/delete_dataset" class="actions">
                <input type="hidden" name="id" value=id.clone()/>
                <Button kind=ButtonKind::Danger>"Delete dataset"</Button>
            </form>
        }
        .into_any()
    } else {
        let jobs = used_by.join(", ");
        view! {
            <p>{format!("This dataset can't be deleted, because it is used by {jobs}. Delete the jobs first.")}</p>
        }
        .into_any()
    };
    view! {
        {problem}
        <Dialog id="rename-dataset" title="Rename dataset" open=error.is_some()>
            <form method="post" action="/fn/rename_dataset" class="stack">
                <input type="hidden" name="id" value=id/>
                <TextField label="Name" name="name" value=name error=error.clone() autofocus=error.is_some() required=true/>
                <div class="actions"><Button kind=ButtonKind::Primary>"Save name"</Button></div>
            </form>
        </Dialog>
        <Dialog id="delete-dataset" title="Delete this dataset">{delete}</Dialog>
    }
    .into_any()
}

/// What the state means and what to do about it.
fn notice(detail: &Detail) -> Option<AnyView> {
    let dataset = &detail.dataset;
    let id = dataset.id.to_string();
    let count = |grade| detail.report.as_ref().map_or(0, |report| report.count(grade));
    let findings_href = format!("/data/{id}?tab=findings");
    let view = match dataset.state {
        DatasetState::Ready | DatasetState::Checking => return None,
        DatasetState::NeedsMapping => view! {
            <Notice severity=Severity::Warning title="Say what the columns are for"
                cause="The columns are not those of a known format. A guess has been made below."
                next_step="Look at the roles in the column headers, change what is wrong, and confirm."/>
        }
        .into_any(),
        DatasetState::NeedsFixing => {
            let unusable = format::plural(count(Grade::Error), "error", "errors");
            let mendable =
                format::plural(count(Grade::Fix), "mistake that is mended", "mistakes that are mended");
            let cause = match (count(Grade::Error), count(Grade::Fix)) {
                (0, _) => format!("Found: {mendable}."),
                (_, 0) => format!("Found: {unusable}, in rows that can't be used as they are."),
                _ => format!("Found: {unusable}, in rows that can't be used as they are, and {mendable}."),
            };
            let link = (detail.query.tab != TabName::Findings)
                .then(|| view! { <LinkButton small=true href=findings_href>"See the findings"</LinkButton> });
            view! {
                <Notice severity=Severity::Warning title="This data needs fixing before training" cause=cause
                    next_step="A repaired copy keeps the good rows, mends what can be mended, and sets the rest aside in a file.">
                    <div class="actions">
                        {findings::repair_form(&id, false)}
                        {link}
                    </div>
                </Notice>
            }
            .into_any()
        }
        DatasetState::Refused => {
            let cause = detail.report.as_ref().and_then(Report::headline).unwrap_or_default().to_owned();
            view! { <Notice severity=Severity::Error title="This file can't be trained on" cause=cause/> }
                .into_any()
        }
        DatasetState::Failed => {
            let cause = dataset.failure.clone().unwrap_or_default();
            view! {
                <Notice severity=Severity::Error title="The check could not finish" cause=cause
                    next_step="The file itself is kept. Try again; if it stays, tell the administrator.">
                    <form method="post" action="/fn/check_again" class="actions">
                        <input type="hidden" name="id" value=id/>
                        <Button small=true icon=Icon::Retry>"Check again"</Button>
                    </form>
                </Notice>
            }
            .into_any()
        }
    };
    Some(view)
}

fn figures(detail: &Detail) -> Option<AnyView> {
    let report = detail.report.as_ref()?;
    let not_usable = report.rows.saturating_sub(report.statistics.rows);
    let rows = format::integer(report.statistics.rows);
    let unit = (not_usable > 0).then(|| format!("of {}", format::integer(report.rows)));
    let tokens = format::compact(report.statistics.approximate_tokens);
    let size = format::bytes(detail.dataset.bytes);
    let of = format!("of {}", detail.versions.len());
    let version = (detail.versions.len() > 1).then(|| detail.dataset.version.to_string());
    Some(
        view! {
            <Stats>
                <Stat label="Usable rows" value=rows unit=unit/>
                <Stat label="Tokens, about" value=tokens/>
                <Stat label="Size" value=size/>
                {version.map(|version| view! { <Stat label="Version" value=version unit=of/> })}
            </Stats>
        }
        .into_any(),
    )
}

/// "Chat, JSON Lines, gzip": what the file is, below its name.
fn kind(detail: &Detail) -> String {
    let schema = detail.report.as_ref().and_then(|report| report.schema.as_ref());
    let Some(schema) = schema else { return String::new() };
    let gzip = if schema.gzip { ", gzip" } else { "" };
    format!("{}, {}{gzip}", format_label(&detail.dataset), schema.container.label())
}

fn tabs(detail: &Detail) -> AnyView {
    let id = &detail.dataset.id;
    let current = detail.query.tab;
    let tab = |label: &str, name: &str, which| {
        let href =
            if which == TabName::Preview { format!("/data/{id}") } else { format!("/data/{id}?tab={name}") };
        Tab::new(label, href, current == which)
    };
    let kinds = detail.report.as_ref().map_or(0, |report| report.groups.len() as u64);
    let tabs = vec![
        tab("Preview", "preview", TabName::Preview),
        tab("Findings", "findings", TabName::Findings).count(kinds),
        tab("Statistics", "statistics", TabName::Statistics),
        tab("Versions", "versions", TabName::Versions).count(detail.versions.len() as u64),
        tab("Used by", "used_by", TabName::UsedBy).count(detail.used_by.len() as u64),
    ];
    view! { <Tabs label="Dataset" tabs=tabs/> }.into_any()
}

fn waiting(dataset: &Dataset) -> AnyView {
    let detail = format!("{} of {}", format::bytes(dataset.checked_bytes), format::bytes(dataset.bytes));
    view! {
        <div class="card card-body stack">
            <Progress label="Checking every row" value=dataset.checked_bytes max=Some(dataset.bytes) detail=detail/>
            <p class="muted t-13">"You can leave this page; the check goes on."</p>
            <noscript><p class="muted t-13">"Reload the page to see how far it is."</p></noscript>
        </div>
    }
    .into_any()
}

fn versions(detail: &Detail) -> AnyView {
    let (this, now) = (&detail.dataset.id, detail.now);
    let rejected = detail.rejected.map(|bytes| {
        let href = format!("/api/datasets/{this}/rejected");
        view! {
            <p class="t-13">
                "This version was made by a repair. "
                <a class="link" href=href download="">{format!("Lines that were set aside ({})", format::bytes(bytes))}</a>
            </p>
        }
    });
    let rows = detail.versions.iter().map(|version| {
        let href = format!("/data/{}", version.id);
        let current = (version.id == *this).then(|| view! { <span class="muted">"this one"</span> });
        view! {
            <tr>
                <NameCell name=format!("Version {}", version.version) href=href/>
                <td class="figure">{format::integer(version.rows)}</td>
                <td class="figure">{format::bytes(version.bytes)}</td>
                <td><StatePill state=version.state percent=percent(version)/></td>
                <td><RelativeTime at=version.created_at now=now/></td>
                <td>{current}</td>
            </tr>
        }
    });
    let rows = rows.collect_view();
    view! {
        <div class="stack">
            <DataTable caption="Versions" columns=vec![
                Column::text("Version"), Column::figure("Rows"), Column::figure("Size"), Column::text("State"),
                Column::text("Made"), Column::hidden("Shown now"),
            ]>{rows}</DataTable>
            {rejected}
        </div>
    }
    .into_any()
}

fn used_by(detail: &Detail) -> AnyView {
    if detail.used_by.is_empty() {
        return view! { <p class="muted">"No job has used this version yet."</p> }.into_any();
    }
    let rows = detail.used_by.iter().map(|job| {
        let href = format!("/training/{job}");
        view! { <tr><NameCell name=job.clone() href=href/></tr> }
    });
    let rows = rows.collect_view();
    view! { <DataTable caption="Jobs that use this version" columns=vec![Column::text("Job")]>{rows}</DataTable> }.into_any()
}
