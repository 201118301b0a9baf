//! A network with its scaling: what a fit makes, what posterior samples and predictions come from.

use crate::error::{Error, Result};
use crate::flow::affine::AffineCoupling;
use crate::flow::chain::Chain;
use crate::flow::shuffle::Shuffle;
use crate::flow::{Invertible, Keep, Map, Pass};
use crate::kernels::ROWS;
use crate::layout::Layout;
use crate::random::{Purpose, Seed, fill_normal};
use crate::scaling::Scaling;
use crate::subnet::Activation;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The shape of a network, from which its chain is built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Columns of both sides.
    pub layout: Layout,
    /// Hidden layers of every subnetwork.
    pub hidden_layer_sizes: Vec<usize>,
    /// Between the layers of a subnetwork.
    pub activation: Activation,
    /// Bound on the log scale of a coupling.
    pub clamp: f64,
    /// The permutation after each block: column c of the result is column `order[c]` before.
    pub orders: Vec<Vec<usize>>,
}

/// Bound on every number of columns, blocks and hidden units; products of a few stay far from overflow.
const LARGEST_SIZE: usize = 1 << 16;

impl Architecture {
    /// A new network of `n_blocks` blocks with random fixed permutations.
    pub fn new(
        layout: Layout,
        n_blocks: usize,
        hidden_layer_sizes: &[usize],
        activation: Activation,
        clamp: f64,
        seed: Seed,
    ) -> Result<Self> {
        if n_blocks == 0 {
            return Err(Error::setting("n_blocks", n_blocks, "at least 1"));
        }
        if hidden_layer_sizes.contains(&0) {
            let got = format!("{hidden_layer_sizes:?}");
            return Err(Error::setting("hidden_layer_sizes", got, "positive sizes"));
        }
        if !(clamp > 0.0 && clamp.is_finite()) {
            return Err(Error::setting("clamp", clamp, "positive and finite"));
        }
        let order = |block| {
            Shuffle::random(layout.total, &mut seed.stream(Purpose::Mixing, block as u64)).into_order()
        };
        let orders = (0..n_blocks).map(order).collect();
        Ok(Self { layout, hidden_layer_sizes: hidden_layer_sizes.to_vec(), activation, clamp, orders })
    }

    /// The chain of this shape, after a check that nothing in it is absurd (a file may say anything).
    pub fn chain(&self) -> Result<Chain> {
        let Layout { x, y, z, total } = self.layout;
        let sizes = [x, y, z, total, self.orders.len(), self.hidden_layer_sizes.len()];
        if let Some(size) = sizes.iter().chain(&self.hidden_layer_sizes).find(|&&size| size > LARGEST_SIZE) {
            return Err(Error::Format(format!("a size of {size} is beyond {LARGEST_SIZE}")));
        }
        Layout::new(x, y, z, Some(total))?;
        let total = self.layout.total;
        let mut maps = Vec::with_capacity(2 * self.orders.len());
        for order in &self.orders {
            let block = AffineCoupling::new(total, 0, &self.hidden_layer_sizes, self.activation, self.clamp);
            maps.push(Map::Affine(block));
            maps.push(Map::Shuffle(Shuffle::new(order.clone(), total)?));
        }
        Ok(Chain::new(total, maps))
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
    /// Its parameters, in the order of the chain.
    pub parameters: Vec<f32>,
    chain: Chain,
}

/// Memory of one thread.
struct Workspace {
    state: Vec<f32>,
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
        parameters: Vec<f32>,
    ) -> Result<Self> {
        let chain = architecture.chain()?;
        let needed = Invertible::<f32>::parameters(&chain);
        if parameters.len() != needed {
            return Err(Error::Format(format!("{} parameters, its shape needs {needed}", parameters.len())));
        }
        Ok(Self { architecture, x_scaling, y_scaling, parameters, chain })
    }

    /// Columns of both sides.
    pub fn layout(&self) -> Layout {
        self.architecture.layout
    }

