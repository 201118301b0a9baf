//! Fitting an invertible network to pairs of x and y: from arrays in the user's units to a model.

use crate::curriculum::Curriculum;
use crate::error::{Error, Result};
use crate::flow::Keep;
use crate::layout::Layout;
use crate::model::{Architecture, Coupling, Mixing, Model, SamplingNoise};
use crate::novelty::Novelty;
use crate::regression::Regression;
use crate::scaling::Scaling;
use crate::subnet::Activation;
use crate::surrogate::{self, Surrogate};
use crate::train::bidirectional::{self, Bidirectional};
use crate::train::fit::{self, Epoch, Outcome, Supply};
use crate::train::likelihood::{self, Likelihood};
use crate::train::objective::{self, Data};
use crate::train::optimizer::Moments;
use ndarray::{Array2, ArrayView2, Axis};
use std::sync::atomic::AtomicBool;

/// Everything a fit can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the network maps x to.
    pub target: Target,
    /// Lowest and highest value of each column of x, infinite where there is none.
    pub bounds: Option<Vec<(f64, f64)>>,
    /// The same of y, where it helps to scale it: no value need lie within.
    pub y_bounds: Option<Vec<(f64, f64)>>,
    /// Blocks of two couplings and a mixing.
    pub n_blocks: usize,
    /// Hidden layers of every subnetwork.
    pub hidden_layer_sizes: Vec<usize>,
    /// Between the layers of a subnetwork.
    pub activation: Activation,
    /// Bound on the log scale of a coupling.
    pub clamp: f64,
    /// What a coupling does to its columns.
    pub coupling: Coupling,
    /// What mixes the columns between blocks.
    pub mixing: Mixing,
    /// Whether the backward rebuilds what the forward saw instead of storing it.
    pub recompute: bool,
    /// What is minimised.
    pub objective: Objective,
    /// Whether a new network learns from a simulator that is learned first, and how.
    pub surrogate: Option<surrogate::Course>,
    /// The training loop.
    pub training: fit::Settings,
}

/// What the network maps x to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// z and y; a total width of `None` is the smallest that fits.
    Joint {
        /// Latent variables.
        latent_dim: usize,
        /// Width of the network.
        total_dim: Option<usize>,
    },
    /// z alone; the subnetworks see y.
    Conditional,
}

/// What a fit minimises.
#[derive(Clone, Debug)]
pub enum Objective {
    /// The paper's sum of terms for both directions.
    Bidirectional(bidirectional::Settings),
    /// The negative log density.
    Likelihood(likelihood::Settings),
}

impl Objective {
    /// How large the first weights of the subnetworks' last layers are, against the usual scale. By likelihood training
    /// starts where the network changes nothing, which is right already where x is linear in y, and the rows held out
    /// tell when to leave it; the MMD needs a network that does something to find its way.
    fn last_layer(&self) -> f64 {
        match self {
            Self::Bidirectional(_) => 0.1,
            Self::Likelihood(_) => 0.001,
        }
    }

    /// The noise that posterior samples are drawn with: what training ended with. Beside padded x there is none: the
    /// paper's samples come from exact y and zero padding, and have no density anyway.
    fn sampling_noise(&self, layout: &Layout) -> SamplingNoise {
        match self {
            Self::Likelihood(settings) => SamplingNoise {
                y: settings.y_noise,
                padding: settings.padding_noise,
                ..SamplingNoise::default()
            },
            Self::Bidirectional(_) if layout.total > layout.x => SamplingNoise::default(),
            Self::Bidirectional(settings) => SamplingNoise {
                y: settings.y_noise * settings.noise_decay,
                padding: settings.padding_noise * settings.noise_decay,
                ..SamplingNoise::default()
            },
        }
    }
}

/// A model and what training needs to go on from it.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// The optimizer's moments.
    pub moments: Moments<f32>,
}

/// Fewest rows that a mean and a spread can be taken of, with one of them held out.
const FEWEST_ROWS: usize = 2;

/// Fits a network to rows of x and y, from the start or from a previous one with its scaling and shape.
///
/// Every check comes before the first step, and a previous model is only read: whatever happens, it stays.
pub fn fit(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    settings: &Settings,
    previous: Option<&Trained>,
    stop: &AtomicBool,
    mut report: impl FnMut(&Epoch) + Send,
) -> Result<(Trained, Outcome)> {
    check_data(x, y)?;
    if let Some(bounds) = &settings.bounds {
        check_bounds(x, bounds)?;
    }
    let (mut trained, outcome) = train(x, y, settings, previous, stop, &mut report)?;
    if trained.model.layout().conditional {
        trained.model.widen(x, y, &outcome.held_out)?;
    }
    Ok((trained, outcome))
}

