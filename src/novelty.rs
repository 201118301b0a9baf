//! Whether an observation lies outside what the simulations cover: its distance to the nearest of them, against the same
//! distance of simulations that the others have not seen (a conformal test, Vovk et al. 2005, Algorithmic Learning in a
//! Random World, chapter 2; distances to neighbours as in Ramaswamy et al. 2000, SIGMOD).
//!
//! A further simulation is called novel with at most the stated probability, whatever the distribution.

use crate::cholesky::{self, solve_lower};
use crate::error::Result;
use crate::random::{Purpose, Seed, permutation};
use crate::threads::with_threads;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

/// A test of observations, in scaled columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Novelty {
    /// Cholesky factor of the covariance: dividing by it makes columns uncorrelated.
    pub factor: Vec<f64>,
    /// Whitened simulations that distances are taken to, row by row.
    pub reference: Vec<f32>,
    /// Distances beyond this are novel.
    pub threshold: f64,
    /// The largest probability that a further simulation is called novel.
    pub false_alarm: f64,
}

/// Probability of a false alarm, where there are enough simulations to tell.
const FALSE_ALARM: f64 = 0.001;
/// Simulations that distances are taken to, at most, and no more than half of all.
const MOST_REFERENCES: usize = 2000;
/// Fewest of them: with fewer, too many simulations would be called novel by chance.
const FEWEST_REFERENCES: usize = 50;
/// Other simulations whose distances tell what is usual, at most.
const MOST_TRIALS: usize = 10_000;
/// Added to the variance of each column, which is about one: directions in which the simulations do not vary are
/// stretched by a thousand, not by infinity.
const LEAST_VARIANCE: f64 = 1e-6;

/// Fewest observations that threads are worth it for: to start these takes as long as some tests.
const FEWEST_SHARED: usize = 8;

impl Novelty {
    /// From rows of scaled y; `None` where there are too few to tell.
    pub fn fit(y: ArrayView2<f64>, seed: Seed) -> Option<Self> {
        let order = permutation(y.nrows(), &mut seed.stream(Purpose::Novelty, 0));
        let references = MOST_REFERENCES.min(y.nrows() / 2);
        let trials = (y.nrows() - references).min(MOST_TRIALS);
        if references < FEWEST_REFERENCES {
            return None;
        }
        let columns = y.ncols();
        let mean = y.mean_axis(Axis(0))?;
        let centred = &y - &mean;
        let mut covariance = centred.t().dot(&centred) / y.nrows() as f64;
        covariance.diag_mut().iter_mut().for_each(|value| *value += LEAST_VARIANCE);
        let mut novelty = Self {
            factor: cholesky::factor(&covariance)?,
            reference: Vec::with_capacity(references * columns),
            threshold: f64::INFINITY,
            false_alarm: 0.0,
        };
        for &row in &order[..references] {
            novelty.reference.extend(novelty.whiten(y.row(row)));
        }
        let rows = &order[references..references + trials];
        let distance = |&row: &usize| novelty.distance(y.row(row));
        let mut distances: Vec<f64> = rows.par_iter().map(distance).collect();
        distances.sort_unstable_by(f64::total_cmp);
        // Among trials + 1 equally likely ranks, those above this one are at most the false alarms.
        let above = (FALSE_ALARM * (trials + 1) as f64).floor().max(1.0) as usize;
        novelty.threshold = distances[trials - above];
        novelty.false_alarm = above as f64 / (trials + 1) as f64;
        Some(novelty)
    }

    fn whiten(&self, y: ArrayView1<f64>) -> Vec<f32> {
        let mut whitened = y.to_vec();
        solve_lower(&self.factor, &mut whitened);
        whitened.iter().map(|&value| value as f32).collect()
    }

    /// Distance to the nearest reference.
    fn distance(&self, y: ArrayView1<f64>) -> f64 {
        let whitened = self.whiten(y);
        let square = |reference: &[f32]| -> f32 {
            reference.iter().zip(&whitened).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let nearest = self.reference.chunks_exact(y.len()).map(square).fold(f32::INFINITY, f32::min);
        f64::from(nearest).sqrt()
    }

    /// Distance of each row of scaled y in units of the threshold: novel are those beyond 1. On `threads` threads where
    /// that pays.
    pub fn test(&self, y: &Array2<f64>, threads: usize) -> Result<Vec<f64>> {
        // The simulations may all be the same.
        let unit = self.threshold.max(f64::MIN_POSITIVE);
        let relative = |row: usize| {
            let distance = self.distance(y.row(row)) / unit;
            // A row whose distance is no number is farther than any.
            if distance.is_nan() { f64::INFINITY } else { distance }
        };
        let rows = 0..y.nrows();
        if rows.len() < FEWEST_SHARED {
            return Ok(rows.map(relative).collect());
        }
        with_threads(threads, || rows.into_par_iter().map(relative).collect())
    }

    /// Whether its numbers make sense for so many columns of y.
    pub fn fits(&self, columns: usize) -> bool {
        let lengths = self.factor.len() == columns.saturating_mul(columns)
            && !self.reference.is_empty()
            && self.reference.len().is_multiple_of(columns.max(1));
        lengths && self.threshold >= 0.0 && (0.0..=1.0).contains(&self.false_alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::fill_normal;

    /// Three columns of which two are nearly the same.
    fn table(rows: usize, seed: u64) -> Array2<f64> {
        let mut values = vec![0.0; rows * 3];
        fill_normal(&mut values, 1.0, &mut Seed(seed).stream(Purpose::Training, 0));
        let mut table = Array2::from_shape_vec((rows, 3), values).unwrap();
        for mut row in table.rows_mut() {
            row[2] = row[1] + 0.01 * row[2];
        }
        table
    }

    #[test]
    fn false_alarms_are_as_rare_as_stated() {
        let novelty = Novelty::fit(table(12_000, 1).view(), Seed(2)).unwrap();
        assert!((novelty.false_alarm - FALSE_ALARM).abs() < 1e-4);
        let alarms =
            novelty.test(&table(20_000, 3), 2).unwrap().iter().filter(|&&distance| distance > 1.0).count();
        // 20 expected; the threshold itself is known to a third.
        assert!((4..=45).contains(&alarms), "{alarms}");
    }

    #[test]
    fn what_is_far_out_or_breaks_a_correlation_is_novel() {
        let novelty = Novelty::fit(table(5000, 1).view(), Seed(2)).unwrap();
        let rows = vec![0.0, 0.0, 0.0, 8.0, 0.0, 0.0, 0.0, 0.5, -0.5, 1e30, 0.0, 0.0];
        let rows = Array2::from_shape_vec((4, 3), rows).unwrap();
        let novel: Vec<bool> =
            novelty.test(&rows, 2).unwrap().iter().map(|&distance| distance > 1.0).collect();
        assert_eq!(novel, [false, true, true, true]);
    }

    #[test]
    fn few_simulations_give_a_rarer_truth_and_none_gives_no_test() {
        let novelty = Novelty::fit(table(100, 1).view(), Seed(2)).unwrap();
        assert!((novelty.false_alarm - 1.0 / 51.0).abs() < 1e-12);
        assert!(Novelty::fit(table(99, 1).view(), Seed(2)).is_none());
        let constant = Array2::from_elem((100, 2), 0.0);
        let novelty = Novelty::fit(constant.view(), Seed(2)).unwrap();
        assert_eq!(novelty.test(&Array2::from_elem((1, 2), 0.0), 1).unwrap(), [0.0]);
        assert_eq!(novelty.test(&Array2::from_elem((1, 2), 0.1), 1).unwrap(), [f64::INFINITY]);
    }
}
