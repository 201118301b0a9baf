//! The Cholesky factor of a covariance, and the two ways to solve with it; row by row, zero above the diagonal.

use ndarray::Array2;

/// The lower triangular L with L L' = matrix; `None` where rounding leaves it not positive.
pub fn factor(matrix: &Array2<f64>) -> Option<Vec<f64>> {
    let n = matrix.nrows();
    let mut lower = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| lower[i * n + k] * lower[j * n + k]).sum();
            let rest = matrix[[i, j]] - sum;
            if i == j {
                if !(rest > 0.0 && rest.is_finite()) {
                    return None;
                }
                lower[i * n + i] = rest.sqrt();
            } else {
                lower[i * n + j] = rest / lower[j * n + j];
            }
        }
    }
    Some(lower)
}

/// b -> L^-1 b, in place.
pub fn solve_lower(lower: &[f64], b: &mut [f64]) {
    let n = b.len();
    for i in 0..n {
        let row = &lower[i * n..i * n + i];
        let before: f64 = row.iter().zip(&*b).map(|(l, v)| l * v).sum();
        b[i] = (b[i] - before) / lower[i * n + i];
    }
}

/// b -> L'^-1 b, in place.
pub fn solve_upper(lower: &[f64], b: &mut [f64]) {
    let n = b.len();
    for i in (0..n).rev() {
        let after: f64 = (i + 1..n).map(|k| lower[k * n + i] * b[k]).sum();
        b[i] = (b[i] - after) / lower[i * n + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn solving_both_ways_inverts_the_matrix() {
        let matrix = array![[4.0, 2.0, 0.4], [2.0, 5.0, -1.0], [0.4, -1.0, 3.0]];
        let lower = factor(&matrix).unwrap();
        let mut solution = [1.0, -2.0, 0.5];
        solve_lower(&lower, &mut solution);
        solve_upper(&lower, &mut solution);
        let back = matrix.dot(&ndarray::arr1(&solution));
        assert!(back.iter().zip([1.0, -2.0, 0.5]).all(|(a, b)| (a - b).abs() < 1e-14));
    }

    #[test]
    fn a_matrix_that_is_not_positive_has_none() {
        assert!(factor(&array![[1.0, 2.0], [2.0, 1.0]]).is_none());
        assert!(factor(&array![[f64::NAN]]).is_none());
    }
}
