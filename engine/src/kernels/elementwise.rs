//! Biases, residuals, dropout and column sums.

use super::gemm::Element;
use super::rows_per_task;
use super::softmax::{mask_row, masked_copy_row};
use crate::rng::{Dropout, DropoutRow};
use half::bf16;
use rayon::prelude::*;

vectorised! {
    /// `out = a + b`.
    pub fn add_row(out: &mut [f32], a: &[f32], b: &[f32]) {
        for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
            *o = a + b;
        }
    }

    /// `x += y`.
    pub fn accumulate_row(x: &mut [f32], y: &[f32]) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }

    fn residual_row(out: &mut [f32], x: &[f32], y: &[f32], bias: &[f32]) {
        for (((o, x), y), b) in out.iter_mut().zip(x).zip(y).zip(bias) {
            *o = x + (y + b);
        }
    }

    fn residual_dropout_row(out: &mut [f32], x: &[f32], y: &[f32], bias: &[f32], mask: DropoutRow) {
        for (column, (((o, x), y), b)) in out.iter_mut().zip(x).zip(y).zip(bias).enumerate() {
            *o = x + (y + b) * mask.factor(column as u32);
        }
    }
}

/// Adds the bias to the columns from `column` on of each row of `y [rows, width]`.
pub fn add_bias(y: &mut [f32], width: usize, column: usize, bias: &[f32]) {
    y.par_chunks_mut(rows_per_task(width) * width).for_each(|rows| {
        for row in rows.chunks_mut(width) {
            accumulate_row(&mut row[column..column + bias.len()], bias);
        }
    });
}

/// `out = x + dropout(y + bias)`, row by row.
pub fn residual(
    out: &mut [f32],
    x: &[f32],
    y: &[f32],
    width: usize,
    bias: Option<&[f32]>,
    dropout: Option<Dropout>,
) {
    let rows = rows_per_task(width);
    let task = rows * width;
    out.par_chunks_mut(task).zip(x.par_chunks(task)).zip(y.par_chunks(task)).enumerate().for_each(
        |(i, ((out, x), y))| {
            let inputs = x.chunks(width).zip(y.chunks(width));
            for (j, (out, (x, y))) in out.chunks_mut(width).zip(inputs).enumerate() {
                let mask = dropout.map(|dropout| dropout.row((i * rows + j) as u64));
                match (bias, mask) {
                    (None, None) => add_row(out, x, y),
                    (Some(bias), None) => residual_row(out, x, y, bias),
                    (Some(bias), Some(mask)) => residual_dropout_row(out, x, y, bias, mask),
                    (None, Some(mask)) => {
                        masked_copy_row(out, y, mask);
                        accumulate_row(out, x);
                    }
                }
            }
        },
    );
}

/// Multiplies rows by their dropout mask.
pub fn mask(x: &mut [f32], width: usize, dropout: Dropout) {
    let rows = rows_per_task(width);
    x.par_chunks_mut(rows * width).enumerate().for_each(|(i, x)| {
        for (j, x) in x.chunks_mut(width).enumerate() {
            mask_row(x, dropout.row((i * rows + j) as u64));
        }
    });
}

/// Writes the rows of `x` times their dropout mask.
pub fn masked_copy(out: &mut [f32], x: &[f32], width: usize, dropout: Dropout) {
    let rows = rows_per_task(width);
    let task = rows * width;
    out.par_chunks_mut(task).zip(x.par_chunks(task)).enumerate().for_each(|(i, (out, x))| {
        for (j, (out, x)) in out.chunks_mut(width).zip(x.chunks(width)).enumerate() {
            masked_copy_row(out, x, dropout.row((i * rows + j) as u64));
        }
    });
}

/// `x += y` for whole buffers.
pub fn accumulate(x: &mut [f32], y: &[f32]) {
    let task = super::TASK_VALUES;
    x.par_chunks_mut(task).zip(y.par_chunks(task)).for_each(|(x, y)| accumulate_row(x, y));
}

/// Adds the sum of the rows of the columns from `column` on of `x [rows, width]` to `total` (the gradient of a bias).
pub fn add_column_sums(x: &[f32], width: usize, column: usize, total: &mut [f32]) {
    let columns = column..column + total.len();
    let partial: Vec<Vec<f32>> = x
        .par_chunks(rows_per_task(total.len()).max(16) * width)
        .map(|rows| {
            let mut sums = vec![0.0; columns.len()];
            for row in rows.chunks(width) {
                accumulate_row(&mut sums, &row[columns.clone()]);
            }
            sums
        })
        .collect();
    for sums in partial {
        accumulate_row(total, &sums);
    }
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn narrow_piece(values: &[f32], out: &mut [bf16]) {
    for (value, out) in values.iter().zip(out) {
        *out = rounded(*value);
    }
}

/// Rounds to bf16: to the nearest, ties to even; a NaN stays one.
pub fn narrow(values: &[f32], out: &mut [bf16]) {
    let task = super::TASK_VALUES;
    values.par_chunks(task).zip(out.par_chunks_mut(task)).for_each(|(values, out)| narrow_piece(values, out));
}

/// `x += y` for a row in either storage.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
pub fn add_to_row<E: Element>(x: &mut [E], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = E::nearest(x.to_f32() + y);
    }
}

/// Widens a whole buffer to f32, exactly.
pub fn widen_all(values: &[bf16], out: &mut [f32]) {
    let task = super::TASK_VALUES;
    values.par_chunks(task).zip(out.par_chunks_mut(task)).for_each(|(values, out)| widen(values, out));
}

/// Copies a whole buffer.
pub fn copy(values: &[f32], out: &mut [f32]) {
    let task = super::TASK_VALUES;
    values
        .par_chunks(task)
        .zip(out.par_chunks_mut(task))
        .for_each(|(values, out)| out.copy_from_slice(values));
}

/// Widens a row to f32, exactly.
#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
pub fn widen(values: &[bf16], out: &mut [f32]) {
    for (value, out) in values.iter().zip(out) {
        *out = f32::from_bits(u32::from(value.to_bits()) << 16);
    }
}

/// The nearest bf16, written so that loops over it are vectorised.
#[inline(always)]
pub(super) fn rounded(value: f32) -> bf16 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    bf16::from_bits(((if value.is_nan() { bits | 0x0040_0000 } else { nearest }) >> 16) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_is_that_of_the_format_and_widening_is_exact(bits: u32) {
            let value = f32::from_bits(bits);
            let mut out = [bf16::ZERO];
            narrow(&[value], &mut out);
            prop_assert_eq!(out[0].to_bits(), bf16::from_f32(value).to_bits());
            let mut back = [0.0];
            widen(&out, &mut back);
            prop_assert_eq!(back[0].to_bits(), out[0].to_f32().to_bits());
        }
    }
}
