//! Training, seen from Python: the work runs on threads of its own while the calling thread reports progress and
//! looks for signals.

use super::model::Model;
use crate::ensemble::{Ensemble, fit};
use crate::error::Error;
use crate::inn::{Objective, Settings, Target, check_finite};
use crate::model::{Coupling, Mixing};
use crate::random::Seed;
use crate::scaling;
use crate::subnet::Activation;
use crate::surrogate;
use crate::threads::with_threads;
use crate::train::bidirectional;
use crate::train::fit::{Ending, Epoch, Outcome, Schedule, Settings as Training};
use crate::train::likelihood;
use crate::train::optimizer::Adam;
use numpy::PyReadonlyArray2;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How often the calling thread looks for signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// The settings, a dict in Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct FitSettings {
    /// Latent variables, `None` for a network that sees y.
    latent_dim: Option<usize>,
    total_dim: Option<usize>,
    n_blocks: usize,
    hidden_layer_sizes: Vec<usize>,
    activation: String,
    clamp: f64,
    bounds: Option<Vec<(f64, f64)>>,
    coupling: String,
    n_bins: usize,
    permutation: String,
    memory: String,
    /// The objective: one of the two.
    bidirectional: Option<Terms>,
    likelihood: Option<NoiseSettings>,
    batch_size: usize,
    max_iter: usize,
    learning_rate_init: f64,
    constant_rate: bool,
    weight_decay: f64,
    falling_penalty: bool,
    beta_1: f64,
    beta_2: f64,
    gradient_clamp: f64,
    early_stopping: bool,
    validation_fraction: f64,
    n_iter_no_change: usize,
    surrogate: Option<SurrogateSettings>,
    /// One for each network.
    seeds: Vec<u64>,
}

/// Terms of the bidirectional objective; noise as it is at the end.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Terms {
    y_weight: f64,
    z_weight: f64,
    x_weight: f64,
    energy_weight: f64,
    reconstruction_weight: f64,
    padding_weight: f64,
    y_noise: f64,
    z_noise: f64,
    padding_noise: f64,
    z_kernels: Vec<f64>,
    x_kernels: Vec<f64>,
    ramp: f64,
    noise_decay: f64,
    x_condition: f64,
}

impl From<Terms> for bidirectional::Settings {
    fn from(terms: Terms) -> Self {
        Self {
            y_weight: terms.y_weight,
            z_weight: terms.z_weight,
            x_weight: terms.x_weight,
            energy_weight: terms.energy_weight,
            reconstruction_weight: terms.reconstruction_weight,
            padding_weight: terms.padding_weight,
            y_noise: terms.y_noise / terms.noise_decay,
            z_noise: terms.z_noise / terms.noise_decay,
            padding_noise: terms.padding_noise / terms.noise_decay,
            z_kernels: terms.z_kernels,
            x_kernels: terms.x_kernels,
            ramp: terms.ramp,
            noise_decay: terms.noise_decay,
            x_condition: terms.x_condition,
        }
    }
}

/// How a simulator that is learned first is trained and used.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct SurrogateSettings {
    n_blocks: Vec<usize>,
    hidden_layer_sizes: Vec<usize>,
    n_bins: usize,
    prior_epochs: usize,
    likelihood_epochs: usize,
    surrogate_patience: usize,
    rows: usize,
    batch_size: usize,
    passes: usize,
    patience: usize,
    tolerance: f64,
    least_gain: f64,
    tuning_epochs: usize,
    tuning_patience: usize,
    tuning_rate: f64,
    fresh_share: f64,
    tuning_gain: f64,
}

impl From<SurrogateSettings> for surrogate::Course {
    fn from(settings: SurrogateSettings) -> Self {
        Self {
            n_blocks: settings.n_blocks,
            hidden_layer_sizes: settings.hidden_layer_sizes,
            n_bins: settings.n_bins,
            prior_epochs: settings.prior_epochs,
            likelihood_epochs: settings.likelihood_epochs,
            surrogate_patience: settings.surrogate_patience,
            rows: settings.rows,
            batch_size: settings.batch_size,
            passes: settings.passes,
            patience: settings.patience,
            tolerance: settings.tolerance,
            least_gain: settings.least_gain,
            tuning_epochs: settings.tuning_epochs,
            tuning_patience: settings.tuning_patience,
            tuning_rate: settings.tuning_rate,
            fresh_share: settings.fresh_share,
            tuning_gain: settings.tuning_gain,
        }
    }
}

/// Noise of the likelihood.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct NoiseSettings {
    y_noise: f64,
    first_y_noise: f64,
    padding_noise: f64,
}

impl From<NoiseSettings> for likelihood::Settings {
    fn from(noise: NoiseSettings) -> Self {
        let NoiseSettings { y_noise, first_y_noise, padding_noise } = noise;
        Self { y_noise, first_y_noise, padding_noise }
    }
}

impl FitSettings {
    fn into_settings(self) -> PyResult<Settings> {
        let objective = match (self.bidirectional, self.likelihood) {
            (Some(terms), None) => Objective::Bidirectional(terms.into()),
            (None, Some(noise)) => Objective::Likelihood(noise.into()),
            _ => return Err(Error::setting("objective", "none or both", "one of two").into()),
        };
        let adam = Adam {
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            weight_decay: self.weight_decay,
            clamp: self.gradient_clamp,
            ..Adam::default()
        };
        let training = Training {
            batch_size: self.batch_size,
            max_iter: self.max_iter,
            learning_rate: self.learning_rate_init,
            schedule: if self.constant_rate { Schedule::Constant } else { Schedule::Course },
            adam,
            falling_penalty: self.falling_penalty,
            early_stopping: self.early_stopping,
            validation_fraction: self.validation_fraction,
            n_iter_no_change: self.n_iter_no_change,
            tolerance: 0.0,
            keeps_start: self.latent_dim.is_none(),
            averaging: false,
            // Each network has its own.
            seed: Seed(0),
            split: Seed(0),
        };
        Ok(Settings {
            target: match self.latent_dim {
                Some(latent_dim) => Target::Joint { latent_dim, total_dim: self.total_dim },
                None => Target::Conditional,
            },
            bounds: self.bounds,
            y_bounds: None,
            n_blocks: self.n_blocks,
            hidden_layer_sizes: self.hidden_layer_sizes,
            activation: Activation::from_name(&self.activation)?,
            clamp: self.clamp,
            coupling: Coupling::from_name(&self.coupling, self.n_bins)?,
            mixing: Mixing::from_name(&self.permutation)?,
            recompute: self.memory == "recompute",
            objective,
            surrogate: self.surrogate.map(Into::into),
            training,
        })
    }
}

