//! The three small files of `input/config`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::error::JobError;
use super::layout::JobDirectory;
use crate::error::FileError;
use crate::files::read_json;
use crate::hyperparameters::{Base, Hyperparameters};

/// Reads and checks the settings, and refuses surroundings that the engine cannot work in.
pub fn hyperparameters(layout: &JobDirectory) -> Result<Hyperparameters, JobError> {
    refuse_unsuitable_surroundings(layout)?;
    let path = layout.hyperparameters();
    let raw: BTreeMap<String, Value> = if path.is_file() { read_json(&path)? } else { BTreeMap::new() };
    let mut values = BTreeMap::new();
    for (name, value) in raw {
        let Value::String(value) = value else {
            let message = format!("every value is a JSON string, and this one is {value}");
            return Err(FileError::field(&path, name, message).into());
        };
        values.insert(name, value);
    }
    Hyperparameters::parse(&values, base(layout)).map_err(JobError::Hyperparameters)
}

/// A base model is there when its directory holds anything.
pub fn base(layout: &JobDirectory) -> Base {
    let filled = std::fs::read_dir(layout.base_model()).is_ok_and(|mut entries| entries.next().is_some());
    if filled { Base::Model } else { Base::Nano }
}

#[derive(Deserialize)]
struct Channel {
    #[serde(rename = "TrainingInputMode")]
    mode: Option<String>,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    hosts: Vec<String>,
}

fn refuse_unsuitable_surroundings(layout: &JobDirectory) -> Result<(), FileError> {
    let path = layout.input_data_config();
    if path.is_file() {
        let channels: BTreeMap<String, Channel> = read_json(&path)?;
        for (name, channel) in channels {
            if channel.mode.as_deref() == Some("Pipe") {
                let message = "Pipe is not supported; use File or FastFile";
                return Err(FileError::field(&path, format!("{name}.TrainingInputMode"), message));
            }
        }
    }
    let path = layout.resource_config();
    if path.is_file() {
        let resources: Resources = read_json(&path)?;
        if resources.hosts.len() > 1 {
            let message = format!(
                "{} hosts, and a job runs on one; set the instance count to 1",
                resources.hosts.len()
            );
            return Err(FileError::field(&path, "hosts", message));
        }
    }
    Ok(())
}
