//! The training loop, for any objective.

use super::average::Average;
use super::gradient::Gradient;
use super::objective::{Data, Noise, Objective, Rows};
use super::optimizer::{Adam, Descent, Limiter, Moments};
use super::schedule::{COOLING_FROM, Course, decayed};
use crate::kernels::Real;
use crate::random::{Purpose, Seed, permutation};
use rand::seq::SliceRandom;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Settings of the loop; the caller has checked them.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Rows of a batch.
    pub batch_size: usize,
    /// Epochs at most.
    pub max_iter: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// How rate and weights change with the epochs.
    pub schedule: Schedule,
    /// Constants of the optimizer; its weight decay is that at the end of a fit.
    pub adam: Adam,
    /// Whether a fit starts with a strong penalty on the weights, see [`FIRST_PENALTY`].
    pub falling_penalty: bool,
    /// Whether to hold out rows, keep the best weights and finish when nothing improves.
    pub early_stopping: bool,
    /// Fraction of the rows held out.
    pub validation_fraction: f64,
    /// Epochs without improvement before the learning rate falls for the rest of the fit.
    pub n_iter_no_change: usize,
    /// By how much the loss of the rows held out must fall to be such an improvement.
    pub tolerance: f64,
    /// Whether the weights at the start may be the best ones; those of a fit that goes on always may.
    pub keeps_start: bool,
    /// Whether the weights that are judged and kept are averages over about an epoch.
    pub averaging: bool,
    /// Seed of order and noise.
    pub seed: Seed,
    /// Seed of the rows held out.
    pub split: Seed,
}

/// What a fit learns from.
pub struct Supply<'a, T> {
    /// The simulations, whose rows are held out in part.
    pub data: Data<'a, T>,
    /// Where given, it makes the rows of each pass anew, and no simulation is trained on; its argument is the number of
    /// the step that the pass begins with.
    pub fresh: Option<&'a mut Fresh<'a, T>>,
}

/// Makes the rows of a pass.
pub type Fresh<'a, T> = dyn FnMut(u64) -> Made<T> + 'a;

/// The rows of a pass.
pub struct Made<T> {
    /// x, row by row.
    pub x: Vec<T>,
    /// y, row by row.
    pub y: Vec<T>,
    /// The order in which to train on them.
    pub order: Vec<usize>,
}

/// Whether a fit is a course from start to end, or a piece of a longer one whose length nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// The learning rate rises, stays and falls, noise and ramped weights change until the last epoch.
    Course,
    /// Constant learning rate, full weights.
    Constant,
}

/// How a fit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs were done.
    Completed,
    /// Nothing improved any more.
    Stopped,
    /// The user interrupted it.
    Interrupted,
    /// The loss was not finite, even with smaller steps.
    Diverged,
}

/// One epoch in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// Its number, from 1.
    pub number: usize,
    /// Mean loss over its batches, with full weights.
    pub train_loss: f64,
    /// Loss of the rows held out; NaN without any.
    pub validation_loss: f64,
    /// Mean of each weighted term over its batches.
    pub terms: Vec<f64>,
    /// Whether it is of a network for a simulator that is learned first.
    pub of_simulator: bool,
}

/// Lets fits that run side by side report, one at a time.
pub struct Reports<F>(Mutex<F>);

impl<F: FnMut(&Epoch)> Reports<F> {
    /// To one listener.
    pub fn to(listener: F) -> Self {
        Self(Mutex::new(listener))
    }

    /// Passes an epoch on.
    pub fn send(&self, epoch: &Epoch) {
        // A panic elsewhere while it reported leaves nothing half done.
        let mut listener = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (*listener)(epoch);
    }
}

