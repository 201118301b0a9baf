//! What is linear in an inverse problem, taken out before the network sees it: x less its linear regression on y, with
//! the residuals made uncorrelated. For a linear problem with normal prior and noise nothing is left to learn; everywhere
//! else the network starts from the best linear answer instead of from the prior.

use crate::cholesky::{self, solve_lower, solve_upper};
use ndarray::{Array2, ArrayView2};

/// v = L^-1 (x - A y - b), with L the Cholesky factor of the residuals' covariance; of scaled columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Regression {
    /// b, one for each column of x.
    pub intercept: Vec<f64>,
    /// A, a row for each column of x.
    pub coefficients: Vec<f64>,
    /// L, row by row, zero above the diagonal.
    pub factor: Vec<f64>,
}

/// Rows needed for each coefficient of a column, so that the residuals are not fitted away.
const ROWS_PER_COEFFICIENT: usize = 5;
/// Added to the diagonal of the normal equations: a prior worth one row, which columns that depend on each other need.
const RIDGE: f64 = 1.0;
/// Least standard deviation of a residual, as a fraction of the spread of x: single precision still resolves it.
const LEAST_RESIDUAL: f64 = 1e-4;

impl Regression {
    /// From scaled rows of x and y; `None` where there are too few for it to be better than none.
    pub fn fit(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Option<Self> {
        let (rows, dx, dy) = (x.nrows(), x.ncols(), y.ncols());
        if rows < ROWS_PER_COEFFICIENT * (dy + 1).max(dx) {
            return None;
        }
        // y with a column of ones, which gives the intercept.
        let design = Array2::from_shape_fn((rows, dy + 1), |(r, c)| if c < dy { y[[r, c]] } else { 1.0 });
        let mut normal = design.t().dot(&design);
        normal.diag_mut().iter_mut().for_each(|value| *value += RIDGE);
        let root = cholesky::factor(&normal)?;
        let moments = design.t().dot(&x);
        let mut solution = Array2::zeros((dy + 1, dx));
        for c in 0..dx {
            let mut column = moments.column(c).to_vec();
            solve_lower(&root, &mut column);
            solve_upper(&root, &mut column);
            solution.column_mut(c).iter_mut().zip(column).for_each(|(to, value)| *to = value);
        }
        // Less x: their sign does not matter, and the table is as large as the data.
        let mut residuals = design.dot(&solution);
        residuals -= &x;
        let mut covariance = residuals.t().dot(&residuals) / (rows - dy - 1).max(1) as f64;
        for (c, value) in covariance.diag_mut().iter_mut().enumerate() {
            // A constant column keeps its scale.
            let is_constant = x.column(c).iter().all(|v| *v == x[[0, c]]);
            *value += if is_constant { 1.0 } else { LEAST_RESIDUAL * LEAST_RESIDUAL };
        }
        Some(Self {
            intercept: solution.row(dy).to_vec(),
            coefficients: solution.slice(ndarray::s![..dy, ..]).t().iter().copied().collect(),
            factor: cholesky::factor(&covariance)?,
        })
    }

    /// Columns of x.
    pub fn columns(&self) -> usize {
        self.intercept.len()
    }

    /// A y + b in one column.
    fn predicted(&self, column: usize, y: &[f64]) -> f64 {
        let row = &self.coefficients[column * y.len()..(column + 1) * y.len()];
        self.intercept[column] + row.iter().zip(y).map(|(a, y)| a * y).sum::<f64>()
    }

    /// x -> v, in place.
    pub fn take_out(&self, x: &mut [f64], y: &[f64]) {
        x.iter_mut().enumerate().for_each(|(c, value)| *value -= self.predicted(c, y));
        solve_lower(&self.factor, x);
    }

    /// v -> x, in place.
    pub fn put_back(&self, v: &mut [f64], y: &[f64]) {
        let columns = self.columns();
        for c in (0..columns).rev() {
            let row = &self.factor[c * columns..c * columns + c + 1];
            let mixed: f64 = row.iter().zip(&*v).map(|(l, v)| l * v).sum();
            v[c] = mixed + self.predicted(c, y);
        }
    }

    /// ln |det dv/dx|
    pub fn log_slope(&self) -> f64 {
        let columns = self.columns();
        -(0..columns).map(|c| self.factor[c * columns + c].ln()).sum::<f64>()
    }

    /// Whether its numbers make sense for so many columns of x and y.
    pub fn fits(&self, x: usize, y: usize) -> bool {
        let lengths = self.intercept.len() == x
            && self.coefficients.len() == x.saturating_mul(y)
            && self.factor.len() == x.saturating_mul(x);
        let mut numbers = self.intercept.iter().chain(&self.coefficients).chain(&self.factor);
        lengths && numbers.all(|v| v.is_finite()) && (0..x).all(|c| self.factor[c * x + c] > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};
    use ndarray::s;

    fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
        let mut values = vec![0.0; rows * columns];
        fill_normal(&mut values, 1.0, &mut Seed(seed).stream(Purpose::Training, 0));
        Array2::from_shape_vec((rows, columns), values).unwrap()
    }

    /// x = A y + b + correlated noise.
    fn linear(rows: usize) -> (Array2<f64>, Array2<f64>) {
        let (y, noise) = (normal(rows, 2, 1), normal(rows, 3, 2));
        let x = Array2::from_shape_fn((rows, 3), |(r, c)| {
            let mean = [0.5, -1.0, 2.0][c] + [1.0, 0.0, -2.0][c] * y[[r, 0]] + 0.3 * y[[r, 1]];
            mean + 0.2 * noise[[r, c]] + 0.5 * noise[[r, 0]]
        });
        (x, y)
    }

    #[test]
    fn what_is_linear_is_found_and_the_rest_is_white() {
        let (x, y) = linear(20_000);
        let fit = Regression::fit(x.view(), y.view()).unwrap();
        let wanted = [1.0, 0.3, 0.0, 0.3, -2.0, 0.3];
        assert!(fit.coefficients.iter().zip(wanted).all(|(a, w)| (a - w).abs() < 0.02), "{fit:?}");
        let mut v = x.clone();
        for (mut row, y) in v.rows_mut().into_iter().zip(y.rows()) {
            fit.take_out(row.as_slice_mut().unwrap(), y.as_slice().unwrap());
        }
        let covariance = v.t().dot(&v) / 20_000.0;
        for ((i, j), value) in covariance.indexed_iter() {
            assert!((value - f64::from(u8::from(i == j))).abs() < 1e-3, "{covariance}");
        }
        for ((mut row, y), x) in v.rows_mut().into_iter().zip(y.rows()).zip(x.rows()) {
            fit.put_back(row.as_slice_mut().unwrap(), y.as_slice().unwrap());
            assert!(row.iter().zip(x).all(|(a, b)| (a - b).abs() < 1e-12));
        }
        let volume: f64 = (0..3).map(|c| fit.factor[c * 4]).product();
        assert!((fit.log_slope() + volume.ln()).abs() < 1e-12);
    }

    #[test]
    fn columns_that_depend_on_each_other_or_are_constant_do_no_harm() {
        let (mut x, mut y) = linear(100);
        x.column_mut(1).fill(0.0);
        let copy = y.column(0).to_owned();
        y.column_mut(1).assign(&copy);
        let fit = Regression::fit(x.view(), y.view()).unwrap();
        assert!(fit.fits(3, 2));
        let exact = Regression::fit(y.view(), y.view()).unwrap();
        assert!(exact.fits(2, 2));
    }

    #[test]
    fn too_few_rows_give_none() {
        let (x, y) = linear(14);
        assert!(Regression::fit(x.view(), y.view()).is_none());
        assert!(Regression::fit(x.slice(s![.., ..1]), y.slice(s![.., ..1])).is_some());
    }
}
