//! Operands laid out as the tiles read them: in words of 32 bits along the depth, each one f32 or a pair of bf16
//! neighbours, the even one in the lower half.
//!
//! The depth is cut into blocks of [`BLOCK`] words. Of a block, the left operand's rows lie one after the other
//! (`[row][word]`), the right operand's columns side by side in strips (`[word][column]`). What is missing to full
//! rows, words and strips is zero.

use super::matrix::{Element, Mat};
use crate::kernels::tier::Precision;
use half::bf16;
use std::ops::Range;

/// Words of the depth in one block: a strip of either operand then stays in the first-level cache.
pub const BLOCK: usize = 256;
/// Words between rows where the whole depth is at most this: the heads of attention, mostly.
pub const SHORT: usize = 64;
/// Rows, columns and words that are moved as one square.
pub const SQUARE: usize = 16;

/// How the depth of a product is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    pub precision: Precision,
    /// Length of the sums, in values.
    values: usize,
}

impl Depth {
    pub fn new(precision: Precision, values: usize) -> Self {
        Self { precision, values }
    }

    /// Values in a word.
    fn group(self) -> usize {
        match self.precision {
            Precision::Bf16 => 2,
            Precision::F32 => 1,
        }
    }

    /// Words of the whole depth, in full squares.
    fn words(self) -> usize {
        self.values.div_ceil(self.group()).next_multiple_of(SQUARE)
    }

    /// Words from one row of the left operand to the next.
    pub fn stride(self) -> usize {
        if self.words() <= SHORT { SHORT } else { BLOCK }
    }

    /// The blocks as ranges of words; one empty block of no depth.
    pub fn blocks(self) -> impl Iterator<Item = Range<usize>> {
        let words = self.words();
        (0..words.max(1)).step_by(BLOCK).map(move |from| from..(from + BLOCK).min(words))
    }

    /// Words that a row of the left operand takes in all blocks.
    pub fn row_words(self) -> usize {
        self.words().div_ceil(BLOCK).max(1) * self.stride()
    }
}

/// What a packed operand can be made from.
pub trait Packable: Element {
    /// Neighbours along the depth to words; an odd end is filled with zero.
    fn along(precision: Precision, values: &[Self], out: &mut [u32]);
    /// Words from the lanes of one step of the depth, or of two steps of which the second may lie beyond the end.
    fn across(precision: Precision, even: &[Self], odd: Option<&[Self]>, out: &mut [u32]);
}

/// The bits of the nearest bf16, ties to even, in the upper half; a NaN stays one.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    (if value.is_nan() { bits | 0x0040_0000 } else { nearest }) & 0xffff_0000
}

vectorised! {
    /// Rounds to bf16.
    pub fn narrow(values: &[f32], out: &mut [u16]) {
        for (value, out) in values.iter().zip(out) {
            *out = (rounded(*value) >> 16) as u16;
        }
    }

    fn pairs(even: &[f32], odd: &[f32], out: &mut [u32]) {
        for ((even, odd), out) in even.iter().zip(odd).zip(out) {
            *out = rounded(*even) >> 16 | rounded(*odd);
        }
    }

    fn pairs_of_bf16(even: &[u16], odd: &[u16], out: &mut [u32]) {
        for ((even, odd), out) in even.iter().zip(odd).zip(out) {
            *out = u32::from(*even) | u32::from(*odd) << 16;
        }
    }

    fn widen(values: &[u16], out: &mut [u32]) {
        for (value, out) in values.iter().zip(out) {
            *out = u32::from(*value) << 16;
        }
    }
}

impl Packable for f32 {
    fn along(precision: Precision, values: &[f32], out: &mut [u32]) {
        match precision {
            Precision::F32 => out[..values.len()].copy_from_slice(bytemuck::cast_slice(values)),
            Precision::Bf16 => {
                let halves: &mut [u16] = bytemuck::cast_slice_mut(out);
                if !values.len().is_multiple_of(2) {
                    halves[values.len()] = 0;
                }
                narrow(values, halves);
            }
        }
    }