/// What remains of a fit besides the parameters.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// All epochs.
    pub history: Vec<Epoch>,
    /// The epoch whose weights were kept, 0 for those at the start.
    pub best_epoch: usize,
    /// The loss of the rows held out with these weights; without any, the mean loss over that epoch.
    pub best_loss: f64,
    /// The loss of the rows held out with the weights at the start; NaN without any.
    pub first_loss: f64,
    /// How it ended.
    pub ending: Ending,
    /// Names of the terms.
    pub terms: &'static [&'static str],
    /// Rows that were held out.
    pub held_out: Vec<usize>,
}

impl Outcome {
    /// Whether it ended by itself.
    pub fn is_complete(&self) -> bool {
        matches!(self.ending, Ending::Completed | Ending::Stopped)
    }

    /// Appends another fit that goes on where this one ended.
    pub fn go_on(
        &mut self,
        fit: impl FnOnce(&mut dyn FnMut(&Epoch)) -> Self,
        report: &mut dyn FnMut(&Epoch),
    ) {
        let done = self.history.len();
        let renumbered = |epoch: &Epoch| Epoch { number: epoch.number + done, ..epoch.clone() };
        let next = fit(&mut |epoch| report(&renumbered(epoch)));
        self.history.extend(next.history.iter().map(renumbered));
        if next.best_epoch > 0 {
            self.best_epoch = done + next.best_epoch;
        }
        self.best_loss = next.best_loss;
        self.ending = next.ending;
    }
}

/// Weight decay times rows at the start of a fit whose penalty falls: a prior on the weights counts less the more data
/// there are. From there it falls exponentially, and the rows held out tell how far it should have.
pub const FIRST_PENALTY: f64 = 1000.0;

/// Progress from which patience counts where the penalty falls: half of its way down. Before, it may be the penalty alone
/// that keeps a fit from improving.
const LOOSENED_FROM: f64 = 0.5 * COOLING_FROM;

/// Times that a fit goes back and halves its learning rate before it gives up.
const MOST_ROLLBACKS: usize = 5;

/// Minimises an objective, changing parameters and moments in place.
///
/// On return the parameters are those of the best epoch on the rows held out, or, without any, of the last one.
pub fn fit<T: Real>(
    objective: &mut dyn Objective<T>,
    parameters: &mut [T],
    moments: &mut Moments<T>,
    supply: Supply<T>,
    settings: &Settings,
    stop: &AtomicBool,
    mut report: impl FnMut(&Epoch),
) -> Outcome {
    let Supply { data, fresh } = supply;
    let (validation, mut training) = split(data.rows(), settings);
    let mut keeper = Keeper::new(parameters, settings.tolerance);
    let rates = objective.rates();
    let mut looper = Loop {
        objective,
        data,
        fresh,
        settings,
        stop,
        rate: settings.learning_rate,
        course: Course::new(settings.max_iter),
        step: moments.steps(),
        limiter: Limiter::default(),
        rates,
    };
    // A fit must not end with worse weights than it began with.
    let first_loss = looper.validate(parameters, &validation);
    if (settings.keeps_start || moments.steps() > 0) && first_loss.is_finite() {
        keeper.start_from(first_loss);
    }
    let mut average = settings.averaging.then(|| Average::of(parameters));
    let mut history: Vec<Epoch> = Vec::new();
    let mut rollbacks = 0;
    let mut ending = Ending::Completed;
    let mut number = 0;
    while !looper.course.is_over(number) {
        order(&mut training, settings.seed, looper.step);
        let Some(terms) = looper.epoch(parameters, moments, &mut average, &training, number) else {
            ending = Ending::Interrupted;
            break;
        };
        let train_loss: f64 = terms.iter().sum();
        let kept = average.as_ref().map_or(&*parameters, Average::weights);
        let validation_loss = looper.validate(kept, &validation);
        let judged = if validation.is_empty() { train_loss } else { validation_loss };
        if !(train_loss.is_finite() && judged.is_finite()) {
            keeper.restore(parameters);
            *moments = Moments::new(parameters.len());
            average = average.map(|_| Average::of(parameters));
            looper.rate *= 0.5;
            rollbacks += 1;
            if rollbacks > MOST_ROLLBACKS {
                ending = Ending::Diverged;
                break;
            }
            continue;
        }
        number += 1;
        let epoch = Epoch { number, train_loss, validation_loss, terms, of_simulator: false };
        report(&epoch);
        history.push(epoch);
        keeper.judge(kept, number, judged, !validation.is_empty());
        let settled = looper.settled(number);
        let stagnates = settled && keeper.waited(number, settled) >= settings.n_iter_no_change;
        if settings.early_stopping && stagnates && !looper.cools(number) {
            // The best weights, and not the last ones, are worth ending.
            keeper.restore(parameters);
            average = average.map(|_| Average::of(parameters));
            looper.course.cool_from(number);
            ending = Ending::Stopped;
        }
    }
    if !history.is_empty() {
        keeper.restore(parameters);
    }
    let terms = looper.objective.terms();
    let Keeper { epoch: best_epoch, loss: best_loss, .. } = keeper;
    Outcome { history, best_epoch, best_loss, first_loss, ending, terms, held_out: validation }
}

