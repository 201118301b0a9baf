//! What a fit minimises, as the training loop sees it.

use super::gradient::Gradient;
use crate::flow::Invertible;
use crate::flow::chain::Chain;
use crate::kernels::{ROWS, Real};
use crate::random::{Purpose, Seed, Stream, normal};
use std::ops::Range;

/// Standardised training data, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a, T> {
    /// Parameters, `x_columns` a row.
    pub x: &'a [T],
    /// Observations, `y_columns` a row.
    pub y: &'a [T],
    /// Columns of x.
    pub x_columns: usize,
    /// Columns of y.
    pub y_columns: usize,
}

impl<'a, T> Data<'a, T> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.x.len() / self.x_columns
    }

    /// One row of x.
    pub fn x_row(&self, row: usize) -> &'a [T] {
        &self.x[row * self.x_columns..(row + 1) * self.x_columns]
    }

    /// One row of y.
    pub fn y_row(&self, row: usize) -> &'a [T] {
        &self.y[row * self.y_columns..(row + 1) * self.y_columns]
    }
}

impl<T: Clone> Data<'_, T> {
    /// Appends some of its rows to others of x and y.
    pub fn append_rows(&self, rows: &[usize], x: &mut Vec<T>, y: &mut Vec<T>) {
        for &row in rows {
            x.extend_from_slice(self.x_row(row));
            y.extend_from_slice(self.y_row(row));
        }
    }
}

/// The rows of a batch, among all those of its epoch or of the part that is held out.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    /// All of them, in their order.
    pub all: &'a [usize],
    /// Which of them are in the batch.
    pub batch: Range<usize>,
}

impl<'a> Rows<'a> {
    /// The rows of one batch of several, all of nearly equal size.
    pub fn of_batch(all: &'a [usize], batch: usize, batches: usize) -> Self {
        Self { all, batch: all.len() * batch / batches..all.len() * (batch + 1) / batches }
    }

    /// Those of the batch.
    pub fn batch(&self) -> &'a [usize] {
        &self.all[self.batch.clone()]
    }

    /// Up to so many that are not in the batch: those that come next, and after the last one the first.
    pub fn following(&self, most: usize) -> impl Iterator<Item = usize> + 'a {
        let (before, after) = (&self.all[..self.batch.start], &self.all[self.batch.end..]);
        after.iter().chain(before).take(most).copied()
    }
}

/// Where the noise of one step comes from: every tile has a stream of its own, whatever thread works on it.
#[derive(Clone, Copy, Debug)]
pub struct Noise {
    /// The seed of the fit.
    pub seed: Seed,
    /// Training or validation.
    pub purpose: Purpose,
    /// Number of the step.
    pub step: u64,
}

/// Tiles that a step can have at most; keeps the streams of different steps apart.
const TILES_PER_STEP: u64 = 1 << 24;

impl Noise {
    /// The stream of one tile.
    pub fn of_tile(&self, tile: usize) -> Stream {
        self.seed.stream(self.purpose, self.step * TILES_PER_STEP + tile as u64)
    }
}

/// A loss over batches with its gradient.
pub trait Objective<T: Real> {
    /// Names of the loss terms, in the order of `evaluate`'s result.
    fn terms(&self) -> &'static [&'static str];
    /// The chain whose parameters are trained.
    fn chain(&self) -> &Chain;
    /// The factor of each parameter's learning rate.
    fn rates(&self) -> Vec<T> {
        let mut rates = vec![T::one(); Invertible::<T>::parameters(self.chain())];
        self.chain().rates(&mut rates);
        rates
    }
    /// The weighted terms on a batch of rows; their sum is the loss.
    fn evaluate(&mut self, parameters: &[T], data: &Data<T>, rows: &Rows, noise: Noise) -> Vec<f64>;
    /// The same, and the gradient of the loss; `progress` in [0, 1] is how far the fit has come, for terms that
    /// grow during a fit.
    fn gradient(
        &mut self,
        parameters: &[T],
        data: &Data<T>,
        rows: &Rows,
        noise: Noise,
        progress: f64,
        gradient: &mut Gradient<T>,
    ) -> Vec<f64>;
    /// Whether all terms count fully by now, so that early stopping makes sense.
    fn settled(&self, progress: f64) -> bool;
}

/// Fills the leading columns of a tile with rows of the data, zero in the rows that are not in use.
pub fn gather<'a, T: Real>(tile: &mut [T], rows: &[usize], row_of: impl Fn(usize) -> &'a [T]) {
    tile.fill(T::zero());
    for (r, &row) in rows.iter().enumerate() {
        for (c, &value) in row_of(row).iter().enumerate() {
            tile[c * ROWS + r] = value;
        }
    }
}

/// Adds normal noise to columns of a tile, in the rows that are in use.
pub fn add_noise<T: Real>(columns: &mut [T], deviation: T, rows: usize, stream: &mut Stream) {
    for column in columns.chunks_exact_mut(ROWS) {
        for value in &mut column[..rows] {
            *value = *value + deviation * normal::<T>(stream);
        }
    }
}
