//! `llm-tuner validate FILE [--json]`: the same check as before an upload, for scripts. Exit code 0 means that the file
//! can be trained on as it is, 1 that it can't, 2 that it could not be read.

use llm_tuner_dataset::{FindingGroup, Grade, Options, Report, Verdict, validate};
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

/// Lines named of each kind of finding.
const LINES: usize = 5;

/// `-` reads the standard input.
pub fn run(file: &Path, json: bool) -> ExitCode {
    match check(file).and_then(|report| tell(&report, file, json).map(|()| report)) {
        Ok(report) if report.verdict == Verdict::Ready => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{} could not be read: {error}", file.display());
            ExitCode::from(2)
        }
    }
}

fn check(file: &Path) -> io::Result<Report> {
    if file == Path::new("-") {
        return validate(io::stdin().lock(), Options::default());
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    validate(File::open(file)?, Options::named(name))
}

fn tell(report: &Report, file: &Path, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let told = if json {
        serde_json::to_writer_pretty(&mut out, report).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        words(&mut out, report, file)
    };
    match told {
        // Piped into `head`: not our concern.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => told,
    }
}

fn words(out: &mut impl Write, report: &Report, file: &Path) -> io::Result<()> {
    let verdict = match report.verdict {
        Verdict::Ready => "ready",
        Verdict::NeedsMapping => "needs a mapping of its columns",
        Verdict::NeedsFixing => "needs fixing",
        Verdict::Refused => "can't be trained on",
    };
    writeln!(out, "{}: {verdict}", file.display())?;
    if let Some(schema) = &report.schema {
        let gzip = if schema.gzip { ", gzip" } else { "" };
        writeln!(
            out,
            "  {}, {}{gzip}, {}",
            schema.format.label(),
            schema.container.label(),
            schema.encoding.label()
        )?;
        let statistics = &report.statistics;
        writeln!(
            out,
            "  {} usable of {} rows, about {} tokens, {} bytes",
            statistics.rows, report.rows, statistics.approximate_tokens, report.bytes
        )?;
    }
    report.groups.iter().try_for_each(|group| finding(out, group))
}

fn finding(out: &mut impl Write, group: &FindingGroup) -> io::Result<()> {
    let grade = match group.grade {
        Grade::Error => "error",
        Grade::Fix => "fix",
        Grade::Advice => "advice",
    };
    let field = group.field.as_ref().map(|field| format!(" ({field})")).unwrap_or_default();
    writeln!(out, "\n  {grade}: {}{field}, {} times [{}]", group.title, group.count, group.code)?;
    for example in group.examples.iter().take(LINES) {
        match example.line {
            0 => writeln!(out, "    {}", example.message)?,
            line => writeln!(out, "    line {line}: {}", example.message)?,
        }
    }
    let more = group.count.saturating_sub(group.examples.len().min(LINES) as u64);
    if more > 0 { writeln!(out, "    and {more} more") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> (Verdict, String) {
        let report = validate(text.as_bytes(), Options::named("x.jsonl")).unwrap();
        let mut out = Vec::new();
        words(&mut out, &report, Path::new("x.jsonl")).unwrap();
        (report.verdict, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_bad_line_is_named_with_its_number() {
        let (verdict, words) = told(
            "{\"prompt\":\"a\",\"completion\":\"b\"}\nnot json\n{\"prompt\":\"c\",\"completion\":\"d\"}\n",
        );
        assert_eq!(verdict, Verdict::NeedsFixing);
        assert!(words.contains("line 2: "), "{words}");
        assert!(words.contains("[not_json]"), "{words}");
    }

    #[test]
    fn an_empty_file_is_refused() {
        assert_eq!(told("").0, Verdict::Refused);
    }
}
