//! A simulator learned from simulations: one network for p(x), one for p(y | x). It gives fresh pairs without end, from
//! which the network for p(x | y) learns where the simulations alone would be too few: what the simulator makes of one x
//! is often far simpler than the set of all x behind one y (synthetic likelihoods of Papamakarios et al. 2019, arXiv
//! 1805.07226, here to make training data of; for images, Antoniou et al. 2017, arXiv 1711.04340). What it gets wrong is
//! put right afterwards, by training on the simulations themselves.

use crate::error::Result;
use crate::inn::{self, Settings, Target};
use crate::lattice::Lattice;
use crate::model::{Coupling, Mixing, Model};
use crate::random::{Purpose, Seed};
use crate::stacking;
use crate::train::fit::{self, Ending, Epoch, Outcome, Reports, Schedule};
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use std::sync::atomic::AtomicBool;

/// How a surrogate is trained and used.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// Blocks of each network for p(y | x), which are used as a mixture; of the first also those of the one for p(x).
    pub n_blocks: Vec<usize>,
    /// Hidden layers of their subnetworks.
    pub hidden_layer_sizes: Vec<usize>,
    /// Bins of their splines.
    pub n_bins: usize,
    /// Epochs of the network for p(x) at most.
    pub prior_epochs: usize,
    /// Epochs of the network for p(y | x) at most.
    pub likelihood_epochs: usize,
    /// Epochs of any of these networks without improvement before its learning rate falls.
    pub surrogate_patience: usize,
    /// Fresh rows of a pass.
    pub rows: usize,
    /// Rows of a batch of them.
    pub batch_size: usize,
    /// Passes over fresh rows at most.
    pub passes: usize,
    /// Passes without improvement before the learning rate falls.
    pub patience: usize,
    /// By how much the loss must fall to be an improvement for any of these networks, as a share of what chance leaves of
    /// a linear regression.
    pub tolerance: f64,
    /// Such an improvement in nats where chance leaves less.
    pub least_gain: f64,
    /// Passes over the simulations and some fresh rows afterwards, at most, and again over the simulations alone.
    pub tuning_epochs: usize,
    /// Of these, passes without improvement before the learning rate falls.
    pub tuning_patience: usize,
    /// Learning rate of these, as a share of the usual one.
    pub tuning_rate: f64,
    /// Fresh rows among the simulations, as a share of these.
    pub fresh_share: f64,
    /// What passes over the simulations alone must gain to be kept, times the root of the rows held out.
    pub tuning_gain: f64,
}

impl Course {
    /// The tolerance in nats, of what chance leaves of a regression.
    pub fn gain(&self, chance: f64) -> f64 {
        self.tolerance * chance.max(self.least_gain)
    }

    /// Settings of a network of a part.
    fn settings(&self, all: &Settings, part: &Part, epochs: usize, n_blocks: usize, index: u64) -> Settings {
        let training = fit::Settings {
            seed: all.training.seed.derived(Purpose::Surrogate, index),
            max_iter: epochs,
            n_iter_no_change: self.surrogate_patience,
            tolerance: self.gain(part.chance()),
            averaging: true,
            schedule: Schedule::Course,
            ..all.training
        };
        Settings {
            target: Target::Conditional,
            bounds: part.bounds.clone(),
            y_bounds: part.given_bounds.clone(),
            hidden_layer_sizes: self.hidden_layer_sizes.clone(),
            n_blocks,
            coupling: Coupling::Spline { bins: self.n_bins },
            mixing: Mixing::Learned,
            surrogate: None,
            training,
            ..all.clone()
        }
    }
}

/// What a network learns: the density of some columns, given others.
struct Part<'a> {
    target: ArrayView2<'a, f64>,
    given: ArrayView2<'a, f64>,
    bounds: Option<Vec<(f64, f64)>>,
    given_bounds: Option<Vec<(f64, f64)>>,
}

impl Part<'_> {
    fn chance(&self) -> f64 {
        chance(self.target.ncols(), self.given.ncols(), self.target.nrows())
    }

    /// Whether its network has become better than it was at the start, by more than chance; it has where no row tells.
    fn is_improved(&self, outcome: &Outcome) -> bool {
        let gain = outcome.first_loss - outcome.best_loss;
        gain.is_nan() || gain > self.chance() || outcome.ending == Ending::Diverged
    }
}

/// What a linear regression for so many columns, given so many, loses to chance: half a nat for each of its coefficients
/// and covariances, shared by the rows.
pub fn chance(columns: usize, given: usize, rows: usize) -> f64 {
    let coefficients = columns * (given + 1) + columns * (columns + 1) / 2;
    coefficients as f64 / (2 * rows) as f64
}

