//! A network with its scaling: what a fit makes, what posterior samples and predictions come from.

use crate::error::{Error, Result};
use crate::flow::affine::AffineCoupling;
use crate::flow::chain::Chain;
use crate::flow::learned_linear::LearnedLinear;
use crate::flow::orthogonal::Orthogonal;
use crate::flow::shuffle::Shuffle;
use crate::flow::spline::SplineCoupling;
use crate::flow::{Invertible, Keep, Map, Pass};
use crate::kernels::ROWS;
use crate::layout::Layout;
use crate::loss::likelihood::add_normal_log_density;
use crate::novelty::Novelty;
use crate::random::{Purpose, Seed, Stream, fill_normal};
use crate::regression::Regression;
use crate::scaling::Scaling;
use crate::spread::spread;
use crate::subnet::Activation;
use ndarray::{Array2, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The shape of a network, from which its chain is built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Columns of both sides.
    pub layout: Layout,
    /// Blocks of two couplings and a mixing of the columns.
    pub n_blocks: usize,
    /// Hidden layers of every subnetwork.
    pub hidden_layer_sizes: Vec<usize>,
    /// Between the layers of a subnetwork.
    pub activation: Activation,
    /// Bound on the log scale of a coupling.
    pub clamp: f64,
    /// What a coupling does to its columns; files of formats before 3 do not say.
    #[serde(default)]
    pub coupling: Coupling,
    /// What mixes the columns after each block.
    pub mixing: Mixing,
    /// A permutation for each block, where it has one: column c of the result is column `order[c]` before.
    pub orders: Vec<Vec<usize>>,
    /// A rotation for each block, where it has one, row by row. Numbers: they are kept beside the parameters.
    #[serde(skip)]
    pub rotations: Vec<Vec<f64>>,
    /// Noise that posterior samples are drawn with.
    pub noise: SamplingNoise,
}

/// What a coupling does to its columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coupling {
    /// Scale and shift.
    #[default]
    Affine,
    /// Scale and shift, then a monotone spline.
    Spline {
        /// Its bins.
        bins: usize,
    },
}

/// Fewest bins of a spline: one bin is the identity.
const FEWEST_BINS: usize = 2;

impl Coupling {
    /// By the name that users give it, with the number of bins that they give.
    pub fn from_name(name: &str, bins: usize) -> Result<Self> {
        match name {
            "affine" => Ok(Self::Affine),
            "spline" => Ok(Self::Spline { bins }),
            _ => Err(Error::setting("coupling", name, "\"affine\" or \"spline\"")),
        }
    }

    /// The number of bins, where it makes no sense.
    fn wrong_bins(self) -> Option<usize> {
        match self {
            Self::Spline { bins } if !(FEWEST_BINS..=LARGEST_SIZE).contains(&bins) => Some(bins),
            _ => None,
        }
    }
}

/// What mixes the columns between blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mixing {
    /// A fixed permutation.
    Shuffle,
    /// A fixed rotation.
    Orthogonal,
    /// A learned linear map.
    Learned,
}

impl Mixing {
    /// By the name that users give it.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "shuffle" => Ok(Self::Shuffle),
            "orthogonal" => Ok(Self::Orthogonal),
            "learned" => Ok(Self::Learned),
            _ => Err(Error::setting("permutation", name, "\"shuffle\", \"orthogonal\" or \"learned\"")),
        }
    }
}

/// Standard deviations, in standardised units, of what the inverse starts from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingNoise {
    /// Of z, see [`spread`]; files before format 5 do not have it.
    #[serde(default = "standard")]
    pub z: f64,
    /// Around the observation.
    pub y: f64,
    /// Of the padding beside z and y.
    pub padding: f64,
}

fn standard() -> f64 {
    1.0
}

impl Default for SamplingNoise {
    fn default() -> Self {
        Self { z: standard(), y: 0.0, padding: 0.0 }
    }
}

/// Bound on every number of columns, blocks and hidden units; products of a few stay far from overflow.
const LARGEST_SIZE: usize = 1 << 16;

