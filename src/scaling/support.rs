//! Columns with edges, mapped to the real line and back: a parameter of a prior with bounds becomes one without.

use super::moments;
use super::normal_plot::NormalPlot;
use statrs::function::erf::{erfc, erfc_inv};
use std::f64::consts::{PI, SQRT_2};

/// Where a column can lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Support {
    /// Anywhere.
    Line,
    /// Not below a number; `unit` is the scale on which the map bends.
    Above {
        /// The edge.
        low: f64,
        /// A typical distance from it.
        unit: f64,
    },
    /// Not above a number.
    Below {
        /// The edge.
        high: f64,
        /// A typical distance from it.
        unit: f64,
    },
    /// Between two numbers.
    Between {
        /// The lower edge.
        low: f64,
        /// The upper edge.
        high: f64,
    },
}

/// A number nearer to an edge than this fraction of the way counts as this near: what lies on the edge would be infinite,
/// 6.4 is far enough.
const EDGE: f64 = 1e-10;
/// Units tried for a single edge beside the mean distance from it, as factors of that, with which the map is linear where
/// most values are: up to logarithmic there.
const WIDER: [f64; 5] = [4.0, 16.0, 64.0, 256.0, 1024.0];

/// Phi(u), accurate in the lower tail.
fn normal_cdf(u: f64) -> f64 {
    0.5 * erfc(-u / SQRT_2)
}

/// The u with Phi(u) = p, for p up to 1/2.
pub(super) fn normal_quantile(p: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * p)
}

/// ln(exp(r) - 1), the inverse of ln(1 + exp(u)), for r > 0.
fn inverse_softplus(r: f64) -> f64 {
    r + (-(-r).exp_m1()).ln()
}

fn softplus(u: f64) -> f64 {
    u.max(0.0) + (-u.abs()).exp().ln_1p()
}

impl Support {
    /// With these edges, infinite where there is none; `typical` is a number well inside.
    pub fn new(low: f64, high: f64, typical: f64) -> Self {
        let distance = if low.is_finite() { typical - low } else { high - typical };
        let unit = if distance > 0.0 && distance.is_finite() { distance } else { 1.0 };
        Self::from_parts(low, high, unit)
    }

    /// For the values of a column. Where there is one edge, the unit makes them most nearly normal once they are free:
    /// those of a normal distribution's exponential need logarithms throughout.
    pub fn of(values: &[f64], low: f64, high: f64) -> Self {
        let support = Self::new(low, high, moments(values.iter().copied()).0);
        if !support.has_one_edge() {
            return support;
        }
        let Some(plot) = NormalPlot::of(values) else { return support };
        let straightness = |support: Self| plot.straightness(|value| support.free(value));
        let (_, _, unit) = support.parts();
        let mut best = (straightness(support), support);
        for candidate in WIDER.map(|factor| Self::from_parts(low, high, factor * unit)) {
            let straight = straightness(candidate);
            if straight > best.0 {
                best = (straight, candidate);
            }
        }
        best.1
    }

    /// The same where a network only sees the column: it goes through the map for a single edge only if it is more nearly
    /// normal then, as a rate that acts by its logarithm. Else what depends on it need not know where it ends.
    pub fn of_given(values: &[f64], low: f64, high: f64) -> Self {
        let support = Self::of(values, low, high);
        if support.has_one_edge() && support.straightens(values) { support } else { Self::Line }
    }

    fn has_one_edge(self) -> bool {
        matches!(self, Self::Above { .. } | Self::Below { .. })
    }

    /// From what `parts` gives.
    pub fn from_parts(low: f64, high: f64, unit: f64) -> Self {
        match (low.is_finite(), high.is_finite()) {
            (false, false) => Self::Line,
            (true, false) => Self::Above { low, unit },
            (false, true) => Self::Below { high, unit },
            (true, true) => Self::Between { low, high },
        }
    }

    /// Whether the values of a column are more nearly normal once they are free.
    fn straightens(self, values: &[f64]) -> bool {
        let plot = NormalPlot::of(values);
        plot.is_some_and(|plot| {
            plot.straightness(|value| self.free(value)) > plot.straightness(|value| value)
        })
    }

    /// The edges and the unit; infinite edges are none.
    pub fn parts(self) -> (f64, f64, f64) {
        match self {
            Self::Line => (f64::NEG_INFINITY, f64::INFINITY, 1.0),
            Self::Above { low, unit } => (low, f64::INFINITY, unit),
            Self::Below { high, unit } => (f64::NEG_INFINITY, high, unit),
            Self::Between { low, high } => (low, high, 1.0),
        }
    }

    /// Whether a number lies in it, edges included.
    pub fn contains(self, value: f64) -> bool {
        let (low, high, _) = self.parts();
        value >= low && value <= high
    }

    /// To the real line: the normal quantile of the fraction of the way where there are two edges, which makes a
    /// uniform column standard normal; linear far from a single edge, and the logarithm of the distance near it.
    pub fn free(self, value: f64) -> f64 {
        match self {
            Self::Line => value,
            Self::Above { low, unit } => inverse_softplus(((value - low) / unit).max(EDGE)),
            Self::Below { high, unit } => -inverse_softplus(((high - value) / unit).max(EDGE)),
            Self::Between { low, high } => {
                let width = high - low;
                let (from_low, from_high) = ((value - low) / width, (high - value) / width);
                if from_low < from_high {
                    normal_quantile(from_low.max(EDGE))
                } else {
                    -normal_quantile(from_high.max(EDGE))
                }
            }
        }
    }

