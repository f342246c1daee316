//! Operands laid out as the tiles read them: in words of 32 bits along the depth, each one f32 or a pair of bf16
//! neighbours, the even one in the lower half.
//!
//! The depth is cut into blocks of [`BLOCK`] words. Of a block, the left operand's rows lie one after the other
//! (`[row][word]`), the right operand's columns side by side in strips (`[word][column]`). What is missing to full
//! rows, words and strips is zero.

use super::matrix::{Element, Mat};
use crate::kernels::tier::Precision;
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
    pub fn group(self) -> usize {
        match self.precision {
            Precision::Bf16 => 2,
            Precision::F32 => 1,
        }
    }

    /// Words of the whole depth, in full squares.
    pub fn words(self) -> usize {
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

/// A word of one or two values.
#[inline(always)]
fn word<E: Element>(precision: Precision, even: E, odd: E) -> u32 {
    match precision {
        Precision::F32 => even.to_f32().to_bits(),
        Precision::Bf16 => even.upper() >> 16 | odd.upper(),
    }
}

/// Words of lines whose values are neighbours: `out [line][stride]` from `lines`.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn along<'l, E: Element>(
    lines: &Lines<'l, E>,
    numbers: Range<usize>,
    words: Range<usize>,
    out: &mut [u32],
    stride: usize,
) {
    if lines.mat.cols == 0 {
        return out.fill(0);
    }
    let (values, precision) = (lines.values(&words), lines.depth.precision);
    for (line, out) in numbers.zip(out.chunks_mut(stride)) {
        let values = &lines.mat.data[line * lines.mat.row_stride..][values.clone()];
        let out = &mut out[..words.len()];
        match precision {
            Precision::F32 => {
                let (filled, rest) = out.split_at_mut(values.len());
                for (value, out) in values.iter().zip(filled) {
                    *out = value.to_f32().to_bits();
                }
                rest.fill(0);
            }
            Precision::Bf16 => {
                let halves: &mut [u16] = bytemuck::cast_slice_mut(out);
                let (filled, rest) = halves.split_at_mut(values.len());
                for (value, out) in values.iter().zip(filled) {
                    *out = (value.upper() >> 16) as u16;
                }
                rest.fill(0);
            }
        }
    }
}

/// Words of lines that are neighbours: `out [word][WIDTH]` for each strip of `WIDTH` of them, strips one after
/// the other.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn across<'l, E: Element, const WIDTH: usize>(
    lines: &Lines<'l, E>,
    numbers: Range<usize>,
    words: Range<usize>,
    out: &mut [u32],
) {
    if lines.mat.cols == 0 {
        return out.fill(0);
    }
    let (group, precision) = (lines.depth.group(), lines.depth.precision);
    let last = lines.mat.cols - 1;
    let strip_words = words.len() * WIDTH;
    for (i, word_number) in words.enumerate() {
        let step =
            |at: usize| -> &[E] { &lines.mat.data[at.min(last) * lines.mat.col_stride..][numbers.clone()] };
        let at = word_number * group;
        let (even, odd) = (step(at), step(at + 1));
        // What lies beyond the depth is zero: all of the word, or its odd half.
        let mask = match lines.mat.cols.saturating_sub(at) {
            0 => 0,
            1 if group == 2 => 0xffff,
            _ => u32::MAX,
        };
        for (j, (even, odd)) in even.chunks(WIDTH).zip(odd.chunks(WIDTH)).enumerate() {
            let Some(out) = out[j * strip_words + i * WIDTH..].first_chunk_mut::<WIDTH>() else { return };
            match (<&[E; WIDTH]>::try_from(even), <&[E; WIDTH]>::try_from(odd)) {
                (Ok(even), Ok(odd)) => {
                    for lane in 0..WIDTH {
                        out[lane] = word(precision, even[lane], odd[lane]) & mask;
                    }
                }
                _ => {
                    out.fill(0);
                    for ((out, even), odd) in out.iter_mut().zip(even).zip(odd) {
                        *out = word(precision, *even, *odd) & mask;
                    }
                }
            }
        }
    }
}

/// A square of words and its reflection.
pub type Square = [[u32; SQUARE]; SQUARE];

