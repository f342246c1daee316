//! Matrix products with sums in f32, on the instructions of a [`Tier`].
//!
//! Both operands are packed on the way ([`pack`]): the left one once, by all threads, the right one by each task for
//! its own columns, so that a weight is read once and no packed copy of it is kept. bf16 tiers round while they pack.
//!
//! The sums of one output are added in an order given by the depth alone: block by block, each from its first word to
//! its last. So neither the number of threads nor the cut into tasks changes a bit.
//!
//! | file | what it is for |
//! |---|---|
//! | `matrix` | views of operands and outputs |
//! | `pack` | the layouts that tiles read |
//! | `packed` | operands in these layouts, and one tile of their product |
//! | `tiles` | the inner loops, one for each tier |
//! | `amx` | that of Intel's AMX |

#[cfg(target_arch = "x86_64")]
pub(crate) mod amx;
mod matrix;
mod pack;
mod packed;
mod tiles;

pub(super) use matrix::Shared;
pub use matrix::{Element, Mat, MatMut, Threads, Write};
pub(super) use pack::{Depth, SQUARE, reflect};
pub(super) use packed::{Left, Right, Values, tile};
pub(super) use tiles::{MOST_ROWS, shape};

use super::tier::Tier;
use rayon::prelude::*;
use std::cell::Cell;
use std::ops::Range;
use tiles::{MOST_COLUMNS, Sums};

/// Columns of one task: its packed block of them stays in the second-level cache.
const TASK_COLUMNS: Range<usize> = 128..512;
/// Rows that a task should at least have, so that packing its columns costs little beside the products.
const TASK_ROWS: usize = 128;
/// Words of the left operand that are packed at once (8 MiB).
const LEFT_WORDS: usize = 1 << 21;

thread_local! {
    /// Packed operands, kept between calls. Taken while in use, so that a product may run inside another's wait.
    static LEFT: Cell<Left> = Cell::default();
    static RIGHT: Cell<Right> = Cell::default();
}

/// `out = scale · a b` or `out += scale · a b`, with the instructions of a tier. An output of bf16 is rounded to the
/// nearest once for each block of the depth.
///
/// # Panics
/// If the shapes do not fit, or the processor lacks the tier.
pub fn gemm<A: Element, B: Element, O: Element>(
    tier: Tier,
    mut out: MatMut<'_, O>,
    a: Mat<'_, A>,
    b: Mat<'_, B>,
    scale: f32,
    write: Write,
    threads: Threads,
) {
    assert!(
        out.rows == a.rows && out.cols == b.cols && a.cols == b.rows,
        "product of {}×{} and {}×{} into {}×{}",
        a.rows,
        a.cols,
        b.rows,
        b.cols,
        out.rows,
        out.cols
    );
    let depth = Depth::new(tier.precision(), a.cols);
    let piece = (LEFT_WORDS / depth.row_words() / MOST_ROWS).max(1) * MOST_ROWS;
    for first in (0..a.rows).step_by(piece) {
        let rows = piece.min(a.rows - first);
        let product = Product { tier, depth, b, scale, write, out: Shared::of(out.row_range(first, rows)) };
        product.run(a.row_range(first, rows), threads);
    }
}

/// Writes the sums of a tile, `wide` to a row, or adds them.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn write_out<'a, O: Element>(mut out: MatMut<'a, O>, sums: &[f32], wide: usize, scale: f32, write: Write) {
    for (i, sums) in sums.chunks_exact(wide).take(out.rows).enumerate() {
        let out = out.row_mut(i);
        match write {
            Write::Replace => out.iter_mut().zip(sums).for_each(|(out, sum)| *out = O::nearest(scale * sum)),
            Write::Add => {
                out.iter_mut().zip(sums).for_each(|(out, sum)| *out = O::nearest(out.to_f32() + scale * sum));
            }
        }
    }
}

/// A product whose left operand fits into one piece.
struct Product<'b, B, O> {
    tier: Tier,
    depth: Depth,
    b: Mat<'b, B>,
    scale: f32,
    write: Write,
    out: Shared<O>,
}