impl Architecture {
    /// Checks the settings of a new network, and draws what is fixed and random in it.
    pub fn random(mut self, seed: Seed) -> Result<Self> {
        if self.hidden_layer_sizes.contains(&0) {
            let got = format!("{:?}", self.hidden_layer_sizes);
            return Err(Error::setting("hidden_layer_sizes", got, "positive sizes"));
        }
        if !(self.clamp > 0.0 && self.clamp.is_finite()) {
            return Err(Error::setting("clamp", self.clamp, "positive and finite"));
        }
        if let Some(bins) = self.coupling.wrong_bins() {
            return Err(Error::setting("n_bins", bins, format!("{FEWEST_BINS} to {LARGEST_SIZE}")));
        }
        let total = self.layout.total;
        let sizes = [("total_dim", total), ("n_blocks", self.n_blocks)];
        let widths = self.hidden_layer_sizes.iter().map(|&width| ("hidden_layer_sizes", width));
        if let Some((name, size)) = sizes.into_iter().chain(widths).find(|&(_, size)| size > LARGEST_SIZE) {
            return Err(Error::setting(name, size, format!("at most {LARGEST_SIZE}")));
        }
        let streams = (0..self.n_blocks).map(|block| seed.stream(Purpose::Mixing, block as u64));
        match self.mixing {
            Mixing::Orthogonal => {
                let rotation = |mut stream| Orthogonal::random(total, &mut stream).into_matrix();
                self.rotations = streams.map(rotation).collect();
            }
            Mixing::Shuffle | Mixing::Learned => {
                let order = |mut stream| Shuffle::random(total, &mut stream).into_order();
                self.orders = streams.map(order).collect();
            }
        }
        Ok(self)
    }

    /// The chain of this shape, after a check that nothing in it is absurd (a file may say anything).
    pub fn chain(&self) -> Result<Chain> {
        self.check_sizes()?;
        let total = self.layout.total;
        let mut maps = Vec::with_capacity(2 * self.n_blocks);
        for block in 0..self.n_blocks {
            maps.push(self.coupling());
            maps.push(match self.mixing {
                Mixing::Orthogonal => Map::Orthogonal(Orthogonal::new(self.rotations[block].clone(), total)?),
                Mixing::Shuffle => Map::Shuffle(Shuffle::new(self.orders[block].clone(), total)?),
                Mixing::Learned => {
                    let permutation = Shuffle::new(self.orders[block].clone(), total)?;
                    Map::LearnedLinear(LearnedLinear::new(permutation, total))
                }
            });
        }
        Ok(Chain::new(total, maps))
    }

    /// The couplings of one block.
    fn coupling(&self) -> Map {
        let (total, condition) = (self.layout.total, self.layout.condition());
        let (hidden, activation, clamp) = (&self.hidden_layer_sizes, self.activation, self.clamp);
        match self.coupling {
            Coupling::Affine => {
                let coupling = AffineCoupling::new(total, condition, hidden, activation, clamp);
                Map::Affine(coupling.in_chain_of(self.n_blocks))
            }
            Coupling::Spline { bins } => {
                let coupling = SplineCoupling::new(total, condition, hidden, activation, bins, clamp);
                Map::Spline(coupling.in_chain_of(self.n_blocks))
            }
        }
    }

    fn check_sizes(&self) -> Result<()> {
        let Layout { x, y, z, total, conditional } = self.layout;
        let sizes = [x, y, z, total, self.n_blocks, self.hidden_layer_sizes.len()];
        if let Some(size) = sizes.iter().chain(&self.hidden_layer_sizes).find(|&&size| size > LARGEST_SIZE) {
            return Err(Error::Format(format!("a size of {size} is beyond {LARGEST_SIZE}")));
        }
        let fits = if conditional { self.layout == Layout::conditional(x, y) } else { total >= x.max(y + z) };
        let mixings =
            if self.mixing == Mixing::Orthogonal { self.rotations.len() } else { self.orders.len() };
        if x == 0 || !fits || mixings != self.n_blocks {
            return Err(Error::Format("its numbers of columns or blocks do not fit together".into()));
        }
        if self.coupling.wrong_bins().is_some() {
            return Err(Error::Format("its splines have too few or too many bins".into()));
        }
        if self.hidden_layer_sizes.contains(&0) || !(self.clamp > 0.0 && self.clamp.is_finite()) {
            return Err(Error::Format("its hidden layers or its clamp make no network".into()));
        }
        let SamplingNoise { z, y, padding } = self.noise;
        if !(z > 0.0 && y >= 0.0 && padding >= 0.0 && (z + y + padding).is_finite()) {
            return Err(Error::Format("its noise is negative or not finite".into()));
        }
        Ok(())
    }
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its shape.
    pub architecture: Architecture,
    /// Scaling of x.
    pub x_scaling: Scaling,
    /// Scaling of y.
    pub y_scaling: Scaling,
    /// What is taken out of scaled x before the network sees it.
    pub regression: Option<Regression>,
    /// Tells observations that the simulations do not cover.
    pub novelty: Option<Novelty>,
    /// Its parameters, in the order of the chain.
    pub parameters: Vec<f32>,
    chain: Chain,
}

