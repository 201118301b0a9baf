//! How much each part of a mixture of densities should weigh: so much that rows held out are most likely (stacking of
//! density estimators, Smyth & Wolpert 1999, Machine Learning 36, 59).

/// Steps of the expectation-maximisation: weights of a few parts change by less than a hundredth afterwards.
const STEPS: usize = 100;

/// The weights, given each part's log densities of the rows; equal where no row tells.
pub fn weights(log_densities: &[Vec<f64>]) -> Vec<f64> {
    let parts = log_densities.len();
    let rows = log_densities.iter().map(Vec::len).min().unwrap_or(0);
    let likelihoods: Vec<Vec<f64>> = (0..rows).filter_map(|row| relative(log_densities, row)).collect();
    let mut weights = vec![1.0 / parts as f64; parts];
    if likelihoods.is_empty() {
        return weights;
    }
    for _ in 0..STEPS {
        let mut sums = vec![0.0; parts];
        for row in &likelihoods {
            let total: f64 = row.iter().zip(&weights).map(|(likelihood, weight)| likelihood * weight).sum();
            for (sum, (likelihood, weight)) in sums.iter_mut().zip(row.iter().zip(&weights)) {
                *sum += likelihood * weight / total;
            }
        }
        weights = sums.iter().map(|sum| sum / likelihoods.len() as f64).collect();
    }
    weights
}

/// Smallest likelihood of a part, relative to the best: however surprised it is by a row, the sum stays above zero.
const LEAST: f64 = 1e-100;

/// The likelihoods of a row, relative to the largest; `None` where that is not finite.
fn relative(log_densities: &[Vec<f64>], row: usize) -> Option<Vec<f64>> {
    let values = || log_densities.iter().map(|part| part[row]);
    let largest = values().fold(f64::NEG_INFINITY, f64::max);
    largest.is_finite().then(|| values().map(|value| (value - largest).exp().max(LEAST)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, normal};
    use rand::RngExt;

    #[test]
    fn finds_the_weights_of_a_mixture() {
        let mut stream = Seed(1).stream(Purpose::Training, 0);
        let mut rows = Vec::new();
        for _ in 0..20_000 {
            let centre = if stream.random::<f64>() < 0.3 { -1.0 } else { 1.0 };
            rows.push(centre + normal::<f64>(&mut stream));
        }
        let part = |centre: f64| rows.iter().map(|row| -0.5 * (row - centre).powi(2)).collect::<Vec<_>>();
        let weights = weights(&[part(-1.0), part(1.0), part(9.0)]);
        // Four standard errors.
        assert!((weights[0] - 0.3).abs() < 0.02 && weights[2] < 1e-3, "{weights:?}");
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn parts_that_are_alike_or_that_nothing_tells_apart_weigh_the_same() {
        let nothing = f64::NEG_INFINITY;
        for rows in [vec![], vec![-3.0, 700.0, -1e300], vec![nothing, f64::NAN, f64::INFINITY]] {
            assert_eq!(weights(&[rows.clone(), rows]), [0.5, 0.5]);
        }
        assert_eq!(weights(&[vec![-1.0]]), [1.0]);
    }

    #[test]
    fn a_part_without_density_somewhere_weighs_little() {
        let weights = weights(&[vec![-1.0, f64::NEG_INFINITY, f64::NAN], vec![-1.0, -1e5, -1.0]]);
        assert!(weights[1] > 0.9 && weights.iter().all(|weight| weight.is_finite()), "{weights:?}");
    }
}
