//! One file of named tensors: <https://huggingface.co/docs/safetensors>.
//!
//! The header is parsed and its offsets are checked by the `safetensors` crate; this module adds what it takes
//! to read files of any size without holding them twice, widens 16-bit floats to f32, and says in words what is
//! wrong with a broken file. Nothing here is memory-mapped: a file that shrinks under us is an error, not a crash.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use crate::error::FileError;
use crate::model::Values;
use crate::tensor::{Tensor, TensorMap};

/// As in the reference implementation; a larger header is an attack or a mistake.
const MAX_HEADER: u64 = 100_000_000;
/// A multiple of every element size; small enough to stay in cache.
const CHUNK: usize = 1 << 16;

/// Reads all tensors whose name `wanted` accepts, as f32.
///
/// # Errors
/// Names the file, and the tensor when its type is not f32, f16 or bf16.
pub fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<TensorMap, FileError> {
    let mut tensors = TensorMap::new();
    read_each(path, wanted, |name, tensor| {
        tensors.insert(name, tensor);
    })?;
    Ok(tensors)
}

/// As [`read`], but hands over one tensor after the other, so that what keeps them may keep less than f32.
pub fn read_each(
    path: &Path,
    wanted: impl Fn(&str) -> bool,
    mut keep: impl FnMut(String, Tensor),
) -> Result<(), FileError> {
    let file = File::open(path).map_err(FileError::io("open", path))?;
    let length = file.metadata().map_err(FileError::io("read", path))?.len();
    let mut reader = BufReader::with_capacity(CHUNK, file);
    let metadata = read_header(&mut reader, length, path)?;
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let bytes = info.data_offsets.1 - info.data_offsets.0;
        if wanted(&name) {
            let data = read_values(&mut reader, bytes, info, &name, path)?;
            keep(name, Tensor { shape: info.shape.clone(), data });
        } else {
            let mut rest = (&mut reader).take(bytes as u64);
            std::io::copy(&mut rest, &mut std::io::sink()).map_err(FileError::io("read", path))?;
        }
    }
    Ok(())
}

/// Names and shapes, without the values: enough to tell whether a file fits.
pub fn read_shapes(path: &Path) -> Result<Vec<(String, Vec<usize>)>, FileError> {
    let file = File::open(path).map_err(FileError::io("open", path))?;
    let length = file.metadata().map_err(FileError::io("read", path))?.len();
    let metadata = read_header(&mut BufReader::new(file), length, path)?;
    let shapes = metadata.tensors().into_iter().map(|(name, info)| (name, info.shape.clone()));
    let mut shapes: Vec<_> = shapes.collect();
    shapes.sort();
    Ok(shapes)
}

fn read_header(reader: &mut impl Read, length: u64, path: &Path) -> Result<Metadata, FileError> {
    let broken = |message: String| FileError::Safetensors { path: path.to_path_buf(), message };
    if length < 8 {
        return Err(broken(format!("it is {length} bytes long, and its header alone needs more")));
    }
    let mut prefix = [0; 8];
    reader.read_exact(&mut prefix).map_err(FileError::io("read", path))?;
    let size = u64::from_le_bytes(prefix);
    if size > MAX_HEADER || size > length - 8 {
        return Err(broken(format!(
            "it claims a header of {size} bytes, but {} follow; it is cut off or not of this format",
            length - 8
        )));
    }
    let mut header = vec![0; size as usize];
    reader.read_exact(&mut header).map_err(FileError::io("read", path))?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| broken(format!("its header cannot be understood: {error}")))?;
    let (claimed, present) = (metadata.data_len() as u64, length - 8 - size);
    if claimed > present {
        return Err(broken(format!(
            "{} of {claimed} bytes of tensor data are missing; it is cut off",
            claimed - present
        )));
    }
    if claimed < present {
        return Err(broken(format!("{} bytes follow after the last tensor", present - claimed)));
    }
    Ok(metadata)
}

