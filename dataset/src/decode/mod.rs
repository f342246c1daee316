//! From the bytes of a file to bytes of UTF-8: decompression and encoding, chunk by chunk. What cannot be text
//! is refused here with its reason. The result is not checked to be valid UTF-8; each row is, where it is read.

mod encoding;
#[cfg(feature = "gzip")]
mod gunzip;
mod magic;

use crate::finding::Code;
use crate::schema::Encoding;
use encoding::Transcoder;

/// Bytes looked at to tell the encoding and to tell text from other data. Always this many, or the whole file
/// where it is shorter, so that the answer does not depend on how the file is cut into chunks.
const SNIFF: usize = 4096;
/// Bytes looked at to recognise a compressed file.
const MAGIC: usize = 8;

/// A reason not to read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub code: Code,
    pub message: String,
}

impl Refusal {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[derive(Debug)]
enum Compression {
    /// The first bytes, until there are enough of them.
    Unknown(Vec<u8>),
    None,
    #[cfg(feature = "gzip")]
    Gzip(Box<gunzip::Gunzip>),
}

#[derive(Debug)]
enum Text {
    Unknown(Vec<u8>),
    Utf8,
    Utf16(Transcoder),
}

#[derive(Debug)]
pub(crate) struct Decoder {
    compression: Compression,
    text: TextDecoder,
}

#[derive(Debug)]
struct TextDecoder {
    state: Text,
    encoding: Encoding,
    /// Bytes after decompression, and how many there may be.
    bytes: u64,
    max_bytes: u64,
}

impl Decoder {
    pub fn new(max_bytes: u64) -> Self {
        Self {
            compression: Compression::Unknown(Vec::new()),
            text: TextDecoder {
                state: Text::Unknown(Vec::new()),
                encoding: Encoding::Utf8,
                bytes: 0,
                max_bytes,
            },
        }
    }

    /// Continues in the middle of a file of plain UTF-8.
    pub fn resumed() -> Self {
        let mut decoder = Self::new(u64::MAX);
        decoder.compression = Compression::None;
        decoder.text.state = Text::Utf8;
        decoder
    }

    pub fn gzip(&self) -> bool {
        #[cfg(feature = "gzip")]
        return matches!(self.compression, Compression::Gzip(_));
        #[cfg(not(feature = "gzip"))]
        false
    }

    pub fn encoding(&self) -> Encoding {
        self.text.encoding
    }

    /// Characters of UTF-16 that were half missing and were replaced.
    pub fn replaced(&self) -> u64 {
        match &self.text.state {
            Text::Utf16(transcoder) => transcoder.replaced,
            _ => 0,
        }
    }

    pub fn push<F: FnMut(&[u8])>(&mut self, bytes: &[u8], out: &mut F) -> Result<(), Refusal> {
        match &mut self.compression {
            Compression::None => self.text.push(bytes, out),
            #[cfg(feature = "gzip")]
            Compression::Gzip(gunzip) => gunzip.push(bytes, |plain| self.text.push(plain, out)),
            Compression::Unknown(head) => {
                let taken = bytes.len().min(MAGIC - head.len());
                head.extend_from_slice(&bytes[..taken]);
                if head.len() == MAGIC {
                    let head = std::mem::take(head);
                    self.begin(&head, out)?;
                    return self.push(&bytes[taken..], out);
                }
                Ok(())
            }
        }
    }

    fn begin<F: FnMut(&[u8])>(&mut self, head: &[u8], out: &mut F) -> Result<(), Refusal> {
        self.compression = Compression::None;
        if head.starts_with(&[0x1f, 0x8b]) {
            #[cfg(feature = "gzip")]
            {
                self.compression = Compression::Gzip(Box::default());
            }
            #[cfg(not(feature = "gzip"))]
            return Err(Refusal::new(
                Code::CompressionNotSupported,
                "The file is compressed with gzip, which cannot be read here. Upload it as it is: the server \
                 reads it.",
            ));
        }
        self.push(head, out)
    }

    pub fn finish<F: FnMut(&[u8])>(&mut self, out: &mut F) -> Result<(), Refusal> {
        if let Compression::Unknown(head) = &mut self.compression {
            let head = std::mem::take(head);
            self.begin(&head, out)?;
        }
        #[cfg(feature = "gzip")]
        if let Compression::Gzip(gunzip) = &mut self.compression {
            gunzip.finish(|plain| self.text.push(plain, out))?;
        }
        self.text.finish(out)
    }
}

impl TextDecoder {
    fn push<F: FnMut(&[u8])>(&mut self, bytes: &[u8], out: &mut F) -> Result<(), Refusal> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.max_bytes {
            return Err(Refusal::new(
                Code::TooLarge,
                format!(
                    "The file holds more than {} GB once it is decompressed. Split it into smaller files.",
                    self.max_bytes / 1_000_000_000
                ),
            ));
        }
        self.take(bytes, out)
    }

    fn take<F: FnMut(&[u8])>(&mut self, bytes: &[u8], out: &mut F) -> Result<(), Refusal> {
        match &mut self.state {
            Text::Utf8 => out(bytes),
            Text::Utf16(transcoder) => transcoder.push(bytes, out),
            Text::Unknown(head) => {
                let taken = bytes.len().min(SNIFF - head.len());
                head.extend_from_slice(&bytes[..taken]);
                if head.len() == SNIFF {
                    let head = std::mem::take(head);
                    self.begin(&head, out)?;
                    return self.take(&bytes[taken..], out);
                }
            }
        }
        Ok(())
    }

    fn begin<F: FnMut(&[u8])>(&mut self, head: &[u8], out: &mut F) -> Result<(), Refusal> {
        magic::refuse(head)?;
        let (encoding, mark) = encoding::sniff(head);
        self.encoding = encoding;
        self.state = match encoding {
            Encoding::Utf8 | Encoding::Utf8Bom => {
                magic::refuse_binary(&head[mark..])?;
                Text::Utf8
            }
            Encoding::Utf16Le => Text::Utf16(Transcoder::new(false)),
            Encoding::Utf16Be => Text::Utf16(Transcoder::new(true)),
        };
        self.take(&head[mark..], out)
    }

    fn finish<F: FnMut(&[u8])>(&mut self, out: &mut F) -> Result<(), Refusal> {
        if let Text::Unknown(head) = &mut self.state {
            let head = std::mem::take(head);
            self.begin(&head, out)?;
        }
        if let Text::Utf16(transcoder) = &mut self.state {
            transcoder.finish(out);
        }
        Ok(())
    }
}