impl<B: Element, O: Element> Product<'_, B, O> {
    fn run<A: Element>(&self, a: Mat<'_, A>, threads: Threads) {
        let mut left = LEFT.take();
        left.pack(self.tier, a, threads);

        // Rows are cut too where there are too few columns for all threads; then columns are packed more often.
        let tasks = match threads {
            Threads::One => 1,
            Threads::Pool => 2 * rayon::current_num_threads(),
        };
        let width = self.out.cols.div_ceil(tasks).next_multiple_of(MOST_COLUMNS);
        let width = width.clamp(TASK_COLUMNS.start, TASK_COLUMNS.end);
        let across = self.out.cols.div_ceil(width);
        let wanted = tasks.div_ceil(across.max(1));
        let down = wanted.min(a.rows.div_ceil(TASK_ROWS)).max(1);
        let height = a.rows.div_ceil(down).next_multiple_of(MOST_ROWS);
        let task = |i: usize| {
            let (row, col) = (i % down * height, i / down * width);
            let rows = row.min(self.out.rows)..(row + height).min(self.out.rows);
            let cols = col..(col + width).min(self.out.cols);
            self.task(&left, rows, cols);
        };
        match threads {
            Threads::One => (0..across * down).for_each(task),
            Threads::Pool => (0..across * down).into_par_iter().with_max_len(1).for_each(task),
        }
        LEFT.set(left);
    }

    /// The outputs of some rows and columns.
    fn task(&self, left: &Left, rows: Range<usize>, cols: Range<usize>) {
        let (tall, wide) = shape(self.tier);
        let mut right = RIGHT.take();
        let mut sums = Sums([0.0; MOST_ROWS * MOST_COLUMNS]);
        for (i, words) in self.depth.blocks().enumerate() {
            right.pack_part(self.tier, self.b, cols.clone(), words.clone());
            let write = if i == 0 { self.write } else { Write::Add };
            for row in rows.clone().step_by(tall) {
                for (j, first) in cols.clone().step_by(wide).enumerate() {
                    let strip = first..(first + wide).min(cols.end);
                    tile((left, row), (&right, j), words.clone(), Write::Replace, &mut sums.0);
                    // SAFETY: the tasks' rows and columns do not overlap.
                    let out = unsafe { self.out.block(row, tall.min(rows.end - row), strip) };
                    write_out(out, &sums.0, wide, self.scale, write);
                }
            }
        }
        RIGHT.set(right);
    }
}

