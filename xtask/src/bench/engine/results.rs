//! What was measured so far, kept beside the build: a run replaces the groups that it measured, and the page has all.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{measure::Row, runners::Mode, runners::scratch, shapes::Shape, table};
use crate::workspace::Workspace;

const BEGIN: &str = "<!-- bench engine -->";
const END: &str = "<!-- /bench engine -->";

/// One shape in one mode: all its runners, measured in turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub shape: String,
    pub mode: Mode,
    pub heading: String,
    pub rows: Vec<Row>,
    /// Machine, versions, command and day, as a sentence.
    pub conditions: String,
}

/// Keeps the group and writes the page anew.
pub fn publish(workspace: &Workspace, shapes: &[Shape], group: Group) -> Result<()> {
    let groups = merged(kept(workspace)?, group, shapes);
    let file = file(workspace);
    fs::write(&file, serde_json::to_vec_pretty(&groups)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let page = workspace.root.join("docs/PERFORMANCE.md");
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let text = between_markers(&text, &table::page(&groups))
        .with_context(|| format!("{} has no {BEGIN} … {END}", page.display()))?;
    fs::write(&page, text).with_context(|| format!("cannot write {}", page.display()))
}

fn file(workspace: &Workspace) -> PathBuf {
    scratch(workspace).join("results.json")
}

fn kept(workspace: &Workspace) -> Result<Vec<Group>> {
    let file = file(workspace);
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} has no results: remove it and measure again", file.display()))
}

/// In the order of the shapes' list; a shape that left the list leaves the results.
fn merged(mut groups: Vec<Group>, new: Group, shapes: &[Shape]) -> Vec<Group> {
    groups.retain(|group| (&group.shape, group.mode) != (&new.shape, new.mode));
    groups.push(new);
    let place = |group: &Group| {
        let shape = shapes.iter().position(|shape| shape.name == group.shape)?;
        Some((shape, Mode::ALL.iter().position(|mode| *mode == group.mode)?))
    };
    groups.retain(|group| place(group).is_some());
    groups.sort_by_key(place);
    groups
}

/// Puts `new` in the place of what stands between the markers. All else stays as it is.
fn between_markers(text: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", new.trim()))
}

#[cfg(test)]
mod tests {
    use super::{super::shapes, *};

    fn group(shape: &str, mode: Mode, conditions: &str) -> Group {
        Group {
            shape: shape.into(),
            mode,
            heading: String::new(),
            rows: Vec::new(),
            conditions: conditions.into(),
        }
    }

    #[test]
    fn only_the_generated_part_is_rewritten() {
        let text = format!("# By hand\n\n{BEGIN}\nold\n{END}\n\nby hand, too\n");
        let once = between_markers(&text, "new\n").unwrap();
        assert_eq!(once, format!("# By hand\n\n{BEGIN}\n\nnew\n\n{END}\n\nby hand, too\n"));
        assert_eq!(between_markers(&once, "new\n").unwrap(), once);
        assert_eq!(between_markers("no markers", "new"), None);
        assert_eq!(between_markers(&format!("{END} {BEGIN}"), "new"), None);
    }

    #[test]
    fn the_page_has_its_markers() {
        let workspace = Workspace::find().unwrap();
        let text = fs::read_to_string(workspace.root.join("docs/PERFORMANCE.md")).unwrap();
        assert!(between_markers(&text, "").is_some());
    }

    #[test]
    fn a_group_takes_the_place_of_its_older_self() {
        let shapes = shapes::all(&Workspace::find().unwrap()).unwrap();
        let mut groups = Vec::new();
        for (shape, mode, conditions) in [
            ("smollm2", Mode::Full, "a"),
            ("gpt2-256", Mode::Lora, "b"),
            ("gpt2-256", Mode::Full, "c"),
            ("gpt2-256", Mode::Lora, "d"),
            ("gone", Mode::Lora, "e"),
        ] {
            groups = merged(groups, group(shape, mode, conditions), &shapes);
        }
        let order: Vec<&str> = groups.iter().map(|group| group.conditions.as_str()).collect();
        assert_eq!(order, ["c", "d", "a"]);
    }
}
