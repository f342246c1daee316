//! A measured group as Markdown: the table of its runners, and its line in the summaries.

use super::{
    measure::{Row, fastest_peer, leanest_peer, peer},
    results::Group,
    runners::{FP32_LOOP, LLAMA_CPP, Mode, TRANSFORMERS},
};

/// The generated part of the page: what came out, then every figure.
pub fn page(groups: &[Group]) -> String {
    let of = |generate: bool| {
        groups.iter().filter(move |group| (group.mode == Mode::Generate) == generate).collect::<Vec<_>>()
    };
    let (training, generation) = (of(false), of(true));
    let mut text = String::new();
    if !training.is_empty() {
        text += "| training | engine | to the fastest peer | to the fp32 loop | memory, to the leanest peer |\n\
                 |---|---|---|---|---|\n";
        training.iter().for_each(|group| text += &summary(group));
        text += "\n";
    }
    if !generation.is_empty() {
        text += "| generation | engine | to transformers | to llama.cpp | memory, to the leanest peer |\n\
                 |---|---|---|---|---|\n";
        generation.iter().for_each(|group| text += &summary(group));
        text += "\n";
    }
    text + &groups.iter().map(section).collect::<Vec<_>>().join("\n")
}

/// A line for each choice of the engine's kernels.
fn summary(group: &Group) -> String {
    let rows = &group.rows;
    let lines = rows.iter().filter(|row| row.engine).map(|ours| {
        let what = format!("`{}`, {}{}", group.shape, group.mode.name(), of_the_tier(ours));
        if let Some(reason) = &ours.missing {
            return format!("| {what} | {reason} | – | – | – |\n");
        }
        let speed = |to: Option<&Row>| to.map_or("–".into(), |to| times(ours.speed_to(to)));
        let (first, second) = match group.mode {
            Mode::Generate => (speed(peer(rows, TRANSFORMERS)), speed(peer(rows, LLAMA_CPP))),
            Mode::Full | Mode::Lora => (
                fastest_peer(rows)
                    .map_or("–".into(), |to| format!("{} ({})", times(ours.speed_to(to)), to.title)),
                speed(peer(rows, FP32_LOOP)),
            ),
        };
        let memory = leanest_peer(rows)
            .map_or("–".into(), |to| format!("{} ({})", times(ours.memory_to(to)), to.title));
        let rate = number(ours.tokens_per_second());
        format!("| {what} | {rate} tokens/s | {first} | {second} | {memory} |\n")
    });
    lines.collect()
}

fn of_the_tier(row: &Row) -> String {
    row.title.strip_prefix("the engine").unwrap_or_default().to_owned()
}

/// Heading, table and conditions of a group.
pub fn section(group: &Group) -> String {
    format!("### {}\n\n{}\n{}\n", group.heading, table(group), group.conditions)
}

fn table(group: &Group) -> String {
    let step = if group.mode == Mode::Generate { "answer" } else { "step" };
    let mut text = format!(
        "| | {step} (rounds) | tokens/s | peak memory | engine's speed to it | engine's memory to it |\n\
         |---|---|---|---|---|---|\n"
    );
    let ours = group.rows.iter().find(|row| row.engine && row.measured());
    for row in &group.rows {
        if let Some(reason) = &row.missing {
            text += &format!("| {} | not measured: {} | | | | |\n", row.title, cell(reason));
            continue;
        }
        let (low, high) = row.range();
        let ratios = match ours {
            Some(ours) if !std::ptr::eq(ours, row) => [times(ours.speed_to(row)), times(ours.memory_to(row))],
            _ => ["–".into(), "–".into()],
        };
        text += &format!(
            "| {} | {} ({}–{}) | {} | {} MiB | {} | {} |\n",
            row.title,
            seconds(row.step()),
            bare(low, row.step()),
            bare(high, row.step()),
            number(row.tokens_per_second()),
            number(row.peak_mib()),
            ratios[0],
            ratios[1],
        );
    }
    text
}