#[cfg(test)]
mod tests {
    use super::pack::BLOCK;
    use super::*;
    use crate::kernels::tier::Precision;
    use crate::rng::Stream;
    use half::bf16;
    use proptest::prelude::*;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect()
    }

    /// What a tier reads of a value.
    fn read(tier: Tier, value: f32) -> f64 {
        f64::from(match tier.precision() {
            Precision::Bf16 => bf16::from_f32(value).to_f32(),
            Precision::F32 => value,
        })
    }

    #[derive(Debug, Clone, Copy)]
    struct Case {
        m: usize,
        n: usize,
        k: usize,
        a_turned: bool,
        b_turned: bool,
        scale: f32,
        write: Write,
    }

    /// Every available tier against the definition in f64, over views whose rows are longer than they.
    fn check(case: Case, threads: Threads) {
        let Case { m, n, k, a_turned, b_turned, scale, write } = case;
        let source = |rows: usize, cols: usize, seed| random(rows * (cols + 3), seed);
        let view = |data: &[f32], rows: usize, cols: usize, turned: bool, at: &mut dyn FnMut(Mat<'_>)| {
            at(match turned {
                false => Mat::strided(data, rows, cols, cols + 3),
                true => Mat::strided(data, cols, rows, rows + 3).t(),
            });
        };
        let (a, b) = (
            if a_turned { source(k, m, 1) } else { source(m, k, 1) },
            if b_turned { source(n, k, 2) } else { source(k, n, 2) },
        );
        let stride = n + 2;
        let start = random(m * stride, 3);
        view(&a, m, k, a_turned, &mut |a| {
            view(&b, k, n, b_turned, &mut |b| {
                for tier in Tier::available() {
                    let mut out = start.clone();
                    gemm(tier, MatMut::strided(&mut out, m, n, stride), a, b, scale, write, threads);
                    for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                        let products = || (0..k).map(|l| read(tier, a.at(i, l)) * read(tier, b.at(l, j)));
                        let before = if write == Write::Add { f64::from(start[i * stride + j]) } else { 0.0 };
                        let sum = before + f64::from(scale) * products().sum::<f64>();
                        let size = products().map(f64::abs).sum::<f64>();
                        let off = (f64::from(out[i * stride + j]) - sum).abs();
                        assert!(off <= 1e-6 * (1.0 + size), "{tier} {case:?} at {i},{j}: off by {off}");
                    }
                    // What lies between the rows is left alone.
                    let kept = |(i, value): (usize, &f32)| i % stride < n || *value == start[i];
                    assert!(out.iter().enumerate().all(kept), "{tier} {case:?} wrote beside its output");
                }
            });
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_tier_computes_the_product(
            m in 0usize..80, n in 0usize..150, k in 0usize..90, a_turned: bool, b_turned: bool, add: bool,
            scale in prop::sample::select(vec![1.0, 0.5]), pool: bool,
        ) {
            let write = if add { Write::Add } else { Write::Replace };
            let threads = if pool { Threads::Pool } else { Threads::One };
            check(Case { m, n, k, a_turned, b_turned, scale, write }, threads);
        }
    }

    #[test]
    fn a_depth_of_several_blocks_and_many_tasks() {
        let case = Case {
            m: 300,
            n: 290,
            k: 4 * BLOCK + 3,
            a_turned: false,
            b_turned: true,
            scale: 1.0,
            write: Write::Replace,
        };
        check(case, Threads::Pool);
        check(Case { m: 3, n: 5, a_turned: true, write: Write::Add, ..case }, Threads::One);
    }

    #[test]
    fn a_left_operand_of_several_pieces() {
        let (m, k) = (2 * LEFT_WORDS / BLOCK + 40, 8);
        let (a, b) = (random(m * k, 1), random(k, 2));
        let mut out = vec![f32::NAN; m];
        let (a_mat, b_mat) = (Mat::new(&a, m, k), Mat::new(&b, k, 1));
        gemm(Tier::Scalar, MatMut::new(&mut out, m, 1), a_mat, b_mat, 1.0, Write::Replace, Threads::Pool);
        for (i, out) in out.iter().enumerate() {
            let sum: f32 = (0..k).map(|l| a[i * k + l] * b[l]).sum();
            assert!((out - sum).abs() < 1e-4, "{i}");
        }
    }

    #[test]
    fn a_weight_in_bf16_is_read_as_it_is() {
        let (m, n, k) = (20, 40, 70);
        let (a, b) = (random(m * k, 4), random(k * n, 5));
        let halves: Vec<bf16> = b.iter().map(|value| bf16::from_f32(*value)).collect();
        let widened: Vec<f32> = halves.iter().map(|value| value.to_f32()).collect();
        for tier in Tier::available() {
            let mut outs = [vec![0.0; m * n], vec![0.0; m * n]];
            let [from_halves, from_f32] = &mut outs;
            let a = Mat::new(&a, m, k);
            let (write, threads) = (Write::Replace, Threads::One);
            gemm(tier, MatMut::new(from_halves, m, n), a, Mat::new(&halves, k, n), 1.0, write, threads);
            gemm(tier, MatMut::new(from_f32, m, n), a, Mat::new(&widened, k, n), 1.0, write, threads);
            assert_eq!(outs[0], outs[1], "{tier}");
        }
    }

    #[test]
    fn nothing_that_is_not_a_number_is_lost() {
        for tier in Tier::available() {
            for bad in [f32::NAN, f32::INFINITY] {
                let mut a = random(5 * 40, 6);
                a[3 * 40 + 7] = bad;
                let b = random(40 * 6, 7);
                let mut out = vec![0.0; 30];
                let (a, b) = (Mat::new(&a, 5, 40), Mat::new(&b, 40, 6));
                gemm(tier, MatMut::new(&mut out, 5, 6), a, b, 1.0, Write::Replace, Threads::One);
                assert!(
                    out.iter().enumerate().all(|(i, x)| x.is_finite() == (i / 6 != 3)),
                    "{tier} {bad}: {out:?}"
                );
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        // Shapes of a training step, odd ones among them; depths above one block.
        for (m, n, k) in [(800, 192, 768), (77, 576, 192), (192, 768, 1333), (1024, 192, 256)] {
            let (a, b) = (random(m * k, 4), random(k * n, 5));
            for tier in Tier::available() {
                let run = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let mut out = vec![0.0; m * n];
                    pool.install(|| {
                        let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
                        gemm(tier, MatMut::new(&mut out, m, n), a, b, 1.0, Write::Replace, Threads::Pool);
                    });
                    out
                };
                let one = run(1);
                assert!(one == run(2) && one == run(3) && one == run(8), "{tier} {m}×{n}×{k}");
            }
        }
    }
}
