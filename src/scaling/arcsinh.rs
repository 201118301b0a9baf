//! Columns whose values spread over orders of magnitude. Scaled alone, all but the largest would look the same to a
//! network; after an inverse hyperbolic sine, linear near its centre and logarithmic far out, they spread like those of a
//! normal distribution (Johnson 1949, Biometrika 36, 149: the S_U system). Well beyond the values that were there it goes
//! on straight: an error of a network far out must not grow exponentially on the way back.

use super::TAIL;
use super::normal_plot::NormalPlot;

/// value -> asinh(d) with d = (value - centre) / width, and along the tangent beyond the ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arcsinh {
    /// Where the map is steepest.
    pub centre: f64,
    /// So far from there it begins to bend.
    pub width: f64,
    /// The lower and the upper d at which it ends to bend.
    pub ends: [f64; 2],
}

/// A column whose normal plot is less straight than this is bent. Of the tasks that were tried, those with columns from
/// 0.9 to 0.98 were learned no better bent.
const STRAIGHT: f64 = 0.88;
/// What it must reach bent: two narrow peaks, or a heap at zero, do not become one distribution.
const STRAIGHTENED: f64 = 0.95;
/// Widths tried are what the values without their tails span, halved up to so many times: seven orders of magnitude.
const HALVINGS: i32 = 24;
/// Centres tried, as quantiles: skewed to one side or the other, or heavy on both.
const CENTRES: [f64; 3] = [TAIL, 0.5, 1.0 - TAIL];
/// The map goes on straight beyond the values without their tails by this share of what they span bent: five standard
/// deviations from the mean of a normal distribution.
const MARGIN: f64 = 0.5;

impl Arcsinh {
    /// The map that makes these values most nearly normal; `None` where they are well enough as they are, or no map helps.
    pub fn of(values: &[f64]) -> Option<Self> {
        let plot = NormalPlot::of(values)?;
        if plot.straightness(|value| value) >= STRAIGHT {
            return None;
        }
        let (low, high) = (plot.inner()[0], plot.inner()[plot.inner().len() - 1]);
        let mut best = (STRAIGHTENED, None);
        for centre in CENTRES.map(|share| plot.quantile(share)) {
            for width in (0..=HALVINGS).map(|halvings| (high - low) * 0.5f64.powi(halvings)) {
                if !(width.is_normal() && (1.0 / width).is_normal()) {
                    continue;
                }
                let map = Self { centre, width, ends: [f64::NEG_INFINITY, f64::INFINITY] };
                let straight = plot.straightness(|value| map.bend(value));
                if straight > best.0 {
                    let (first, last) = (map.bend(low), map.bend(high));
                    let margin = MARGIN * (last - first);
                    best = (
                        straight,
                        Some(Self { ends: [(first - margin).sinh(), (last + margin).sinh()], ..map }),
                    );
                }
            }
        }
        best.1
    }

    /// There.
    pub fn bend(&self, value: f64) -> f64 {
        let (end, distance) = self.nearest_end(value);
        end.asinh() + (distance - end) / end.hypot(1.0)
    }

    /// And back.
    pub fn unbend(&self, bent: f64) -> f64 {
        let end = bent.clamp(self.ends[0].asinh(), self.ends[1].asinh());
        self.centre + self.width * (end.sinh() + (bent - end) * end.cosh())
    }

    /// ln of the slope of `bend`.
    pub fn log_slope(&self, value: f64) -> f64 {
        -self.nearest_end(value).0.hypot(1.0).ln() - self.width.ln()
    }

