//! Scaling of columns, in double precision, before anything is cast: edges mapped away, orders of magnitude bent to a
//! normal spread, then standardised, then distant outliers drawn in. Every step is a bijection whose slope is known.

pub mod arcsinh;
mod normal_plot;
pub mod support;

use arcsinh::Arcsinh;
use ndarray::{Array2, ArrayView1, ArrayView2};
use support::Support;

/// Column by column: what the network sees is squash((bend(free(value)) - shift) / scale).
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// One for each column.
    pub columns: Vec<Column>,
}

/// The way of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// Where its values can lie.
    pub support: Support,
    /// Where the freed column spreads over orders of magnitude, what bends it.
    pub arcsinh: Option<Arcsinh>,
    /// What stands for the mean of the freed and bent column.
    pub shift: f64,
    /// What stands for its standard deviation; 1 where it is constant.
    pub scale: f64,
    /// Beyond this many scales distances count by their logarithm; infinite where there are no outliers.
    pub reach: f64,
    /// What stands for the standard deviation in the user's units; 1 where it is constant.
    pub spread: f64,
}

/// Share of the rows at either end that may be outliers.
const TAIL: f64 = 0.005;
/// The standard deviation is trusted unless it exceeds that of the values without their tails by this factor.
const TRUSTED_RATIO: f64 = 1.5;
/// Values without their tails may spread this much more than the central 68 %, as a lognormal distribution's do; else
/// more than the tails are outliers.
const CENTRAL_RATIO: f64 = 3.0;
/// The quantiles that hold the central 68 %.
const CENTRAL: [f64; 2] = [0.158_655, 0.841_345];
/// A column with values beyond so many scales has outliers; a heavy tail of a prior has them too.
const OUTLYING: f64 = 10.0;
/// From so many scales on, a column with outliers is drawn in.
const REACH: f64 = 5.0;
/// Logarithm of a distance whose exponential is finite, for samples that lie absurdly far out.
const FARTHEST: f64 = 700.0;

impl Scaling {
    /// From the columns of finite data within these edges (infinite where there are none, one pair for each column).
    pub fn fit(data: ArrayView2<f64>, bounds: Option<&[(f64, f64)]>) -> Self {
        Self::with(data, bounds, Support::of)
    }

    /// The same for columns that a network only sees, which need not stay within their edges.
    pub fn fit_given(data: ArrayView2<f64>, bounds: Option<&[(f64, f64)]>) -> Self {
        Self::with(data, bounds, Support::of_given)
    }

    fn with(
        data: ArrayView2<f64>,
        bounds: Option<&[(f64, f64)]>,
        support: fn(&[f64], f64, f64) -> Support,
    ) -> Self {
        let columns = data.columns().into_iter().enumerate().map(|(c, column)| {
            let (low, high) = bounds.map_or((f64::NEG_INFINITY, f64::INFINITY), |bounds| bounds[c]);
            let values = column.to_vec();
            Column::fit(&values, support(&values, low, high))
        });
        Self { columns: columns.collect() }
    }

    /// Scaled copy.
    pub fn standardise(&self, data: ArrayView2<f64>) -> Array2<f64> {
        Array2::from_shape_fn(data.dim(), |(r, c)| self.columns[c].standardise(data[[r, c]]))
    }

    /// A scaled row in the user's units, in place.
    pub fn restore(&self, row: &mut [f64]) {
        row.iter_mut().zip(&self.columns).for_each(|(value, column)| *value = column.restore(*value));
    }

    /// ln |det d(scaled)/d(values)| of one row, -infinity where it lies outside the edges.
    pub fn log_slope(&self, row: ArrayView1<f64>) -> f64 {
        row.iter().zip(&self.columns).map(|(&value, column)| column.log_slope(value)).sum()
    }
}

impl Column {
    fn fit(values: &[f64], support: Support) -> Self {
        let mut free: Vec<f64> = values.iter().map(|&value| support.free(value)).collect();
        if is_constant(values.into()) {
            let shift = free.first().copied().unwrap_or(0.0);
            return Self { support, arcsinh: None, shift, scale: 1.0, reach: f64::INFINITY, spread: 1.0 };
        }
        let arcsinh = Arcsinh::of(&free);
        if let Some(map) = arcsinh {
            free.iter_mut().for_each(|value| *value = map.bend(*value));
        }
        let (shift, scale) = robust_moments(&mut free);
        let as_given = support == Support::Line && arcsinh.is_none();
        let spread = if as_given { scale } else { robust_moments(&mut values.to_vec()).1 };
        let farthest = free.iter().map(|v| ((v - shift) / scale).abs()).fold(0.0, f64::max);
        let reach = if farthest > OUTLYING { REACH } else { f64::INFINITY };
        Self { support, arcsinh, shift, scale, reach, spread }
    }