    /// `n` posterior samples for every row of y, those of one row together, in the user's units.
    pub fn posterior(&self, y: ArrayView2<f64>, n: usize, seed: Seed) -> Result<Vec<f64>> {
        let layout = self.layout();
        check_columns("y", y, layout.y)?;
        let y = self.y_scaling.standardise(y);
        let rows = y.len().checked_div(layout.y).unwrap_or(0) * n;
        let mut samples = vec![0.0; rows * layout.x];
        self.for_each_tile(&mut samples, layout.x, rows, |tile, rows, workspace, out| {
            let state = &mut workspace.state;
            state.fill(0.0);
            let mut stream = seed.stream(Purpose::Posterior, tile as u64);
            fill_normal(&mut state[..layout.z * ROWS], 1.0, &mut stream);
            for (c, column) in layout.y_columns().enumerate() {
                for r in 0..rows {
                    state[column * ROWS + r] = y[(tile * ROWS + r) / n * layout.y + c];
                }
            }
            self.inverse(workspace, rows);
            restore(&self.x_scaling, &workspace.state, rows, out);
        });
        Ok(samples)
    }

    /// The learned forward process, in the user's units.
    pub fn predict(&self, x: ArrayView2<f64>) -> Result<Array2<f64>> {
        let start = self.layout().y_columns().start * ROWS;
        self.map_x(x, self.layout().y, |state, rows, out| {
            restore(&self.y_scaling, &state[start..], rows, out);
        })
    }

    /// The latent variables of x.
    pub fn latent(&self, x: ArrayView2<f64>) -> Result<Array2<f64>> {
        let columns = self.layout().z;
        self.map_x(x, columns, |state, rows, out| {
            for r in 0..rows {
                for c in 0..columns {
                    out[r * columns + c] = f64::from(state[c * ROWS + r]);
                }
            }
        })
    }

    /// Runs x forward and lets `collect` fill the rows of the result from each tile.
    fn map_x(
        &self,
        x: ArrayView2<f64>,
        columns: usize,
        collect: impl Fn(&[f32], usize, &mut [f64]) + Sync,
    ) -> Result<Array2<f64>> {
        let layout = self.layout();
        check_columns("x", x, layout.x)?;
        let rows = x.nrows();
        let x = self.x_scaling.standardise(x);
        let mut values = vec![0.0; rows * columns];
        self.for_each_tile(&mut values, columns, rows, |tile, rows, workspace, out| {
            workspace.state.fill(0.0);
            for r in 0..rows {
                for c in 0..layout.x {
                    workspace.state[c * ROWS + r] = x[(tile * ROWS + r) * layout.x + c];
                }
            }
            self.forward(workspace, rows);
            collect(&workspace.state, rows, out);
        });
        Ok(Array2::from_shape_vec((rows, columns), values).expect("rows times columns values"))
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
            logdet: zeros(ROWS),
            record: zeros(Invertible::<f32>::record_len(chain, Keep::States)),
            scratch: zeros(Invertible::<f32>::scratch_len(chain)),
        }
    }

    fn pass(&self, rows: usize) -> Pass<'_, f32> {
        Pass { parameters: &self.parameters, condition: &[], rows, keep: Keep::States }
    }

    fn forward(&self, workspace: &mut Workspace, rows: usize) {
        let Workspace { state, logdet, record, scratch } = workspace;
        self.chain.forward(&self.pass(rows), state, logdet, record, scratch);
    }

    fn inverse(&self, workspace: &mut Workspace, rows: usize) {
        let Workspace { state, logdet, record, scratch } = workspace;
        self.chain.inverse(&self.pass(rows), state, logdet, record, scratch);
    }
}

fn restore(scaling: &Scaling, columns: &[f32], rows: usize, out: &mut [f64]) {
    let count = scaling.columns();
    for r in 0..rows {
        for c in 0..count {
            out[r * count + c] = scaling.restore(c, columns[c * ROWS + r]);
        }
    }
}

fn check_columns(name: &'static str, data: ArrayView2<f64>, needs: usize) -> Result<()> {
    if data.ncols() == needs { Ok(()) } else { Err(Error::Columns { name, got: data.ncols(), needs }) }
}