    /// The d of a value, moved to the end where it lies beyond, and as it is.
    fn nearest_end(&self, value: f64) -> (f64, f64) {
        let distance = (value - self.centre) / self.width;
        (distance.clamp(self.ends[0], self.ends[1]), distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};
    use proptest::prelude::*;

    fn normal(rows: usize) -> Vec<f64> {
        let mut values = vec![0.0; rows];
        fill_normal(&mut values, 1.0, &mut Seed(3).stream(Purpose::Training, 0));
        values
    }

    fn straightness(values: &[f64]) -> f64 {
        NormalPlot::of(values).unwrap().straightness(|value| value)
    }

    #[test]
    fn what_spreads_over_orders_of_magnitude_becomes_normal() {
        let flat = normal(5000);
        let lognormal =
            |sigma: f64, sign: f64| -> Vec<f64> { flat.iter().map(|v| sign * (sigma * v).exp()).collect() };
        let cauchy: Vec<f64> = flat.iter().zip(normal(10_000).split_off(5000)).map(|(a, b)| a / b).collect();
        for values in [lognormal(1.5, 1.0), lognormal(3.0, 1.0), lognormal(2.0, -1.0), cauchy] {
            let map = Arcsinh::of(&values).unwrap();
            let bent: Vec<f64> = values.iter().map(|&v| map.bend(v)).collect();
            assert!(straightness(&values) < STRAIGHT && straightness(&bent) > STRAIGHTENED, "{map:?}");
        }
    }

    #[test]
    fn other_columns_stay_as_they_are() {
        let flat = normal(5000);
        let peaks: Vec<f64> = flat.iter().map(|v| v.signum() + 0.01 * v).collect();
        let outliers: Vec<f64> =
            flat.iter().enumerate().map(|(i, v)| if i % 10 == 0 { 1e9 * v } else { *v }).collect();
        let heap: Vec<f64> = flat.iter().map(|v| (v - 1.0).max(0.0)).collect();
        let uniform: Vec<f64> = (0..5000).map(f64::from).collect();
        let constant = vec![2.0; 5000];
        let few: Vec<f64> = flat[..99].iter().map(|v| (3.0 * v).exp()).collect();
        for values in [flat, peaks, outliers, heap, uniform, constant, few] {
            assert_eq!(Arcsinh::of(&values), None, "{:?}", &values[..5]);
        }
    }

    #[test]
    fn units_change_nothing() {
        let values: Vec<f64> = normal(1000).iter().map(|v| (2.0 * v).exp()).collect();
        let map = Arcsinh::of(&values).unwrap();
        for (unit, offset) in [(1e150, 0.0), (1e-150, 0.0), (-3.0, 7.0)] {
            let other: Vec<f64> = values.iter().map(|v| v * unit + offset).collect();
            let again = Arcsinh::of(&other).unwrap();
            for (&value, &other) in values.iter().zip(&other) {
                let (bent, expected) = (again.bend(other), map.bend(value) * f64::signum(unit));
                assert!((bent - expected).abs() < 1e-6, "{unit}: {bent} {expected}");
            }
        }
    }

    #[test]
    fn far_out_it_grows_no_faster_than_the_values() {
        let values: Vec<f64> = normal(1000).iter().map(|v| (2.0 * v).exp()).collect();
        let map = Arcsinh::of(&values).unwrap();
        let most = values.iter().copied().fold(0.0, f64::max);
        assert!((map.bend(10.0 * most) - map.bend(most)).abs() < 3.0);
        let slope = map.unbend(1e6 + 1.0) - map.unbend(1e6);
        assert!((map.unbend(1e7) / (1e7 * slope) - 1.0).abs() < 1e-3);
        assert!(map.unbend(1e3) < 1e9 && map.unbend(-1e3) > -1e9);
    }

    proptest! {
        #[test]
        fn there_and_back(value in -1e6f64..1e6, centre in -10.0f64..10.0, exponent in -12i32..3) {
            let map = Arcsinh { centre, width: 10f64.powi(exponent), ends: [-30.0, 1e5] };
            let back = map.unbend(map.bend(value));
            prop_assert!((back - value).abs() <= 1e-12 * (1.0 + value.abs() + centre.abs()));
            // Not where the slope has a corner.
            let distance = (value - centre) / map.width;
            prop_assume!(map.ends.iter().all(|end| (distance / end - 1.0).abs() > 1e-3));
            let h = 1e-4 * (value - centre).abs().max(map.width);
            let slope = (map.bend(value + h) - map.bend(value - h)) / (2.0 * h);
            prop_assert!((slope.ln() - map.log_slope(value)).abs() < 1e-5);
        }
    }
}