/// The same for data that is checked, or has no columns of y.
pub(crate) fn train(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    settings: &Settings,
    previous: Option<&Trained>,
    stop: &AtomicBool,
    report: &mut (dyn FnMut(&Epoch) + Send),
) -> Result<(Trained, Outcome)> {
    let Trained { mut model, mut moments } = match previous {
        Some(previous) => continue_from(previous, x.ncols(), y.ncols())?,
        None => start(x, y, settings)?,
    };
    let surrogate = match (&settings.surrogate, previous) {
        (Some(course), None) => Surrogate::fit(x, y, settings, course, stop, report)?,
        _ => None,
    };
    let layout = model.layout();
    let noise = settings.objective.sampling_noise(&layout);
    model.architecture.noise = SamplingNoise { z: model.architecture.noise.z, ..noise };
    let (x, y) = model.network_columns(x, y);
    let data = Data { x: &x, y: &y, x_columns: layout.x, y_columns: layout.y };
    let chain = model.chain().clone();
    let batch = settings.training.batch_size.min(data.rows());
    let batch = surrogate.as_ref().map_or(batch, |surrogate| batch.max(surrogate.course.batch_size));
    let mut objective: Box<dyn objective::Objective<f32>> = match &settings.objective {
        // Its tiles wait for the whole batch: their hidden layers would not stay in the cache until the backward.
        Objective::Bidirectional(terms) => {
            let keep = if settings.recompute { Keep::Result } else { Keep::States };
            Box::new(Bidirectional::new(&chain, layout, terms.clone(), keep, batch))
        }
        Objective::Likelihood(noise) => {
            let keep = if settings.recompute { Keep::Result } else { Keep::Activations };
            Box::new(Likelihood::new(&chain, layout, *noise, keep, batch))
        }
    };
    let mut parameters = std::mem::take(&mut model.parameters);
    let outcome = match surrogate {
        Some(surrogate) => {
            let mut curriculum = Curriculum {
                model: &model,
                surrogate: &surrogate,
                data,
                settings: &settings.training,
                objective: objective.as_mut(),
                parameters: &mut parameters,
                moments: &mut moments,
                stop,
            };
            curriculum.run(report)
        }
        None => {
            let supply = Supply { data, fresh: None };
            let objective = objective.as_mut();
            fit::fit(objective, &mut parameters, &mut moments, supply, &settings.training, stop, report)
        }
    };
    drop(objective);
    model.parameters = parameters;
    Ok((Trained { model, moments }, outcome))
}

fn start(x: ArrayView2<f64>, y: ArrayView2<f64>, settings: &Settings) -> Result<Trained> {
    let layout = match settings.target {
        Target::Joint { latent_dim, total_dim } => Layout::new(x.ncols(), y.ncols(), latent_dim, total_dim)?,
        Target::Conditional => Layout::conditional(x.ncols(), y.ncols()),
    };
    let seed = settings.training.seed;
    let architecture = Architecture {
        layout,
        n_blocks: settings.n_blocks,
        hidden_layer_sizes: settings.hidden_layer_sizes.clone(),
        activation: settings.activation,
        clamp: settings.clamp,
        coupling: settings.coupling,
        mixing: settings.mixing,
        orders: Vec::new(),
        rotations: Vec::new(),
        noise: settings.objective.sampling_noise(&layout),
    };
    let architecture = architecture.random(seed)?;
    // Rows held out must not be known to anything that is fitted.
    let (_, rows) = fit::split(x.nrows(), &settings.training);
    let (y_scaling, y) = scaled(y, &rows, |y| Scaling::fit_given(y, settings.y_bounds.as_deref()));
    let novelty = if y.ncols() > 0 { Novelty::fit(y.view(), seed) } else { None };
    let (x_scaling, x) = scaled(x, &rows, |x| Scaling::fit(x, settings.bounds.as_deref()));
    let regression = if layout.conditional { Regression::fit(x.view(), y.view()) } else { None };
    let last_layer = settings.objective.last_layer();
    let mut model = Model::untrained(architecture, x_scaling, y_scaling, regression, last_layer, seed)?;
    model.novelty = novelty;
    let moments = Moments::new(model.parameters.len());
    Ok(Trained { model, moments })
}