/// Memory of one thread.
struct Workspace {
    state: Vec<f32>,
    y: Vec<f32>,
    logdet: Vec<f32>,
    record: Vec<f32>,
    scratch: Vec<f32>,
}

impl Model {
    /// Puts the parts together, and checks that they fit.
    pub fn new(
        architecture: Architecture,
        x_scaling: Scaling,
        y_scaling: Scaling,
        regression: Option<Regression>,
        parameters: Vec<f32>,
    ) -> Result<Self> {
        let chain = architecture.chain()?;
        let layout = architecture.layout;
        let fits = |regression: &Regression| layout.conditional && regression.fits(layout.x, layout.y);
        if !regression.as_ref().is_none_or(fits) {
            return Err(Error::Format("its regression does not fit its columns".into()));
        }
        let needed = Invertible::<f32>::parameters(&chain);
        if parameters.len() != needed {
            return Err(Error::Format(format!("{} parameters, its shape needs {needed}", parameters.len())));
        }
        Ok(Self { architecture, x_scaling, y_scaling, regression, novelty: None, parameters, chain })
    }

    /// A network with the parameters that training starts from, see [`Invertible::initialise`].
    pub fn untrained(
        architecture: Architecture,
        x_scaling: Scaling,
        y_scaling: Scaling,
        regression: Option<Regression>,
        last_layer: f64,
        seed: Seed,
    ) -> Result<Self> {
        let chain = architecture.chain()?;
        let mut parameters = vec![0.0; Invertible::<f32>::parameters(&chain)];
        chain.initialise(&mut parameters, last_layer, &mut seed.stream(Purpose::Weights, 0));
        Ok(Self { architecture, x_scaling, y_scaling, regression, novelty: None, parameters, chain })
    }

    /// Its maps.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Columns of both sides.
    pub fn layout(&self) -> Layout {
        self.architecture.layout
    }

    /// How far rows of y are from the simulations: beyond 1 they are not covered. `None` where there is no test.
    pub fn novel(&self, y: ArrayView2<f64>, threads: usize) -> Result<Option<Vec<f64>>> {
        check_columns("y", y, self.layout().y)?;
        self.novelty.as_ref().map(|novelty| novelty.test(&self.y_scaling.standardise(y), threads)).transpose()
    }

    /// `n` posterior samples for every row of y, those of one row together, in the user's units.
    pub fn posterior(&self, y: ArrayView2<f64>, n: usize, seed: Seed) -> Result<Vec<f64>> {
        self.posterior_part(y, n, seed, 0..y.nrows() * n)
    }

    /// Some of these samples, by their numbers: the same as if all of them were drawn.
    pub fn posterior_part(
        &self,
        y: ArrayView2<f64>,
        n: usize,
        seed: Seed,
        wanted: Range<usize>,
    ) -> Result<Vec<f64>> {
        let layout = self.layout();
        check_columns("y", y, layout.y)?;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        // A tile has a random stream of its own: it is drawn whole or not at all.
        let first_tile = wanted.start / ROWS;
        let first = first_tile * ROWS;
        let rows = wanted.end - first;
        let mut samples = samples_for(rows, layout.x)?;
        let first_observation = first / n;
        let y = self.y_scaling.standardise(y.slice(s![first_observation..wanted.end.div_ceil(n), ..]));
        self.for_each_tile(&mut samples, layout.x, rows, |tile, rows, workspace, out| {
            let y_row = |r: usize| row_of(&y, (first + tile * ROWS + r) / n - first_observation);
            fill_tile(&mut workspace.y, rows, y_row);
            self.draw_start(workspace, &mut seed.stream(Purpose::Posterior, (first_tile + tile) as u64));
            self.inverse(workspace, rows);
            self.restore_x(&workspace.state, rows, y_row, out);
        });
        samples.drain(..(wanted.start - first) * layout.x);
        Ok(samples)
    }