/// Numbers of the columns whose values are all the same, after a check that all are finite.
#[pyfunction]
pub fn constant_columns(name: &str, data: PyReadonlyArray2<f64>) -> PyResult<Vec<usize>> {
    let name = if name == "x" { "x" } else { "y" };
    check_finite(name, data.as_array())?;
    Ok(scaling::constant_columns(data.as_array()))
}

/// Fits networks. `progress(epoch, train_loss, validation_loss, of_simulator)` is called after every epoch. Returns the
/// model and the outcome of each network, a dict.
#[pyfunction]
#[pyo3(signature = (x, y, settings, threads, previous=None, progress=None))]
pub fn fit_network<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    y: PyReadonlyArray2<'py, f64>,
    settings: FitSettings,
    threads: usize,
    previous: Option<&Bound<'py, Model>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Model, Vec<Bound<'py, PyDict>>)> {
    let seeds: Vec<Seed> = settings.seeds.iter().copied().map(Seed).collect();
    let settings = settings.into_settings()?;
    let (x, y) = (x.as_array(), y.as_array());
    let previous = previous.map(|model| &model.get().ensemble);
    let (ensemble, outcomes) = py.detach(|| {
        supervise(progress, |stop, report| {
            with_threads(threads, || fit(x, y, &settings, &seeds, previous, stop, report))
        })
    })?;
    let outcomes = outcomes.iter().map(|outcome| outcome_dict(py, outcome)).collect::<PyResult<_>>()?;
    Ok((Model { ensemble }, outcomes))
}

/// Runs `train` on a thread of its own, with the reports it sends passed on to Python, until it ends. A signal or an
/// exception stops it: an interrupt is part of its outcome, any other exception is raised once it has stopped.
fn supervise(
    progress: Option<Py<PyAny>>,
    train: impl FnOnce(
        &AtomicBool,
        &mut (dyn FnMut(&Epoch) + Send),
    ) -> crate::error::Result<crate::error::Result<(Ensemble, Vec<Outcome>)>>
    + Send,
) -> PyResult<(Ensemble, Vec<Outcome>)> {
    let stop = AtomicBool::new(false);
    let (sender, receiver) = channel();
    let (result, exception) = std::thread::scope(|scope| {
        let stop = &stop;
        let worker = scope.spawn(move || {
            train(stop, &mut move |epoch: &Epoch| {
                // Nobody listens only when the calling thread has gone, and then nothing is lost.
                let _ = sender.send(epoch.clone());
            })
        });
        let exception = listen(&receiver, progress.as_ref(), stop);
        (worker.join(), exception)
    });
    let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match exception {
        Some(error) => Err(error),
        None => Ok(result??),
    }
}

/// Passes on reports and looks for signals until the sender is gone.
fn listen(receiver: &Receiver<Epoch>, progress: Option<&Py<PyAny>>, stop: &AtomicBool) -> Option<PyErr> {
    let mut exception = None;
    loop {
        let message = receiver.recv_timeout(SIGNAL_INTERVAL);
        if let Err(RecvTimeoutError::Disconnected) = message {
            return exception;
        }
        let answer = Python::attach(|py| -> PyResult<()> {
            if let (Ok(epoch), Some(progress), None) = (&message, progress, &exception) {
                let Epoch { number, train_loss, validation_loss, of_simulator, .. } = *epoch;
                progress.call1(py, (number, train_loss, validation_loss, of_simulator))?;
            }
            py.check_signals()
        });
        if let Err(error) = answer {
            stop.store(true, Ordering::Relaxed);
            let interrupted = Python::attach(|py| error.is_instance_of::<PyKeyboardInterrupt>(py));
            if !interrupted && exception.is_none() {
                exception = Some(error);
            }
        }
    }
}

fn outcome_dict<'py>(py: Python<'py>, outcome: &Outcome) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let ending = match outcome.ending {
        Ending::Completed => "completed",
        Ending::Stopped => "stopped",
        Ending::Interrupted => "interrupted",
        Ending::Diverged => "diverged",
    };
    dict.set_item("ending", ending)?;
    dict.set_item("best_epoch", outcome.best_epoch)?;
    dict.set_item("best_loss", outcome.best_loss)?;
    dict.set_item("held_out", &outcome.held_out)?;
    let history = PyDict::new(py);
    let column = |f: &dyn Fn(&Epoch) -> f64| outcome.history.iter().map(f).collect::<Vec<f64>>();
    history.set_item("epoch", outcome.history.iter().map(|e| e.number).collect::<Vec<_>>())?;
    history.set_item("train_loss", column(&|e| e.train_loss))?;
    history.set_item("validation_loss", column(&|e| e.validation_loss))?;
    for (i, name) in outcome.terms.iter().enumerate() {
        history.set_item(*name, column(&|e| e.terms[i]))?;
    }
    dict.set_item("history", history)?;
    Ok(dict)
}