/// The scaling of some rows, and these rows scaled.
fn scaled(
    data: ArrayView2<f64>,
    rows: &[usize],
    fit: impl FnOnce(ArrayView2<f64>) -> Scaling,
) -> (Scaling, Array2<f64>) {
    let data = data.select(Axis(0), rows);
    let scaling = fit(data.view());
    let scaled = scaling.standardise(data.view());
    (scaling, scaled)
}

fn continue_from(previous: &Trained, x: usize, y: usize) -> Result<Trained> {
    let layout = previous.model.layout();
    for (name, got, needs) in [("x", x, layout.x), ("y", y, layout.y)] {
        if got != needs {
            return Err(Error::Columns { name, got, needs });
        }
    }
    Ok(previous.clone())
}

fn check_data(x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<()> {
    if x.nrows() != y.nrows() {
        return Err(Error::Rows { x: x.nrows(), y: y.nrows() });
    }
    if x.nrows() < FEWEST_ROWS {
        return Err(Error::TooFew { name: "x", got: x.nrows(), needs: FEWEST_ROWS });
    }
    for (name, data) in [("x", x), ("y", y)] {
        if data.ncols() == 0 {
            return Err(Error::setting(name, "no columns", "at least one column"));
        }
        check_finite(name, data)?;
    }
    Ok(())
}

/// An error for bounds that make no sense, and for the first value outside them.
fn check_bounds(x: ArrayView2<f64>, bounds: &[(f64, f64)]) -> Result<()> {
    if bounds.len() != x.ncols() {
        let needs = format!("one pair for each of the {} columns of x", x.ncols());
        return Err(Error::setting("bounds", format!("{} pairs", bounds.len()), needs));
    }
    for &(low, high) in bounds {
        // NaN is in no order. The width of an interval must be a number too.
        let ordered = low < high;
        if !ordered || (low.is_finite() && high.is_finite() && (high - low).is_infinite()) {
            let needs = "pairs (low, high) with low < high";
            return Err(Error::setting("bounds", format!("({low}, {high})"), needs));
        }
    }
    let outside = |((_, column), value): &((usize, usize), &f64)| {
        let (low, high) = bounds[*column];
        !(low..=high).contains(value)
    };
    match x.indexed_iter().find(outside) {
        Some(((row, column), value)) => {
            let (low, high) = bounds[column];
            let got = format!("{value} at row {row}, column {column}");
            Err(Error::setting("x", got, format!("within its bounds ({low}, {high})")))
        }
        None => Ok(()),
    }
}

/// An error for the first value that is NaN or infinite.
pub fn check_finite(name: &'static str, data: ArrayView2<f64>) -> Result<()> {
    match data.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), &got)) => Err(Error::NotFinite { name, got, row, column }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(missing_docs, reason = "only tests see it")]
