//! How widely the latent variables of rows held out are spread. Where a network is overconfident they lie further out
//! than the standard normal that it was trained to make of them, and samples are then drawn as widely: one number, found
//! after training, as temperature scaling does for classifiers (Guo et al. 2017, arXiv 1706.04599).

/// Values further out than this many standard deviations count as if they were there, so that a few simulations that
/// the network can make nothing of do not widen the rest (proposal 2 of Huber 1964, doi 10.1214/aoms/1177703732).
const REACH: f64 = 3.0;
/// Mean square of a standard normal variable so treated.
const MEAN_SQUARE: f64 = 0.995_007_3;
/// Steps of the fixed point; each leaves a few hundredths of the error.
const STEPS: usize = 20;
/// Standard deviation of the log variance from fit to fit, over the tasks of `benchmarks/tasks.py`: with few rows held
/// out, what they say is drawn towards nothing in proportion.
const PRIOR: f64 = 0.07;
/// What the log variance times the root of the columns must reach: the coverage of joint regions is off by about a
/// quarter of it. Below, widening would spoil single columns that are right for the sake of a percentage point.
const LEAST: f64 = 0.05;

/// The standard deviation of the normal that the values of so many columns are drawn from, never below 1: a network that
/// seems too cautious stays so.
pub fn spread(values: &[f64], columns: usize) -> f64 {
    let mut variance = 1.0;
    for _ in 0..STEPS {
        let limit = REACH * REACH * variance;
        let mean = values.iter().map(|value| (value * value).min(limit)).sum::<f64>() / values.len() as f64;
        variance = mean / MEAN_SQUARE;
    }
    if variance.is_nan() || variance.ln() * (columns as f64).sqrt() < LEAST {
        return 1.0;
    }
    // The log of a variance of so many values has this variance.
    let noise = 2.0 / values.len() as f64;
    (0.5 * variance.ln() * PRIOR * PRIOR / (PRIOR * PRIOR + noise)).exp()
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
    fn never_narrows() {
        assert_eq!(spread(&normal(0.8, 2), 1), 1.0);
        assert_eq!(spread(&[], 1), 1.0);
    }

    #[test]
    fn leaves_what_is_too_small_to_matter() {
        let values = normal(1.015, 5);
        assert_eq!(spread(&values, 1), 1.0);
        assert!(spread(&values, 25) > 1.0);
    }

    #[test]
    fn believes_few_values_little() {
        let values = normal(1.3, 3);
        let (few, many) = (spread(&values[..100], 1), spread(&values, 1));
        assert!(1.0 < few && few - 1.0 < 0.4 * (many - 1.0), "{few} {many}");
    }

    #[test]
    fn a_few_wild_values_change_little() {
        let mut values = normal(1.05, 4);
        let before = spread(&values, 1);
        values[..20].fill(1e6);
        assert!((spread(&values, 1) - before).abs() < 0.005);
    }
}
