//! Matrix products of bf16 values with sums in f32: half the memory and, where the processor multiplies pairs of them
//! at once, twice the speed of f32.
//!
//! Both operands are packed first, so that a weight that does not change is packed once. The depth is cut into blocks
//! of [`DEPTH`] and the blocks are added in their order, so the result does not depend on the number of threads.
//!
//! The shape of the inner loop follows Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix
//! Multiplication": a tile of [`ROWS`] × [`COLS`] sums stays in registers while a strip of both operands passes.

use super::gemm::{Mat, MatMut, Threads, Write};
use super::tier::Tier;
use rayon::prelude::*;

/// Rows of a tile: with two registers of columns, 28 of the 32 registers hold sums.
const ROWS: usize = 14;
/// Columns of a tile.
const COLS: usize = 32;
/// Pairs of the depth in one block: a strip of either operand stays in the first-level cache.
const DEPTH: usize = 256;
/// Strips of columns in one block, which stays in the second-level cache.
const STRIPS: usize = 8;
/// Strips of rows and of columns in one parallel task.
const TASK: (usize, usize) = (8, 16);

/// A matrix packed strip by strip, each value a pair of bf16 neighbours along the depth.
#[derive(Debug, Clone)]
struct Packed<const WIDTH: usize> {
    /// `[strip][pair of the depth][WIDTH]`, the lower half of each the even neighbour; zeros beyond the matrix.
    pairs: Vec<u32>,
    /// Rows or columns.
    lines: usize,
    /// Length of the sums.
    depth: usize,
}

/// The left operand `[rows, depth]`.
#[derive(Debug, Clone)]
pub struct Left(Packed<ROWS>);

/// The right operand `[depth, columns]`.
#[derive(Debug, Clone)]
pub struct Right(Packed<COLS>);

impl Left {
    /// Rounds to bf16, to the nearest and ties to even.
    pub fn pack(a: Mat<'_>) -> Self {
        Self(Packed::of(a))
    }
}

impl Right {
    /// Rounds to bf16, to the nearest and ties to even.
    pub fn pack(b: Mat<'_>) -> Self {
        Self(Packed::of(b.t()))
    }

    /// What the packed matrix takes, in bytes.
    pub fn bytes(&self) -> usize {
        4 * self.0.pairs.len()
    }
}

impl<const WIDTH: usize> Packed<WIDTH> {
    /// Packs `[lines, depth]`.
    fn of(source: Mat<'_>) -> Self {
        let (lines, depth) = (source.rows, source.cols);
        let pairs = depth.div_ceil(2);
        let mut packed = vec![0; lines.div_ceil(WIDTH) * pairs * WIDTH];
        if pairs > 0 {
            packed.par_chunks_mut(pairs * WIDTH).enumerate().for_each(|(strip, out)| {
                let first = strip * WIDTH;
                for line in 0..WIDTH.min(lines - first) {
                    for pair in 0..pairs {
                        let even = source.at(first + line, 2 * pair);
                        let odd =
                            if 2 * pair + 1 < depth { source.at(first + line, 2 * pair + 1) } else { 0.0 };
                        out[pair * WIDTH + line] = u32::from(bf16(even)) | u32::from(bf16(odd)) << 16;
                    }
                }
            });
        }
        Self { pairs: packed, lines, depth }
    }

    fn strips(&self) -> usize {
        self.lines.div_ceil(WIDTH)
    }

    /// The pairs `from..to` of the depth of one strip.
    fn strip(&self, strip: usize, from: usize, to: usize) -> &[u32] {
        let start = strip * self.depth.div_ceil(2) * WIDTH;
        &self.pairs[start + from * WIDTH..start + to * WIDTH]
    }
}

/// The bits of the nearest bf16, ties to even; a NaN stays one.
fn bf16(value: f32) -> u16 {
    half::bf16::from_f32(value).to_bits()
}