/// Seeds of the network for p(x) and of the first for p(y | x), after those of the values spread out.
const PRIOR: u64 = 2;
const FIRST_MEMBER: u64 = 3;

/// The networks, and which columns take only evenly spaced values.
#[derive(Clone, Debug)]
pub struct Surrogate {
    /// How it was trained and is to be used.
    pub course: Course,
    prior: Model,
    likelihood: Vec<Model>,
    /// Their weights in the mixture.
    weights: Vec<f64>,
    x_lattice: Lattice,
    y_lattice: Lattice,
}

impl Surrogate {
    /// Learns from pairs, side by side; `None` where one of the networks found no finite loss.
    ///
    /// Both hold out the rows that `settings` hold out.
    pub fn fit(
        x: ArrayView2<f64>,
        y: ArrayView2<f64>,
        settings: &Settings,
        course: &Course,
        stop: &AtomicBool,
        report: &mut (dyn FnMut(&Epoch) + Send),
    ) -> Result<Option<Self>> {
        let seed = settings.training.seed;
        let (x_lattice, y_lattice) = (Lattice::of(x), Lattice::of(y));
        let spread_x =
            x_lattice.spread_out(x, settings.bounds.as_deref(), seed.derived(Purpose::Surrogate, 0));
        let spread_y = y_lattice.spread_out(y, None, seed.derived(Purpose::Surrogate, 1));
        let nothing = Array2::zeros((x.nrows(), 0));
        let reports = Reports::to(|epoch: &Epoch| report(&Epoch { of_simulator: true, ..epoch.clone() }));
        let bounds = settings.bounds.clone();
        let x_part = Part { target: spread_x.view(), given: nothing.view(), bounds, given_bounds: None };
        let given_bounds = settings.bounds.clone();
        let y_part = Part { target: spread_y.view(), given: x, bounds: None, given_bounds };
        let learn = |part: &Part, epochs, n_blocks, index| {
            let settings = course.settings(settings, part, epochs, n_blocks, index);
            inn::train(part.target, part.given, &settings, None, stop, &mut |epoch| reports.send(epoch))
        };
        let blocks = &course.n_blocks;
        let member = |i: usize| learn(&y_part, course.likelihood_epochs, blocks[i], FIRST_MEMBER + i as u64);
        let (prior, first) =
            rayon::join(|| learn(&x_part, course.prior_epochs, blocks[0], PRIOR), || member(0));
        let (mut prior, mut likelihood) = (prior?, vec![first?]);
        let held_out = prior.1.held_out.clone();
        // Without blocks a network is the linear regression that it starts from, and fast to draw from.
        if !x_part.is_improved(&prior.1) {
            prior = learn(&x_part, 0, 0, PRIOR)?;
        }
        if y_part.is_improved(&likelihood[0].1) {
            likelihood.extend((1..blocks.len()).into_par_iter().map(member).collect::<Result<Vec<_>>>()?);
        } else {
            likelihood = vec![learn(&y_part, 0, 0, FIRST_MEMBER)?];
        }
        if likelihood.iter().chain([&prior]).any(|(_, outcome)| outcome.ending == Ending::Diverged) {
            return Ok(None);
        }
        let likelihood: Vec<Model> = likelihood.into_iter().map(|(trained, _)| trained.model).collect();
        let (given, target) = (x.select(Axis(0), &held_out), spread_y.select(Axis(0), &held_out));
        let densities = likelihood.iter().map(|network| network.log_prob(target.view(), given.view()));
        let weights = stacking::weights(&densities.collect::<Result<Vec<_>>>()?);
        let prior = prior.0.model;
        Ok(Some(Self { course: course.clone(), prior, likelihood, weights, x_lattice, y_lattice }))
    }