    /// In scales from the shift.
    fn scaled(&self, free: f64) -> f64 {
        (self.arcsinh.map_or(free, |map| map.bend(free)) - self.shift) / self.scale
    }

    fn standardise(&self, value: f64) -> f64 {
        let scaled = self.scaled(self.support.free(value));
        let beyond = scaled.abs() - self.reach;
        if beyond > 0.0 { (self.reach + beyond.ln_1p()).copysign(scaled) } else { scaled }
    }

    fn restore(&self, scaled: f64) -> f64 {
        let beyond = scaled.abs() - self.reach;
        let value =
            if beyond > 0.0 { (self.reach + beyond.min(FARTHEST).exp_m1()).copysign(scaled) } else { scaled };
        let bent = value * self.scale + self.shift;
        self.support.bind(self.arcsinh.map_or(bent, |map| map.unbend(bent)))
    }

    fn log_slope(&self, value: f64) -> f64 {
        if !self.support.contains(value) {
            return f64::NEG_INFINITY;
        }
        let free = self.support.free(value);
        let beyond = self.scaled(free).abs() - self.reach;
        let drawn_in = if beyond > 0.0 { beyond.ln_1p() } else { 0.0 };
        let bent = self.arcsinh.map_or(0.0, |map| map.log_slope(free));
        self.support.log_slope(free) + bent - self.scale.ln() - drawn_in
    }
}

/// Numbers of the columns whose values are all the same.
pub fn constant_columns(data: ArrayView2<f64>) -> Vec<usize> {
    let constant = |&c: &usize| is_constant(data.column(c));
    (0..data.ncols()).filter(constant).collect()
}

/// Whether values are all the same.
fn is_constant(values: ArrayView1<f64>) -> bool {
    let (_, deviation) = moments(values.iter().copied());
    let largest = values.iter().fold(0.0f64, |a, &b| a.max(b.abs()));
    // Rounding alone leaves a deviation of this size.
    deviation <= 4.0 * f64::EPSILON * largest || deviation == 0.0
}

/// A centre and a scale: mean and standard deviation, unless a few values decide them. Then those of the values with
/// their tails moved to the quantiles where these begin (winsorised), unless even they are decided by outliers: then the
/// median and half of what the central 68 % span.
fn robust_moments(values: &mut [f64]) -> (f64, f64) {
    let plain = moments(values.iter().copied());
    let [low, high] = [TAIL, 1.0 - TAIL].map(|share| quantile(values, share));
    let trimmed = moments(values.iter().map(|value| value.clamp(low, high)));
    let [left, right] = CENTRAL.map(|share| quantile(values, share));
    let central = (quantile(values, 0.5), 0.5 * (right - left));
    let plausible = |spread: f64| central.1 == 0.0 || spread <= CENTRAL_RATIO * central.1;
    if trimmed.1 == 0.0 || (plausible(plain.1) && plain.1 <= TRUSTED_RATIO * trimmed.1) {
        plain
    } else if plausible(trimmed.1) {
        trimmed
    } else {
        central
    }
}

/// The value below which this share of the others lies; sorts partly.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    let position = (share * (values.len() - 1) as f64).round() as usize;
    *values.select_nth_unstable_by(position, f64::total_cmp).1
}

