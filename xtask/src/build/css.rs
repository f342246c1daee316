//! The style sheet: Tailwind's utility classes as far as the Rust sources name them, compiled by
//! encre-css, and the hand-written files of `style/`.
//!
//! Cascade layers give the order, so that it does not depend on where a rule stands: the reset,
//! then `style/*.css` in the order of their names, then the utilities, which thereby win over
//! components.

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
    Ok(layered(config, sources.iter().map(String::as_str), &styles.join("\n")))
}

fn layered<'a>(mut config: Config, sources: impl Iterator<Item = &'a str>, styles: &str) -> String {
    let safelist = std::mem::take(&mut config.safelist);
    let reset = encre_css::generate([], &config);
    config.safelist = safelist;
    config.preflight = Preflight::new_none();
    let utilities = encre_css::generate(sources, &config);
    format!(
        "@layer reset, components, utilities;\n\
         @layer reset {{\n{reset}\n}}\n\
         @layer components {{\n{styles}\n}}\n\
         @layer utilities {{\n{utilities}\n}}\n"
    )
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
    fn utilities_come_from_the_sources_and_win_over_components() {
        let source = r#"view! { <p class="md:flex hover:underline">"text"</p> }"#;
        let css = layered(Config::default(), [source].into_iter(), ".card { display: grid }");
        let at = |text: &str| css.find(text).unwrap_or_else(|| panic!("no {text} in {css}"));
        assert!(at("@layer components") < at(".card"));
        assert!(at(".card") < at("@layer utilities"));
        assert!(at("@layer utilities") < at(r".md\:flex"));
        assert!(at(r".hover\:underline") > 0);
        assert_eq!(css.matches("box-sizing").count(), 1, "one reset only");
    }
}
