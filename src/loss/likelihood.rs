//! Negative log densities of independent normal variables.

use crate::kernels::{ROWS, Real};

/// Half the logarithm of 2 pi.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// -log N(value; target, deviation^2), summed over the columns and the first `rows` rows of a tile; adds `weight` times
/// its gradient to `cotangent`. A missing target is zero.
pub fn normal_nll<T: Real>(
    values: &[T],
    target: Option<&[T]>,
    deviation: f64,
    weight: T,
    cotangent: &mut [T],
    rows: usize,
) -> f64 {
    let columns = values.len() / ROWS;
    let precision = 0.5 / (deviation * deviation);
    let squares = super::fit::squared_error(values, target, weight * T::of(precision), cotangent, rows);
    precision * squares + (columns * rows) as f64 * (HALF_LN_TAU + deviation.ln())
}

/// log N(value; target, deviation^2), added to one sum for every row of a tile.
pub fn add_normal_log_density<T: Real>(
    values: &[T],
    target: Option<&[T]>,
    deviation: f64,
    rows: usize,
    sums: &mut [f64],
) {
    let precision = 0.5 / (deviation * deviation);
    for (c, column) in values.chunks_exact(ROWS).enumerate() {
        for (r, value) in column[..rows].iter().enumerate() {
            let error = value.to_double() - target.map_or(0.0, |t| t[c * ROWS + r].to_double());
            sums[r] -= precision * error * error + HALF_LN_TAU + deviation.ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};

    #[test]
    fn value_gradient_and_rows_agree_with_the_definition() {
        let mut stream = Seed(1).stream(Purpose::Training, 0);
        let (mut values, mut target) = (vec![0.0f64; 2 * ROWS], vec![0.0; 2 * ROWS]);
        fill_normal(&mut values, 1.0, &mut stream);
        fill_normal(&mut target, 1.0, &mut stream);
        let (rows, deviation) = (5, 0.3);
        let density = |value: f64, target: f64| {
            let square = ((value - target) / deviation).powi(2);
            (-0.5 * square).exp() / (deviation * (2.0 * std::f64::consts::PI).sqrt())
        };
        let nll =
            |values: &[f64]| normal_nll(values, Some(&target), deviation, 2.0, &mut [0.0; 2 * ROWS], rows);
        let mut cotangent = vec![1.0; 2 * ROWS];
        let value = normal_nll(&values, Some(&target), deviation, 2.0, &mut cotangent, rows);
        let entries: Vec<usize> = (0..2).flat_map(|c| (0..rows).map(move |r| c * ROWS + r)).collect();
        let wanted: f64 = entries.iter().map(|&i| -density(values[i], target[i]).ln()).sum();
        assert!((value - wanted).abs() < 1e-12 * wanted.abs());
        for &i in &entries {
            let moved = |step: f64| {
                let mut moved = values.clone();
                moved[i] += step;
                nll(&moved)
            };
            let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((cotangent[i] - 1.0 - 2.0 * slope).abs() < 1e-6, "{i}");
        }
        let mut sums = [0.0; ROWS];
        add_normal_log_density(&values, Some(&target), deviation, rows, &mut sums);
        assert!((sums[..rows].iter().sum::<f64>() + wanted).abs() < 1e-12 * wanted.abs());
    }
}
