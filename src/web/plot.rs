//! The arithmetic of charts: round ticks, positions, fewer points. Pure and without views, so that the
//! server's charts and the browser's island draw the same.

/// One axis: round values from `low` to `high`, evenly spaced by `step`.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub step: f64,
}

impl Axis {
    /// The smallest round range around the values with about `count` steps. Values that are not
    /// finite are left out; without any, 0 to 1.
    pub fn around(values: impl Iterator<Item = f64>, count: u32) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low < f64::EPSILON * high.abs().max(1.0) {
            let margin = if high == 0.0 { 1.0 } else { high.abs() / 2.0 };
            (low, high) = (low - margin, high + margin);
        }
        let step = round_step((high - low) / f64::from(count.max(1)));
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// As [`Axis::around`], but ending exactly at the last value: for steps along x.
    pub fn along(values: impl Iterator<Item = f64> + Clone, count: u32) -> Self {
        let round = Self::around(values.clone(), count);
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if high - low > 0.0 { Self { low, high, ..round } } else { round }
    }

    /// The round values within the range.
    pub fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step - 1e-9).ceil();
        let last = (self.high / self.step + 1e-9).floor();
        // Counting instead of adding keeps 0.3 from becoming 0.30000000000000004.
        (0..=((last - first).max(0.0) as u32)).map(|at| (first + f64::from(at)) * self.step).collect()
    }

    /// Where a value lies, 0 at `low`, 1 at `high`.
    pub fn at(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// A tick's words, with as many decimals as the step needs.
    pub fn label(&self, value: f64) -> String {
        if self.step >= 1.0 && value >= 0.0 {
            return crate::web::format::integer(value.round() as u64);
        }
        let decimals = (-self.step.log10().floor()).clamp(0.0, 8.0) as usize;
        format!("{value:.decimals$}")
    }
}

/// The next step of 1, 2 or 5 times a power of ten.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.log10().floor());
    let lead = rough / power;
    let round = [1.0, 2.0, 5.0].into_iter().find(|round| lead <= round * 1.0001).unwrap_or(10.0);
    round * power
}

/// At most about `2 × buckets` points: lowest and highest of every bucket, in order, so that spikes stay.
pub fn thin(points: &[(f64, f64)], buckets: usize) -> Vec<(f64, f64)> {
    if points.len() <= buckets * 2 || buckets == 0 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(buckets * 2);
    for bucket in points.chunks(points.len().div_ceil(buckets)) {
        let low = bucket.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).map_or(0, |(at, _)| at);
        let high = bucket.iter().enumerate().max_by(|a, b| a.1.1.total_cmp(&b.1.1)).map_or(0, |(at, _)| at);
        kept.push(bucket[low.min(high)]);
        if low != high {
            kept.push(bucket[low.max(high)]);
        }
    }
    kept
}

/// Exponential moving average with the start's bias taken out (Adam's correction, as TensorBoard does it).
/// `weight` is the share of the past, 0 to just under 1.
pub fn smooth(points: &[(f64, f64)], weight: f64) -> Vec<(f64, f64)> {
    let (mut mean, mut past) = (0.0, 1.0);
    points
        .iter()
        .filter(|(_, y)| y.is_finite())
        .map(|&(x, y)| {
            mean = weight * mean + (1.0 - weight) * y;
            past *= weight;
            (x, mean / (1.0 - past))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let axis = Axis::around([0.13, 4.02].into_iter(), 5);
        assert_eq!((axis.low, axis.high, axis.step), (0.0, 5.0, 1.0));
        let axis = Axis::around([0.11, 0.34].into_iter(), 5);
        assert_eq!(
            axis.ticks().iter().map(|t| axis.label(*t)).collect::<Vec<_>>(),
            ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]
        );
    }

    #[test]
    fn nothing_one_value_and_no_number_still_give_an_axis() {
        for values in [vec![], vec![3.0], vec![0.0], vec![f64::NAN, f64::INFINITY]] {
            let axis = Axis::around(values.iter().copied(), 4);
            assert!(axis.high > axis.low && axis.ticks().len() >= 2, "{values:?} {axis:?}");
            let axis = Axis::along(values.iter().copied(), 4);
            assert!(axis.high > axis.low, "{values:?} {axis:?}");
        }
    }

    #[test]
    fn thinning_keeps_the_spike_and_the_order() {
        let points: Vec<_> = (0..10_000).map(|x| (f64::from(x), if x == 777 { 9.0 } else { 1.0 })).collect();
        let kept = thin(&points, 100);
        assert!(kept.len() <= 200);
        assert!(kept.contains(&(777.0, 9.0)));
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn smoothing_starts_at_the_first_value_and_keeps_a_constant() {
        let points: Vec<_> = (0..50).map(|x| (f64::from(x), 2.0)).collect();
        assert!(smooth(&points, 0.9).iter().all(|(_, y)| (y - 2.0).abs() < 1e-9));
    }
}
