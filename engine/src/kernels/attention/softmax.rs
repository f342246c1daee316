//! The softmax over the scores of a tile of queries, from the layout that tiles write to those that they read.

use super::Masks;
use crate::kernels::elementwise::rounded;
use crate::kernels::gemm::{Left, Right};
use crate::kernels::math::exp;
use crate::kernels::tier::{Precision, Tier};

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

    /// The largest visible score of a row.
    #[inline(always)]
    fn top<const W: usize>(&mut self, row: usize) -> f32 {
        let (scale, visible) = (self.scale, self.visible(row));
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
#[expect(clippy::unwrap_used, reason = "the range has the array's length")]
fn strip_at<const W: usize>(values: &mut [f32], at: usize) -> &mut [f32; W] {
    (&mut values[at..at + W]).try_into().unwrap()
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

/// `e^(scale · score − top)` of the first `visible` scores of a strip, and zero for the rest.
#[inline(always)]
fn exps<const W: usize>(scores: &[f32; W], scale: f32, top: f32, visible: usize) -> [f32; W] {
    let mut exps = [0.0; W];
    for lane in 0..W {
        exps[lane] = exp(scale * scores[lane] - top);
    }
    if visible < W {
        for lane in 0..W {
            exps[lane] = if lane < visible { exps[lane] } else { 0.0 };
        }
    }
    exps
}

/// Writes values that follow each other along the depth.
#[inline(always)]
fn put_along<const W: usize, const HALVES: bool>(values: &[f32; W], out: &mut [u32]) {
    if HALVES {
        let out: &mut [u16] = bytemuck::cast_slice_mut(out);
        for (out, value) in out.iter_mut().zip(values) {
            *out = rounded(*value).to_bits();
        }
    } else {
        for (out, value) in out.iter_mut().zip(values) {
            *out = value.to_bits();
        }
    }
}

/// Words of a strip of keys.
const fn strip_words(wide: usize, halves: bool) -> usize {
    if halves { wide / 2 } else { wide }
}

/// Writes what weighs the values as a left operand, but for a factor of each row: `e^(score − top)`, with dropout.
pub fn weights(scores: Scores<'_>, tier: Tier, masks: Option<Masks>, out: &mut Left, factors: &mut [f32]) {
    match (tier.precision(), scores.wide) {
        (Precision::Bf16, _) => weights_in::<32, true>(scores, masks, out, factors),
        (Precision::F32, 32) => weights_in::<32, false>(scores, masks, out, factors),
        (Precision::F32, _) => weights_in::<16, false>(scores, masks, out, factors),
    }
}

#[multiversion::multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
    "x86_64+avx2+fma"
))]
fn weights_in<'s, const W: usize, const HALVES: bool>(
    mut scores: Scores<'s>,
    masks: Option<Masks>,
    out: &mut Left,
    factors: &mut [f32],
) {
    let (scale, words) = (scores.scale, strip_words(W, HALVES));
    for (row, factor) in factors.iter_mut().enumerate().take(scores.rows) {
        let (top, visible) = (scores.top::<W>(row), scores.visible(row));
        let mask = masks.map(|masks| masks.row(row));
        let mut total = [0.0; W];
        for strip in 0..scores.strips() {
            let seen = visible.saturating_sub(strip * W);
            let mut exps = exps(scores.strip::<W>(row, strip), scale, top, seen);
            for lane in 0..W {
                total[lane] += exps[lane];
            }
            if let Some(mask) = mask {
                for lane in 0..W {
                    exps[lane] *= mask.factor((strip * W + lane) as u32);
                }
            }
            put_along::<W, HALVES>(&exps, out.words_mut(row, strip * words..(strip + 1) * words));
        }
        *factor = 1.0 / folded(total, |a, b| a + b);
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
        // One by the sum of the exponentials, and the mean of the gradients, of each row.
        let mut normal = [[0.0; 2]; 2];
        for (row, normal) in (pair..pair + count).zip(&mut normal) {
            *normal = normalise_row::<W>(&mut scores, dp, row, masks);
        }
        for strip in 0..scores.strips() {
            let mut p = [[0.0; W]; 2];
            let mut ds = [[0.0; W]; 2];
            for i in 0..count {
                let [factor, mean] = normal[i];
                let row = pair + i;
                let exps = *scores.strip::<W>(row, strip);
                let dp = strip_at::<W>(dp, (strip * tall + row) * W);
                for lane in 0..W {
                    p[i][lane] = factor * exps[lane];
                    ds[i][lane] = p[i][lane] * (dp[lane] - mean);
                }
                if let Some(masks) = masks {
                    let mask = masks.row(row);
                    for lane in 0..W {
                        p[i][lane] *= mask.factor((strip * W + lane) as u32);
                    }
                }
                put_along::<W, HALVES>(
                    &ds[i],
                    out.ds_rows.words_mut(row, strip * words..(strip + 1) * words),
                );
            }
            put_across::<W, HALVES>(&p, count, out.p, strip, out.first + pair);
            put_across::<W, HALVES>(&ds, count, out.ds, strip, out.first + pair);
        }
    }
}

/// Replaces the scores of a row by their exponentials, and multiplies `dp` by the dropout mask. Returns what the
/// exponentials are to be multiplied by, and the mean of the gradients.
#[inline(always)]
fn normalise_row<const W: usize>(
    scores: &mut Scores<'_>,
    dp: &mut [f32],
    row: usize,
    masks: Option<Masks>,
) -> [f32; 2] {
    let (top, scale, visible, tall) = (scores.top::<W>(row), scores.scale, scores.visible(row), scores.tall);
    let mask = masks.map(|masks| masks.row(row));
    let (mut total, mut mean) = ([0.0; W], [0.0; W]);
    for strip in 0..scores.strips() {
        let values = scores.strip::<W>(row, strip);
        *values = exps(values, scale, top, visible.saturating_sub(strip * W));
        let dp = strip_at::<W>(dp, (strip * tall + row) * W);
        if let Some(mask) = mask {
            for lane in 0..W {
                dp[lane] *= mask.factor((strip * W + lane) as u32);
            }
        }
        for lane in 0..W {
            total[lane] += values[lane];
            mean[lane] += values[lane] * dp[lane];
        }
    }
    let factor = 1.0 / folded(total, |a, b| a + b);
    [factor, factor * folded(mean, |a, b| a + b)]
}

/// Writes the values of two queries, side by side along the depth, or of the first alone.
#[inline(always)]
fn put_across<const W: usize, const HALVES: bool>(
    [even, odd]: &[[f32; W]; 2],
    count: usize,
    out: &mut Right,
    strip: usize,
    query: usize,
) {
    if HALVES {
        let out = out.words_mut(strip, query / 2..query / 2 + 1);
        for (lane, out) in out.iter_mut().enumerate().take(W) {
            let bits = |value: f32| u32::from(rounded(value).to_bits());
            *out = bits(even[lane]) | bits(odd[lane]) << 16;
        }
    } else {
        for (i, values) in [even, odd].into_iter().enumerate().take(count) {
            let out = out.words_mut(strip, query + i..query + i + 1);
            for (out, value) in out.iter_mut().zip(values) {
                *out = value.to_bits();
            }
        }
    }
}
