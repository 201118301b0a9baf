//! The energy score (Gneiting & Raftery 2007, JASA 102, 359, section 4.3), a proper scoring rule for samples.

use crate::error::{Error, Result};
use ndarray::{ArrayView1, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

/// mean |X - x| - mean |X - X'| / 2 over the samples X, X' of each row and its truth x; lower is better.
///
/// Columns are divided by `scale` first. Pairs of a sample with itself do not count.
pub fn energy_score(samples: ArrayView3<f64>, truth: ArrayView2<f64>, scale: &[f64]) -> Result<Vec<f64>> {
    let (m, n, d) = samples.dim();
    if truth.dim() != (m, d) || scale.len() != d {
        return Err(Error::setting("truth", format!("{:?}", truth.shape()), format!("of shape ({m}, {d})")));
    }
    if n < 2 {
        return Err(Error::setting("n", n, "at least 2 samples a row"));
    }
    let score = |row: usize| one_score(samples.index_axis(Axis(0), row), truth.row(row), scale);
    Ok((0..m).into_par_iter().map(score).collect())
}

fn one_score(samples: ArrayView2<f64>, truth: ArrayView1<f64>, scale: &[f64]) -> f64 {
    let distance = |a: ArrayView1<f64>, b: ArrayView1<f64>| {
        let squares = a.iter().zip(b).zip(scale).map(|((a, b), s)| ((a - b) / s).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let n = samples.nrows();
    let mut to_truth = 0.0;
    let mut among = 0.0;
    for i in 0..n {
        to_truth += distance(samples.row(i), truth);
        among += (0..i).map(|j| distance(samples.row(i), samples.row(j))).sum::<f64>();
    }
    to_truth / n as f64 - among / (n * (n - 1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, aview2};

    #[test]
    fn is_the_formula() {
        let samples = array![[[0.0, 0.0], [6.0, 8.0]]];
        let scores = energy_score(samples.view(), aview2(&[[3.0, 4.0]]), &[1.0, 1.0]).unwrap();
        assert!((scores[0] - (5.0 - 10.0 / 2.0)).abs() < 1e-15);
        let scaled = energy_score(samples.view(), aview2(&[[3.0, 4.0]]), &[3.0, 4.0]).unwrap();
        assert!((scaled[0] - (2.0f64.sqrt() - 8.0f64.sqrt() / 2.0)).abs() < 1e-15);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let samples = array![[[0.0], [1.0]]];
        assert!(energy_score(samples.view(), aview2(&[[0.0, 1.0]]), &[1.0]).is_err());
        assert!(energy_score(array![[[0.0]]].view(), aview2(&[[0.0]]), &[1.0]).is_err());
    }
}
