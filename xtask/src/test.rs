//! `cargo xtask test`: every check there is, in the order in which they are cheapest to fail.

use std::{
    fs,
    io::{BufRead as _, BufReader, IsTerminal as _},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build::{self, Mode},
    postgres::Postgres,
    process,
    report::{Count, Outcome, Report},
    setup,
    workspace::Workspace,
};

const GROUPS: [&str; 3] = ["lint", "unit", "e2e"];

pub fn run(workspace: &Workspace, groups: &[&str], rest: &[String]) -> Result<ExitCode> {
    if let Some(unknown) = groups.iter().find(|group| !GROUPS.contains(group)) {
        bail!("there is no group of tests {unknown:?}, only {}", GROUPS.join(", "));
    }
    let wants = |group| groups.is_empty() || groups.contains(&group);
    if !rest.is_empty() && groups != ["unit"] && groups != ["e2e"] {
        bail!("arguments for the test runner need one group: `test unit -- …` or `test e2e -- …`");
    }
    let mut report = Report::default();
    if wants("lint") {
        lint(workspace, &mut report);
    }
    if wants("unit") {
        unit(workspace, &mut report, rest);
    }
    if wants("e2e") {
        // With the unit tests in the same run, the server comes out of their build, which spares
        // compiling its dependencies again with the features that a build of it alone would have.
        browser(workspace, &mut report, rest, wants("unit"));
    }
    Ok(report.finish())
}

