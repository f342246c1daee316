//! The softmax over the scores of a tile of queries, from the layout that tiles write to those that they read.

use super::Masks;
use super::words::{bits, put_across, put_along};
use crate::kernels::gemm::{Left, Right};
use crate::kernels::tier::{Precision, Tier};
use crate::rng::DropoutRow;

/// Scores of queries that follow each other, or their gradients: `[strip of keys][row][wide]`.
pub struct Scores<'a> {
    pub values: &'a mut [f32],
    /// Rows of a tile, and keys of a strip.
    pub tall: usize,
    pub wide: usize,
    /// Queries among the rows.
    pub rows: usize,
    /// Keys that the last query sees; each before it sees one less.
    pub seen: usize,
    /// Scores are multiplied by this.
    pub scale: f32,
}

impl Scores<'_> {
    /// What makes powers of two of the scores.
    fn binary_scale(&self) -> f32 {
        self.scale * std::f32::consts::LOG2_E
    }

    fn strips(&self) -> usize {
        self.seen.div_ceil(self.wide)
    }

    fn visible(&self, row: usize) -> usize {
        self.seen + row + 1 - self.rows
    }

    #[inline(always)]
    fn strip<const W: usize>(&mut self, row: usize, strip: usize) -> &mut [f32; W] {
        let at = (strip * self.tall + row) * W;
        strip_at(self.values, at)
    }

    /// The largest visible score of a row, times `binary_scale`.
    #[inline(always)]
    fn top<const W: usize>(&mut self, row: usize) -> f32 {
        let (scale, visible) = (self.binary_scale(), self.visible(row));
        let mut top = [f32::NEG_INFINITY; W];
        for strip in 0..visible / W {
            let scores = self.strip::<W>(row, strip);
            for lane in 0..W {
                let score = scale * scores[lane];
                top[lane] = if score > top[lane] { score } else { top[lane] };
            }
        }
        if !visible.is_multiple_of(W) {
            let scores = self.strip::<W>(row, visible / W);
            for lane in 0..W {
                let score = scale * scores[lane];
                let higher = lane < visible % W && score > top[lane];
                top[lane] = if higher { score } else { top[lane] };
            }
        }
        folded(top, |a, b| if b > a { b } else { a })
    }
}

#[inline(always)]
fn strip_at<const W: usize>(values: &mut [f32], at: usize) -> &mut [f32; W] {
    &mut values[at..at + W].as_chunks_mut().0[0]
}

/// All lanes in one, halves onto halves.
#[inline(always)]
fn folded<const W: usize>(mut lanes: [f32; W], with: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = W;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] = with(lanes[lane], lanes[lane + width]);
        }
    }
    lanes[0]
}

/// `2^(scale · score − top)` of the first `visible` scores of a strip, none above 1, and zero for the rest. Within
/// three units in the last place; below 2^-126 it is that, and NaN stays NaN.
#[inline(always)]
fn powers<const W: usize>(scores: &[f32; W], scale: f32, top: f32, visible: usize) -> [f32; W] {
    // Adding and subtracting 1.5 · 2²³ rounds to the nearest integer, whose bits are then at hand.
    const ROUND: f32 = 12_582_912.0;
    const BIAS: u32 = 127u32.wrapping_sub(ROUND.to_bits());
    let mut powers = [0.0; W];
    for lane in 0..W {
        let x = scale * scores[lane] - top;
        let x = if x < -126.0 { -126.0 } else { x };
        let shifted = x + ROUND;
        let power = f32::from_bits(shifted.to_bits().wrapping_add(BIAS) << 23);
        let r = x - (shifted - ROUND);
        // 2^r between −½ and ½, to a relative error of 2e-7.
        let p = 0.001_326_471;
        let p = p * r + 0.009_671_507;
        let p = p * r + 0.055_507_336;
        let p = p * r + 0.240_222_42;
        let p = p * r + std::f32::consts::LN_2;
        powers[lane] = (p * r + 1.0) * power;
    }
    if visible < W {
        for (lane, power) in powers.iter_mut().enumerate() {
            *power = if lane < visible { *power } else { 0.0 };
        }
    }
    powers
}

/// Multiplies a strip by a row's dropout mask.
#[inline(always)]
fn drop_out<const W: usize>(values: &mut [f32; W], mask: DropoutRow, strip: usize) {
    for (lane, value) in values.iter_mut().enumerate() {
        *value *= mask.factor((strip * W + lane) as u32);
    }
}

/// Words of a strip of keys.
const fn strip_words(wide: usize, halves: bool) -> usize {
    if halves { wide / 2 } else { wide }
}

/// Writes the probabilities, with dropout, as a left operand: the very values that the backward pass computes again.
/// Overwrites the scores.
pub fn probabilities(scores: Scores<'_>, tier: Tier, masks: Option<Masks>, out: &mut Left) {
    match (tier.precision(), scores.wide) {
        (Precision::Bf16, _) => probabilities_in::<32, true>(scores, masks, out),
        (Precision::F32, 32) => probabilities_in::<32, false>(scores, masks, out),
        (Precision::F32, _) => probabilities_in::<16, false>(scores, masks, out),
    }
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bf16+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn probabilities_in<'s, const W: usize, const HALVES: bool>(
    mut scores: Scores<'s>,
    masks: Option<Masks>,
    out: &mut Left,
) {
    let (scale, words) = (scores.binary_scale(), strip_words(W, HALVES));
    for row in 0..scores.rows {
        let (top, visible) = (scores.top::<W>(row), scores.visible(row));
        let mut total = [0.0; W];
        for strip in 0..scores.strips() {
            let values = scores.strip::<W>(row, strip);
            *values = powers(values, scale, top, visible.saturating_sub(strip * W));
            for lane in 0..W {
                total[lane] += values[lane];
            }
        }
        let factor = 1.0 / folded(total, |a, b| a + b);
        let mask = masks.map(|masks| masks.row(row));
        for strip in 0..scores.strips() {
            let mut p = scores.strip::<W>(row, strip).map(|power| factor * power);
            if let Some(mask) = mask {
                drop_out(&mut p, mask, strip);
            }
            let bits = bits::<W, HALVES>(&p);
            put_along::<W, HALVES>(&bits, out.words_mut(row, strip * words..(strip + 1) * words));
        }
    }
}

