//! Networks trained on the same simulations from different seeds, and used as one: a sample is drawn by one of them, the
//! density is the mean of theirs. Where simulations are few, what one network makes of their chance the others do not
//! (Lakshminarayanan et al. 2017, arXiv 1612.01474; for posteriors, Hermans et al. 2022, arXiv 2110.06581).

use crate::error::{Error, Result};
use crate::inn::{self, Settings, Trained};
use crate::layout::Layout;
use crate::model::{Model, samples_for};
use crate::random::{Purpose, Seed};
use crate::train::fit::{self, Epoch, Outcome, Reports};
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::AtomicBool;

/// At least one network; all have the same columns.
#[derive(Clone, Debug)]
pub struct Ensemble {
    members: Vec<Trained>,
}

/// Fits one network for each seed, side by side, from the start or from the members of a previous ensemble.
///
/// Seeds and members are the same number; which threads work on which member changes no bit.
pub fn fit(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    settings: &Settings,
    seeds: &[Seed],
    previous: Option<&Ensemble>,
    stop: &AtomicBool,
    report: impl FnMut(&Epoch) + Send,
) -> Result<(Ensemble, Vec<Outcome>)> {
    let reports = Reports::to(report);
    let fit_member = |(i, &seed): (usize, &Seed)| {
        let training = fit::Settings { seed, split: seed, ..settings.training };
        let settings = Settings { training, ..settings.clone() };
        let previous = previous.map(|ensemble| &ensemble.members[i]);
        inn::fit(x, y, &settings, previous, stop, |epoch| reports.send(epoch))
    };
    let fits = seeds.par_iter().enumerate().map(fit_member).collect::<Result<Vec<_>>>()?;
    let (members, outcomes) = fits.into_iter().unzip();
    Ok((Ensemble { members }, outcomes))
}

impl Ensemble {
    /// Puts members together, and checks that they fit.
    pub fn new(members: Vec<Trained>) -> Result<Self> {
        let layouts = || members.iter().map(|member| member.model.layout());
        match layouts().next() {
            Some(first) if layouts().all(|layout| layout == first) => Ok(Self { members }),
            Some(_) => Err(Error::Format("its networks differ in their columns".into())),
            None => Err(Error::Format("it holds no network".into())),
        }
    }

    /// Its members.
    pub fn members(&self) -> &[Trained] {
        &self.members
    }

    /// The first member, which alone answers where an average makes no sense.
    pub fn first(&self) -> &Model {
        &self.members[0].model
    }

    /// Columns of both sides.
    pub fn layout(&self) -> Layout {
        self.first().layout()
    }

    /// `n` posterior samples for every row of y, those of one row together, in the user's units: members take turns,
    /// and which one begins is random for each row. Only the samples with the wanted numbers, which are the same as if
    /// all were drawn.
    pub fn posterior(
        &self,
        y: ArrayView2<f64>,
        n: usize,
        seed: Seed,
        wanted: Range<usize>,
    ) -> Result<Vec<f64>> {
        let count = self.members.len();
        if count == 1 || wanted.is_empty() {
            return self.first().posterior_part(y, n, seed, wanted);
        }
        let columns = self.layout().x;
        let mut samples = samples_for(wanted.len(), columns)?;
        // Of a member's own samples, so many for each row, those that have a turn.
        let turns = n.div_ceil(count);
        let turn = |number: usize| number / n * turns + number % n / count;
        let first = turn(wanted.start);
        let own = first..turn(wanted.end - 1) + 1;
        let draw = |(i, member): (usize, &Trained)| {
            let seed = seed.derived(Purpose::Ensemble, 1 + i as u64);
            member.model.posterior_part(y, turns, seed, own.clone())
        };
        let parts = self.members.par_iter().enumerate().map(draw).collect::<Result<Vec<_>>>()?;
        let mut begins = (usize::MAX, 0);
        for (sample, number) in samples.chunks_exact_mut(columns).zip(wanted) {
            let row = number / n;
            if begins.0 != row {
                begins = (row, seed.stream(Purpose::Turns, row as u64).random_range(0..count));
            }
            let start = (turn(number) - first) * columns;
            sample.copy_from_slice(&parts[(number % n + begins.1) % count][start..start + columns]);
        }
        Ok(samples)
    }