    /// From the real line, never outside the edges.
    pub fn bind(self, free: f64) -> f64 {
        match self {
            Self::Line => free,
            Self::Above { low, unit } => (low + unit * softplus(free)).max(low),
            Self::Below { high, unit } => (high - unit * softplus(-free)).min(high),
            Self::Between { low, high } => {
                let width = high - low;
                let value = if free < 0.0 {
                    low + width * normal_cdf(free)
                } else {
                    high - width * normal_cdf(-free)
                };
                value.clamp(low, high)
            }
        }
    }

    /// ln d(free)/d(value), at the free number.
    pub fn log_slope(self, free: f64) -> f64 {
        match self {
            Self::Line => 0.0,
            // d(softplus)/du = 1 / (1 + exp(-u))
            Self::Above { unit, .. } => softplus(-free) - unit.ln(),
            Self::Below { unit, .. } => softplus(free) - unit.ln(),
            Self::Between { low, high } => 0.5 * (free * free + (2.0 * PI).ln()) - (high - low).ln(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};
    use proptest::prelude::*;

    fn supports() -> [Support; 5] {
        [
            Support::Line,
            Support::from_parts(-1.0, f64::INFINITY, 2048.0),
            Support::new(-1.0, f64::INFINITY, 2.0),
            Support::new(f64::NEG_INFINITY, 3.0, 2.5),
            Support::new(-2.0, 5.0, 0.0),
        ]
    }

    #[test]
    fn a_uniform_column_becomes_normal() {
        let support = Support::new(2.0, 4.0, 3.0);
        // The quantiles of the normal distribution, from Abramowitz & Stegun 1964, table 26.5.
        for (p, u) in [(0.5, 0.0), (0.025, -1.959_963_984_540_054), (0.999, 3.090_232_306_167_813_5)] {
            assert!((support.free(2.0 + 2.0 * p) - u).abs() < 1e-9, "{p}");
        }
    }

    #[test]
    fn an_edge_is_finite_and_comes_back_near() {
        for support in supports() {
            let (low, high, unit) = support.parts();
            for edge in [low, high].into_iter().filter(|e| e.is_finite()) {
                let free = support.free(edge);
                assert!(free.is_finite() && free.abs() < 25.0);
                assert!((support.bind(free) - edge).abs() < 1e-9 * unit);
            }
        }
    }

    #[test]
    fn a_single_edge_is_mapped_away_by_what_suits_the_column() {
        let quantile = |i: u32| {
            let p = (f64::from(i) + 0.5) / 1000.0;
            if p < 0.5 { normal_quantile(p) } else { -normal_quantile(1.0 - p) }
        };
        let normal: Vec<f64> = (0..1000).map(quantile).collect();
        let straightness = |support: Support, values: &[f64]| {
            NormalPlot::of(values).unwrap().straightness(|value| support.free(value))
        };
        for sign in [1.0, -1.0] {
            let edges = if sign > 0.0 { (0.0, f64::INFINITY) } else { (f64::NEG_INFINITY, 0.0) };
            let column = |of: fn(f64) -> f64| -> Vec<f64> { normal.iter().map(|&v| sign * of(v)).collect() };
            let mean = |values: &[f64]| moments(values.iter().copied()).0;
            let fit = |values: &[f64]| Support::of(values, edges.0, edges.1);
            let lognormal = column(|v| 3.0 * (0.7 * v).exp());
            assert!(straightness(fit(&lognormal), &lognormal) > 0.999);
            let half_normal = column(f64::abs);
            assert_eq!(fit(&half_normal).parts().2, sign * mean(&half_normal));
            // Two edges, or none, or too few values, leave no choice.
            assert_eq!(Support::of(&lognormal, -90.0, 90.0), Support::new(-90.0, 90.0, 0.0));
            assert_eq!(Support::of(&lognormal, -f64::INFINITY, f64::INFINITY), Support::Line);
            assert_eq!(fit(&lognormal[..99]).parts().2, sign * mean(&lognormal[..99]));
            // A few outliers leave no unit in which the rest is no longer told apart.
            let mut wild = lognormal.clone();
            wild[..3].fill(sign * 1e12);
            assert!(straightness(fit(&wild), &wild) > 0.5);
        }
    }

    #[test]
    fn rates_act_by_their_logarithms_and_other_parameters_as_they_are() {
        let mut normal = vec![0.0; 1000];
        fill_normal(&mut normal, 1.0, &mut Seed(6).stream(Purpose::Training, 0));
        normal.iter_mut().for_each(|value: &mut f64| *value = value.clamp(-4.0, 4.0));
        let lognormal: Vec<f64> = normal.iter().map(|value| value.exp()).collect();
        let infinity = f64::INFINITY;
        let rate = Support::of_given(&lognormal, 0.0, infinity);
        assert!(rate == Support::of(&lognormal, 0.0, infinity) && rate.has_one_edge());
        assert_eq!(Support::of_given(&normal, -infinity, 4.0), Support::Line);
        assert_eq!(Support::of_given(&lognormal, 0.0, 60.0), Support::Line);
    }

    proptest! {
        #[test]
        fn there_and_back(fraction in 1e-6..0.999_999f64) {
            for support in supports() {
                let (low, high, _) = support.parts();
                let (low, high) = (low.max(-50.0), high.min(50.0));
                let value = low + fraction * (high - low);
                prop_assert!((support.bind(support.free(value)) - value).abs() < 1e-9);
            }
        }

        #[test]
        fn never_outside(free in proptest::num::f64::NORMAL | proptest::num::f64::ZERO) {
            for support in supports() {
                prop_assert!(support.contains(support.bind(free)));
            }
        }

        #[test]
        fn the_slope_is_the_difference(free in -5.0..5.0f64) {
            for support in supports() {
                let h = 1e-4;
                let slope = (support.bind(free + h) - support.bind(free - h)) / (2.0 * h);
                prop_assert!((support.log_slope(free) + slope.ln()).abs() < 1e-6);
            }
        }
    }
}
