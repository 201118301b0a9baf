//! Standardisation of columns, in double precision, before anything is cast.

use ndarray::{Array2, ArrayView2};

/// Column by column: standardised = (value - shift) / scale.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The mean of each column.
    pub shift: Vec<f64>,
    /// The standard deviation of each column; 1 where the column is constant.
    pub scale: Vec<f64>,
}

impl Scaling {
    /// From the columns of finite data; also tells which columns are constant.
    pub fn fit(data: ArrayView2<f64>) -> (Self, Vec<usize>) {
        let mut constant = Vec::new();
        let (mut shift, mut scale) = (Vec::new(), Vec::new());
        for (c, column) in data.columns().into_iter().enumerate() {
            let (mean, deviation) = moments(column.iter().copied());
            let largest = column.iter().fold(0.0f64, |a, &b| a.max(b.abs()));
            // Rounding alone leaves a deviation of this size.
            let is_constant = deviation <= 4.0 * f64::EPSILON * largest || deviation == 0.0;
            if is_constant {
                constant.push(c);
            }
            shift.push(mean);
            scale.push(if is_constant { 1.0 } else { deviation });
        }
        (Self { shift, scale }, constant)
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.shift.len()
    }

    /// Standardised copy, row-major, in single precision.
    pub fn standardise(&self, data: ArrayView2<f64>) -> Vec<f32> {
        let mut values = Vec::with_capacity(data.len());
        for row in data.rows() {
            let columns = row.iter().zip(&self.shift).zip(&self.scale);
            values.extend(columns.map(|((&v, &shift), &scale)| ((v - shift) / scale) as f32));
        }
        values
    }

    /// One standardised value in the user's units.
    pub fn restore(&self, column: usize, value: f32) -> f64 {
        f64::from(value) * self.scale[column] + self.shift[column]
    }

    /// Row-major standardised values in the user's units.
    pub fn restore_rows(&self, values: &[f32]) -> Array2<f64> {
        let columns = self.columns();
        let rows = values.len().checked_div(columns).unwrap_or(0);
        Array2::from_shape_fn((rows, columns), |(r, c)| self.restore(c, values[r * columns + c]))
    }
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
    use ndarray::array;

    #[test]
    fn any_scale_comes_back() {
        for unit in [1.0, 1e42, 1e-30, 1e200, 1e-200] {
            let data = array![[1.0 * unit, 5.0], [2.0 * unit, 5.0], [6.0 * unit, 5.0]];
            let (scaling, constant) = Scaling::fit(data.view());
            assert_eq!(constant, [1]);
            assert!((scaling.shift[0] / unit - 3.0).abs() < 1e-12);
            assert!((scaling.scale[0] / unit - (14.0f64 / 3.0).sqrt()).abs() < 1e-12);
            let back = scaling.restore_rows(&scaling.standardise(data.view()));
            for (&a, &b) in back.iter().zip(&data) {
                assert!((a / b - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_small_spread_on_a_large_offset_is_no_constant() {
        let data = array![[1e10], [1e10 + 1e-3], [1e10 + 2e-3]];
        let (scaling, constant) = Scaling::fit(data.view());
        assert!(constant.is_empty());
        assert!(scaling.scale[0] > 5e-4);
    }
}