    /// log p(x | y) of the density that `posterior` draws from, for rows of x and y, in the user's units.
    pub fn log_prob(&self, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<Vec<f64>> {
        if self.members.len() == 1 {
            return self.first().log_prob(x, y);
        }
        let densities = self.members.iter().map(|member| member.model.log_prob(x, y));
        let densities = densities.collect::<Result<Vec<_>>>()?;
        let share = -(densities.len() as f64).ln();
        let mixed = |row: usize| {
            let largest = densities.iter().map(|d| d[row]).fold(f64::NEG_INFINITY, f64::max);
            if largest == f64::NEG_INFINITY {
                return largest;
            }
            largest + share + densities.iter().map(|d| (d[row] - largest).exp()).sum::<f64>().ln()
        };
        Ok((0..x.nrows()).map(mixed).collect())
    }

    /// The learned forward process, in the user's units: the mean of the members'.
    pub fn predict(&self, x: ArrayView2<f64>) -> Result<Array2<f64>> {
        let mut sum = self.first().predict(x)?;
        for member in &self.members[1..] {
            sum += &member.model.predict(x)?;
        }
        Ok(sum / self.members.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inn::tests::{ring, settings};
    use crate::threads::with_threads;

    fn ensemble(threads: usize) -> (Ensemble, Vec<Outcome>) {
        let (x, y) = ring(300);
        let seeds = [Seed(1), Seed(2), Seed(3)];
        let stop = AtomicBool::new(false);
        let train = || fit(x.view(), y.view(), &settings(), &seeds, None, &stop, |_| {}).unwrap();
        with_threads(threads, train).unwrap()
    }

    #[test]
    fn threads_change_no_bit_and_members_differ() {
        let (_, y) = ring(40);
        let (one, outcomes) = ensemble(1);
        let (two, _) = ensemble(2);
        assert_eq!(outcomes.len(), 3);
        let parameters = |ensemble: &Ensemble, i: usize| ensemble.members[i].model.parameters.clone();
        assert!((0..3).all(|i| parameters(&one, i) == parameters(&two, i)));
        assert!(parameters(&one, 0) != parameters(&one, 1));
        let draw = |ensemble: &Ensemble| ensemble.posterior(y.view(), 7, Seed(5), 0..7 * y.nrows()).unwrap();
        assert_eq!(draw(&one), draw(&two));
    }

    #[test]
    fn samples_drawn_in_parts_are_the_same() {
        let (_, y) = ring(9);
        let (ensemble, _) = ensemble(1);
        for n in [1, 2, 7, 50] {
            let all = ensemble.posterior(y.view(), n, Seed(5), 0..9 * n).unwrap();
            for part in [1, 13, 32, 64] {
                let starts = (0..9 * n).step_by(part);
                let ranges = starts.map(|start| start..(start + part).min(9 * n));
                let parts: Vec<f64> =
                    ranges.flat_map(|r| ensemble.posterior(y.view(), n, Seed(5), r).unwrap()).collect();
                assert_eq!(parts, all, "{n} {part}");
            }
        }
    }

    #[test]
    fn members_take_turns() {
        let (_, y) = ring(40);
        let (ensemble, _) = ensemble(1);
        let samples = ensemble.posterior(y.view(), 6, Seed(5), 0..6 * y.nrows()).unwrap();
        let mut began = [0; 3];
        for (i, member) in ensemble.members.iter().enumerate() {
            let own = member
                .model
                .posterior(y.view(), 2, Seed(5).derived(Purpose::Ensemble, 1 + i as u64))
                .unwrap();
            for row in 0..40 {
                let drawn: Vec<&[f64]> = samples[row * 12..(row + 1) * 12].chunks(2).collect();
                let taken = (0..6).filter(|&k| own[row * 4..(row + 1) * 4].chunks(2).any(|s| s == drawn[k]));
                let taken: Vec<usize> = taken.collect();
                assert_eq!(taken.len(), 2);
                assert_eq!(taken[1], taken[0] + 3);
                began[i] += usize::from(taken[0] == 0);
            }
        }
        assert!(began.iter().all(|&count| count > 3), "{began:?}");
    }
}
