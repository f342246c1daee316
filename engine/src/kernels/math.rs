//! Scalar functions that vectorise when they are inlined into a loop.

use super::LANES;
use super::gemm::Element;

/// `eˣ` to about one unit in the last place (Cephes' `expf`: range reduction by ln 2, polynomial of degree
/// 6), clamped so that the result is neither 0 nor infinite; NaN stays NaN.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding and subtracting 1.5 · 2²³ rounds to the nearest integer, whose bits are then at hand.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let power = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.0 / 720.0;
    let p = p * r + 8.333_345e-3;
    let p = p * r + 4.166_664e-2;
    let p = p * r + 1.666_666_7e-1;
    let p = p * r + 0.5;
    (p * r * r + r + 1.0) * power
}

/// Sum of a slice.
#[inline(always)]
pub fn sum(x: &[f32]) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] += chunk[i];
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// Sum of products of two slices of equal length.
#[inline(always)]
pub fn dot<X: Element, Y: Element>(x: &[X], y: &[Y]) -> f32 {
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    let mut lanes = [0.0f32; LANES];
    for (a, b) in xs.iter().zip(ys) {
        for i in 0..LANES {
            lanes[i] += a[i].to_f32() * b[i].to_f32();
        }
    }
    let mut total = lanes.iter().sum::<f32>();
    for (a, b) in x_rest.iter().zip(y_rest) {
        total += a.to_f32() * b.to_f32();
    }
    total
}

/// Largest value; −∞ for an empty slice.
#[inline(always)]
pub fn max(x: &[f32]) -> f32 {
    let (chunks, rest) = x.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in -870..=880 {
            for offset in [0.0, 0.013, 0.037, 0.0721] {
                let x = (i as f32 * 0.1 + offset).clamp(-87.0, 88.0);
                let exact = f64::from(x).exp();
                let error = (f64::from(exp(x)) - exact).abs() / exact;
                assert!(error < 2.5e-7, "{x} {error}");
            }
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY) > 1e38);
    }

    #[test]
    fn reductions_cover_the_odd_end() {
        let x: Vec<f32> = (0..37).map(|i| i as f32).collect();
        assert_eq!((sum(&x), max(&x), dot(&x, &x)), (666.0, 36.0, 16206.0));
        assert_eq!(max(&[]), f32::NEG_INFINITY);
    }
}