    /// So many fresh pairs, in the user's units; a pair with a number that is not finite is left out.
    pub fn draw(&self, rows: usize, seed: Seed) -> Result<(Array2<f64>, Array2<f64>)> {
        let table = |values: Vec<f64>, columns: usize| {
            Array2::from_shape_vec((values.len() / columns, columns), values).expect("whole rows")
        };
        let nothing = Array2::zeros((1, 0));
        let x = self.prior.posterior(nothing.view(), rows, seed.derived(Purpose::Surrogate, 0))?;
        let mut x = table(x, self.prior.layout().x);
        self.x_lattice.snap(&mut x);
        // The rows of x are in no order: a part of them for each network is a mixture.
        let mut y = Vec::new();
        let (mut first, mut share) = (0, 0.0);
        for (i, network) in self.likelihood.iter().enumerate() {
            share += self.weights[i];
            let end = (share * rows as f64).round() as usize;
            let part = x.slice(s![first..end, ..]);
            first = end;
            y.extend(network.posterior(part, 1, seed.derived(Purpose::Surrogate, 1 + i as u64))?);
        }
        let mut y = table(y, self.likelihood[0].layout().x);
        self.y_lattice.snap(&mut y);
        let finite = |row: usize| x.row(row).iter().chain(y.row(row)).all(|value| value.is_finite());
        let kept: Vec<usize> = (0..x.nrows()).filter(|&row| finite(row)).collect();
        if kept.len() == x.nrows() {
            return Ok((x, y));
        }
        Ok((x.select(Axis(0), &kept), y.select(Axis(0), &kept)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inn::Settings;
    use crate::random::{fill_normal, normal};
    use crate::threads::with_threads;

    fn course() -> Course {
        Course {
            n_blocks: vec![2, 2],
            hidden_layer_sizes: vec![16],
            n_bins: 4,
            prior_epochs: 10,
            likelihood_epochs: 30,
            surrogate_patience: 20,
            rows: 500,
            batch_size: 100,
            passes: 4,
            patience: 4,
            tolerance: 0.0,
            least_gain: 0.0,
            tuning_epochs: 3,
            tuning_patience: 3,
            tuning_rate: 0.1,
            fresh_share: 0.5,
            tuning_gain: 0.0,
        }
    }

    fn conditional() -> Settings {
        Settings { surrogate: Some(course()), ..inn::tests::conditional() }
    }

    /// x uniform in [0, 1], y a count that grows with it, and a number around it.
    fn counts(rows: usize) -> (Array2<f64>, Array2<f64>) {
        let mut stream = Seed(4).stream(Purpose::Training, 0);
        let mut data = Array2::zeros((rows, 3));
        for mut row in data.rows_mut() {
            let x: f64 = rand::RngExt::random(&mut stream);
            row[0] = x;
            row[1] = (0..4).filter(|_| rand::RngExt::random::<f64>(&mut stream) < x).count() as f64;
            row[2] = x + 0.1 * normal::<f64>(&mut stream);
        }
        (data.slice(s![.., ..1]).to_owned(), data.slice(s![.., 1..]).to_owned())
    }

    fn surrogate(threads: usize) -> Surrogate {
        let (x, y) = counts(4000);
        let settings = Settings { bounds: Some(vec![(0.0, 1.0)]), ..conditional() };
        let stop = AtomicBool::new(false);
        let learn = || Surrogate::fit(x.view(), y.view(), &settings, &course(), &stop, &mut |_| {});
        with_threads(threads, learn).unwrap().unwrap().unwrap()
    }

    #[test]
    fn draws_are_like_the_simulations_and_the_same_on_any_threads() {
        let (x, y) = surrogate(2).draw(4001, Seed(9)).unwrap();
        assert!((x.clone(), y.clone()) == surrogate(1).draw(4001, Seed(9)).unwrap());
        assert!(x.iter().all(|v| (0.0..=1.0).contains(v)));
        assert!(y.column(0).iter().all(|v| (0.0..=4.0).contains(v) && v.fract() == 0.0));
        let (true_x, true_y) = counts(4001);
        for (drawn, wanted) in [
            (x.column(0), true_x.column(0)),
            (y.column(0), true_y.column(0)),
            (y.column(1), true_y.column(1)),
        ] {
            // Within a few standard errors and what 4000 simulations leave open.
            let scale = wanted.std(0.0);
            assert!((drawn.mean().unwrap() - wanted.mean().unwrap()).abs() < 0.1 * scale);
            assert!((drawn.std(0.0) / scale - 1.0).abs() < 0.1);
        }
        // What belongs together stays together.
        let covariance = |a: ndarray::ArrayView1<f64>, b: ndarray::ArrayView1<f64>| {
            (&a - a.mean().unwrap()).dot(&(&b - b.mean().unwrap())) / 4001.0
        };
        for c in 0..2 {
            let wanted = covariance(true_x.column(0), true_y.column(c));
            let got = covariance(x.column(0), y.column(c));
            assert!((got / wanted - 1.0).abs() < 0.15, "{c}: {got} {wanted}");
        }
    }

    #[test]
    fn a_fit_goes_through_all_stages_and_threads_change_no_bit() {
        let (x, y) = counts(600);
        let run = |threads| {
            with_threads(threads, || {
                let stop = AtomicBool::new(false);
                inn::fit(x.view(), y.view(), &conditional(), None, &stop, |_| {}).unwrap()
            })
            .unwrap()
        };
        let (trained, outcome) = run(1);
        let numbers: Vec<usize> = outcome.history.iter().map(|epoch| epoch.number).collect();
        assert_eq!(numbers, (1..=10).collect::<Vec<_>>());
        let losses = outcome.history.iter().map(|epoch| epoch.validation_loss);
        let best = losses.fold(f64::INFINITY, f64::min);
        assert_eq!(outcome.history[outcome.best_epoch - 1].validation_loss, best);
        let (again, other) = run(3);
        assert!(trained.model.parameters == again.model.parameters && outcome.history == other.history);
    }

    #[test]
    fn epochs_over_the_simulations_alone_are_undone_where_they_gain_too_little() {
        // Two modes behind every y, so that there is something to gain.
        let x = counts(2000).0 - 0.5;
        let y = &x * &x;
        let hurried = Course { passes: 1, tuning_epochs: 1, tuning_rate: 1.0, ..course() };
        let fitted = |tuning_gain| {
            let course = Course { tuning_gain, ..hurried.clone() };
            let settings = Settings { surrogate: Some(course), ..inn::tests::conditional() };
            let stop = AtomicBool::new(false);
            let (mut trained, outcome) =
                inn::fit(x.view(), y.view(), &settings, None, &stop, |_| {}).unwrap();
            trained.model.architecture.noise.z = 1.0;
            let rows = |data: &Array2<f64>| data.select(Axis(0), &outcome.held_out);
            let densities = trained.model.log_prob(rows(&x).view(), rows(&y).view()).unwrap();
            (outcome, -densities.iter().sum::<f64>() / densities.len() as f64)
        };
        let ((kept, kept_loss), (undone, undone_loss)) = (fitted(0.0), fitted(f64::INFINITY));
        assert!(kept.history == undone.history && (kept.best_epoch, undone.best_epoch) == (3, 2));
        assert_eq!(undone.best_loss, undone.history[undone.best_epoch - 1].validation_loss);
        // They differ by the slope of the scaling.
        let gain = undone.best_loss - kept.best_loss;
        assert!(gain > 0.0 && (undone_loss - kept_loss - gain).abs() < 1e-3 * gain, "{gain} {undone_loss}");
    }

    #[test]
    fn what_is_linear_takes_one_network_only() {
        let (x, curved) = counts(1000);
        let mut noise = vec![0.0; 1000];
        fill_normal(&mut noise, 0.1, &mut Seed(5).stream(Purpose::Training, 0));
        let linear = 2.0 * &x + Array2::from_shape_vec((1000, 1), noise).unwrap();
        let networks = |y: ArrayView2<f64>| {
            let stop = AtomicBool::new(false);
            let surrogate = Surrogate::fit(x.view(), y, &conditional(), &course(), &stop, &mut |_| {});
            surrogate.unwrap().unwrap().likelihood.len()
        };
        assert_eq!((networks(linear.view()), networks(curved.view())), (1, 2));
    }

    #[test]
    fn each_patience_is_that_of_its_own_part() {
        let (x, _) = counts(300);
        let (_, y) = counts(299);
        let y = y.select(Axis(0), &(0..300).map(|row| (7 * row + 1) % 299).collect::<Vec<_>>());
        // Nothing of y can be told from x, so that every part ends when its patience does.
        let short = Course { n_blocks: vec![2], passes: 60, tuning_epochs: 20, rows: 100, ..course() };
        let short = Course { surrogate_patience: 1, patience: 1, tuning_patience: 1, ..short };
        let epochs = |course: &Course| {
            let settings = Settings { surrogate: Some(course.clone()), ..conditional() };
            let stop = AtomicBool::new(false);
            let mut learning = 0;
            Surrogate::fit(x.view(), y.view(), &settings, course, &stop, &mut |_| learning += 1).unwrap();
            let (_, outcome) = inn::fit(x.view(), y.view(), &settings, None, &stop, |_| {}).unwrap();
            (learning, outcome.history.len())
        };
        let (learning, training) = epochs(&short);
        let learned = Course { surrogate_patience: 100, ..short.clone() };
        assert!(epochs(&learned).0 > learning);
        let passes = epochs(&Course { patience: 100, ..short.clone() });
        let tuning = epochs(&Course { tuning_patience: 100, ..short });
        assert_eq!((passes.0, tuning.0), (learning, learning));
        assert!(
            training < 25 && passes.1 > 60 && (40..60).contains(&tuning.1),
            "{training} {passes:?} {tuning:?}"
        );
    }

    #[test]
    fn an_interrupt_while_it_is_learned_leaves_no_history() {
        let (x, y) = counts(100);
        let (_, outcome) =
            inn::fit(x.view(), y.view(), &conditional(), None, &AtomicBool::new(true), |_| {}).unwrap();
        assert!(outcome.ending == Ending::Interrupted && outcome.history.is_empty());
    }
}