/// Rows held out and rows to train on.
pub fn split(rows: usize, settings: &Settings) -> (Vec<usize>, Vec<usize>) {
    let held_out = if settings.early_stopping {
        (rows as f64 * settings.validation_fraction).round() as usize
    } else {
        0
    };
    let mut order = permutation(rows, &mut settings.split.stream(Purpose::Split, 0));
    let training = order.split_off(held_out.min(rows.saturating_sub(1)));
    (order, training)
}

/// The order of an epoch depends on the step it starts at and on nothing before.
fn order(rows: &mut [usize], seed: Seed, step: u64) {
    rows.sort_unstable();
    rows.shuffle(&mut seed.stream(Purpose::Order, step));
}

/// The best weights so far.
struct Keeper<T> {
    parameters: Vec<T>,
    epoch: usize,
    loss: f64,
    /// The last epoch that improved enough to wait for more, and the loss it came to.
    gained: (usize, f64),
    tolerance: f64,
    settled_from: Option<usize>,
}

impl<T: Real> Keeper<T> {
    fn new(parameters: &[T], tolerance: f64) -> Self {
        let (loss, gained) = (f64::INFINITY, (0, f64::INFINITY));
        Self { parameters: parameters.to_vec(), epoch: 0, loss, gained, tolerance, settled_from: None }
    }

    fn start_from(&mut self, loss: f64) {
        self.loss = loss;
        self.gained = (0, loss);
    }

    fn judge(&mut self, parameters: &[T], epoch: usize, loss: f64, held_out: bool) {
        // The loss on the training rows says nothing about which weights are best: the last ones are kept.
        if !held_out || loss < self.loss {
            self.parameters.copy_from_slice(parameters);
            self.epoch = epoch;
            self.loss = loss;
        }
        if !held_out || loss < self.gained.1 - self.tolerance {
            self.gained = (epoch, loss);
        }
    }

    fn restore(&self, parameters: &mut [T]) {
        parameters.copy_from_slice(&self.parameters);
    }

    /// Epochs since the last improvement that counts, from when all terms weigh fully.
    fn waited(&mut self, epoch: usize, settled: bool) -> usize {
        let from = *self.settled_from.get_or_insert(if settled { epoch } else { epoch + 1 });
        epoch - self.gained.0.max(from)
    }
}

struct Loop<'a, 'f, T> {
    objective: &'a mut dyn Objective<T>,
    data: Data<'f, T>,
    fresh: Option<&'f mut Fresh<'f, T>>,
    settings: &'a Settings,
    stop: &'a AtomicBool,
    rate: f64,
    course: Course,
    step: u64,
    limiter: Limiter,
    rates: Vec<T>,
}

impl<T: Real> Loop<'_, '_, T> {
    /// How far the fit has come after so many epochs.
    fn progress(&self, epochs: f64) -> f64 {
        match self.settings.schedule {
            Schedule::Course => self.course.progress(epochs),
            Schedule::Constant => 1.0,
        }
    }