fn read_values(
    reader: &mut impl Read,
    bytes: usize,
    info: &TensorInfo,
    name: &str,
    path: &Path,
) -> Result<Vec<f32>, FileError> {
    let mut values = Vec::with_capacity(bytes / (info.dtype.bitsize() / 8).max(1));
    let mut chunk = [0u8; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let part = &mut chunk[..left.min(CHUNK)];
        reader.read_exact(part).map_err(FileError::io("read", path))?;
        left -= part.len();
        match info.dtype {
            Dtype::F32 => {
                values.extend(part.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])))
            }
            Dtype::F16 => {
                values.extend(part.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()))
            }
            Dtype::BF16 => {
                values.extend(part.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()))
            }
            other => {
                return Err(FileError::Tensor {
                    path: path.to_path_buf(),
                    tensor: name.to_owned(),
                    message: format!("its type is {other}, and only F32, F16 and BF16 can be tuned"),
                });
            }
        }
    }
    Ok(values)
}

/// Values to write, in the type that the file will have.
#[derive(Debug)]
pub enum View<'a> {
    F32(Cow<'a, [f32]>),
    Bf16(&'a [bf16]),
}

impl View<'_> {
    fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::Bf16(_) => Dtype::BF16,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::F32(values) => size_of_val(values.as_ref()),
            Self::Bf16(values) => size_of_val(*values),
        }
    }

    /// A copy as f32.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.to_vec(),
            Self::Bf16(values) => values.iter().map(|value| value.to_f32()).collect(),
        }
    }

    fn write(&self, file: &mut impl Write) -> std::io::Result<()> {
        match self {
            Self::F32(values) if cfg!(target_endian = "little") => {
                file.write_all(bytemuck::cast_slice(values))
            }
            Self::F32(values) => values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes())),
            Self::Bf16(values) => values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes())),
        }
    }
}

impl<'a> From<&'a [f32]> for View<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(values.into())
    }
}

impl<'a> From<Cow<'a, [f32]>> for View<'a> {
    fn from(values: Cow<'a, [f32]>) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a Values> for View<'a> {
    fn from(values: &'a Values) -> Self {
        match values {
            Values::F32(values) => values.as_slice().into(),
            Values::Bf16(values) => Self::Bf16(values),
        }
    }
}

/// Writes tensors (name, shape, values) in the order of their names, with the metadata that `transformers` asks for.
pub fn write<'a, V: Into<View<'a>>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Vec<usize>, V)>,
) -> Result<(), FileError> {
    let mut tensors: Vec<(String, Vec<usize>, View<'a>)> =
        tensors.into_iter().map(|(name, shape, values)| (name, shape, values.into())).collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut offset = 0;
    let infos = tensors.iter().map(|(name, shape, values)| {
        let start = offset;
        offset += values.bytes();
        let data_offsets = (start, offset);
        (name.clone(), TensorInfo { dtype: values.dtype(), shape: shape.clone(), data_offsets })
    });
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let metadata = Metadata::new(Some(format), infos.collect());
    let unwritable = |error: SafeTensorError| FileError::Safetensors {
        path: path.to_path_buf(),
        message: error.to_string(),
    };
    let mut header = serde_json::to_vec(&metadata.map_err(unwritable)?)
        .map_err(|error| unwritable(SafeTensorError::from(error)))?;
    // Data begin on a multiple of 8 bytes.
    header.resize(header.len().next_multiple_of(8), b' ');

    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for (_, _, values) in &tensors {
            values.write(&mut file)?;
        }
        file.into_inner().map_err(|error| error.into_error())?.sync_all()
    };
    write().map_err(FileError::io("write", path))
}

/// A map's tensors in the form that [`write()`] takes.
pub fn entries(map: &TensorMap) -> impl Iterator<Item = (String, Vec<usize>, &[f32])> {
    map.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone(), tensor.data.as_slice()))
}
