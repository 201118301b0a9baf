//! Squared errors.

use crate::kernels::{ROWS, Real};

/// Adds to `cotangent` the gradient of `weight * sum (value - target)^2` over the first `rows` rows of a tile, and
/// returns the sum of squares, unweighted. A missing target is zero.
pub fn squared_error<T: Real>(
    values: &[T],
    target: Option<&[T]>,
    weight: T,
    cotangent: &mut [T],
    rows: usize,
) -> f64 {
    let mut sum = 0.0;
    for (c, column) in values.chunks_exact(ROWS).enumerate() {
        let mut column_sum = T::zero();
        for (r, &value) in column[..rows].iter().enumerate() {
            let i = c * ROWS + r;
            let error = value - target.map_or(T::zero(), |t| t[i]);
            column_sum = column_sum + error * error;
            cotangent[i] = cotangent[i] + (weight + weight) * error;
        }
        sum += column_sum.to_double();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::tests::assert_adds_gradient;
    use crate::random::{Purpose, Seed, fill_normal};

    #[test]
    fn value_and_gradient() {
        let mut stream = Seed(1).stream(Purpose::Training, 0);
        let (mut values, mut target) = (vec![0.0f64; 3 * ROWS], vec![0.0; 3 * ROWS]);
        fill_normal(&mut values, 1.0, &mut stream);
        fill_normal(&mut target, 1.0, &mut stream);
        let rows = 5;
        for target in [None, Some(&target[..])] {
            let value =
                |values: &[f64]| 0.7 * squared_error(values, target, 0.7, &mut vec![0.0; 3 * ROWS], rows);
            let mut gradient = vec![1.0; 3 * ROWS];
            squared_error(&values, target, 0.7, &mut gradient, rows);
            assert_adds_gradient(value, &values, &gradient, 1e-4, 1e-9);
        }
    }
}
