//! One seed for everything random: each purpose draws from a ChaCha stream of its own, so that drawing more
//! for one changes nothing for another, and any piece of work can start its stream without the others.

use crate::kernels::{ROWS, Real};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What random numbers are drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights.
    Weights = 1,
    /// Fixed permutations and rotations between blocks.
    Mixing = 2,
    /// The validation part of the data.
    Split = 3,
    /// The order of the rows in an epoch.
    Order = 4,
    /// Noise and latent variables of a training step.
    Training = 5,
    /// The same of a validation, equal in every epoch.
    Validation = 6,
    /// Latent variables of posterior samples.
    Posterior = 7,
    /// Seeds of the networks of an ensemble.
    Ensemble = 8,
    /// Which simulations tell what an observation should look like.
    Novelty = 9,
    /// Seeds and rows of a learned simulator.
    Surrogate = 10,
    /// Which network of an ensemble draws.
    Turns = 11,
}

/// A generator of one stream.
pub type Stream = ChaCha8Rng;

/// The seed of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream number `index` of a purpose.
    pub fn stream(self, purpose: Purpose, index: u64) -> Stream {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.0.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        let mut stream = Stream::from_seed(key);
        stream.set_stream(index);
        stream
    }

    /// A seed of its own for part number `index` of a purpose.
    pub fn derived(self, purpose: Purpose, index: u64) -> Self {
        Self(self.stream(purpose, index).random())
    }
}

/// A standard normal number.
pub fn normal<T: Real>(stream: &mut Stream) -> T {
    let value: f64 = StandardNormal.sample(stream);
    T::of(value)
}

/// Fills a slice with normal numbers of the given standard deviation.
pub fn fill_normal<T: Real>(values: &mut [T], deviation: T, stream: &mut Stream) {
    for value in values {
        *value = deviation * normal::<T>(stream);
    }
}

/// The numbers 0..n in random order.
pub fn permutation(n: usize, stream: &mut Stream) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(stream);
    order
}

/// Standard normal points that cover their space more evenly than independent ones, which lowers the noise of
/// averages over a batch; beyond a few columns these are no longer even, and independent ones take their place. Each
/// step has its own shift, so that every point alone is exactly normal.
///
/// The additive recurrence with powers of the generalised golden ratio (Roberts 2018, "The unreasonable
/// effectiveness of quasirandom sequences"), shifted at random (Cranley & Patterson 1976, SIAM J. Numer. Anal. 13,
/// 904), through the transform of Box & Muller (1958).
#[derive(Clone, Debug)]
pub struct EvenNormals {
    increments: Vec<f64>,
    shifts: Vec<f64>,
    stream: Stream,
}

/// Most columns in which the points are even: with more, a few hundred of them lie on a few curves.
const MOST_EVEN_COLUMNS: usize = 6;

impl EvenNormals {
    /// Points of so many columns.
    pub fn new(columns: usize, stream: &mut Stream) -> Self {
        // The transform takes uniform numbers in pairs.
        let count = columns.next_multiple_of(2);
        let ratio = generalised_golden_ratio(count);
        let increments = (1..=count).map(|j| ratio.powi(-(j as i32))).collect();
        let shifts = (0..count).map(|_| stream.random::<f64>()).collect();
        Self { increments, shifts, stream: stream.clone() }
    }

    /// Fills the columns of a tile with points number `start` and on; rows that are not in use stay.
    pub fn fill_tile<T: Real>(&self, columns: &mut [T], start: usize, rows: usize) {
        if self.shifts.len() > MOST_EVEN_COLUMNS {
            let mut stream = self.stream.clone();
            // Each tile draws from a stretch of its own.
            stream.set_word_pos(((start / ROWS) as u128 + 1) << 32);
            for column in columns.chunks_exact_mut(ROWS) {
                fill_normal(&mut column[..rows], T::one(), &mut stream);
            }
            return;
        }
        let uniform = |column: usize, point: usize| {
            (self.shifts[column] + self.increments[column] * point as f64).fract()
        };
        for (pair, columns) in columns.chunks_mut(2 * ROWS).enumerate() {
            for r in 0..rows {
                let radius = (-2.0 * (1.0 - uniform(2 * pair, start + r)).ln()).sqrt();
                let (sin, cos) = (std::f64::consts::TAU * uniform(2 * pair + 1, start + r)).sin_cos();
                columns[r] = T::of(radius * cos);
                if columns.len() > ROWS {
                    columns[ROWS + r] = T::of(radius * sin);
                }
            }
        }
    }
}

/// The positive root of x^(n + 1) = x + 1, by fixed-point iteration.
fn generalised_golden_ratio(n: usize) -> f64 {
    let mut root = 1.5f64;
    for _ in 0..64 {
        root = (1.0 + root).powf(1.0 / (n as f64 + 1.0));
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(columns: usize, n: usize, seed: u64) -> Vec<Vec<f64>> {
        let normals = EvenNormals::new(columns, &mut Seed(seed).stream(Purpose::Training, 0));
        let mut points = Vec::new();
        for start in (0..n).step_by(ROWS) {
            let mut tile = vec![f64::NAN; columns * ROWS];
            normals.fill_tile(&mut tile, start, ROWS);
            points.extend((0..ROWS).map(|r| (0..columns).map(|c| tile[c * ROWS + r]).collect()));
        }
        points
    }

    #[test]
    fn the_golden_ratio_is_the_first_of_its_kind() {
        assert!((generalised_golden_ratio(1) - 1.618033988749895).abs() < 1e-14);
        assert!((generalised_golden_ratio(2) - 1.324717957244746).abs() < 1e-14);
    }

    /// One point of many steps is normal, though the points of one step are not independent.
    #[test]
    fn every_point_alone_is_normal() {
        for columns in [3, 9] {
            one_point_is_normal(columns);
        }
    }

    fn one_point_is_normal(columns: usize) {
        let steps = 4000;
        let values: Vec<f64> = (0..steps).map(|seed| points(columns, ROWS, seed)[17][2]).collect();
        let mean = values.iter().sum::<f64>() / steps as f64;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / steps as f64;
        let beyond = values.iter().filter(|v| v.abs() > 1.959964).count() as f64 / steps as f64;
        // Five standard errors.
        let error = 5.0 / (steps as f64).sqrt();
        assert!(
            mean.abs() < error
                && (variance - 1.0).abs() < 1.5 * error
                && (beyond - 0.05).abs() < 0.22 * error
        );
    }

    /// How many points of a step lie in an orthant of four columns varies less than for independent ones, for which
    /// the variance is that of the binomial distribution.
    #[test]
    fn the_points_of_a_step_are_even() {
        let variance = variance_of_count(4);
        assert!(variance < 0.25, "{variance}");
    }

    #[test]
    fn many_columns_are_no_worse_than_independent() {
        for columns in [6, 8, 32, 64] {
            let variance = variance_of_count(columns);
            assert!(variance < 1.4, "{columns} columns: {variance}");
        }
    }

    /// Of the points whose first four columns are positive, in units of the variance of independent points.
    fn variance_of_count(columns: usize) -> f64 {
        let (n, octants, steps) = (1024, 16, 200);
        let count = |seed| {
            let inside = |p: &&Vec<f64>| p[..4].iter().all(|&v| v > 0.0);
            points(columns, n, seed).iter().filter(inside).count() as f64 - (n / octants) as f64
        };
        let variance = (0..steps).map(|seed| f64::powi(count(seed), 2)).sum::<f64>() / steps as f64;
        variance / (n as f64 * (1.0 / 16.0) * (15.0 / 16.0))
    }
}
