//! Writes the bundled sample files: `cargo run -p llm-tuner-dataset --example write_samples -- public/samples`.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: write_samples DIRECTORY")?);
    fs::create_dir_all(&directory)?;
    for (name, content) in llm_tuner_dataset::samples::files() {
        fs::write(directory.join(name), content)?;
    }
    Ok(())
}
