//! How a model wants its data: one folder in S3, in one of three shapes.

use super::Model;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub(super) const INSTRUCTIONS: &str = "instruction_tuned";
pub(super) const CHATS: &str = "chat_dataset";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataLayout {
    /// `train.jsonl`, and `template.json` with a prompt and a completion whose `{names}` every row has.
    Instruction,
    /// `train.jsonl`, each row `{"dialog": [{"role", "content"}, …]}`.
    Chat,
    /// One plain text, to go on in its style.
    Text,
}

impl DataLayout {
    pub fn label(self) -> &'static str {
        match self {
            Self::Instruction => "Instructions",
            Self::Chat => "Conversations",
            Self::Text => "Plain text",
        }
    }

    /// What lies in the folder, in words.
    pub fn description(self) -> &'static str {
        match self {
            Self::Instruction => {
                "Rows of prompt and answer in train.jsonl, with a template.json that says how a row becomes a prompt \
                 and its completion. Both are made from your dataset."
            }
            Self::Chat => {
                "Conversations in train.jsonl, each a list of turns with role and content. Made from your dataset."
            }
            Self::Text => "One text file, which the model learns to continue. Made from your dataset.",
        }
    }

    /// What the model must be told, so that it reads the folder like this. Nothing where it knows only one way.
    pub fn settings(self, model: &Model) -> BTreeMap<String, String> {
        let switch = |on: bool| if on { "True" } else { "False" }.to_owned();
        [(INSTRUCTIONS, self == Self::Instruction), (CHATS, self == Self::Chat)]
            .into_iter()
            .filter(|(name, _)| model.has(name))
            .map(|(name, on)| (name.to_owned(), switch(on)))
            .collect()
    }
}

impl Model {
    fn has(&self, setting: &str) -> bool {
        self.hyperparameters.iter().any(|one| one.name == setting)
    }

    /// The ways in which it takes data, the usual one first. None where we do not know its way.
    pub fn layouts(&self) -> Vec<DataLayout> {
        if self.training.is_none() {
            Vec::new()
        } else if self.has(INSTRUCTIONS) {
            let chat = self.has(CHATS).then_some(DataLayout::Chat);
            [Some(DataLayout::Instruction), chat, Some(DataLayout::Text)].into_iter().flatten().collect()
        } else if self.task.starts_with("text2text") {
            vec![DataLayout::Instruction]
        } else {
            Vec::new()
        }
    }

    /// How a run with these settings reads its folder.
    pub fn layout(&self, settings: &BTreeMap<String, String>) -> Option<DataLayout> {
        let on = |name: &str| settings.get(name).is_some_and(|value| value == "True");
        match self.layouts().as_slice() {
            [] => None,
            [only] => Some(*only),
            _ if on(INSTRUCTIONS) => Some(DataLayout::Instruction),
            _ if on(CHATS) => Some(DataLayout::Chat),
            _ => Some(DataLayout::Text),
        }
    }
}