    /// Sets the state that an inverse pass starts from: random z, the observation and the padding, with noise.
    fn draw_start(&self, workspace: &mut Workspace, stream: &mut Stream) {
        let Workspace { state, y, .. } = workspace;
        let (layout, noise) = (self.layout(), self.architecture.noise);
        let (latent, rest) = state.split_at_mut(layout.z * ROWS);
        fill_normal(latent, noise.z as f32, stream);
        let (padding, observed) = rest.split_at_mut(layout.yz_padding().len() * ROWS);
        fill_normal(padding, noise.padding as f32, stream);
        if !observed.is_empty() {
            fill_normal(observed, noise.y as f32, stream);
            observed.iter_mut().zip(y).for_each(|(value, y)| *value += *y);
        }
    }

    /// Draws from now on as widely as the latent variables of these rows are spread, which no weight was fitted to.
    pub fn widen(&mut self, x: ArrayView2<f64>, y: ArrayView2<f64>, held_out: &[usize]) -> Result<()> {
        if held_out.is_empty() {
            return Ok(());
        }
        self.architecture.noise.z = 1.0;
        let z = self.latent(x.select(Axis(0), held_out).view(), Some(y.select(Axis(0), held_out).view()))?;
        self.architecture.noise.z = spread(&z.into_raw_vec_and_offset().0, self.layout().z);
        Ok(())
    }

    /// The learned forward process, in the user's units.
    pub fn predict(&self, x: ArrayView2<f64>) -> Result<Array2<f64>> {
        let layout = self.layout();
        if layout.conditional {
            return Err(Error::Undefined("a conditional network has learned no forward process".into()));
        }
        let start = layout.y_columns().start * ROWS;
        self.map_pairs(x, None, layout.y, |workspace, rows, out| {
            restore(&self.y_scaling, &workspace.state[start..], rows, out, |_, _| ());
        })
    }

    /// The latent variables of x; y is needed where the subnetworks see it.
    pub fn latent(&self, x: ArrayView2<f64>, y: Option<ArrayView2<f64>>) -> Result<Array2<f64>> {
        let (columns, spread) = (self.layout().z, self.architecture.noise.z);
        if self.layout().conditional && y.is_none() {
            return Err(Error::setting("y", "None", "the observations that belong to x"));
        }
        self.map_pairs(x, y, columns, |workspace, rows, out| {
            for r in 0..rows {
                for c in 0..columns {
                    out[r * columns + c] = f64::from(workspace.state[c * ROWS + r]) / spread;
                }
            }
        })
    }

