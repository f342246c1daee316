//! Prints the report on a file as JSON: `cargo run -p llm-tuner-dataset --example validate -- FILE`.

use std::error::Error;
use std::fs::File;

use llm_tuner_dataset::{Options, validate};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: validate FILE")?;
    let report = validate(File::open(&path)?, Options::named(path.as_str()))?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
