//! Matrix products, on the `gemm` crate.
//!
//! Its result does not depend on the number of threads: it cuts the output into tiles and sums each tile's
//! products in an order given by the shapes alone (`tests/determinism.rs` holds it to that).

use std::marker::PhantomData;

/// A matrix to read: any strides over a slice.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a> {
    data: &'a [f32],
    pub rows: usize,
    pub cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// `rows × cols`, row-major and contiguous.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// `rows × cols`, rows `row_stride` values apart.
    ///
    /// # Panics
    /// If the last value lies outside `data`.
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= data.len(),
            "matrix exceeds its slice"
        );
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// Rows `first` to `first + rows`.
    pub fn row_range(self, first: usize, rows: usize) -> Self {
        assert!(first + rows <= self.rows);
        Self { data: &self.data[(first * self.row_stride).min(self.data.len())..], rows, ..self }
    }

    /// One value.
    pub fn at(&self, row: usize, col: usize) -> f32 {
        debug_assert!(row < self.rows && col < self.cols);
        self.data[row * self.row_stride + col * self.col_stride]
    }

    /// The transposed view.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }
}

/// A row-major matrix to write.
#[derive(Debug)]
pub struct MatMut<'a> {
    pub(super) data: *mut f32,
    pub rows: usize,
    pub cols: usize,
    pub(super) row_stride: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

impl<'a> MatMut<'a> {
    /// `rows × cols`, contiguous.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// `rows × cols`, rows `row_stride` values apart.
    ///
    /// # Panics
    /// If rows overlap or the last value lies outside `data`.
    pub fn strided(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= data.len(),
            "matrix exceeds its slice"
        );
        assert!(rows <= 1 || cols <= row_stride, "rows overlap");
        Self { data: data.as_mut_ptr(), rows, cols, row_stride, lifetime: PhantomData }
    }

    /// Rows `first` to `first + rows`, to write.
    pub fn row_range(&mut self, first: usize, rows: usize) -> MatMut<'_> {
        assert!(first + rows <= self.rows);
        // Offsets of rows that exist, or one row past the end when `rows` is 0 and nothing is written.
        let data = self.data.wrapping_add(first * self.row_stride);
        MatMut { data, rows, cols: self.cols, row_stride: self.row_stride, lifetime: PhantomData }
    }

    /// A block of columns that other threads' blocks lie beside, which a slice cannot express.
    ///
    /// # Safety
    /// For `'a`, the `rows × cols` values from `data`, rows `row_stride` apart, are valid to write and nothing
    /// else reads or writes them.
    pub unsafe fn from_raw(data: *mut f32, rows: usize, cols: usize, row_stride: usize) -> Self {
        debug_assert!(rows <= 1 || cols <= row_stride);
        Self { data, rows, cols, row_stride, lifetime: PhantomData }
    }
}

/// What happens to the values that the output holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    Replace,
    Add,
}

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread: for products inside a parallel task.
    One,
    /// The current rayon pool.
    Pool,
}

/// `out = scale · a b` or `out += scale · a b`.
///
/// # Panics
/// If the shapes do not fit.
pub fn gemm(out: MatMut<'_>, a: Mat<'_>, b: Mat<'_>, scale: f32, write: Write, threads: Threads) {
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
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::Pool => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: the constructors checked that every index of the three matrices lies in its slice, or made the
    // caller promise it; `out` is borrowed exclusively, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            out.rows,
            out.cols,
            a.cols,
            out.data,
            1,
            out.row_stride as isize,
            write == Write::Add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0f32,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect()
    }

    #[test]
    fn strided_transposed_and_accumulated_products_match_a_plain_loop() {
        let (m, n, k, stride) = (13, 9, 21, 30);
        let (a, b) = (random(k * stride, 1), random(n * stride, 2));
        let mut out = random(m * 17, 3);
        let mut expected = out.clone();
        for i in 0..m {
            for j in 0..n {
                let sum: f32 = (0..k).map(|l| a[l * stride + i] * b[j * stride + l]).sum();
                expected[i * 17 + j] += 0.5 * sum;
            }
        }
        let a = Mat::strided(&a, k, m, stride).t();
        let b = Mat::strided(&b, n, k, stride).t();
        gemm(MatMut::strided(&mut out, m, n, 17), a, b, 0.5, Write::Add, Threads::One);
        for (x, y) in out.iter().zip(&expected) {
            assert!((x - y).abs() < 1e-4, "{x} {y}");
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        // Shapes of a training step, odd ones among them; k above one cache block.
        for (m, n, k) in [(800, 192, 768), (77, 576, 192), (192, 768, 1333), (1024, 192, 256)] {
            let (a, b) = (random(m * k, 4), random(k * n, 5));
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut out = vec![0.0; m * n];
                pool.install(|| {
                    let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
                    gemm(MatMut::new(&mut out, m, n), a, b, 1.0, Write::Replace, Threads::Pool);
                });
                out
            };
            let one = run(1);
            assert!(one == run(2) && one == run(3) && one == run(8), "{m}×{n}×{k}");
        }
    }
}
