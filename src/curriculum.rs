//! Training on what a learned simulator makes, on the simulations, and on both.

use crate::model::Model;
use crate::random::{Purpose, permutation};
use crate::surrogate::{self, Surrogate};
use crate::train::fit::{self, Epoch, Fresh, Made, Outcome, Supply, fit};
use crate::train::objective::{Data, Objective};
use crate::train::optimizer::Moments;
use std::sync::atomic::AtomicBool;

/// Seeds of the draws from a surrogate begin here: those of its networks come before.
const FIRST_DRAW: u64 = 16;

/// What a network learns from, and what that changes.
pub struct Curriculum<'a> {
    /// Knows how the network wants its columns.
    pub model: &'a Model,
    /// Gives fresh pairs.
    pub surrogate: &'a Surrogate,
    /// The simulations.
    pub data: Data<'a, f32>,
    /// Settings that all stages begin with.
    pub settings: &'a fit::Settings,
    /// What is minimised.
    pub objective: &'a mut dyn Objective<f32>,
    /// Weights.
    pub parameters: &'a mut [f32],
    /// The optimizer's.
    pub moments: &'a mut Moments<f32>,
    /// Whether to end early.
    pub stop: &'a AtomicBool,
}

impl<'a> Curriculum<'a> {
    /// Trains on fresh pairs, which cannot be learned by heart; then on the simulations, which are true, and some fresh
    /// pairs among them; at last on the simulations alone, but only rows held out that gain by more than chance keep that.
    pub fn run(&mut self, report: &mut dyn FnMut(&Epoch)) -> Outcome {
        let mut outcome = self.on_fresh_pairs(report);
        let course = &self.surrogate.course;
        if course.tuning_epochs == 0 || !outcome.is_complete() {
            return outcome;
        }
        outcome.go_on(|report| self.on_both(report), report);
        if !outcome.is_complete() {
            return outcome;
        }
        let (parameters, moments) = (self.parameters.to_vec(), self.moments.clone());
        let (epoch, loss) = (outcome.best_epoch, outcome.best_loss);
        outcome.go_on(|report| self.tune(None, report), report);
        let least_gain = course.tuning_gain / (outcome.held_out.len() as f64).sqrt();
        if outcome.best_loss > loss - least_gain {
            self.parameters.copy_from_slice(&parameters);
            *self.moments = moments;
            (outcome.best_epoch, outcome.best_loss) = (epoch, loss);
        }
        outcome
    }

    fn on_fresh_pairs(&mut self, report: &mut dyn FnMut(&Epoch)) -> Outcome {
        let (course, data) = (&self.surrogate.course, self.data);
        let settings = fit::Settings {
            batch_size: course.batch_size,
            max_iter: course.passes,
            n_iter_no_change: course.patience,
            tolerance: course.gain(surrogate::chance(data.x_columns, data.y_columns, data.rows())),
            ..self.shared()
        };
        let pairs = self.pairs();
        // Network by network, as they are drawn: shuffled, they taught some problems less (docs/choices.md).
        let mut drawn = |step| {
            let (x, y) = pairs(course.rows, step);
            let order = (0..x.len() / data.x_columns).collect();
            Made { x, y, order }
        };
        self.fit(Some(&mut drawn), &settings, report)
    }

    fn on_both(&mut self, report: &mut dyn FnMut(&Epoch)) -> Outcome {
        let (data, pairs, seed) = (self.data, self.pairs(), self.settings.seed);
        let (_, simulations) = fit::split(data.rows(), self.settings);
        let fresh = (self.surrogate.course.fresh_share * simulations.len() as f64).round() as usize;
        let mut mixed = |step| {
            let (mut x, mut y) = pairs(fresh, step);
            data.append_rows(&simulations, &mut x, &mut y);
            let order = permutation(x.len() / data.x_columns, &mut seed.stream(Purpose::Order, step));
            Made { x, y, order }
        };
        self.tune(Some(&mut mixed), report)
    }

    /// Small steps and little patience: simulations are overfitted as soon as they no longer help.
    fn tune<'f>(&mut self, fresh: Option<&'f mut Fresh<'f, f32>>, report: &mut dyn FnMut(&Epoch)) -> Outcome
    where
        'a: 'f,
    {
        let course = &self.surrogate.course;
        let settings = fit::Settings {
            max_iter: course.tuning_epochs,
            n_iter_no_change: course.tuning_patience,
            learning_rate: course.tuning_rate * self.settings.learning_rate,
            ..self.shared()
        };
        self.fit(fresh, &settings, report)
    }

    fn shared(&self) -> fit::Settings {
        fit::Settings { averaging: true, falling_penalty: false, ..*self.settings }
    }

    /// Draws so many fresh pairs as the network wants them, others at each step.
    fn pairs(&self) -> impl Fn(usize, u64) -> (Vec<f32>, Vec<f32>) + use<'a> {
        let (model, surrogate, seed) = (self.model, self.surrogate, self.settings.seed);
        move |rows, step| {
            let (x, y) = surrogate
                .draw(rows, seed.derived(Purpose::Surrogate, FIRST_DRAW + step))
                .expect("rows of a pass fit in memory");
            model.network_columns(x.view(), y.view())
        }
    }

    fn fit<'f>(
        &mut self,
        fresh: Option<&'f mut Fresh<'f, f32>>,
        settings: &fit::Settings,
        report: &mut dyn FnMut(&Epoch),
    ) -> Outcome
    where
        'a: 'f,
    {
        let supply = Supply { data: self.data, fresh };
        fit(self.objective, self.parameters, self.moments, supply, settings, self.stop, report)
    }
}