    /// The x that the inverse makes of latent variables and observations, row by row, with padding at zero and
    /// without noise, in the user's units.
    pub fn decode(&self, z: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<Array2<f64>> {
        let layout = self.layout();
        check_columns("z", z, layout.z)?;
        check_columns("y", y, layout.y)?;
        let rows = z.nrows();
        if y.nrows() != rows {
            return Err(Error::Rows { x: rows, y: y.nrows() });
        }
        let z = z.mapv(|value| value * self.architecture.noise.z).as_standard_layout().into_owned();
        let y = self.y_scaling.standardise(y);
        let mut values = vec![0.0; rows * layout.x];
        self.for_each_tile(&mut values, layout.x, rows, |tile, rows, workspace, out| {
            let first = tile * ROWS;
            fill_tile(&mut workspace.state, rows, |r| row_of(&z, first + r));
            fill_tile(&mut workspace.y, rows, |r| row_of(&y, first + r));
            let observed = &mut workspace.state[layout.y_columns().start * ROWS..];
            observed.iter_mut().zip(&workspace.y).for_each(|(value, y)| *value = *y);
            self.inverse(workspace, rows);
            self.restore_x(&workspace.state, rows, |r| row_of(&y, first + r), out);
        });
        Ok(Array2::from_shape_vec((rows, layout.x), values).expect("rows times columns values"))
    }

    /// log p(x | y) of the density that `posterior` draws from, for rows of x and y, in the user's units.
    pub fn log_prob(&self, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Result<Vec<f64>> {
        let (layout, noise) = (self.layout(), self.architecture.noise);
        if layout.total > layout.x {
            let advice = if layout.x > layout.y {
                format!("take latent_dim = {} and no total_dim, or ConditionalINN", layout.x - layout.y)
            } else {
                "take ConditionalINN".into()
            };
            return Err(Error::Undefined(format!(
                "posterior samples have no density here: x has {} columns and the network is {} wide, and what it \
                 makes of the padding beside x is thrown away; {advice}",
                layout.x, layout.total,
            )));
        }
        let densities = self.map_pairs(x, Some(y), 1, |workspace, rows, out| {
            for (sum, &logdet) in out.iter_mut().zip(&workspace.logdet) {
                *sum = f64::from(logdet);
            }
            let parts = [
                (0..layout.z, None, noise.z),
                (layout.yz_padding(), None, noise.padding),
                (layout.y_columns(), Some(&workspace.y[..]), noise.y),
            ];
            for (columns, target, deviation) in parts {
                let values = &workspace.state[columns.start * ROWS..columns.end * ROWS];
                add_normal_log_density(values, target, deviation, rows, out);
            }
        })?;
        let mut densities = densities.into_raw_vec_and_offset().0;
        let volume = self.regression.as_ref().map_or(0.0, Regression::log_slope);
        let slopes = |row: usize| self.x_scaling.log_slope(x.row(row)) + volume;
        densities.par_iter_mut().enumerate().for_each(|(row, density)| *density += slopes(row));
        Ok(densities)
    }

    /// Runs x forward, seen with y where it is given, and lets `collect` fill the rows of the result from each tile.
    fn map_pairs(
        &self,
        x: ArrayView2<f64>,
        y: Option<ArrayView2<f64>>,
        columns: usize,
        collect: impl Fn(&Workspace, usize, &mut [f64]) + Sync,
    ) -> Result<Array2<f64>> {
        let layout = self.layout();
        check_columns("x", x, layout.x)?;
        let rows = x.nrows();
        let y = match y {
            Some(y) => {
                check_columns("y", y, layout.y)?;
                if y.nrows() != rows {
                    return Err(Error::Rows { x: rows, y: y.nrows() });
                }
                Some(self.y_scaling.standardise(y))
            }
            None => None,
        };
        let x = self.seen_x(x, y.as_ref());
        let mut values = vec![0.0; rows * columns];
        self.for_each_tile(&mut values, columns, rows, |tile, rows, workspace, out| {
            let first = tile * ROWS;
            fill_tile(&mut workspace.state, rows, |r| row_of(&x, first + r));
            if let Some(y) = &y {
                fill_tile(&mut workspace.y, rows, |r| row_of(y, first + r));
            }
            self.forward(workspace, rows);
            collect(workspace, rows, out);
        });
        Ok(Array2::from_shape_vec((rows, columns), values).expect("rows times columns values"))
    }

    /// What the network sees of x, given scaled y where a regression needs it.
    pub fn seen_x(&self, x: ArrayView2<f64>, y: Option<&Array2<f64>>) -> Array2<f64> {
        let mut x = self.x_scaling.standardise(x);
        if let (Some(regression), Some(y)) = (&self.regression, y) {
            for (r, mut row) in x.rows_mut().into_iter().enumerate() {
                regression.take_out(row.as_slice_mut().expect("rows are contiguous"), row_of(y, r));
            }
        }
        x
    }

    /// Pairs as the network sees them, row by row in single precision.
    pub fn network_columns(&self, x: ArrayView2<f64>, y: ArrayView2<f64>) -> (Vec<f32>, Vec<f32>) {
        let single = |table: Array2<f64>| table.iter().map(|&value| value as f32).collect::<Vec<_>>();
        let of_tile = |tile: usize| {
            let rows = s![tile * ROWS..(tile * ROWS + ROWS).min(x.nrows()), ..];
            let y = self.y_scaling.standardise(y.slice(rows));
            (single(self.seen_x(x.slice(rows), Some(&y))), single(y))
        };
        let tiles = x.nrows().div_ceil(ROWS);
        let (x_tiles, y_tiles): (Vec<_>, Vec<_>) = (0..tiles).into_par_iter().map(of_tile).unzip();
        (x_tiles.concat(), y_tiles.concat())
    }

    /// The x of a tile in the user's units; `y_row` gives scaled y.
    fn restore_x<'a>(&self, state: &[f32], rows: usize, y_row: impl Fn(usize) -> &'a [f64], out: &mut [f64]) {
        restore(&self.x_scaling, state, rows, out, |r, row| {
            if let Some(regression) = &self.regression {
                regression.put_back(row, y_row(r));
            }
        });
    }

    /// Fills `out`, `columns` values a row, tile by tile; on the threads of the current pool where that pays.
    fn for_each_tile(
        &self,
        out: &mut [f64],
        columns: usize,
        rows: usize,
        work: impl Fn(usize, usize, &mut Workspace, &mut [f64]) + Sync,
    ) {
        if columns == 0 {
            return;
        }
        let run = |workspace: &mut Workspace, (tile, out): (usize, &mut [f64])| {
            let rows = (rows - tile * ROWS).min(ROWS);
            work(tile, rows, workspace, out);
        };
        out.par_chunks_mut(columns * ROWS).enumerate().for_each_init(|| self.workspace(), run);
    }

    fn workspace(&self) -> Workspace {
        let zeros = |len| vec![0.0; len];
        let chain = &self.chain;
        Workspace {
            state: zeros(self.layout().total * ROWS),
            y: zeros(self.layout().y * ROWS),
            logdet: zeros(ROWS),
            record: zeros(Invertible::<f32>::record_len(chain, Keep::Result)),
            scratch: zeros(Invertible::<f32>::scratch_len(chain)),
        }
    }

    fn forward(&self, workspace: &mut Workspace, rows: usize) {
        let Workspace { state, y, logdet, record, scratch } = workspace;
        let pass = Pass { parameters: &self.parameters, condition: y, rows, keep: Keep::Result };
        logdet.fill(0.0);
        self.chain.forward(&pass, state, logdet, record, scratch);
    }

    fn inverse(&self, workspace: &mut Workspace, rows: usize) {
        let Workspace { state, y, logdet, record, scratch } = workspace;
        let pass = Pass { parameters: &self.parameters, condition: y, rows, keep: Keep::Result };
        self.chain.inverse(&pass, state, logdet, record, scratch);
    }
}

/// Fills the leading columns of a tile, zero elsewhere.
fn fill_tile<'a>(tile: &mut [f32], rows: usize, row: impl Fn(usize) -> &'a [f64]) {
    tile.fill(0.0);
    for r in 0..rows {
        for (c, &value) in row(r).iter().enumerate() {
            tile[c * ROWS + r] = value as f32;
        }
    }
}

