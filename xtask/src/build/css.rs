//! The style sheet: the hand-written files of `style/` in the order of their names, then Tailwind's
//! utility classes as far as the Rust sources name them, compiled by encre-css.
//!
//! The hand-written files put themselves into cascade layers and the utilities lie in none, so a
//! utility wins over a component wherever either stands. The reset is in `style/`, too.

use std::fs;

use anyhow::{Context as _, Result};
use encre_css::{Config, Preflight};

use crate::workspace::{Workspace, files_with_extension};

pub fn build(workspace: &Workspace) -> Result<String> {
    let theme = workspace.root.join("style/encre.toml");
    let config = if theme.exists() {
        Config::from_file(&theme).map_err(|error| anyhow::anyhow!("{}: {error}", theme.display()))?
    } else {
        Config::default()
    };
    let sources = read_all(workspace, "src", "rs")?;
    let styles = read_all(workspace, "style", "css")?;
    Ok(join(config, sources.iter().map(String::as_str), &styles))
}

fn join<'a>(mut config: Config, sources: impl Iterator<Item = &'a str>, styles: &[String]) -> String {
    config.preflight = Preflight::new_none();
    let utilities = encre_css::generate(sources, &config);
    format!("{}\n{utilities}\n", styles.join("\n"))
}

fn read_all(workspace: &Workspace, dir: &str, extension: &str) -> Result<Vec<String>> {
    files_with_extension(&workspace.root.join(dir), extension)?
        .iter()
        .map(|path| fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilities_come_from_the_sources_and_lie_in_no_layer() {
        let source = r#"view! { <p class="md:flex hover:underline">"text"</p> }"#;
        let styles = ["@layer components { .card { display: grid } }".to_owned()];
        let css = join(Config::default(), [source].into_iter(), &styles);
        let at = |text: &str| css.find(text).unwrap_or_else(|| panic!("no {text} in {css}"));
        assert!(at(".card") < at(r".md\:flex"));
        assert!(at(".card") < at(r".hover\:underline"));
        assert_eq!(css.matches("@layer").count(), 1);
        assert!(!css.contains("box-sizing"), "the reset is hand-written");
    }
}
