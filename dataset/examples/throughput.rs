//! How fast validation is: `cargo run --release -p llm-tuner-dataset --example throughput [-- FILE]`. Without a
//! file it makes about 200 MB of prompts and completions, and as much of chats, from a seed.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use llm_tuner_dataset::rng::SplitMix64;
use llm_tuner_dataset::{Options, Validator};

const BYTES: usize = 200_000_000;
const CHUNK: usize = 256 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(path) = std::env::args().nth(1) {
        measure(&path, &std::fs::read(&path)?);
        return Ok(());
    }
    measure("prompts and completions", &synthetic(false)?);
    measure("chats", &synthetic(true)?);
    Ok(())
}

fn measure(name: &str, bytes: &[u8]) {
    for _ in 0..3 {
        let (start, before) = (Instant::now(), on_cpu());
        let mut validator = Validator::new(Options::default());
        bytes.chunks(CHUNK).for_each(|chunk| validator.push(chunk));
        let report = validator.finish();
        let seconds = match (before, on_cpu()) {
            (Some(before), Some(after)) => after - before,
            _ => start.elapsed().as_secs_f64(),
        };
        let speed = bytes.len() as f64 / 1e6 / seconds;
        println!("{name}: {speed:.0} MB/s, {} rows, {:?}", report.rows, report.verdict);
    }
}

/// Seconds that this process had a core, where the system tells (Linux), so that a busy machine does not change
/// the figure.
fn on_cpu() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().next()?.parse::<f64>().ok().map(|nanoseconds| nanoseconds / 1e9)
}

/// Rows of 200 to 900 bytes, a third of them with escapes, as such files have.
fn synthetic(chat: bool) -> std::io::Result<Vec<u8>> {
    let words = [
        "the", "model", "answers", "with", "quiet", "words", "and", "a", "long", "sentence", "again", "über",
    ];
    let mut rng = SplitMix64::new(7);
    let mut text = |words_wanted: u64, escapes: bool| {
        let mut text = String::new();
        for index in 0..words_wanted {
            text.push_str(rng.pick(&words));
            text.push_str(if escapes && index % 16 == 15 { ".\\n" } else { " " });
        }
        text
    };
    let mut bytes = Vec::with_capacity(BYTES + 2000);
    let mut row = 0;
    while bytes.len() < BYTES {
        row += 1;
        let (question, answer) = (text(12 + row % 20, false), text(30 + row % 90, row % 3 == 0));
        if chat {
            writeln!(
                bytes,
                r#"{{"messages": [{{"role": "system", "content": "You help."}}, {{"role": "user", "content": "{question}"}}, {{"role": "assistant", "content": "{answer}"}}]}}"#
            )?;
        } else {
            writeln!(bytes, r#"{{"prompt": "{question}", "completion": "{answer}"}}"#)?;
        }
    }
    Ok(bytes)
}
