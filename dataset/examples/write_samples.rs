//! Writes the bundled sample files: `cargo run -p llm-tuner-dataset --example write_samples -- public/samples`.

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;

use llm_tuner_dataset::samples::{commands, write_jsonl};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: write_samples DIRECTORY")?);
    fs::create_dir_all(&directory)?;
    let (training, held_out) = commands::rows();
    for (name, rows) in
        [("sentences-to-commands.jsonl", &training), ("sentences-to-commands-heldout.jsonl", &held_out)]
    {
        write_jsonl(BufWriter::new(File::create(directory.join(name))?), rows)?;
    }
    Ok(())
}