    fn across(precision: Precision, even: &[f32], odd: Option<&[f32]>, out: &mut [u32]) {
        match (precision, odd) {
            (Precision::F32, _) => out[..even.len()].copy_from_slice(bytemuck::cast_slice(even)),
            (Precision::Bf16, Some(odd)) => pairs(even, odd, out),
            (Precision::Bf16, None) => {
                even.iter().zip(out).for_each(|(even, out)| *out = rounded(*even) >> 16);
            }
        }
    }
}

impl Packable for bf16 {
    fn along(precision: Precision, values: &[bf16], out: &mut [u32]) {
        match precision {
            Precision::F32 => widen(bytemuck::cast_slice(values), out),
            Precision::Bf16 => {
                let halves: &mut [u16] = bytemuck::cast_slice_mut(out);
                if !values.len().is_multiple_of(2) {
                    halves[values.len()] = 0;
                }
                halves[..values.len()].copy_from_slice(bytemuck::cast_slice(values));
            }
        }
    }

    fn across(precision: Precision, even: &[bf16], odd: Option<&[bf16]>, out: &mut [u32]) {
        let even: &[u16] = bytemuck::cast_slice(even);
        match (precision, odd) {
            (Precision::F32, _) => widen(even, out),
            (Precision::Bf16, Some(odd)) => pairs_of_bf16(even, bytemuck::cast_slice(odd), out),
            (Precision::Bf16, None) => {
                even.iter().zip(out).for_each(|(even, out)| *out = u32::from(*even));
            }
        }
    }
}

/// A square of words and its reflection.
type Square = [[u32; SQUARE]; SQUARE];

/// Exchanges the rows and columns of a square.
fn reflect(square: &mut Square) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has what the function needs.
        unsafe { reflect_avx512(square) };
        return;
    }
    for i in 0..SQUARE {
        for j in 0..i {
            let kept = square[i][j];
            square[i][j] = square[j][i];
            square[j][i] = kept;
        }
    }
}

/// Four rounds, each of which exchanges blocks of twice the size: 1, 2, 4 and 8 words.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn reflect_avx512(square: &mut Square) {
    use std::arch::x86_64::{
        _mm512_loadu_si512, _mm512_setzero_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512,
        _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    };
    let mut a = [_mm512_setzero_si512(); SQUARE];
    for (a, row) in a.iter_mut().zip(square.iter()) {
        // SAFETY: a row is 16 words.
        *a = unsafe { _mm512_loadu_si512(row.as_ptr().cast()) };
    }
    let mut b = a;
    for i in 0..8 {
        b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    }
    for i in (0..SQUARE).step_by(4) {
        a[i] = _mm512_unpacklo_epi64(b[i], b[i + 2]);
        a[i + 1] = _mm512_unpackhi_epi64(b[i], b[i + 2]);
        a[i + 2] = _mm512_unpacklo_epi64(b[i + 1], b[i + 3]);
        a[i + 3] = _mm512_unpackhi_epi64(b[i + 1], b[i + 3]);
    }
    for i in 0..4 {
        b[i] = _mm512_shuffle_i32x4::<0x88>(a[i], a[i + 4]);
        b[i + 4] = _mm512_shuffle_i32x4::<0xdd>(a[i], a[i + 4]);
        b[i + 8] = _mm512_shuffle_i32x4::<0x88>(a[i + 8], a[i + 12]);
        b[i + 12] = _mm512_shuffle_i32x4::<0xdd>(a[i + 8], a[i + 12]);
    }
    for i in 0..8 {
        a[i] = _mm512_shuffle_i32x4::<0x88>(b[i], b[i + 8]);
        a[i + 8] = _mm512_shuffle_i32x4::<0xdd>(b[i], b[i + 8]);
    }
    for (a, row) in a.iter().zip(square.iter_mut()) {
        // SAFETY: a row is 16 words.
        unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), *a) };
    }
}