/// Exchanges the rows and columns of a square.
pub fn reflect(square: &mut Square) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has what the function needs.
        unsafe { reflect_avx512(square) };
        return;
    }
    let source = *square;
    for (i, row) in square.iter_mut().enumerate() {
        for (out, source) in row.iter_mut().zip(&source) {
            *out = source[i];
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

impl<E: Element> Lines<'_, E> {
    /// The values of `words` in the depth that exist.
    fn values(&self, words: &Range<usize>) -> Range<usize> {
        let group = self.depth.group();
        let end = (words.end * group).min(self.mat.cols);
        (words.start * group).min(end)..end
    }

    /// A square of `[line][word]`, with zeros for lines that do not exist.
    fn square_of_lines(&self, first: usize, count: usize, word: usize) -> Square {
        let mut square = [[0; SQUARE]; SQUARE];
        let out = &mut square.as_flattened_mut()[..count * SQUARE];
        along(self, first..first + count, word..word + SQUARE, out, SQUARE);
        square
    }

    /// A square of `[word][line]`, with zeros for lines that do not exist.
    fn square_of_words(&self, first: usize, count: usize, word: usize) -> Square {
        let mut square = [[0; SQUARE]; SQUARE];
        across::<E, SQUARE>(self, first..first + count, word..word + SQUARE, square.as_flattened_mut());
        square
    }
}

/// Packs the rows `rows` of the left operand for one block of the depth: `[row][stride]`.
///
/// # Panics
/// If neither rows nor columns are contiguous.
pub fn rows<E: Element>(
    a: Mat<'_, E>,
    rows: Range<usize>,
    words: Range<usize>,
    depth: Depth,
    out: &mut [u32],
) {
    let (lines, stride) = (Lines { mat: a, depth }, depth.stride());
    if a.col_stride == 1 {
        along(&lines, rows, words, out, stride);
        return;
    }
    assert_eq!(a.row_stride, 1);
    for word in words.clone().step_by(SQUARE) {
        for first in rows.clone().step_by(SQUARE) {
            let count = SQUARE.min(rows.end - first);
            let mut square = lines.square_of_words(first, count, word);
            reflect(&mut square);
            let out = &mut out[(first - rows.start) * stride..];
            for (line, out) in square.iter().take(count).zip(out.chunks_mut(stride)) {
                out[word - words.start..][..SQUARE].copy_from_slice(line);
            }
        }
    }
}

/// Packs columns of the right operand for one block of the depth, in strips of `width`: `[strip][word][width]`.
///
/// # Panics
/// If neither rows nor columns are contiguous, or the width is not 16 or 32.
pub fn columns<E: Element>(
    b: Mat<'_, E>,
    cols: Range<usize>,
    words: Range<usize>,
    depth: Depth,
    width: usize,
    out: &mut [u32],
) {
    let lines = Lines { mat: b.t(), depth };
    if b.col_stride == 1 {
        return match width {
            32 => across::<E, 32>(&lines, cols, words, out),
            _ => across::<E, 16>(&lines, cols, words, out),
        };
    }
    assert_eq!(b.row_stride, 1);
    let strip_words = words.len() * width;
    for (strip, start) in cols.clone().step_by(width).enumerate() {
        let out = &mut out[strip * strip_words..][..strip_words];
        for side in (0..width).step_by(SQUARE) {
            let first = (start + side).min(cols.end);
            let count = SQUARE.min(cols.end - first);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;
    use proptest::prelude::*;

    /// The word at a line and place of the depth, by the definition.
    fn expected(at: impl Fn(usize) -> f32, depth: Depth, word: usize) -> u32 {
        let value = |i: usize| if i < depth.values { at(i) } else { 0.0 };
        match depth.precision {
            Precision::F32 => value(word).to_bits(),
            Precision::Bf16 => {
                let half = |i| u32::from(bf16::from_f32(value(i)).to_bits());
                half(2 * word) | half(2 * word + 1) << 16
            }
        }
    }

    fn check<E: Element>(values: &[E], [lines, deep, width]: [usize; 3], turned: bool, precision: Precision) {
        // Rows of the source are longer than the matrix: strides are not its width.
        let mat = match turned {
            false => Mat::strided(values, lines, deep, deep + 3),
            true => Mat::strided(values, deep, lines, lines + 3).t(),
        };
        let depth = Depth::new(precision, deep);
        let stride = depth.stride();
        let first = lines / 3;
        for block in depth.blocks() {
            let mut out = vec![0x7777_7777; (lines - first) * stride];
            rows(mat, first..lines, block.clone(), depth, &mut out);
            for (line, out) in (first..lines).zip(out.chunks(stride)) {
                for (out, at) in out.iter().zip(block.clone()) {
                    assert_eq!(
                        *out,
                        expected(|i| mat.at(line, i).to_f32(), depth, at),
                        "row {line}, word {at}"
                    );
                }
            }
            let strips = (lines - first).div_ceil(width);
            let mut out = vec![0x7777_7777; strips * width * block.len()];
            columns(mat.t(), first..lines, block.clone(), depth, width, &mut out);
            for (strip, out) in out.chunks((width * block.len()).max(1)).enumerate() {
                for (at, out) in block.clone().zip(out.chunks(width)) {
                    for (lane, out) in out.iter().enumerate() {
                        let line = first + strip * width + lane;
                        let wanted =
                            if line < lines { expected(|i| mat.at(line, i).to_f32(), depth, at) } else { 0 };
                        assert_eq!(*out, wanted, "column {line}, word {at}");
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn words_are_where_tiles_look_for_them(
            lines in 1usize..120, deep in 0usize..700, turned: bool, wide: bool, f32_tier: bool, seed: u64,
        ) {
            let stream = crate::rng::Stream::new(seed);
            let count = (lines + 3) * (deep + 3);
            let values: Vec<f32> = (0..count).map(|i| stream.normal(i as u64) as f32).collect();
            let precision = if f32_tier { Precision::F32 } else { Precision::Bf16 };
            let sizes = [lines, deep, if wide { 32 } else { 16 }];
            check(&values, sizes, turned, precision);
            let halves: Vec<bf16> = values.iter().map(|value| bf16::from_f32(*value)).collect();
            check(&halves, sizes, turned, precision);
        }
    }
}