/// A reason must not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2} ×")
}

/// In milliseconds when the typical value is below a second.
fn seconds(value: f64) -> String {
    format!("{} {}", bare(value, value), if value < 1.0 { "ms" } else { "s" })
}

fn bare(value: f64, typical: f64) -> String {
    match typical {
        typical if typical < 0.1 => format!("{:.1}", value * 1e3),
        typical if typical < 1.0 => format!("{:.0}", value * 1e3),
        _ => format!("{value:.2}"),
    }
}

/// Whole, with commas.
fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{super::measure::tests::row, *};

    fn group(mode: Mode, rows: Vec<Row>) -> Group {
        Group {
            shape: "tiny".into(),
            mode,
            heading: "A tiny model".into(),
            rows,
            conditions: "On a machine.".into(),
        }
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([number(999.4), number(1_000.0), number(1_234_567.0)], ["999", "1,000", "1,234,567"]);
        assert_eq!([seconds(1.234), seconds(0.45678), seconds(0.0123)], ["1.23 s", "457 ms", "12.3 ms"]);
    }

    #[test]
    fn a_table_has_ratios_to_each_peer_and_says_who_is_missing() {
        let mut absent = row("compiled", false, &[], 0.0);
        absent.missing = Some("no compiler | here".into());
        let rows =
            vec![row("engine", true, &[0.5, 0.6, 0.4], 250.0), row("loop", false, &[1.0], 1000.0), absent];
        let text = section(&group(Mode::Full, rows));
        assert!(text.contains("| the engine | 500 ms (400–600) | 2,000 | 250 MiB | – | – |"), "{text}");
        assert!(
            text.contains("| the loop | 1.00 s (1.00–1.00) | 1,000 | 1,000 MiB | 2.00 × | 0.25 × |"),
            "{text}"
        );
        assert!(text.contains("| the compiled | not measured: no compiler \\| here |"), "{text}");
        assert!(text.ends_with("On a machine.\n"));
    }

    #[test]
    fn the_summary_names_the_fastest_and_the_leanest() {
        let rows = vec![
            row("engine", true, &[0.5], 250.0),
            row("engine, avx2", true, &[1.0], 250.0),
            row(FP32_LOOP, false, &[2.0], 500.0),
            row("fast", false, &[1.0], 1000.0),
        ];
        let text = page(&[group(Mode::Lora, rows)]);
        let line = "| `tiny`, lora | 2,000 tokens/s | 2.00 × (the fast) | 4.00 × | 0.50 × (the loop-fp32) |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("| `tiny`, lora, avx2 | 1,000 tokens/s | 1.00 ×"), "{text}");
        assert!(!text.contains("generation"));
    }

    #[test]
    fn generation_is_compared_with_both_and_goes_on_without_one() {
        let mut absent = row(LLAMA_CPP, false, &[], 0.0);
        absent.missing = Some("no compiler".into());
        let rows = vec![row("engine", true, &[0.5], 250.0), row(TRANSFORMERS, false, &[2.0], 500.0), absent];
        let text = page(&[group(Mode::Generate, rows)]);
        assert!(text.contains("| `tiny`, generate | 2,000 tokens/s | 4.00 × | – | 0.50 ×"), "{text}");
    }

    #[test]
    fn what_the_engine_cannot_run_is_said() {
        let mut ours = row("engine", true, &[], 0.0);
        ours.missing = Some("not supported by the engine".into());
        let text = page(&[group(Mode::Full, vec![ours, row("fast", false, &[1.0], 1000.0)])]);
        assert!(text.contains("| `tiny`, full | not supported by the engine | – | – | – |"), "{text}");
        assert!(text.contains("| the fast | 1.00 s (1.00–1.00) | 1,000 | 1,000 MiB | – | – |"), "{text}");
    }
}