/// Where [`gradients`] writes for a block of queries.
pub struct Gradients<'a> {
    /// The probabilities with dropout, and the scores' gradients, as right operands with the block's queries as depth.
    pub p: &'a mut Right,
    pub ds: &'a mut Right,
    /// The scores' gradients as a left operand of the tile's rows.
    pub ds_rows: &'a mut Left,
    /// The first of the queries within the block, an even one.
    pub first: usize,
}

/// From scores, and the gradients `dp` of the probabilities after dropout, to the gradients of the scores after scaling.
/// Overwrites both.
pub fn gradients(scores: Scores<'_>, dp: &mut [f32], tier: Tier, masks: Option<Masks>, out: Gradients<'_>) {
    match (tier.precision(), scores.wide) {
        (Precision::Bf16, _) => gradients_in::<32, true>(scores, dp, masks, out),
        (Precision::F32, 32) => gradients_in::<32, false>(scores, dp, masks, out),
        (Precision::F32, _) => gradients_in::<16, false>(scores, dp, masks, out),
    }
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bf16+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn gradients_in<'s, 'o, const W: usize, const HALVES: bool>(
    mut scores: Scores<'s>,
    dp: &mut [f32],
    masks: Option<Masks>,
    out: Gradients<'o>,
) {
    let (words, tall, rows) = (strip_words(W, HALVES), scores.tall, scores.rows);
    for pair in (0..rows).step_by(2) {
        // The second is absent after the last query of an odd number.
        let count = 2.min(rows - pair);
        // One by the sum of the powers, and the mean of the gradients, of each row.
        let mut normal = [[0.0; 2]; 2];
        for (row, normal) in (pair..pair + count).zip(&mut normal) {
            *normal = normalise_row::<W>(&mut scores, dp, row, masks);
        }
        for strip in 0..scores.strips() {
            let (mut p_bits, mut ds_bits) = ([[0; W]; 2], [[0; W]; 2]);
            for (i, [factor, mean]) in normal.into_iter().enumerate().take(count) {
                let row = pair + i;
                let powers = *scores.strip::<W>(row, strip);
                let dp = strip_at::<W>(dp, (strip * tall + row) * W);
                let (mut p, mut ds) = ([0.0; W], [0.0; W]);
                for lane in 0..W {
                    p[lane] = factor * powers[lane];
                    ds[lane] = p[lane] * (dp[lane] - mean);
                }
                if let Some(masks) = masks {
                    let mask = masks.row(row);
                    drop_out(&mut p, mask, strip);
                }
                (p_bits[i], ds_bits[i]) = (bits::<W, HALVES>(&p), bits::<W, HALVES>(&ds));
                let out = out.ds_rows.words_mut(row, strip * words..(strip + 1) * words);
                put_along::<W, HALVES>(&ds_bits[i], out);
            }
            put_across::<W, HALVES>(&p_bits, count, out.p, strip, out.first + pair);
            put_across::<W, HALVES>(&ds_bits, count, out.ds, strip, out.first + pair);
        }
    }
}

/// Replaces the scores of a row by powers, and multiplies `dp` by the dropout mask. Returns what the
/// powers are to be multiplied by, and the mean of the gradients.
#[inline(always)]
fn normalise_row<const W: usize>(
    scores: &mut Scores<'_>,
    dp: &mut [f32],
    row: usize,
    masks: Option<Masks>,
) -> [f32; 2] {
    let (top, scale, visible) = (scores.top::<W>(row), scores.binary_scale(), scores.visible(row));
    let tall = scores.tall;
    let mask = masks.map(|masks| masks.row(row));
    let (mut total, mut mean) = ([0.0; W], [0.0; W]);
    for strip in 0..scores.strips() {
        let values = scores.strip::<W>(row, strip);
        *values = powers(values, scale, top, visible.saturating_sub(strip * W));
        let dp = strip_at::<W>(dp, (strip * tall + row) * W);
        if let Some(mask) = mask {
            drop_out(dp, mask, strip);
        }
        for lane in 0..W {
            total[lane] += values[lane];
            mean[lane] += values[lane] * dp[lane];
        }
    }
    let factor = 1.0 / folded(total, |a, b| a + b);
    [factor, factor * folded(mean, |a, b| a + b)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_close_hidden_ones_are_zero_and_nan_stays() {
        for i in 0..12_600 {
            let x = i as f32 * -0.01;
            let power = powers(&[x, 0.0], 1.0, 0.0, 1)[0];
            let exact = f64::from(x).exp2();
            assert!((f64::from(power) - exact).abs() / exact < 4e-7, "{x}");
        }
        assert_eq!(powers(&[3.0, 7.0], 2.0, 6.0, 1), [1.0, 0.0]);
        let [nan, low] = powers(&[f32::NAN, f32::NEG_INFINITY], 1.0, 0.0, 2);
        assert!(nan.is_nan() && low > 0.0 && low < 1e-37);
    }
}