/// Lines of an operand (rows of the left one, columns of the right one) beside its depth.
struct Lines<'a, E> {
    /// `[line, depth]`
    mat: Mat<'a, E>,
    depth: Depth,
}

impl<'a, E: Packable> Lines<'a, E> {
    /// The values of `words` in the depth that exist.
    fn values(&self, words: &Range<usize>) -> Range<usize> {
        let group = self.depth.group();
        let end = (words.end * group).min(self.mat.cols);
        (words.start * group).min(end)..end
    }

    /// One line's words, where its values are neighbours.
    fn along(&self, line: usize, words: Range<usize>, out: &mut [u32]) {
        let values = self.values(&words);
        let filled = values.len().div_ceil(self.depth.group());
        let start = line * self.mat.row_stride;
        E::along(self.depth.precision, &self.mat.data[start + values.start..start + values.end], out);
        out[filled..words.len()].fill(0);
    }

    /// One word of `count` lines, where the lines are neighbours.
    fn across(&self, first: usize, count: usize, word: usize, out: &mut [u32]) {
        let values = self.values(&(word..word + 1));
        if values.is_empty() {
            out.fill(0);
            return;
        }
        let step = |i: usize| &self.mat.data[(values.start + i) * self.mat.col_stride + first..][..count];
        E::across(self.depth.precision, step(0), (values.len() > 1).then(|| step(1)), out);
        out[count..].fill(0);
    }

    /// Both strides above 1: word by word.
    fn single(&self, line: usize, word: usize) -> u32 {
        let values = self.values(&(word..word + 1));
        let at = |i: usize| self.mat.at(line, values.start + i);
        let mut out = [0];
        match values.len() {
            0 => {}
            1 => E::across(self.depth.precision, &[at(0)], None, &mut out),
            _ => E::across(self.depth.precision, &[at(0)], Some(&[at(1)]), &mut out),
        }
        out[0]
    }

    /// A square of `[line][word]`, with zeros for lines that do not exist.
    fn square_of_lines(&self, first: usize, count: usize, word: usize) -> Square {
        let mut square = [[0; SQUARE]; SQUARE];
        if self.mat.col_stride == 1 {
            for (i, row) in square.iter_mut().take(count).enumerate() {
                self.along(first + i, word..word + SQUARE, row);
            }
        } else if self.mat.row_stride == 1 {
            for (i, row) in square.iter_mut().enumerate() {
                self.across(first, count, word + i, row);
            }
            reflect(&mut square);
        } else {
            for (i, row) in square.iter_mut().take(count).enumerate() {
                for (j, out) in row.iter_mut().enumerate() {
                    *out = self.single(first + i, word + j);
                }
            }
        }
        square
    }
}

/// Packs the rows `rows` of the left operand for one block of the depth: `[row][stride]`.
pub fn rows<E: Packable>(
    a: Mat<'_, E>,
    rows: Range<usize>,
    words: Range<usize>,
    depth: Depth,
    out: &mut [u32],
) {
    let (lines, stride) = (Lines { mat: a, depth }, depth.stride());
    if a.col_stride == 1 {
        for (row, out) in rows.zip(out.chunks_mut(stride)) {
            lines.along(row, words.clone(), out);
        }
        return;
    }
    for first in rows.clone().step_by(SQUARE) {
        let count = SQUARE.min(rows.end - first);
        let out = &mut out[(first - rows.start) * stride..];
        for word in words.clone().step_by(SQUARE) {
            let square = lines.square_of_lines(first, count, word);
            for (line, out) in square.iter().take(count).zip(out.chunks_mut(stride)) {
                out[word - words.start..][..SQUARE].copy_from_slice(line);
            }
        }
    }
}