    /// Whether an epoch without improvement says that there is nothing left to gain.
    fn settled(&self, epoch: usize) -> bool {
        let progress = self.progress(epoch as f64);
        let loosened = !self.settings.falling_penalty || progress >= LOOSENED_FROM;
        loosened && self.objective.settled(progress)
    }

    /// The penalty on the weights with so many rows to train on.
    fn weight_decay(&self, progress: f64, rows: usize) -> f64 {
        let last = self.settings.adam.weight_decay;
        let first = FIRST_PENALTY / rows as f64;
        if !self.settings.falling_penalty || last == 0.0 || first <= last {
            return last;
        }
        decayed(first, last / first, (progress / COOLING_FROM).min(1.0))
    }

    /// Whether the learning rate falls by now, or always does as it likes.
    fn cools(&self, epoch: usize) -> bool {
        self.settings.schedule == Schedule::Constant || self.course.cools(epoch)
    }

    /// One pass over the rows; `None` when interrupted. Returns the mean terms.
    fn epoch(
        &mut self,
        parameters: &mut [T],
        moments: &mut Moments<T>,
        average: &mut Option<Average<T>>,
        rows: &[usize],
        epoch: usize,
    ) -> Option<Vec<f64>> {
        let made = self.fresh.as_mut().map(|make| make(self.step));
        let (data, rows) = match &made {
            Some(Made { x, y, order }) => (Data { x, y, ..self.data }, &order[..]),
            None => (self.data, rows),
        };
        let mut sums = vec![0.0; self.objective.terms().len()];
        let mut gradient = Gradient::zeros(parameters.len());
        let batches = batches(rows.len(), self.settings.batch_size);
        for batch in 0..batches {
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            let progress = self.progress(epoch as f64 + batch as f64 / batches as f64);
            let rows = Rows::of_batch(rows, batch, batches);
            let noise = Noise { seed: self.settings.seed, purpose: Purpose::Training, step: self.step };
            let terms = self.objective.gradient(parameters, &data, &rows, noise, progress, &mut gradient);
            if !terms.iter().all(|term| term.is_finite()) {
                return Some(vec![f64::NAN; sums.len()]);
            }
            let rate = match self.settings.schedule {
                // In the middle of the step: at its start, the first one of all would change nothing.
                Schedule::Course => {
                    self.rate
                        * self.course.rate(epoch as f64 + (batch as f64 + 0.5) / batches as f64, batches)
                }
                Schedule::Constant => self.rate,
            };
            let adam =
                Adam { weight_decay: self.weight_decay(progress, rows.all.len()), ..self.settings.adam };
            let scale = self.limiter.scale(gradient.norm());
            let descent = Descent { adam, rate, rates: &self.rates, gradient: &gradient, scale };
            let average = average.as_mut().map(|average| average.next(batches as f64));
            moments.step(&descent, parameters, average);
            sums.iter_mut().zip(&terms).for_each(|(sum, term)| *sum += term / batches as f64);
            self.step += 1;
        }
        Some(sums)
    }

    /// The loss of the rows held out, batch by batch, with the same noise every time.
    fn validate(&mut self, parameters: &[T], rows: &[usize]) -> f64 {
        if rows.is_empty() {
            return f64::NAN;
        }
        let batches = batches(rows.len(), self.settings.batch_size);
        let mut sum = 0.0;
        for batch in 0..batches {
            let rows = Rows::of_batch(rows, batch, batches);
            let noise = Noise { seed: self.settings.seed, purpose: Purpose::Validation, step: batch as u64 };
            let terms = self.objective.evaluate(parameters, &self.data, &rows, noise);
            sum += terms.iter().sum::<f64>() * rows.batch().len() as f64;
        }
        sum / rows.len() as f64
    }
}

/// Batches of nearly equal size, so that no small one at the end weighs as much as the others.
fn batches(rows: usize, batch_size: usize) -> usize {
    rows.div_ceil(batch_size).max(1)
}
