//! gzip, chunk by chunk, in bounded memory.

use std::io::Write;

use flate2::write::MultiGzDecoder;

use super::Refusal;
use crate::finding::Code;

/// Compressed bytes handed over at a time: deflate expands at most about a thousand times, so this bounds what
/// is in memory, bombs included.
const STEP: usize = 2048;

#[derive(Debug)]
pub struct Gunzip {
    decoder: MultiGzDecoder<Vec<u8>>,
    /// Gathers whole steps, so that a damaged file gives the same rows however it is cut into chunks.
    step: Vec<u8>,
}

impl Default for Gunzip {
    fn default() -> Self {
        Self { decoder: MultiGzDecoder::new(Vec::new()), step: Vec::with_capacity(STEP) }
    }
}

impl Gunzip {
    pub fn push<F>(&mut self, mut bytes: &[u8], mut out: F) -> Result<(), Refusal>
    where
        F: FnMut(&[u8]) -> Result<(), Refusal>,
    {
        while !bytes.is_empty() {
            let (taken, rest) = bytes.split_at(bytes.len().min(STEP - self.step.len()));
            self.step.extend_from_slice(taken);
            bytes = rest;
            if self.step.len() == STEP {
                self.decode(&mut out)?;
            }
        }
        Ok(())
    }

    pub fn finish<F>(&mut self, mut out: F) -> Result<(), Refusal>
    where
        F: FnMut(&[u8]) -> Result<(), Refusal>,
    {
        self.decode(&mut out)?;
        self.decoder.try_finish().map_err(broken)?;
        out(self.decoder.get_ref())?;
        self.decoder.get_mut().clear();
        Ok(())
    }

    fn decode<F>(&mut self, out: &mut F) -> Result<(), Refusal>
    where
        F: FnMut(&[u8]) -> Result<(), Refusal>,
    {
        self.decoder.write_all(&self.step).map_err(broken)?;
        self.step.clear();
        out(self.decoder.get_ref())?;
        self.decoder.get_mut().clear();
        Ok(())
    }
}

fn broken(error: std::io::Error) -> Refusal {
    Refusal::new(
        Code::BrokenCompression,
        format!("The gzip data is damaged or breaks off ({error}). Compress and upload the file again."),
    )
}
