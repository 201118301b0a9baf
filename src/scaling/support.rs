//! Columns with edges, mapped to the real line and back: a parameter of a prior with bounds becomes one without.

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

    /// From what `parts` gives.
    pub fn from_parts(low: f64, high: f64, unit: f64) -> Self {
        match (low.is_finite(), high.is_finite()) {
            (false, false) => Self::Line,
            (true, false) => Self::Above { low, unit },
            (false, true) => Self::Below { high, unit },
            (true, true) => Self::Between { low, high },
        }
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
    use proptest::prelude::*;

    fn supports() -> [Support; 4] {
        [
            Support::Line,
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
            let (low, high, _) = support.parts();
            for edge in [low, high].into_iter().filter(|e| e.is_finite()) {
                let free = support.free(edge);
                assert!(free.is_finite() && free.abs() < 25.0);
                assert!((support.bind(free) - edge).abs() < 1e-8);
            }
        }
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