/// `out = a b` or `out += a b`, with the instructions of a tier.
///
/// # Panics
/// If the shapes do not fit, or the processor lacks the tier.
pub fn multiply(out: MatMut<'_>, a: &Left, b: &Right, write: Write, threads: Threads, tier: Tier) {
    let (a, b) = (&a.0, &b.0);
    assert!(
        out.rows == a.lines && out.cols == b.lines && a.depth == b.depth,
        "product of {}×{} and {}×{} into {}×{}",
        a.lines,
        a.depth,
        b.depth,
        b.lines,
        out.rows,
        out.cols
    );
    assert!(tier.is_available(), "this processor has no {tier}");
    let (rows, cols) = (a.strips().div_ceil(TASK.0), b.strips().div_ceil(TASK.1));
    let shared = Shared(out.data, out.row_stride);
    let task = |i: usize| {
        let (row, col) = (i / cols * TASK.0, i % cols * TASK.1);
        let rows = row..(row + TASK.0).min(a.strips());
        let cols = col..(col + TASK.1).min(b.strips());
        block(a, b, rows, cols, shared, write, tier);
    };
    match threads {
        Threads::One => (0..rows * cols).for_each(task),
        Threads::Pool => (0..rows * cols).into_par_iter().for_each(task),
    }
}

/// The output, whose tiles tasks write each for itself.
#[derive(Clone, Copy)]
struct Shared(*mut f32, usize);
// SAFETY: each task writes the tiles of its own strips only, see `multiply`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// The tiles of some strips.
fn block(
    a: &Packed<ROWS>,
    b: &Packed<COLS>,
    rows: std::ops::Range<usize>,
    cols: std::ops::Range<usize>,
    out: Shared,
    write: Write,
    tier: Tier,
) {
    let pairs = a.depth.div_ceil(2);
    let mut sums = [0.0; ROWS * COLS];
    for from in (0..pairs.max(1)).step_by(DEPTH) {
        let to = (from + DEPTH).min(pairs);
        let replace = from == 0 && write == Write::Replace;
        for first in cols.clone().step_by(STRIPS) {
            for row in rows.clone() {
                for col in first..(first + STRIPS).min(cols.end) {
                    tile(a.strip(row, from, to), b.strip(col, from, to), &mut sums, tier);
                    let height = ROWS.min(a.lines - row * ROWS);
                    let width = COLS.min(b.lines - col * COLS);
                    for (i, sums) in sums.chunks(COLS).take(height).enumerate() {
                        // SAFETY: row and columns lie inside the output, whose shape `multiply` checked, and no
                        // other task has this tile.
                        let out = unsafe {
                            std::slice::from_raw_parts_mut(
                                out.0.add((row * ROWS + i) * out.1 + col * COLS),
                                width,
                            )
                        };
                        for (out, sum) in out.iter_mut().zip(sums) {
                            *out = if replace { *sum } else { *out + sum };
                        }
                    }
                }
            }
        }
    }
}

/// `sums [ROWS, COLS] = a b` over one strip of each.
fn tile(a: &[u32], b: &[u32], sums: &mut [f32; ROWS * COLS], tier: Tier) {
    match tier {
        // SAFETY: `multiply` checked that the processor has the tier.
        #[cfg(target_arch = "x86_64")]
        Tier::Avx512Bf16 => unsafe { tile_avx512(a, b, sums) },
        _ => tile_scalar(a, b, sums),
    }
}

