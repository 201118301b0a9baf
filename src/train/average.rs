//! Weights averaged over the last steps. At a full learning rate the weights hover around their best place; their average
//! is near it long before the rate falls, and its loss does not jump from epoch to epoch (Polyak and Juditsky 1992, SIAM
//! Journal on Control and Optimization 30, 838).

use crate::kernels::Real;

/// The first averages are over a ninth of the steps so far: the start is soon forgotten.
const START: f64 = 9.0;

/// An exponential average that follows the weights.
#[derive(Clone, Debug)]
pub struct Average<T> {
    weights: Vec<T>,
    steps: u64,
}

/// An average that is to take in the weights after a step.
#[derive(Debug)]
pub struct Following<'a, T> {
    /// The averages so far.
    pub weights: &'a mut [T],
    /// The share of the new weights.
    pub share: f64,
}

impl<T: Real> Average<T> {
    /// Beginning with these weights.
    pub fn of(weights: &[T]) -> Self {
        Self { weights: weights.to_vec(), steps: 0 }
    }

    /// For one more step; the average is over so many.
    pub fn next(&mut self, horizon: f64) -> Following<'_, T> {
        self.steps += 1;
        let share = (1.0 / horizon).max(START / (self.steps as f64 + START));
        Following { weights: &mut self.weights, share }
    }

    /// The average.
    pub fn weights(&self) -> &[T] {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, normal};

    fn follow(average: &mut Average<f64>, new: &[f64], horizon: f64) {
        let Following { weights, share } = average.next(horizon);
        weights.iter_mut().zip(new).for_each(|(average, new)| *average += share * (new - *average));
    }

    #[test]
    fn noise_averages_out_and_the_start_is_forgotten() {
        let mut stream = Seed(1).stream(Purpose::Training, 0);
        let (weights, horizon, steps) = (2000, 100.0, 2000);
        let mut average = Average::of(&vec![50.0; weights]);
        for _ in 0..steps {
            let noisy: Vec<f64> = (0..weights).map(|_| 3.0 + normal::<f64>(&mut stream)).collect();
            follow(&mut average, &noisy, horizon);
        }
        let mean = average.weights().iter().sum::<f64>() / weights as f64;
        let variance = average.weights().iter().map(|w| (w - 3.0).powi(2)).sum::<f64>() / weights as f64;
        // Of an exponential average over h steps, the variance is that of one step over 2 h - 1.
        let wanted = 1.0 / (2.0 * horizon - 1.0);
        assert!((mean - 3.0).abs() < 5.0 * (wanted / weights as f64).sqrt(), "{mean}");
        assert!((variance / wanted - 1.0).abs() < 0.2, "{variance} {wanted}");
    }

    #[test]
    fn over_one_step_it_is_the_last_one() {
        let mut average = Average::of(&[1.0, 2.0]);
        follow(&mut average, &[5.0, 7.0], 1.0);
        assert_eq!(average.weights(), [5.0, 7.0]);
    }
}
