//! Everybody's month and budget, for administrators: each row has the form that sets the budget.

use super::Address;
use crate::{
    services::costs::Person,
    store::Page,
    web::{
        components::{Button, Card, Column, DataTable, Pagination, Pill, TextField, Tone},
        flash::Flash,
        format,
        icons::Icon,
    },
};
use leptos::prelude::*;

pub fn card(people: Page<Person>, first: bool, address: &Address, flash: Option<&Flash>) -> AnyView {
    let shown = people.items.len() as u64;
    let rows = people.items.into_iter().map(|person| row(person, flash)).collect_view();
    let next = people.next.map(|cursor| address.people(Some(&cursor)));
    let previous = (!first).then(|| address.people(None));
    let more = previous.is_some() || next.is_some();
    view! {
        <div class="stack">
            <Card title="People and budgets" flush=true>
                <DataTable caption="People and their budgets" columns=vec![
                    Column::text("Person"), Column::figure("Spent"), Column::figure("Expected"),
                    Column::text("Budget a month, in US dollars"),
                ]>{rows}</DataTable>
            </Card>
            {more.then(|| view! {
                <Pagination showing=format::plural(shown, "person", "people") previous=previous next=next/>
            })}
        </div>
    }
    .into_any()
}

fn row(person: Person, flash: Option<&Flash>) -> AnyView {
    let form = Flash::of(flash, &format!("budget-{}", person.id));
    let (email, name) = (person.email.to_string(), person.full_name.clone());
    let typed = form.value("budget");
    let value = if form.errors.is_empty() {
        person.budget.map(|budget| budget.decimal()).unwrap_or_default()
    } else {
        typed
    };
    let over = person.budget.is_some_and(|budget| person.sums.expected() > budget);
    let expected = person.sums.expected().to_string();
    let label = format!("Budget of {email}");
    let field = format!("budget-{}", person.id);
    view! {
        <tr>
            <td class="name" title=email.clone()><bdi>{name}</bdi><br/><span class="muted"><bdi>{email.clone()}</bdi></span></td>
            <td class="figure">{person.sums.spent.to_string()}</td>
            <td class="figure">
                {expected}
                {over.then(|| view! { " " <Pill tone=Tone::Bad icon=Icon::Warning>"over budget"</Pill> })}
            </td>
            <td class="wrap">
                <form method="post" action="/fn/set_budget" class="actions">
                    <input type="hidden" name="user" value=person.id.to_string()/>
                    <TextField label=label name="budget" id=field hide_label=true inputmode="decimal"
                        placeholder="no limit" autocomplete="off" value=value
                        autofocus=form.error("budget").is_some() error=form.error("budget")/>
                    <Button small=true>"Save"</Button>
                </form>
            </td>
        </tr>
    }
    .into_any()
}
