//! Writes the good files, for libFuzzer to begin with: `cargo run --bin seeds` fills `corpus/`.
#![allow(clippy::unwrap_used, reason = "a tool for developers may panic")]

use std::path::Path;

use llm_tuner_engine_fuzz::good::Good;
use llm_tuner_engine_fuzz::targets::TARGETS;

fn main() {
    let good = Good::new();
    for target in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&directory).unwrap();
        for (number, seed) in target.seeds(&good).into_iter().enumerate() {
            std::fs::write(directory.join(format!("good-{number}")), seed).unwrap();
        }
    }
}