fn lint(workspace: &Workspace, report: &mut Report) {
    report.stage("lock file", || {
        let mut metadata = workspace.cargo();
        process::run_quietly(metadata.args(["metadata", "--locked", "--format-version=1"]))?;
        Ok(Outcome::Checked)
    });
    report.stage("format", || {
        setup::rust_components(workspace)?;
        checked(workspace.cargo().args(["fmt", "--all", "--check"]))
    });
    report.stage("clippy", || {
        checked(workspace.cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    report.stage("clippy of the WASM", || {
        setup::wasm_target(workspace)?;
        let mut clippy = workspace.cargo();
        clippy.args([
            "clippy",
            "--package=llm-tuner",
            "--lib",
            "--no-default-features",
            &format!("--features={}", build::ISLANDS.map(|island| format!("island-{island}")).join(",")),
        ]);
        checked(clippy.args(["--target=wasm32-unknown-unknown", "--", "-D", "warnings"]))
    });
}

fn unit(workspace: &Workspace, report: &mut Report, rest: &[String]) {
    let mut postgres = None;
    report.stage("tests' surroundings", || {
        setup::python(workspace)?;
        postgres = Some(Postgres::start()?);
        Ok(Outcome::Checked)
    });
    let environment = |command: &mut Command| -> Result<()> {
        command.env("LLM_TUNER_TEST_PYTHON", setup::python(workspace)?);
        let postgres = postgres.as_ref().context("there is no PostgreSQL to test with")?;
        command.env("TEST_DATABASE_URL", postgres.url());
        Ok(())
    };
    let with_nextest = setup::has_nextest(workspace);
    report.stage("Rust tests", || {
        let mut tests = workspace.cargo();
        environment(&mut tests)?;
        if with_nextest {
            nextest(workspace, tests, rest)
        } else {
            libtest(tests.args(["test", "--workspace", "--no-fail-fast", "--all-targets"]), rest)
        }
    });
    if rest.is_empty() {
        report.stage("documentation tests", || {
            let mut tests = workspace.cargo();
            environment(&mut tests)?;
            libtest(tests.args(["test", "--workspace", "--no-fail-fast", "--doc"]), &[])
        });
        report.stage("SageMaker script", || pytest(workspace, "sagemaker", "tests"));
        report.stage("the Terraform files", || pytest(workspace, "infra", "tests"));
        report.stage("the fake AWS", || pytest(workspace, "tests/aws", "fake_sagemaker/tests"));
    }
}

/// Runs the tests below `folder`, which Python imports from. pytest counts in a JUnit file, as nextest does.
fn pytest(workspace: &Workspace, folder: &str, tests: &str) -> Result<Outcome> {
    let junit = workspace.scratch().join("pytest.xml");
    let _ = fs::remove_file(&junit);
    let mut pytest = Command::new(setup::python(workspace)?);
    pytest
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "--disable-warnings", tests])
        .arg(format!("--junitxml={}", junit.display()))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(workspace.root.join(folder));
    let status = pytest.status().context("cannot start pytest")?;
    let count = fs::read_to_string(&junit).ok().and_then(|xml| count_in_junit(&xml));
    Ok(Outcome::Tested { count, passed: status.success() })
}

/// nextest counts in a JUnit file; `.config/nextest.toml` asks for it.
fn nextest(workspace: &Workspace, mut command: Command, rest: &[String]) -> Result<Outcome> {
    let junit = workspace.target.join("nextest/default/junit.xml");
    let _ = fs::remove_file(&junit);
    let status = command.args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(rest).status()?;
    let count = fs::read_to_string(&junit).ok().and_then(|xml| count_in_junit(&xml));
    Ok(Outcome::Tested { count, passed: status.success() })
}

/// The totals stand on an element such as `<testsuites … tests="3" failures="1" errors="0" …>`: nextest's first, and
/// pytest's only `<testsuite>` in it.
fn count_in_junit(xml: &str) -> Option<Count> {
    let is_total = |element: &&str| element.starts_with("testsuite") && element.contains(" tests=\"");
    let element = xml.split('<').find(is_total)?.split_once('>')?.0;
    let attribute = |name: &str| {
        let value = element.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
        value.parse::<u64>().ok()
    };
    let failed = attribute("failures")? + attribute("errors")?;
    Some(Count { passed: attribute("tests")?.checked_sub(failed)?, failed })
}

/// Runs `cargo test` and counts by the lines in which libtest sums up each binary.
fn libtest(command: &mut Command, rest: &[String]) -> Result<Outcome> {
    let color = if std::io::stdout().is_terminal() { "--color=always" } else { "--color=auto" };
    let mut child = command.arg(color).args(rest).stdout(Stdio::piped()).spawn()?;
    let mut count = Count::default();
    for line in BufReader::new(child.stdout.take().context("no pipe")?).lines() {
        let line = line?;
        println!("{line}");
        if let Some(binary) = count_in_summary(&line) {
            count += binary;
        }
    }
    let passed = child.wait()?.success();
    // Without a failed test the failure lies elsewhere, and the count cannot be the whole of it.
    let complete = passed || count.failed > 0;
    Ok(Outcome::Tested { count: complete.then_some(count), passed })
}

/// `test result: ok. 3 passed; 0 failed; …`
fn count_in_summary(line: &str) -> Option<Count> {
    let (_, summary) = line.split_once("test result: ")?;
    let number = |label: &str| {
        let before = summary.split_once(label)?.0;
        before.rsplit([' ', '.']).next()?.parse::<u64>().ok()
    };
    Some(Count { passed: number(" passed")?, failed: number(" failed")? })
}

fn browser(workspace: &Workspace, report: &mut Report, rest: &[String], server_of_tests: bool) {
    let mut server = None;
    report.stage("build", || {
        // Before the long build, so that what is missing shows at once.
        setup::chromium()?;
        setup::npm_packages(workspace, &workspace.root.join("end2end"))?;
        build::build_site(workspace, Mode::Default)?;
        server = Some(if server_of_tests {
            process::run(workspace.cargo().args(["build", "--workspace", "--bins", "--tests"]))?;
            workspace.target.join("debug/llm-tuner")
        } else {
            build::build_server(workspace, Mode::Default)?
        });
        Ok(Outcome::Checked)
    });
    report.stage("types of the browser tests", || {
        let end2end = workspace.root.join("end2end");
        setup::npm_packages(workspace, &end2end)?;
        checked(Command::new(end2end.join("node_modules/.bin/tsc")).arg("--noEmit").current_dir(&end2end))
    });
    let Some(server) = server else {
        report.not_run("browser tests", "because the build failed");
        return;
    };
    report.stage("browser tests", || playwright(workspace, &server, rest));
}

fn playwright(workspace: &Workspace, server: &Path, rest: &[String]) -> Result<Outcome> {
    let results = workspace.scratch().join("playwright.json");
    let _ = fs::remove_file(&results);
    let end2end = workspace.root.join("end2end");
    let mut playwright = Command::new(end2end.join("node_modules/.bin/playwright"));
    playwright
        .arg("test")
        .args(rest)
        .current_dir(&end2end)
        .stdin(Stdio::null())
        .env("LLM_TUNER_BIN", server)
        .env("LLM_TUNER_SITE", workspace.site())
        .env("CHROMIUM", setup::chromium()?)
        .env("LLM_TUNER_TEST_PYTHON", setup::python(workspace)?)
        .env("PLAYWRIGHT_JSON_OUTPUT_FILE", &results);
    let status = playwright.status().context("cannot start Playwright")?;
    let count = fs::read_to_string(&results).ok().and_then(|json| count_in_playwright(&json));
    Ok(Outcome::Tested { count, passed: status.success() })
}

/// A flaky test passed when it was tried again; an error outside a test leaves no true count.
fn count_in_playwright(json: &str) -> Option<Count> {
    let report: serde_json::Value = serde_json::from_str(json).ok()?;
    if report["errors"].as_array().is_some_and(|errors| !errors.is_empty()) {
        return None;
    }
    let stats = &report["stats"];
    Some(Count {
        passed: stats["expected"].as_u64()? + stats["flaky"].as_u64()?,
        failed: stats["unexpected"].as_u64()?,
    })
}

fn checked(command: &mut Command) -> Result<Outcome> {
    process::run(command).map(|()| Outcome::Checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junit_totals() {
        let xml = r#"<?xml version="1.0"?>
<testsuites name="nextest-run" tests="7" failures="2" errors="1" uuid="x" timestamp="y" time="1.0">
    <testsuite name="a" tests="1" failures="0">"#;
        assert_eq!(count_in_junit(xml), Some(Count { passed: 4, failed: 3 }));
        let of_pytest = r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests">
<testsuite name="pytest" errors="0" failures="2" skipped="0" tests="9" time="1.0"><testcase name="a"/>"#;
        assert_eq!(count_in_junit(of_pytest), Some(Count { passed: 7, failed: 2 }));
        assert_eq!(count_in_junit("<testsuites>"), None);
    }

    #[test]
    fn libtest_summaries() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(count_in_summary(line), Some(Count { passed: 12, failed: 3 }));
        assert_eq!(count_in_summary("test a ... ok"), None);
    }

    #[test]
    fn playwright_totals() {
        let json = r#"{"errors": [], "stats": {"expected": 4, "unexpected": 1, "flaky": 1, "skipped": 2}}"#;
        assert_eq!(count_in_playwright(json), Some(Count { passed: 5, failed: 1 }));
        let broken =
            r#"{"errors": [{"message": "no tests"}], "stats": {"expected": 0, "unexpected": 0, "flaky": 0}}"#;
        assert_eq!(count_in_playwright(broken), None);
    }
}
