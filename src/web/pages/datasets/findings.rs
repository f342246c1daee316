//! What is wrong, worst first: each kind with its count, where to look, and what one press does about it.

use super::{detail::Detail, preview};
use crate::web::{
    components::{Button, Card, EmptyState, Pill, Tone},
    format,
    icons::Icon,
};
use leptos::prelude::*;
use llm_tuner_dataset::{Finding, FindingGroup, Grade, Repair};

/// Examples shown before the rest is folded away.
const IN_SIGHT: usize = 5;

pub fn view(detail: &Detail) -> AnyView {
    let groups = detail.report.as_ref().map(|report| report.groups.as_slice()).unwrap_or_default();
    if groups.is_empty() {
        return view! { <EmptyState icon=Icon::Check title="Nothing found" text="Every row was read, and nothing is wrong with any of them."/> }.into_any();
    }
    let sections = [
        (Grade::Error, "Errors", "Rows that can't be used as they are, or a file that can't be used at all."),
        (Grade::Fix, "Mended by a repair", "Nothing is lost: the repaired copy has these rows, put right."),
        (Grade::Advice, "Advice", "Training works. The result may be better if you look at these."),
    ];
    let sections = sections.map(|(grade, title, lead)| {
        let cards: Vec<AnyView> =
            groups.iter().filter(|group| group.grade == grade).map(|group| card(detail, group)).collect();
        (!cards.is_empty()).then(|| {
            view! {
                <section class="stack">
                    <div><h2>{title}</h2><p class="muted t-13">{lead}</p></div>
                    {cards}
                </section>
            }
        })
    });
    view! { <div class="stack-lg">{sections.into_iter().collect_view()}</div> }.into_any()
}

fn card(detail: &Detail, group: &FindingGroup) -> AnyView {
    let (tone, icon) = match group.grade {
        Grade::Error => (Tone::Bad, Icon::Error),
        Grade::Fix => (Tone::Warn, Icon::Repair),
        Grade::Advice => (Tone::Neutral, Icon::Info),
    };
    let title = match &group.field {
        Some(field) => format!("{}: {field}", group.title),
        None => group.title.clone(),
    };
    let count = format::integer(group.count);
    let id = detail.dataset.id.to_string();
    let repair = match group.repair {
        Some(Repair::SetAside | Repair::Mend) => Some(repair_form(&id, false)),
        Some(Repair::RemoveDuplicates) => Some(repair_form(&id, true)),
        Some(Repair::MapColumns) => Some(preview::link(detail)),
        None => None,
    };
    let whole_file = group.examples.iter().all(|finding| finding.line == 0);
    let actions =
        view! { <Pill tone=tone icon=icon>{if whole_file { "whole file".to_owned() } else { count }}</Pill> }
            .into_any();
    let (near, far) = group.examples.split_at(group.examples.len().min(IN_SIGHT));
    let more = (!far.is_empty()).then(|| {
        let words = format!("{} more", far.len());
        view! {
            <details class="more"><summary>{crate::web::icons::icon(Icon::Next)}{words}</summary>{list(far)}</details>
        }
    });
    let unlisted = group.count.saturating_sub(group.examples.len() as u64);
    let unlisted = (unlisted > 0).then(|| {
        view! { <p class="muted t-12">{format!("{} further ones are counted, not listed.", format::integer(unlisted))}</p> }
    });
    let near = list(near);
    view! {
        <Card title=title actions=actions>
            <div class="grid gap-2">{near}{more}{unlisted}{repair}</div>
        </Card>
    }
    .into_any()
}

fn list(findings: &[Finding]) -> AnyView {
    let items = findings
        .iter()
        .map(|finding| {
            let line = (finding.line > 0).then(|| view! { <span class="figure strong">{format!("Line {} ", format::integer(finding.line))}</span> });
            view! { <li class="t-13 break-words">{line}<span dir="auto">{finding.message.clone()}</span></li> }
        })
        .collect_view();
    view! { <ul class="grid gap-2">{items}</ul> }.into_any()
}

/// One press: a repaired copy as the next version.
pub fn repair_form(id: &str, remove_duplicates: bool) -> AnyView {
    let label = if remove_duplicates { "Make a copy without duplicates" } else { "Make a repaired copy" };
    view! {
        <form method="post" action="/fn/repair_dataset">
            <input type="hidden" name="id" value=id.to_owned()/>
            <input type="hidden" name="remove_duplicates" value=remove_duplicates.to_string()/>
            <Button small=true icon=Icon::Repair>{label}</Button>
        </form>
    }
    .into_any()
}
