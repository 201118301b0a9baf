//! Weights averaged over the last steps. At a full learning rate the weights hover around their best place; their average
//! is near it long before the rate falls, and its loss does not jump from epoch to epoch (Polyak and Juditsky 1992, SIAM
//! Journal on Control and Optimization 30, 838).

use super::optimizer::CHUNK;
use crate::kernels::Real;
use rayon::prelude::*;

/// The first averages are over a ninth of the steps so far: the start is soon forgotten.
const START: f64 = 9.0;

/// An exponential average that follows the weights.
#[derive(Clone, Debug)]
pub struct Average<T> {
    weights: Vec<T>,
    steps: u64,
}

impl<T: Real> Average<T> {
    /// Beginning with these weights.
    pub fn of(weights: &[T]) -> Self {
        Self { weights: weights.to_vec(), steps: 0 }
    }

    /// Takes in the weights after a step; it is over so many steps.
    pub fn follow(&mut self, weights: &[T], horizon: f64) {
        self.steps += 1;
        let steps = self.steps as f64;
        let share = T::of((1.0 / horizon).max(START / (steps + START)));
        self.weights.par_chunks_mut(CHUNK).zip(weights.par_chunks(CHUNK)).for_each(|(all, new)| {
            all.iter_mut().zip(new).for_each(|(all, &new)| *all = *all + share * (new - *all))
        });
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

    #[test]
    fn noise_averages_out_and_the_start_is_forgotten() {
        let mut stream = Seed(1).stream(Purpose::Training, 0);
        let (weights, horizon, steps) = (2000, 100.0, 2000);
        let mut average = Average::of(&vec![50.0; weights]);
        for _ in 0..steps {
            let noisy: Vec<f64> = (0..weights).map(|_| 3.0 + normal::<f64>(&mut stream)).collect();
            average.follow(&noisy, horizon);
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
        let mut average = Average::of(&[1.0_f32, 2.0]);
        average.follow(&[5.0, 7.0], 1.0);
        assert_eq!(average.weights(), [5.0, 7.0]);
    }
}