/// One row of a table in standard order.
fn row_of(table: &Array2<f64>, row: usize) -> &[f64] {
    let columns = table.ncols();
    let values = table.as_slice().expect("tables are in standard order");
    &values[row * columns..(row + 1) * columns]
}

/// Memory for so many samples, or an error where there is none.
pub fn samples_for(rows: usize, columns: usize) -> Result<Vec<f64>> {
    let mut samples = Vec::new();
    let len = rows.checked_mul(columns);
    match len.map(|len| (len, samples.try_reserve_exact(len))) {
        Some((len, Ok(()))) => {
            samples.resize(len, 0.0);
            Ok(samples)
        }
        _ => Err(Error::setting("n", rows, "samples that fit in memory, of all observations together")),
    }
}

/// Rows of a tile in the user's units; `adjust` changes a scaled row before.
fn restore(
    scaling: &Scaling,
    columns: &[f32],
    rows: usize,
    out: &mut [f64],
    adjust: impl Fn(usize, &mut [f64]),
) {
    for (r, row) in out.chunks_exact_mut(scaling.columns.len()).take(rows).enumerate() {
        row.iter_mut().enumerate().for_each(|(c, value)| *value = f64::from(columns[c * ROWS + r]));
        adjust(r, row);
        scaling.restore(row);
    }
}

fn check_columns(name: &'static str, data: ArrayView2<f64>, needs: usize) -> Result<()> {
    if data.ncols() == needs { Ok(()) } else { Err(Error::Columns { name, got: data.ncols(), needs }) }
}