/// Mean and standard deviation, for values whose squares may overflow or vanish.
fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let largest = values.clone().fold(0.0f64, |a, b| a.max(b.abs()));
    if largest == 0.0 {
        return (0.0, 0.0);
    }
    let count = values.clone().count() as f64;
    let mean = values.clone().map(|v| v / largest).sum::<f64>() / count;
    let variance = values.map(|v| (v / largest - mean).powi(2)).sum::<f64>() / count;
    (mean * largest, variance.sqrt() * largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};
    use ndarray::array;

    #[test]
    fn any_scale_comes_back() {
        for unit in [1.0, 1e42, 1e-30, 1e200, 1e-200] {
            let data = array![[1.0 * unit, 5.0], [2.0 * unit, 5.0], [6.0 * unit, 5.0]];
            let scaling = Scaling::fit(data.view(), None);
            assert_eq!(constant_columns(data.view()), [1]);
            assert!((scaling.columns[0].shift / unit - 3.0).abs() < 1e-12);
            assert!((scaling.columns[0].scale / unit - (14.0f64 / 3.0).sqrt()).abs() < 1e-12);
            let mut back = scaling.standardise(data.view());
            back.rows_mut().into_iter().for_each(|mut row| scaling.restore(row.as_slice_mut().unwrap()));
            for (&a, &b) in back.iter().zip(&data) {
                assert!((a / b - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_small_spread_on_a_large_offset_is_no_constant() {
        let data = array![[1e10], [1e10 + 1e-3], [1e10 + 2e-3]];
        let scaling = Scaling::fit(data.view(), None);
        assert!(constant_columns(data.view()).is_empty());
        assert!(scaling.columns[0].scale > 5e-4);
    }

    fn normal_column(rows: usize) -> Vec<f64> {
        let mut values = vec![0.0; rows];
        fill_normal(&mut values, 2.0, &mut Seed(1).stream(Purpose::Training, 0));
        values
    }

    fn fit(values: &[f64]) -> Column {
        Column::fit(values, Support::Line)
    }

    #[test]
    fn outliers_ruin_no_scaling() {
        for (outliers, size) in [(1, 1e6), (1, 1e300), (3, -1e9), (50, 1e12)] {
            let mut values = normal_column(1000);
            let clean = fit(&values);
            assert_eq!((clean.reach, clean.scale), (f64::INFINITY, moments(values.iter().copied()).1));
            values[..outliers].fill(size);
            let column = fit(&values);
            // A twentieth of outliers moves the quantiles themselves.
            assert!((column.scale / 2.0 - 1.0).abs() < 0.15, "{outliers} of {size}: {column:?}");
            assert!((column.shift / 2.0).abs() < 0.2);
            let scaled = column.standardise(size);
            assert!(scaled.abs() < 1000.0);
            assert!((column.restore(scaled) / size - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_rare_value_is_no_outlier_to_ignore() {
        let mut values = vec![0.0; 1000];
        values[7] = 1.0;
        let column = fit(&values);
        assert!((column.scale - 0.0316).abs() < 1e-3);
        assert!((column.restore(column.standardise(1.0)) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_log_slope_is_the_difference() {
        let mut values = normal_column(1000);
        values[0] = 1e4;
        let edges = [(f64::NEG_INFINITY, f64::INFINITY), (-20.0, f64::INFINITY), (-20.0, 1e5)];
        for (low, high) in edges {
            let column = Column::fit(&values, Support::of(&values, low, high));
            for value in [-3.0f64, 0.5, 11.0, 400.0, 2000.0] {
                let h = 1e-5 * value.abs();
                let slope = (column.standardise(value + h) - column.standardise(value - h)) / (2.0 * h);
                assert!((column.log_slope(value) - slope.ln()).abs() < 1e-5, "{low} {high} {value}");
            }
            assert_eq!(column.log_slope(low.max(-1e3) - 1.0) == f64::NEG_INFINITY, low.is_finite());
        }
    }

    #[test]
    fn orders_of_magnitude_are_bent_within_edges_too() {
        let values: Vec<f64> = normal_column(1000).iter().map(|v| v.exp()).collect();
        for low in [f64::NEG_INFINITY, -3.0] {
            let column = Column::fit(&values, Support::of(&values, low, f64::INFINITY));
            assert!(column.arcsinh.is_some() && column.reach == f64::INFINITY, "{column:?}");
            for value in [1e-3f64, 0.1, 2.0, 1e3, 1e4] {
                let scaled = column.standardise(value);
                assert!(scaled.abs() < 6.0);
                assert!((column.restore(scaled) - value).abs() < 1e-10 * (1.0 + value));
                let h = 1e-5 * value;
                let slope = (column.standardise(value + h) - column.standardise(value - h)) / (2.0 * h);
                assert!((column.log_slope(value) - slope.ln()).abs() < 1e-5, "{low} {value}");
            }
        }
    }
}
