//! Sample datasets of the project's own making. The generators are seeded: running them again gives the
//! committed files under `public/samples/` byte for byte, which a test asserts.

pub mod commands;
mod prose;

use std::io::{self, Write};

use crate::example::Example;

/// Writes rows as the JSON Lines that the engine trains on.
pub fn write_jsonl<W: Write>(mut writer: W, rows: &[Example<'_>]) -> io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut writer, row)?;
        writer.write_all(b"\n")?;
    }
    Ok(())
}
