//! Columns whose values are evenly spaced: counts, classes, rounded readings. A density has no business with them, so
//! they are spread out over their cells before one is learned, and what is drawn from it is put back in place
//! (uniform dequantisation, Theis et al. 2016, arXiv 1511.01844).

use crate::random::{Purpose, Seed};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rand::RngExt;

/// The spacing of each column that has one.
#[derive(Clone, Debug, PartialEq)]
pub struct Lattice {
    columns: Vec<Option<Spacing>>,
}

/// Values origin + k step, with k a whole number from 0 to `last`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spacing {
    origin: f64,
    step: f64,
    last: f64,
}

/// A column has a spacing where every value is taken by so many rows on average: chance alone makes no two of them equal.
const LEAST_REPEATS: usize = 4;
/// How far from its place a value may lie, in steps: numbers with decimals are no exact multiples.
const TOLERANCE: f64 = 1e-6;
/// Most steps between the lowest and the highest value; with more, a step is too small to matter.
const MOST_STEPS: f64 = 1000.0;

impl Lattice {
    /// Of the columns of finite data.
    pub fn of(data: ArrayView2<f64>) -> Self {
        Self { columns: data.columns().into_iter().map(Spacing::of).collect() }
    }

    /// The data with every value moved to a random place in its cell, and not beyond its bounds.
    pub fn spread_out(
        &self,
        data: ArrayView2<f64>,
        bounds: Option<&[(f64, f64)]>,
        seed: Seed,
    ) -> Array2<f64> {
        let mut data = data.as_standard_layout().into_owned();
        for (c, spacing) in self.columns.iter().enumerate() {
            let Some(spacing) = spacing else { continue };
            let (low, high) = bounds.map_or((f64::NEG_INFINITY, f64::INFINITY), |bounds| bounds[c]);
            let mut stream = seed.stream(Purpose::Surrogate, c as u64);
            for value in data.column_mut(c) {
                *value = (*value + spacing.step * (stream.random::<f64>() - 0.5)).clamp(low, high);
            }
        }
        data
    }

    /// Moves every value to the nearest place, in the columns that have a spacing.
    pub fn snap(&self, data: &mut Array2<f64>) {
        for (mut column, spacing) in data.columns_mut().into_iter().zip(&self.columns) {
            if let Some(Spacing { origin, step, last }) = spacing {
                column.mapv_inplace(|value| {
                    origin + step * ((value - origin) / step).round().clamp(0.0, *last)
                });
            }
        }
    }
}

impl Spacing {
    fn of(column: ArrayView1<f64>) -> Option<Self> {
        let mut values = column.to_vec();
        values.sort_by(f64::total_cmp);
        let rows = values.len();
        values.dedup();
        let (origin, highest) = (*values.first()?, *values.last()?);
        let step = values.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
        let last = ((highest - origin) / step).round();
        let in_place = |&value: &f64| {
            let steps = (value - origin) / step;
            (steps - steps.round()).abs() <= TOLERANCE
        };
        let spaced = values.len() > 1
            && values.len() * LEAST_REPEATS <= rows
            && last <= MOST_STEPS
            && values.iter().all(in_place);
        spaced.then_some(Self { origin, step, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn repeated(values: &[f64], times: usize) -> Array2<f64> {
        Array2::from_shape_fn((values.len() * times, 1), |(r, _)| values[r % values.len()])
    }

    #[test]
    fn counts_and_rounded_readings_have_a_spacing_and_reals_do_not() {
        let spacing = |data: &Array2<f64>| Lattice::of(data.view()).columns[0];
        let counts = spacing(&repeated(&[3.0, 0.0, 1.0, 7.0], 5)).unwrap();
        assert_eq!((counts.origin, counts.step, counts.last), (0.0, 1.0, 7.0));
        let readings = spacing(&repeated(&[0.1, 0.4, 0.2], 5)).unwrap();
        assert!((readings.step - 0.1).abs() < 1e-9 && readings.last == 3.0);
        // Unevenly spaced, hardly repeated, constant.
        assert_eq!(spacing(&repeated(&[0.0, 1.0, 2.5], 5)), None);
        assert_eq!(spacing(&repeated(&[0.0, 1.0, 2.0], 3)), None);
        assert_eq!(spacing(&repeated(&[2.0], 9)), None);
    }

    #[test]
    fn what_is_spread_out_goes_back_and_stays_in_bounds() {
        let data = repeated(&[0.0, 1.0, 2.0], 50);
        let lattice = Lattice::of(data.view());
        let mut spread = lattice.spread_out(data.view(), Some(&[(0.0, 2.0)]), Seed(1));
        assert!(spread.iter().all(|v| (0.0..=2.0).contains(v)));
        let moved = spread.iter().zip(&data).filter(|(a, b)| a != b).count();
        assert!(moved > 90, "{moved}");
        lattice.snap(&mut spread);
        assert_eq!(spread, data);
        let mut far = array![[-3.0], [9.0]];
        lattice.snap(&mut far);
        assert_eq!(far, array![[0.0], [2.0]]);
    }
}