/// Packs a strip of at most `width` columns of the right operand for one block of the depth: `[word][width]`.
pub fn columns<E: Packable>(
    b: Mat<'_, E>,
    cols: Range<usize>,
    words: Range<usize>,
    depth: Depth,
    width: usize,
    out: &mut [u32],
) {
    let lines = Lines { mat: b.t(), depth };
    if b.col_stride == 1 {
        for (word, out) in words.zip(out.chunks_mut(width)) {
            lines.across(cols.start, cols.len(), word, out);
        }
        return;
    }
    for side in (0..width).step_by(SQUARE) {
        let first = cols.start + side;
        let count = SQUARE.min(cols.end.saturating_sub(first));
        for word in words.clone().step_by(SQUARE) {
            let mut square = lines.square_of_lines(first, count, word);
            reflect(&mut square);
            let out = &mut out[(word - words.start) * width..];
            for (lanes, out) in square.iter().zip(out.chunks_mut(width)) {
                out[side..side + SQUARE].copy_from_slice(lanes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The word at a line and place of the depth, by the definition.
    fn word(at: impl Fn(usize) -> f32, depth: Depth, word: usize) -> u32 {
        let value = |i: usize| if i < depth.values { at(i) } else { 0.0 };
        match depth.precision {
            Precision::F32 => value(word).to_bits(),
            Precision::Bf16 => {
                let half = |i| u32::from(bf16::from_f32(value(i)).to_bits());
                half(2 * word) | half(2 * word + 1) << 16
            }
        }
    }

    fn check<E: Packable>(values: &[E], lines: usize, deep: usize, turned: bool, precision: Precision) {
        // Rows of the source are longer than the matrix: strides are not its width.
        let mat = match turned {
            false => Mat::strided(values, lines, deep, deep + 3),
            true => Mat::strided(values, deep, lines, lines + 3).t(),
        };
        let depth = Depth::new(precision, deep);
        let (stride, width) = (depth.stride(), 32);
        let first = lines / 3;
        for block in depth.blocks() {
            let mut out = vec![0x7777_7777; (lines - first) * stride];
            rows(mat, first..lines, block.clone(), depth, &mut out);
            for (line, out) in (first..lines).zip(out.chunks(stride)) {
                for (out, at) in out.iter().zip(block.clone()) {
                    assert_eq!(*out, word(|i| mat.at(line, i).to_f32(), depth, at), "row {line}, word {at}");
                }
            }
            let strip = first..lines.min(first + width);
            let mut out = vec![0x7777_7777; width * block.len()];
            columns(mat.t(), strip.clone(), block.clone(), depth, width, &mut out);
            for (at, out) in block.clone().zip(out.chunks(width)) {
                for (lane, out) in out.iter().enumerate() {
                    let line = first + lane;
                    let wanted =
                        if line < strip.end { word(|i| mat.at(line, i).to_f32(), depth, at) } else { 0 };
                    assert_eq!(*out, wanted, "column {line}, word {at}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn words_are_where_tiles_look_for_them(
            lines in 1usize..50, deep in 0usize..700, turned: bool, f32_tier: bool, seed: u64,
        ) {
            let stream = crate::rng::Stream::new(seed);
            let count = (lines + 3) * (deep + 3);
            let values: Vec<f32> = (0..count).map(|i| stream.normal(i as u64) as f32).collect();
            let precision = if f32_tier { Precision::F32 } else { Precision::Bf16 };
            check(&values, lines, deep, turned, precision);
            let halves: Vec<bf16> = values.iter().map(|value| bf16::from_f32(*value)).collect();
            check(&halves, lines, deep, turned, precision);
        }

        #[test]
        fn rounding_is_that_of_the_format(bits: u32) {
            let value = f32::from_bits(bits);
            let mut out = [0];
            narrow(&[value], &mut out);
            prop_assert_eq!(out[0], bf16::from_f32(value).to_bits());
        }
    }
}
