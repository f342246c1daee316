//! Forms of data: samples, rename, delete, repair, columns, another check. Files come in through `/api/upload`.

use leptos::prelude::*;

use super::{Call, Then, reply};
use crate::{
    domain::ids::DatasetId,
    services::{
        datasets::repairs::Repaired,
        error::{ServiceError, ServiceResult},
    },
    web::{format, pages::datasets::columns::role_named},
};
use llm_tuner_dataset::{ColumnMapping, RepairOptions};

fn dataset_id(text: &str) -> ServiceResult<DatasetId> {
    DatasetId::parse(text).ok_or(ServiceError::NotFound("dataset"))
}

#[server(prefix = "/fn", endpoint = "add_sample")]
pub async fn add_sample(slug: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        let dataset = call.state.datasets.add_sample(&actor, &slug).await?;
        Ok(Then::to(format!("/data/{}", dataset.id)))
    };
    let result = result.await;
    reply(&call, "", &[], result)
}

#[server(prefix = "/fn", endpoint = "rename_dataset")]
pub async fn rename_dataset(id: String, name: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.datasets.rename(&actor, &dataset_id(&id)?, &name).await?;
        Ok(Then::to(format!("/data/{id}")).notice("The name was saved."))
    };
    let result = result.await;
    reply(&call, "rename-dataset", &[("name", &name)], result)
}

#[server(prefix = "/fn", endpoint = "delete_dataset")]
pub async fn delete_dataset(id: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.datasets.delete(&actor, &dataset_id(&id)?).await?;
        Ok(Then::to("/data").notice("The dataset was deleted."))
    };
    let result = result.await;
    reply(&call, "", &[], result)
}

#[server(prefix = "/fn", endpoint = "repair_dataset")]
pub async fn repair_dataset(
    id: String,
    #[server(default)] remove_duplicates: bool,
) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        let options = RepairOptions { remove_duplicates };
        match call.state.datasets.repair(&actor, &dataset_id(&id)?, options).await? {
            Repaired::Done(made, counts) => {
                let mut words =
                    format!("Version {} keeps {}", made.version, format::plural(counts.kept, "row", "rows"));
                if counts.mended > 0 {
                    words.push_str(&format!(", {} of them mended", format::integer(counts.mended)));
                }
                if counts.rejected > 0 {
                    words.push_str(&format!(
                        "; {} set aside in a file under Versions",
                        format::plural(counts.rejected, "row is", "rows are")
                    ));
                }
                Ok(Then::to(format!("/data/{}", made.id)).notice(format!("{words}.")))
            }
            Repaired::Underway => Ok(Then::to(format!("/data/{id}?tab=versions"))
                .notice("The repair goes on. The new version appears here when it is done.")),
        }
    };
    let result = result.await;
    reply(&call, "", &[], result)
}

/// `columns[i]` is a column's name, `roles[i]` what it is for.
#[server(prefix = "/fn", endpoint = "map_columns")]
pub async fn map_columns(
    id: String,
    #[server(default)] columns: Vec<String>,
    #[server(default)] roles: Vec<String>,
) -> Result<(), ServerFnError> {
    let call = Call::new();
    let typed: Vec<(String, String)> =
        roles.iter().enumerate().map(|(at, role)| (format!("roles[{at}]"), role.clone())).collect();
    let typed: Vec<(&str, &str)> = typed.iter().map(|(name, role)| (name.as_str(), role.as_str())).collect();
    let result = async {
        let actor = call.actor().await?;
        let named: Option<Vec<_>> = columns
            .iter()
            .zip(&roles)
            .map(|(column, role)| role_named(role).map(|role| (column.as_str(), role)))
            .collect();
        let named = named.ok_or_else(|| ServiceError::invalid("mapping", "A column has an unknown role."))?;
        let dataset =
            call.state.datasets.set_mapping(&actor, &dataset_id(&id)?, &ColumnMapping::new(named)).await?;
        Ok(Then::to(format!("/data/{}", dataset.id))
            .notice("The columns were saved and the file was checked again."))
    };
    let result = result.await;
    reply(&call, "map_columns", &typed, result)
}

#[server(prefix = "/fn", endpoint = "check_again")]
pub async fn check_again(id: String) -> Result<(), ServerFnError> {
    let call = Call::new();
    let result = async {
        let actor = call.actor().await?;
        call.state.datasets.check_again(&actor, &dataset_id(&id)?).await?;
        Ok(Then::to(format!("/data/{id}")))
    };
    let result = result.await;
    reply(&call, "", &[], result)
}
