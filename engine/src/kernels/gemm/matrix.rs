//! Matrices as products see them: views with strides over slices, in f32 or bf16.

use crate::kernels::elementwise::rounded;
use half::bf16;
use std::marker::PhantomData;
use std::ops::Range;

/// A matrix to read: any strides over a slice.
#[derive(Debug, Clone, Copy)]
pub struct Mat<'a, E = f32> {
    pub(super) data: &'a [E],
    pub rows: usize,
    pub cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a, E: Copy> Mat<'a, E> {
    /// `rows × cols`, row-major and contiguous.
    pub fn new(data: &'a [E], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// `rows × cols`, rows `row_stride` values apart.
    ///
    /// # Panics
    /// If the last value lies outside `data`.
    pub fn strided(data: &'a [E], rows: usize, cols: usize, row_stride: usize) -> Self {
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

    /// Columns `first` to `first + cols`.
    pub fn col_range(self, first: usize, cols: usize) -> Self {
        assert!(first + cols <= self.cols);
        Self { data: &self.data[(first * self.col_stride).min(self.data.len())..], cols, ..self }
    }

    /// One row.
    ///
    /// # Panics
    /// If the row's values are not neighbours.
    pub fn row(&self, row: usize) -> &'a [E] {
        assert!(row < self.rows && self.col_stride == 1);
        &self.data[row * self.row_stride..][..self.cols]
    }

    /// One value.
    pub fn at(&self, row: usize, col: usize) -> E {
        debug_assert!(row < self.rows && col < self.cols);
        self.data[row * self.row_stride + col * self.col_stride]
    }

    /// The values, where rows follow each other without a gap.
    pub fn contiguous(self) -> Option<&'a [E]> {
        (self.col_stride == 1 && self.row_stride == self.cols).then(|| &self.data[..self.rows * self.cols])
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

/// What a matrix may hold.
pub trait Element: Copy + Send + Sync + 'static {
    const ZERO: Self;
    fn to_f32(self) -> f32;
    /// The nearest bf16, in the upper half.
    fn upper(self) -> u32;
    /// The nearest value.
    fn nearest(value: f32) -> Self;
    /// One of the two neighbours, the upper one as often as the value is near to it: so that what is too small to
    /// change a value still moves it on average (stochastic rounding). Takes the lower 16 bits of `noise`.
    fn drawn(value: f32, noise: u32) -> Self;
}

impl Element for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn upper(self) -> u32 {
        rounded(self).upper()
    }

    #[inline(always)]
    fn nearest(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn drawn(value: f32, _noise: u32) -> Self {
        value
    }
}

impl Element for bf16 {
    const ZERO: Self = Self::ZERO;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        // The crate's own takes a branch for NaN.
        f32::from_bits(self.upper())
    }

    #[inline(always)]
    fn upper(self) -> u32 {
        u32::from(self.to_bits()) << 16
    }

    #[inline(always)]
    fn nearest(value: f32) -> Self {
        rounded(value)
    }

    #[inline(always)]
    fn drawn(value: f32, noise: u32) -> Self {
        Self::from_bits((value.to_bits().wrapping_add(noise & 0xffff) >> 16) as u16)
    }
}

/// A row-major matrix to write.
#[derive(Debug)]
pub struct MatMut<'a, E = f32> {
    pub(super) data: *mut E,
    pub rows: usize,
    pub cols: usize,
    pub(super) row_stride: usize,
    lifetime: PhantomData<&'a mut [E]>,
}

impl<'a, E: Copy> MatMut<'a, E> {
    /// `rows × cols`, contiguous.
    pub fn new(data: &'a mut [E], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// `rows × cols`, rows `row_stride` values apart.
    ///
    /// # Panics
    /// If rows overlap or the last value lies outside `data`.
    pub fn strided(data: &'a mut [E], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            rows == 0 || cols == 0 || (rows - 1) * row_stride + cols <= data.len(),
            "matrix exceeds its slice"
        );
        assert!(rows <= 1 || cols <= row_stride, "rows overlap");
        Self { data: data.as_mut_ptr(), rows, cols, row_stride, lifetime: PhantomData }
    }

    /// Rows `first` to `first + rows`, to write.
    pub fn row_range(&mut self, first: usize, rows: usize) -> MatMut<'_, E> {
        assert!(first + rows <= self.rows);
        // Offsets of rows that exist, or one row past the end when `rows` is 0 and nothing is written.
        let data = self.data.wrapping_add(first * self.row_stride);
        MatMut { data, rows, cols: self.cols, row_stride: self.row_stride, lifetime: PhantomData }
    }

    /// Some columns of the rows `first` to `first + rows`, to write.
    pub fn block(&mut self, first: usize, rows: usize, cols: Range<usize>) -> MatMut<'_, E> {
        assert!(first + rows <= self.rows && cols.start <= cols.end && cols.end <= self.cols);
        let data = self.data.wrapping_add(first * self.row_stride + cols.start);
        MatMut { data, rows, cols: cols.len(), row_stride: self.row_stride, lifetime: PhantomData }
    }

    /// One row, to write.
    pub fn row_mut(&mut self, row: usize) -> &mut [E] {
        assert!(row < self.rows);
        // SAFETY: a row of a matrix that is borrowed to be written.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(row * self.row_stride), self.cols) }
    }

    /// A block of columns that other threads' blocks lie beside, which a slice cannot express.
    ///
    /// # Safety
    /// For `'a`, the `rows × cols` values from `data`, rows `row_stride` apart, are valid to write and nothing
    /// else reads or writes them.
    pub unsafe fn from_raw(data: *mut E, rows: usize, cols: usize, row_stride: usize) -> Self {
        debug_assert!(rows <= 1 || cols <= row_stride);
        Self { data, rows, cols, row_stride, lifetime: PhantomData }
    }
}

/// An output of which each task writes rows and columns of its own.
#[derive(Clone, Copy)]
pub struct Shared<E = f32> {
    data: *mut E,
    pub rows: usize,
    pub cols: usize,
    stride: usize,
}
// SAFETY: tasks write blocks that do not overlap, see [`Shared::block`].
unsafe impl<E: Send> Send for Shared<E> {}
// SAFETY: as above.
unsafe impl<E: Send> Sync for Shared<E> {}

impl<E: Copy> Shared<E> {
    pub fn of(out: MatMut<'_, E>) -> Self {
        Self { data: out.data, rows: out.rows, cols: out.cols, stride: out.row_stride }
    }

    /// A block of rows and columns.
    ///
    /// # Safety
    /// It lies inside the output, which is borrowed for as long, and nothing else reads or writes it meanwhile.
    pub unsafe fn block<'a>(self, row: usize, rows: usize, cols: Range<usize>) -> MatMut<'a, E> {
        debug_assert!(row + rows <= self.rows && cols.end <= self.cols);
        // SAFETY: promised by the caller.
        unsafe {
            MatMut::from_raw(self.data.add(row * self.stride + cols.start), rows, cols.len(), self.stride)
        }
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
