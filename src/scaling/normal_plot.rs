//! How near a column is to a normal distribution, as it is and after a map: the correlation of its sorted values with
//! those that a normal distribution would have there (Filliben 1975, Technometrics 17, 111). Uniform columns have 0.98,
//! exponential ones 0.93, a normal distribution's exponential 0.85.

use super::TAIL;
use super::support::normal_quantile;

/// Values needed to tell.
const FEWEST: usize = 100;
/// Values that are looked at.
const MOST: usize = 2000;
/// The quantile that sorted value i of n stands for is (i - a) / (n + 1 - 2 a), from 1 (Blom 1958).
const BLOM: f64 = 0.375;

/// Some values of a column in order, and what those without the tails would be if they were standard normal.
pub struct NormalPlot {
    values: Vec<f64>,
    tail: usize,
    scores: Vec<f64>,
}

impl NormalPlot {
    /// Of a column; `None` where there are too few values to tell.
    pub fn of(column: &[f64]) -> Option<Self> {
        let step = column.len().div_ceil(MOST).max(1);
        let mut values: Vec<f64> = column.iter().copied().step_by(step).collect();
        let count = values.len();
        if count < FEWEST {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let tail = (TAIL * count as f64).ceil() as usize;
        let scores = (tail..count - tail).map(|i| normal_score(i, count)).collect();
        Some(Self { values, tail, scores })
    }

    /// The value below which this share of them lies.
    pub fn quantile(&self, share: f64) -> f64 {
        self.values[(share * (self.values.len() - 1) as f64).round() as usize]
    }

    /// The values without their tails.
    pub fn inner(&self) -> &[f64] {
        &self.values[self.tail..self.values.len() - self.tail]
    }

    /// The correlation after a map that keeps their order; 0 where it makes them all the same, or infinite.
    pub fn straightness(&self, map: impl Fn(f64) -> f64) -> f64 {
        let mapped: Vec<f64> = self.inner().iter().map(|&value| map(value)).collect();
        correlation(&mapped, &self.scores)
    }
}

/// What sorted value i of so many, from 0, would be if they were standard normal.
fn normal_score(i: usize, count: usize) -> f64 {
    let below = (i as f64 + 1.0 - BLOM) / (count as f64 + 1.0 - 2.0 * BLOM);
    if below < 0.5 { normal_quantile(below) } else { -normal_quantile(1.0 - below) }
}

/// Correlation with something that is not constant; 0 where these values are, or too far apart.
fn correlation(values: &[f64], others: &[f64]) -> f64 {
    // Squares must not overflow or vanish.
    let (low, high) = (values[0], values[values.len() - 1]);
    if high <= low || !(high - low).is_finite() {
        return 0.0;
    }
    let unit = |value: f64| (value - low) / (high - low);
    let count = values.len() as f64;
    let means = (values.iter().map(|&v| unit(v)).sum::<f64>() / count, others.iter().sum::<f64>() / count);
    let (mut product, mut square, mut other) = (0.0, 0.0, 0.0);
    for (&a, &b) in values.iter().zip(others) {
        let (a, b) = (unit(a) - means.0, b - means.1);
        product += a * b;
        square += a * a;
        other += b * b;
    }
    product / (square * other).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};

    #[test]
    fn scores_are_those_of_normal_order_statistics() {
        // Means of the largest and the next of ten standard normal values: Harter 1961, Biometrika 48, 151.
        assert!((normal_score(9, 10) - 1.53875).abs() < 0.01);
        assert!((normal_score(8, 10) - 1.00136).abs() < 0.01);
        assert_eq!(normal_score(0, 10), -normal_score(9, 10));
    }

    #[test]
    fn normal_columns_are_straight_and_others_less_so() {
        let mut normal = vec![0.0; 5000];
        fill_normal(&mut normal, 1.0, &mut Seed(3).stream(Purpose::Training, 0));
        let plot = NormalPlot::of(&normal).unwrap();
        assert!(plot.straightness(|v| 1e9 - 1e3 + 1e3 * v) > 0.995);
        // For chance alone, and for the tails that are left out.
        assert!((plot.straightness(f64::exp) - 0.85).abs() < 0.03);
        assert_eq!(plot.straightness(|_| 2.0), 0.0);
        assert_eq!(plot.straightness(|v| 1e308 * v), 0.0);
        assert!(NormalPlot::of(&normal[..99]).is_none());
    }
}