/// The definition.
fn tile_scalar(a: &[u32], b: &[u32], sums: &mut [f32; ROWS * COLS]) {
    let half = |pair: u32| [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)];
    sums.fill(0.0);
    for (a, b) in a.chunks(ROWS).zip(b.chunks(COLS)) {
        for (sums, a) in sums.chunks_mut(COLS).zip(a) {
            let [a0, a1] = half(*a);
            for (sum, b) in sums.iter_mut().zip(b) {
                let [b0, b1] = half(*b);
                *sum += a1 * b1 + a0 * b0;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
fn tile_avx512(a: &[u32], b: &[u32], sums: &mut [f32; ROWS * COLS]) {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };
    // SAFETY: both are 64 bytes without a niche.
    let pairs = |bits: __m512i| unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) };
    let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
    for (a, b) in a.chunks_exact(ROWS).zip(b.chunks_exact(COLS)) {
        // SAFETY: `chunks_exact` gives COLS values, which are two registers.
        let b =
            unsafe { [_mm512_loadu_si512(b.as_ptr().cast()), _mm512_loadu_si512(b.as_ptr().add(16).cast())] };
        for (acc, a) in acc.iter_mut().zip(a) {
            let a = pairs(_mm512_set1_epi32(a.cast_signed()));
            acc[0] = _mm512_dpbf16_ps(acc[0], a, pairs(b[0]));
            acc[1] = _mm512_dpbf16_ps(acc[1], a, pairs(b[1]));
        }
    }
    for (sums, acc) in sums.chunks_exact_mut(COLS).zip(acc) {
        // SAFETY: `chunks_exact_mut` gives COLS values.
        unsafe {
            _mm512_storeu_ps(sums.as_mut_ptr(), acc[0]);
            _mm512_storeu_ps(sums.as_mut_ptr().add(16), acc[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use proptest::prelude::*;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect()
    }

    fn rounded(values: &[f32]) -> Vec<f64> {
        values.iter().map(|value| f64::from(half::bf16::from_f32(*value).to_f32())).collect()
    }

    /// Every available tier against the definition in f64, over the same rounded values.
    fn check(m: usize, n: usize, k: usize, write: Write) {
        let (a, b, start) = (random(m * k, 1), random(k * n, 2), random(m * n, 3));
        let (exact_a, exact_b) = (rounded(&a), rounded(&b));
        let (left, right) = (Left::pack(Mat::new(&a, m, k)), Right::pack(Mat::new(&b, k, n)));
        for tier in Tier::ALL.into_iter().filter(|tier| tier.is_available()) {
            let mut out = start.clone();
            multiply(MatMut::new(&mut out, m, n), &left, &right, write, Threads::Pool, tier);
            for i in 0..m {
                for j in 0..n {
                    let products = || (0..k).map(|l| exact_a[i * k + l] * exact_b[l * n + j]);
                    let before = if write == Write::Add { f64::from(start[i * n + j]) } else { 0.0 };
                    let (sum, size) =
                        (before + products().sum::<f64>(), products().map(f64::abs).sum::<f64>());
                    let off = (f64::from(out[i * n + j]) - sum).abs();
                    assert!(off <= 1e-6 * (1.0 + size), "{tier} {m}×{k}×{n} at {i},{j}: off by {off}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_tier_computes_the_product(m in 0usize..60, n in 0usize..150, k in 0usize..80, add: bool) {
            check(m, n, k, if add { Write::Add } else { Write::Replace });
        }
    }

    #[test]
    fn a_depth_of_several_blocks_and_many_tasks() {
        check(130, 600, 2 * DEPTH + 3, Write::Replace);
        check(3, 5, 4 * DEPTH + 1, Write::Add);
    }

    #[test]
    fn transposed_and_strided_operands_are_read_as_they_lie() {
        let (m, n, k, stride) = (20, 40, 30, 64);
        let (a, b) = (random(k * stride, 4), random(n * stride, 5));
        let product = |a: Mat<'_>, b: Mat<'_>| {
            let mut out = vec![0.0; m * n];
            let (a, b) = (Left::pack(a), Right::pack(b));
            multiply(MatMut::new(&mut out, m, n), &a, &b, Write::Replace, Threads::One, Tier::Scalar);
            out
        };
        let (ta, tb) = (Mat::strided(&a, k, m, stride).t(), Mat::strided(&b, n, k, stride).t());
        let plain = |mat: Mat<'_>| -> Vec<f32> {
            (0..mat.rows).flat_map(|i| (0..mat.cols).map(move |j| mat.at(i, j))).collect()
        };
        let (copied_a, copied_b) = (plain(ta), plain(tb));
        assert_eq!(product(ta, tb), product(Mat::new(&copied_a, m, k), Mat::new(&copied_b, k, n)));
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let (m, n, k) = (300, 700, 600);
        let (a, b) = (random(m * k, 6), random(k * n, 7));
        let (a, b) = (Left::pack(Mat::new(&a, m, k)), Right::pack(Mat::new(&b, k, n)));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut out = vec![0.0; m * n];
            pool.install(|| {
                multiply(MatMut::new(&mut out, m, n), &a, &b, Write::Replace, Threads::Pool, Tier::best());
            });
            out
        };
        assert!(run(1) == run(2) && run(1) == run(5));
    }
}
