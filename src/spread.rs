//! How widely the latent variables of rows held out are spread. Where a network is overconfident they lie further out
//! than the standard normal that it was trained to make of them, where it is too cautious less far, and samples are then
//! drawn as widely: one number, found after training, as temperature scaling does for classifiers (Guo et al. 2017, arXiv
//! 1706.04599).

/// Values further out than this many standard deviations count as if they were there, so that a few simulations that
/// the network can make nothing of do not widen the rest (proposal 2 of Huber 1964, doi 10.1214/aoms/1177703732).
const REACH: f64 = 3.0;
/// Mean square of a standard normal variable so treated.
const MEAN_SQUARE: f64 = 0.995_007_3;
/// Steps of the fixed point; each leaves a few hundredths of the error.
const STEPS: usize = 20;
/// Standard deviation, from fit to fit over the tasks of `benchmarks/tasks.py`, of the log variance times the root of the
/// columns, with so many rows held out. It falls with their cube root: .2 and .09 with 1,000 and 10,000 simulations.
const PRIOR: f64 = 0.2;
const PRIOR_ROWS: f64 = 100.0;
/// What the log variance times the root of the columns must reach: the coverage of joint regions is off by about a
/// quarter of it. Below, a change would spoil single columns that are right for the sake of a percentage point.
const LEAST: f64 = 0.05;

/// The standard deviation of the normal that the values of so many columns are drawn from, as far as they tell.
pub fn spread(values: &[f64], columns: usize) -> f64 {
    let mut variance = 1.0;
    for _ in 0..STEPS {
        let limit = REACH * REACH * variance;
        let mean = values.iter().map(|value| (value * value).min(limit)).sum::<f64>() / values.len() as f64;
        variance = mean / MEAN_SQUARE;
    }
    let size = variance.ln() * (columns as f64).sqrt();
    // Without rows, or where all values are 0, there is no telling.
    if !size.is_finite() || size.abs() < LEAST {
        return 1.0;
    }
    let rows = (values.len() / columns) as f64;
    let prior = PRIOR * (PRIOR_ROWS / rows).cbrt();
    // The variance of the log of a variance of so many normal values, times the columns.
    let noise = 2.0 / rows;
    (0.5 * variance.ln() * prior * prior / (prior * prior + noise)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};

    fn normal(deviation: f64, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; 40_000];
        fill_normal(&mut values, deviation, &mut Seed(seed).stream(Purpose::Training, 0));
        values
    }

    #[test]
    fn finds_the_standard_deviation_of_many_values() {
        // The standard error is 0.0035 times the value.
        assert!((spread(&normal(1.3, 1), 1) / 1.3 - 1.0).abs() < 0.02);
    }

    #[test]
    fn finds_that_they_are_narrower() {
        assert!((spread(&normal(0.8, 2), 1) / 0.8 - 1.0).abs() < 0.02);
    }

    #[test]
    fn stays_where_there_is_no_telling() {
        assert_eq!(spread(&[], 1), 1.0);
        assert_eq!(spread(&[0.0; 10], 2), 1.0);
    }

    #[test]
    fn leaves_what_is_too_small_to_matter() {
        let values = normal(1.015, 5);
        assert_eq!(spread(&values, 1), 1.0);
        assert!(spread(&values, 25) > 1.0);
    }

    #[test]
    fn believes_few_values_little() {
        let few = &normal(1.3, 3)[..100];
        // As wide, but more of them.
        let many = few.repeat(400);
        let (few, many) = (spread(few, 1).ln(), spread(&many, 1).ln());
        assert!(0.0 < few && few < 0.75 * many, "{few} {many}");
    }

    #[test]
    fn a_few_wild_values_change_little() {
        let mut values = normal(1.05, 4);
        let before = spread(&values, 1);
        values[..20].fill(1e6);
        assert!((spread(&values, 1) - before).abs() < 0.005);
    }
}