pub mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};
    use crate::threads::with_threads;
    use crate::train::optimizer::Adam;
    use ndarray::Array2;

    pub fn settings() -> Settings {
        Settings {
            target: Target::Joint { latent_dim: 1, total_dim: Some(4) },
            bounds: None,
            y_bounds: None,
            n_blocks: 2,
            hidden_layer_sizes: vec![16],
            activation: Activation::Relu,
            clamp: 2.0,
            coupling: Coupling::Affine,
            mixing: Mixing::Shuffle,
            recompute: false,
            surrogate: None,
            objective: Objective::Bidirectional(bidirectional::Settings {
                y_weight: 3.0,
                z_weight: 30.0,
                x_weight: 30.0,
                energy_weight: 3.0,
                reconstruction_weight: 3.0,
                padding_weight: 1.0,
                y_noise: 0.1,
                z_noise: 0.1,
                padding_noise: 0.05,
                z_kernels: vec![0.2, 1.0],
                x_kernels: vec![0.2, 1.0],
                ramp: 0.002,
                noise_decay: 0.1,
                x_condition: 0.0,
            }),
            training: fit::Settings {
                batch_size: 200,
                max_iter: 5,
                learning_rate: 1e-3,
                schedule: fit::Schedule::Course,
                adam: Adam::default(),
                falling_penalty: false,
                early_stopping: true,
                validation_fraction: 0.1,
                n_iter_no_change: 10,
                tolerance: 0.0,
                keeps_start: false,
                averaging: false,
                seed: Seed(3),
                split: Seed(3),
            },
        }
    }

    /// x uniform on a ring of two units, y its first coordinate.
    pub fn ring(rows: usize) -> (Array2<f64>, Array2<f64>) {
        let mut stream = Seed(1).stream(Purpose::Training, 0);
        let mut values = vec![0.0; 2 * rows];
        fill_normal(&mut values, 1.0, &mut stream);
        let x = Array2::from_shape_vec((rows, 2), values).unwrap();
        let y = Array2::from_shape_fn((rows, 1), |(r, _)| x[[r, 0]] + 0.1 * f64::powi(x[[r, 1]], 2));
        (x, y)
    }

    #[test]
    fn threads_change_no_bit() {
        let (x, y) = ring(1000);
        let run = |threads| {
            with_threads(threads, || {
                let (trained, outcome) =
                    fit(x.view(), y.view(), &settings(), None, &AtomicBool::new(false), |_| {}).unwrap();
                let samples = trained.model.posterior(y.view(), 3, Seed(5)).unwrap();
                (trained.model.parameters, outcome.history, samples)
            })
            .unwrap()
        };
        let one = run(1);
        for threads in [2, 3, 8] {
            assert!(run(threads) == one, "{threads} threads");
        }
    }

    #[test]
    fn learns() {
        let (x, y) = ring(2000);
        let mut losses = Vec::new();
        let settings =
            Settings { training: fit::Settings { max_iter: 30, ..settings().training }, ..settings() };
        let (trained, outcome) = fit(x.view(), y.view(), &settings, None, &AtomicBool::new(false), |epoch| {
            losses.push(epoch.train_loss);
        })
        .unwrap();
        assert!(losses[29] < 0.2 * losses[0], "{losses:?}");
        assert_eq!(outcome.history.len(), 30);
        let predicted = trained.model.predict(x.view()).unwrap();
        let error = (&predicted - &y).mapv(|e| e * e).mean().unwrap();
        assert!(error < 0.1, "{error}");
    }

    #[test]
    fn an_interrupt_before_the_first_epoch_leaves_no_history() {
        let (x, y) = ring(100);
        let (_, outcome) =
            fit(x.view(), y.view(), &settings(), None, &AtomicBool::new(true), |_| {}).unwrap();
        assert_eq!(outcome.ending, fit::Ending::Interrupted);
        assert!(outcome.history.is_empty());
    }

    #[test]
    fn bad_data_is_refused() {
        let (x, y) = ring(10);
        let refused = |x: ArrayView2<f64>, y: ArrayView2<f64>| {
            fit(x, y, &settings(), None, &AtomicBool::new(false), |_| {}).unwrap_err().to_string()
        };
        let short = y.slice(ndarray::s![..9, ..]);
        assert_eq!(refused(x.view(), short), "x has 10 rows and y has 9; each row of x needs its row of y");
        let mut broken = x.clone();
        broken[[4, 1]] = f64::NAN;
        assert_eq!(refused(broken.view(), y.view()), "x must be finite, got NaN at row 4, column 1");
        let narrow = Settings { target: Target::Joint { latent_dim: 1, total_dim: Some(1) }, ..settings() };
        let error = fit(x.view(), y.view(), &narrow, None, &AtomicBool::new(false), |_| {}).unwrap_err();
        assert!(error.to_string().starts_with("total_dim must be at least"), "{error}");
    }

    pub fn conditional() -> Settings {
        let noise = likelihood::Settings { y_noise: 1.0, first_y_noise: 1.0, padding_noise: 1.0 };
        Settings { target: Target::Conditional, objective: Objective::Likelihood(noise), ..settings() }
    }

    fn fitted(settings: &Settings) -> (Trained, Outcome) {
        let (x, y) = ring(400);
        fit(x.view(), y.view(), settings, None, &AtomicBool::new(false), |_| {}).unwrap()
    }

    #[test]
    fn a_start_that_training_only_spoils_is_kept_where_it_may_be() {
        let rash = fit::Settings { learning_rate: 1.0, max_iter: 3, ..settings().training };
        let fitted = |keeps_start| {
            fitted(&Settings { training: fit::Settings { keeps_start, ..rash }, ..conditional() })
        };
        let (trained, outcome) = fitted(true);
        assert_eq!((outcome.best_epoch, outcome.best_loss), (0, outcome.first_loss));
        assert!(outcome.history.iter().all(|epoch| epoch.validation_loss > outcome.first_loss));
        let (x, y) = ring(400);
        let training = fit::Settings { max_iter: 0, ..rash };
        let untrained = Settings { training, ..conditional() };
        let (start, _) = fit(x.view(), y.view(), &untrained, None, &AtomicBool::new(false), |_| {}).unwrap();
        assert!(trained.model.parameters == start.model.parameters);
        let (trained, outcome) = fitted(false);
        assert!(outcome.best_epoch > 0 && outcome.best_loss > outcome.first_loss);
        assert!(trained.model.parameters != start.model.parameters);
    }

    #[test]
    fn without_rows_held_out_the_loss_is_that_of_the_last_epoch() {
        let training = fit::Settings { early_stopping: false, ..settings().training };
        let (_, outcome) = fitted(&Settings { training, ..conditional() });
        assert_eq!(outcome.best_loss, outcome.history[4].train_loss);
        assert!(outcome.first_loss.is_nan() && outcome.best_epoch == 5);
    }

    #[test]
    fn improvements_below_the_tolerance_are_kept_but_not_waited_for() {
        let fitted = |tolerance| {
            let patient = fit::Settings { max_iter: 200, n_iter_no_change: 5, ..settings().training };
            fitted(&Settings { training: fit::Settings { tolerance, ..patient }, ..conditional() }).1
        };
        let (waits, ends) = (fitted(0.0), fitted(1e6));
        // The first epoch is an improvement on none.
        assert!(ends.history.len() <= 10 && waits.history.len() > 15);
        assert!(ends.best_epoch > 5);
        let losses = ends.history.iter().map(|epoch| epoch.validation_loss);
        assert_eq!(losses.fold(f64::INFINITY, f64::min), ends.best_loss);
    }

    #[test]
    fn a_network_that_expects_less_than_there_is_draws_more_widely() {
        let (mut model, (x, y)) = (fitted(&conditional()).0.model, ring(400));
        let all: Vec<usize> = (0..400).collect();
        model.widen((1.5 * &x).view(), y.view(), &all).unwrap();
        let wide = model.architecture.noise.z;
        // From the start each time, and not on top of what it was.
        model.widen((1.5 * &x).view(), y.view(), &all).unwrap();
        assert!(wide > 1.1 && model.architecture.noise.z == wide, "{wide}");
    }

    #[test]
    fn a_network_without_rows_held_out_draws_as_it_was_trained() {
        let training = fit::Settings { early_stopping: false, ..settings().training };
        let (trained, _) = fitted(&Settings { training, ..conditional() });
        assert_eq!(trained.model.architecture.noise.z, 1.0);
        assert_eq!(fitted(&settings()).0.model.architecture.noise.z, 1.0);
    }

    #[test]
    fn going_on_without_rows_held_out_keeps_the_spread() {
        let (mut trained, (x, y)) = (fitted(&conditional()).0, ring(400));
        trained.model.architecture.noise.z = 1.25;
        let training = fit::Settings { early_stopping: false, max_iter: 1, ..settings().training };
        let settings = Settings { training, ..conditional() };
        let (more, _) =
            fit(x.view(), y.view(), &settings, Some(&trained), &AtomicBool::new(false), |_| {}).unwrap();
        assert_eq!(more.model.architecture.noise.z, 1.25);
    }

    #[test]
    fn samples_density_and_latent_variables_know_of_the_spread() {
        let (mut model, (x, y)) = (fitted(&conditional()).0.model, ring(400));
        model.architecture.noise.z = 1.0;
        let (z, density) = (model.latent(x.view(), Some(y.view())), model.log_prob(x.view(), y.view()));
        let (z, density) = (z.unwrap(), density.unwrap());
        model.architecture.noise.z = 1.5;
        let wide = model.latent(x.view(), Some(y.view())).unwrap();
        for (got, wanted) in wide.iter().zip(&z) {
            assert!((got - wanted / 1.5).abs() < 1e-12);
        }
        for (row, got) in model.log_prob(x.view(), y.view()).unwrap().into_iter().enumerate() {
            let (before, now) = (z.row(row).dot(&z.row(row)), wide.row(row).dot(&wide.row(row)));
            let wanted = density[row] + 0.5 * (before - now) - 2.0 * f64::ln(1.5);
            assert!((got - wanted).abs() < 1e-5, "{got} {wanted}");
        }
        let back = model.decode(wide.view(), y.view()).unwrap();
        assert!((&back - &x).iter().all(|error| error.abs() < 1e-4));
        let drawn = model.posterior(y.view(), 20, Seed(2)).unwrap();
        let drawn = Array2::from_shape_vec((8000, 2), drawn).unwrap();
        let given = Array2::from_shape_fn((8000, 1), |(row, _)| y[[row / 20, 0]]);
        let z = model.latent(drawn.view(), Some(given.view())).unwrap();
        let mean_square = z.mapv(|value| value * value).mean().unwrap();
        assert!((mean_square - 1.0).abs() < 0.05, "{mean_square}");
    }
}
