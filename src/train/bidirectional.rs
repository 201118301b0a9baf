//! The objective of Ardizzone et al. 2019 (arXiv 1808.04730, section 3.3): y supervised; [z, y] pushed by MMD to
//! independent normal z; samples of the inverse pushed by MMD to the prior of x; reconstruction of x from slightly
//! wrong z and y; padding held at zero on both sides. Gradients of both directions are summed.
//!
//! One term is not the paper's: the energy score of samples for each observation, of all columns and of each alone, which
//! is least for the posterior whether or not x determines y. It counts the more the less x determines y.
//!
//! Five more things differ from the paper's code because the toy then comes out nearer to its exact posterior: the noise
//! shrinks during a fit; the y beside z in the MMD is the data's and not the prediction, which blocks its gradient as
//! well; the MMD on x compares x together with its y; it compares a batch with several batches of data; the normal
//! points of a step cover their space evenly, which takes most of their share out of the noise of both MMDs. A sixth
//! makes a step shorter: it reconstructs only some of its rows.

use super::gradient::Gradient;
use super::objective::{Data, Noise, Objective, Rows, add_noise, gather};
use super::schedule::decayed;
use crate::flow::chain::Chain;
use crate::flow::{Invertible, Keep, Pass};
use crate::kernels::{ROWS, Real};
use crate::layout::Layout;
use crate::loss::energy::{Pairs, energy};
use crate::loss::fit::squared_error;
use crate::loss::mmd::{MeanKernel, mmd_gradient};
use crate::random::{EvenNormals, Stream, normal};
use crate::tiles::{Batch, by_groups, groups, rows_of_tile, tiles_of};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Weights, noise and kernels of the objective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Weight of the mean squared error of y.
    pub y_weight: f64,
    /// Weight of the MMD between [z, y] and [N(0, 1), y].
    pub z_weight: f64,
    /// Weight of the MMD between samples of the inverse and x.
    pub x_weight: f64,
    /// Weight of the energy scores of samples of the inverse for each observation, times the error of y. Files without
    /// it are of models that were trained before it was there.
    #[serde(default)]
    pub energy_weight: f64,
    /// Weight of the mean squared error of x rebuilt from perturbed z and y.
    pub reconstruction_weight: f64,
    /// Weight of the mean square of the padding, on either side.
    pub padding_weight: f64,
    /// Standard deviation of the noise on standardised y.
    pub y_noise: f64,
    /// The same on z before reconstruction.
    pub z_noise: f64,
    /// The same on the padding.
    pub padding_noise: f64,
    /// Scales C of the kernels C / (C + d^2) of the MMD on z and y.
    pub z_kernels: Vec<f64>,
    /// The same of the MMD on x.
    pub x_kernels: Vec<f64>,
    /// The weight of the MMD on x starts at twice this fraction and grows exponentially.
    pub ramp: f64,
    /// Fraction of the noise that is left at the end of a fit: samples are drawn without any, and what noise
    /// widened in training would come out too narrow.
    pub noise_decay: f64,
    /// Weight of squared distances in y inside the MMD on x: 0 compares x alone, as in the paper; more compares x
    /// and y together, so that samples must also belong to their own y.
    pub x_condition: f64,
}

/// Fraction of the noise on the padding beside x that is left at the end of a fit: next to none, or the network learns to blow
/// it up into latent variables that x alone does not determine.
const X_PADDING_DECAY: f64 = 1e-4;

/// One tile in so many is reconstructed in a step, in turn: the term is a smooth regression that needs few rows, and
/// with all of them it would take a third of the time of a fit.
const RECONSTRUCTED_EVERY: usize = 4;

/// Rows of data that the sampled x of a batch are compared with, in batches: many, because chance among them moves every
/// sample, and cheap, because they go through no network.
const REFERENCE_BATCHES: usize = 8;

/// Names of the terms.
const TERMS: [&str; 6] = ["y", "z", "x", "energy", "reconstruction", "padding"];

/// One direction's tile: what went through the chain, what the backward needs.
#[derive(Clone, Debug)]
struct Passage<T> {
    state: Vec<T>,
    record: Vec<T>,
    cotangent: Vec<T>,
}

impl<T: Real> Passage<T> {
    fn new(columns: usize, record: usize) -> Self {
        let zeros = |len| vec![T::zero(); len];
        Self { state: zeros(columns * ROWS), record: zeros(record), cotangent: zeros(columns * ROWS) }
    }
}

/// Everything a tile keeps during a step.
#[derive(Clone, Debug)]
struct Slot<T> {
    /// x and its noisy padding: the input of the forward pass, and the target of the reconstruction.
    x: Vec<T>,
    /// y with noise, for the forward pass.
    y: Vec<T>,
    forward: Passage<T>,
    reconstruction: Passage<T>,
    sampling: Passage<T>,
    /// Sums of squares: y, reconstruction, padding.
    squares: [f64; 3],
    /// Whether this step reconstructs its rows.
    reconstructs: bool,
}

/// Memory of one group of tiles.
#[derive(Clone, Debug)]
struct Worker<T> {
    gradient: Vec<T>,
    scratch: Vec<T>,
    logdet: Vec<T>,
}

/// The objective with its memory, which is allocated once.
pub struct Bidirectional<'a, T> {
    chain: &'a Chain,
    layout: Layout,
    settings: Settings,
    keep: Keep,
    z_kernels: Vec<T>,
    x_kernels: Vec<T>,
    slots: Vec<Slot<T>>,
    workers: Vec<Worker<T>>,
    z_points: Batch<T>,
    z_reference: Batch<T>,
    z_gradient: Batch<T>,
    x_points: Batch<T>,
    x_reference: Batch<T>,
    x_gradient: Batch<T>,
}

impl<'a, T: Real> Bidirectional<'a, T> {
    /// For batches of up to `rows` rows; `keep` says what a tile keeps between its passes and their backward.
    pub fn new(chain: &'a Chain, layout: Layout, settings: Settings, keep: Keep, rows: usize) -> Self {
        let tiles = rows.div_ceil(ROWS);
        let zeros = |len| vec![T::zero(); len];
        let passage = || Passage::new(layout.total, Invertible::<T>::record_len(chain, keep));
        let slot = || Slot {
            x: zeros(layout.total * ROWS),
            y: zeros(layout.y * ROWS),
            forward: passage(),
            reconstruction: passage(),
            sampling: passage(),
            squares: [0.0; 3],
            reconstructs: false,
        };
        let worker = || Worker {
            gradient: zeros(Invertible::<T>::parameters(chain)),
            scratch: zeros(Invertible::<T>::scratch_len(chain)),
            logdet: zeros(ROWS),
        };
        let scales = |scales: &[f64]| scales.iter().map(|&c| T::of(c)).collect();
        let batch = |columns| Batch::zeros(rows, columns);
        let zy = layout.z + layout.y;
        let xy = layout.x + if settings.x_condition > 0.0 { layout.y } else { 0 };
        Self {
            chain,
            layout,
            z_kernels: scales(&settings.z_kernels),
            x_kernels: scales(&settings.x_kernels),
            settings,
            keep,
            slots: (0..tiles).map(|_| slot()).collect(),
            workers: (0..groups(tiles)).map(|_| worker()).collect(),
            z_points: batch(zy),
            z_reference: batch(zy),
            z_gradient: batch(layout.z),
            x_points: batch(xy),
            x_reference: batch(xy),
            x_gradient: batch(layout.x),
        }
    }

    /// The share of the MMD on x, from 2 `ramp` up to 1: from the start it would trap the network.
    fn ramp(&self, progress: f64) -> f64 {
        (2.0 * self.settings.ramp.powf(1.0 - progress)).min(1.0)
    }

    /// The noise, as a share of what it starts with.
    fn noise_level(&self, progress: f64) -> f64 {
        decayed(1.0, self.settings.noise_decay, progress)
    }

    /// Runs all three passages of every tile, and the losses that need one row at a time.
    fn run(&mut self, parameters: &[T], data: &Data<T>, rows: &[usize], noise: Noise, progress: f64) {
        let tiles = rows.len().div_ceil(ROWS);
        let scale = Scale::new(&self.layout, &self.settings, rows.len(), noise.step);
        let noise_level = self.noise_level(progress);
        let x_padding_level = decayed(1.0, X_PADDING_DECAY, progress);
        let settings = &self.settings;
        let latents = &EvenNormals::new(self.layout.z, &mut noise.of_tile(LATENTS));
        let (chain, layout, keep) = (self.chain, self.layout, self.keep);
        let context = Context {
            chain,
            layout,
            settings,
            keep,
            parameters,
            scale,
            noise_level,
            x_padding_level,
            latents,
            tiles,
            step: noise.step,
        };
        by_groups(&mut self.slots[..tiles]).into_par_iter().zip(&mut self.workers).enumerate().for_each(
            |(group, (slots, worker))| {
                for (tile, slot) in tiles_of(group, tiles).zip(slots) {
                    context.run_tile(slot, worker, data, rows, tile, noise.of_tile(tile));
                }
            },
        );
    }

    /// Collects the points of both MMDs and computes them with their gradients.
    fn discrepancies(&mut self, data: &Data<T>, rows: &Rows, noise: Noise, y_noise: T) -> (f64, f64) {
        self.collect_points(rows.batch().len(), noise);
        self.collect_reference(data, rows, noise, y_noise);
        let z_gradient = &mut self.z_gradient;
        let on_z =
            mmd_gradient(&self.z_points, &self.z_reference, &self.z_kernels, MeanKernel::Biased, z_gradient);
        // The rows of the batch are enough for the term that has no gradient.
        let own = MeanKernel::Unbiased { rows: rows.batch().len() };
        let on_x =
            mmd_gradient(&self.x_points, &self.x_reference, &self.x_kernels, own, &mut self.x_gradient);
        (on_z, on_x)
    }

    /// Adds the rows that follow the batch to the reference of the MMD on x.
    fn collect_reference(&mut self, data: &Data<T>, rows: &Rows, noise: Noise, y_noise: T) {
        let start = rows.batch().len();
        let following = rows.following((REFERENCE_BATCHES - 1) * start);
        let y_weight = T::of(self.settings.x_condition.sqrt());
        let stream = &mut noise.of_tile(MORE_REFERENCE);
        let mut point = Vec::with_capacity(self.x_reference.columns());
        self.x_reference.resize(start + following.size_hint().0);
        for (i, row) in following.enumerate() {
            point.clear();
            point.extend_from_slice(data.x_row(row));
            if self.settings.x_condition > 0.0 {
                point.extend(data.y_row(row).iter().map(|&y| y_weight * (y + y_noise * normal::<T>(stream))));
            }
            self.x_reference.set_row(start + i, &point);
        }
    }

    /// Collects the points of both MMDs that belong to the batch.
    fn collect_points(&mut self, rows: usize, noise: Noise) {
        let Layout { x, z, .. } = self.layout;
        let batches = [&mut self.z_points, &mut self.z_reference, &mut self.z_gradient];
        batches.into_iter().for_each(|batch| batch.resize(rows));
        let batches = [&mut self.x_points, &mut self.x_reference, &mut self.x_gradient];
        batches.into_iter().for_each(|batch| batch.resize(rows));
        let y_weight = T::of(self.settings.x_condition.sqrt());
        let normals = EvenNormals::new(z, &mut noise.of_tile(REFERENCE));
        for (tile, slot) in self.slots[..rows.div_ceil(ROWS)].iter().enumerate() {
            let output = &slot.forward.state;
            let (points_z, points_y) = self.z_points.tile_mut(tile).split_at_mut(z * ROWS);
            points_z.copy_from_slice(&output[..z * ROWS]);
            points_y.copy_from_slice(&slot.y);
            let (reference_z, reference_y) = self.z_reference.tile_mut(tile).split_at_mut(z * ROWS);
            normals.fill_tile(reference_z, tile * ROWS, ROWS);
            reference_y.copy_from_slice(&slot.y);
            let pairs = pairs(&self.settings, rows_of_tile(rows, tile), noise.step);
            for (batch, source, pairs) in [
                (&mut self.x_points, &slot.sampling.state, pairs),
                (&mut self.x_reference, &slot.x, Pairs::none()),
            ] {
                let (own_x, own_y) = batch.tile_mut(tile).split_at_mut(x * ROWS);
                own_x.copy_from_slice(&source[..x * ROWS]);
                own_y.iter_mut().zip(&slot.y).for_each(|(to, &y)| *to = y_weight * y);
                pairs.share(own_y);
            }
        }
    }

    /// Sums of squares over a batch: y, reconstruction, padding.
    fn squares(&self, rows: usize) -> [f64; 3] {
        let mut squares = [0.0; 3];
        for slot in &self.slots[..rows.div_ceil(ROWS)] {
            squares.iter_mut().zip(slot.squares).for_each(|(total, own)| *total += own);
        }
        squares
    }

    /// The weighted energy scores of the pairs of sampled x, with their cotangents.
    ///
    /// Their weight is in proportion to the error of y, and no gradient flows through that: where x determines y the
    /// other terms are enough, and samples reproduce y better without this one.
    fn energies(&mut self, rows: usize, step: u64, y_squares: f64, y_noise: T) -> f64 {
        let y_error = unexplained(y_squares / (rows * self.layout.y) as f64, y_noise.to_double());
        let weight = self.settings.energy_weight * y_error / paired(&self.settings, rows, step).max(1) as f64;
        let x = self.layout.x * ROWS;
        let mut sum = 0.0;
        for (tile, slot) in self.slots[..rows.div_ceil(ROWS)].iter_mut().enumerate() {
            let Passage { state, cotangent, .. } = &mut slot.sampling;
            let pairs = pairs(&self.settings, rows_of_tile(rows, tile), step);
            sum += energy(&state[..x], &slot.x[..x], pairs, T::of(weight), &mut cotangent[..x]);
        }
        weight * sum
    }

    /// The weighted terms.
    fn terms_at(
        &mut self,
        parameters: &[T],
        data: &Data<T>,
        rows: &Rows,
        noise: Noise,
        progress: f64,
    ) -> Vec<f64> {
        self.run(parameters, data, rows.batch(), noise, progress);
        let y_noise = T::of(self.settings.y_noise * self.noise_level(progress));
        let count = rows.batch().len();
        let [y, reconstruction, padding] = self.squares(count);
        let energy = self.energies(count, noise.step, y, y_noise);
        let (on_z, on_x) = self.discrepancies(data, rows, noise, y_noise);
        let scale = Scale::new(&self.layout, &self.settings, count, noise.step);
        vec![
            scale.y * y,
            self.settings.z_weight * on_z,
            self.settings.x_weight * on_x,
            energy,
            scale.reconstruction * reconstruction,
            padding,
        ]
    }

    /// Adds the discrepancies' cotangents and runs the three backward passages; sums the gradient.
    fn backward(&mut self, parameters: &[T], rows: usize, ramp: f64, gradient: &mut Gradient<T>) {
        let tiles = rows.div_ceil(ROWS);
        let (chain, layout, keep) = (self.chain, self.layout, self.keep);
        let z_factor = T::of(self.settings.z_weight);
        let x_factor = T::of(self.settings.x_weight * ramp);
        let (z_gradient, x_gradient) = (&self.z_gradient, &self.x_gradient);
        by_groups(&mut self.slots[..tiles]).into_par_iter().zip(&mut self.workers).enumerate().for_each(
            |(group, (slots, worker))| {
                worker.gradient.fill(T::zero());
                for (tile, slot) in tiles_of(group, tiles).zip(slots) {
                    // y inside the MMD is only a condition: its gradient is blocked.
                    add_scaled(&mut slot.forward.cotangent, z_gradient.tile(tile), layout.z, z_factor);
                    add_scaled(&mut slot.sampling.cotangent, x_gradient.tile(tile), layout.x, x_factor);
                    backward_tile(chain, &pass_of(parameters, rows_of_tile(rows, tile), keep), slot, worker);
                }
            },
        );
        let parts: Vec<&[T]> = self.workers[..groups(tiles)].iter().map(|w| &w.gradient[..]).collect();
        gradient.sum(&parts);
    }
}

/// Numbers beyond those of tiles, for the streams of the shared latent variables, of the MMD's normal reference, and of
/// the noise on further rows of data.
const LATENTS: usize = 1 << 20;
const REFERENCE: usize = LATENTS + 1;
const MORE_REFERENCE: usize = LATENTS + 2;

fn add_scaled<T: Real>(to: &mut [T], from: &[T], columns: usize, factor: T) {
    for (to, &from) in to[..columns * ROWS].iter_mut().zip(from) {
        *to = *to + factor * from;
    }
}

/// Whether a step reconstructs the rows of a tile; in a batch of few tiles, each step has its share.
fn reconstructs(tile: usize, tiles: usize, step: u64) -> bool {
    let every = RECONSTRUCTED_EVERY.min(tiles);
    tile % every == step as usize % every
}

/// Rows that a step reconstructs.
fn reconstructed(rows: usize, step: u64) -> usize {
    let tiles = rows.div_ceil(ROWS);
    (0..tiles).filter(|&tile| reconstructs(tile, tiles, step)).map(|tile| rows_of_tile(rows, tile)).sum()
}

/// Root of a mean squared error without the share of noise that was added.
fn unexplained(mean_square: f64, noise: f64) -> f64 {
    (mean_square - noise * noise).max(0.0).sqrt()
}

/// Rows of a tile whose samples are of one y, for the energy score.
fn pairs(settings: &Settings, rows: usize, step: u64) -> Pairs {
    if settings.energy_weight > 0.0 { Pairs::of(rows, step) } else { Pairs::none() }
}

/// Pairs of a batch.
fn paired(settings: &Settings, rows: usize, step: u64) -> usize {
    let tiles = rows.div_ceil(ROWS);
    (0..tiles).map(|tile| pairs(settings, rows_of_tile(rows, tile), step).count()).sum()
}

/// Weights of single squares: the terms are means over rows and columns.
#[derive(Clone, Copy)]
struct Scale {
    y: f64,
    reconstruction: f64,
    x_padding: f64,
    yz_padding: f64,
}

impl Scale {
    fn new(layout: &Layout, settings: &Settings, rows: usize, step: u64) -> Self {
        let mean = |weight: f64, rows: usize, columns: usize| weight / (rows * columns.max(1)) as f64;
        Self {
            y: mean(settings.y_weight, rows, layout.y),
            reconstruction: mean(settings.reconstruction_weight, reconstructed(rows, step), layout.total),
            x_padding: mean(settings.padding_weight, rows, layout.x_padding().len()),
            yz_padding: mean(settings.padding_weight, rows, layout.yz_padding().len()),
        }
    }
}

/// What the work on a tile reads.
struct Context<'a, T> {
    chain: &'a Chain,
    layout: Layout,
    settings: &'a Settings,
    keep: Keep,
    parameters: &'a [T],
    scale: Scale,
    noise_level: f64,
    x_padding_level: f64,
    latents: &'a EvenNormals,
    tiles: usize,
    step: u64,
}

impl<T: Real> Context<'_, T> {
    fn run_tile(
        &self,
        slot: &mut Slot<T>,
        worker: &mut Worker<T>,
        data: &Data<T>,
        rows: &[usize],
        tile: usize,
        mut noise: Stream,
    ) {
        let rows = &rows[tile * ROWS..(tile * ROWS + ROWS).min(rows.len())];
        let layout = self.layout;
        let deviation = |initial: f64| T::of(initial * self.noise_level);
        let (y_noise, z_noise) = (deviation(self.settings.y_noise), deviation(self.settings.z_noise));
        let padding_noise = deviation(self.settings.padding_noise);
        let count = rows.len();
        slot.squares = [0.0; 3];
        slot.reconstructs = reconstructs(tile, self.tiles, self.step);
        gather(&mut slot.x, rows, |row| data.x_row(row));
        let x_padding_noise = T::of(self.settings.padding_noise * self.x_padding_level);
        add_noise(&mut slot.x[layout.x * ROWS..], x_padding_noise, count, &mut noise);

        slot.forward.state.copy_from_slice(&slot.x);
        self.forward(&mut slot.forward, worker, count);
        gather(&mut slot.y, rows, |row| data.y_row(row));
        let start = &mut slot.reconstruction.state;
        start.fill(T::zero());
        start[layout.y_columns().start * ROWS..].copy_from_slice(&slot.y);
        add_noise(&mut slot.y, y_noise, count, &mut noise);
        self.forward_squares(slot, count);

        // The inverse passes share padding and y; one starts from the z just found, the other from a new one.
        let start = &mut slot.reconstruction.state;
        start[..layout.z * ROWS].copy_from_slice(&slot.forward.state[..layout.z * ROWS]);
        add_noise(&mut start[..layout.z * ROWS], z_noise, count, &mut noise);
        let padding = layout.yz_padding();
        add_noise(&mut start[padding.start * ROWS..padding.end * ROWS], padding_noise, count, &mut noise);
        add_noise(&mut start[layout.y_columns().start * ROWS..], y_noise, count, &mut noise);
        slot.sampling.state.copy_from_slice(start);
        self.draw_latents(&mut slot.sampling.state, tile, count, &mut noise);
        if slot.reconstructs {
            self.inverse(&mut slot.reconstruction, worker, count);
        }
        self.inverse(&mut slot.sampling, worker, count);
        self.inverse_squares(slot, count);
    }

    /// Sets z of the rows to be sampled; both rows of a pair get the y of one.
    fn draw_latents(&self, state: &mut [T], tile: usize, rows: usize, noise: &mut Stream) {
        let pairs = pairs(self.settings, rows, self.step);
        let (latent, rest) = state.split_at_mut(self.layout.z * ROWS);
        latent.fill(T::zero());
        self.latents.fill_tile(latent, tile * ROWS, rows);
        // Points of the even sequence depend on each other, and those of a pair must not.
        for column in latent.chunks_exact_mut(ROWS) {
            pairs.rows().for_each(|(_, other)| column[other] = normal(noise));
        }
        let y = self.layout.y_columns().start - self.layout.z;
        pairs.share(&mut rest[y * ROWS..]);
    }

    fn forward(&self, passage: &mut Passage<T>, worker: &mut Worker<T>, rows: usize) {
        let Passage { state, record, .. } = passage;
        self.chain.forward(
            &pass_of(self.parameters, rows, self.keep),
            state,
            &mut worker.logdet,
            record,
            &mut worker.scratch,
        );
    }

    fn inverse(&self, passage: &mut Passage<T>, worker: &mut Worker<T>, rows: usize) {
        let Passage { state, record, .. } = passage;
        self.chain.inverse(
            &pass_of(self.parameters, rows, self.keep),
            state,
            &mut worker.logdet,
            record,
            &mut worker.scratch,
        );
    }

    /// Squared errors of y and of the padding beside it.
    fn forward_squares(&self, slot: &mut Slot<T>, rows: usize) {
        let Passage { state, cotangent, .. } = &mut slot.forward;
        cotangent.fill(T::zero());
        let (y, padding) = (self.layout.y_columns(), self.layout.yz_padding());
        let range = y.start * ROWS..y.end * ROWS;
        let weight = T::of(self.scale.y);
        slot.squares[0] +=
            squared_error(&state[range.clone()], Some(&slot.y), weight, &mut cotangent[range], rows);
        let range = padding.start * ROWS..padding.end * ROWS;
        let weight = self.scale.yz_padding;
        slot.squares[2] +=
            weight * squared_error(&state[range.clone()], None, T::of(weight), &mut cotangent[range], rows);
    }

    /// Squared errors of the reconstruction, and of the padding beside sampled x.
    fn inverse_squares(&self, slot: &mut Slot<T>, rows: usize) {
        if slot.reconstructs {
            let Passage { state, cotangent, .. } = &mut slot.reconstruction;
            cotangent.fill(T::zero());
            let weight = T::of(self.scale.reconstruction);
            slot.squares[1] += squared_error(state, Some(&slot.x), weight, cotangent, rows);
        }
        let Passage { state, cotangent, .. } = &mut slot.sampling;
        cotangent.fill(T::zero());
        let start = self.layout.x * ROWS;
        let weight = self.scale.x_padding;
        slot.squares[2] +=
            weight * squared_error(&state[start..], None, T::of(weight), &mut cotangent[start..], rows);
    }
}

/// The backward of a tile's three passages; adds to the worker's gradient.
fn backward_tile<T: Real>(chain: &Chain, pass: &Pass<T>, slot: &mut Slot<T>, worker: &mut Worker<T>) {
    worker.logdet.fill(T::zero());
    let Worker { gradient, scratch, logdet } = worker;
    let Passage { cotangent, record, .. } = &mut slot.forward;
    chain.forward_backward(pass, cotangent, logdet, record, gradient, scratch);
    let reconstruction = slot.reconstructs.then_some(&mut slot.reconstruction);
    for passage in reconstruction.into_iter().chain([&mut slot.sampling]) {
        let Passage { cotangent, record, .. } = passage;
        chain.inverse_backward(pass, cotangent, logdet, record, gradient, scratch);
    }
}

fn pass_of<T>(parameters: &[T], rows: usize, keep: Keep) -> Pass<'_, T> {
    Pass { parameters, condition: &[], rows, keep }
}

impl<T: Real> Objective<T> for Bidirectional<'_, T> {
    fn terms(&self) -> &'static [&'static str] {
        &TERMS
    }

    fn chain(&self) -> &Chain {
        self.chain
    }

    fn evaluate(&mut self, parameters: &[T], data: &Data<T>, rows: &Rows, noise: Noise) -> Vec<f64> {
        // As the end of a fit will have it.
        self.terms_at(parameters, data, rows, noise, 1.0)
    }

    fn gradient(
        &mut self,
        parameters: &[T],
        data: &Data<T>,
        rows: &Rows,
        noise: Noise,
        progress: f64,
        gradient: &mut Gradient<T>,
    ) -> Vec<f64> {
        let terms = self.terms_at(parameters, data, rows, noise, progress);
        self.backward(parameters, rows.batch().len(), self.ramp(progress), gradient);
        terms
    }

    fn settled(&self, progress: f64) -> bool {
        self.ramp(progress) >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Map;
    use crate::flow::affine::AffineCoupling;
    use crate::flow::shuffle::Shuffle;
    use crate::loss::mmd::mmd;
    use crate::random::{Purpose, Seed, fill_normal};
    use crate::subnet::Activation;

    const ROWS_OF_DATA: usize = 40;
    const FOLLOWING: usize = 25;
    const LAYOUT: Layout = Layout { x: 2, y: 1, z: 2, total: 5, conditional: false };
    const NOISE: Noise = Noise { seed: Seed(3), purpose: Purpose::Training, step: 4 };
    const PROGRESS: f64 = 0.7;

    fn settings() -> Settings {
        Settings {
            y_weight: 3.0,
            z_weight: 30.0,
            x_weight: 40.0,
            energy_weight: 5.0,
            reconstruction_weight: 2.0,
            padding_weight: 1.5,
            y_noise: 0.1,
            z_noise: 0.2,
            padding_noise: 0.05,
            z_kernels: vec![0.2, 1.0],
            x_kernels: vec![0.3],
            ramp: 0.01,
            noise_decay: 0.5,
            x_condition: 0.0,
        }
    }

    fn chain() -> Chain {
        let mut stream = Seed(1).stream(Purpose::Mixing, 0);
        let block = || Map::Affine(AffineCoupling::new(LAYOUT.total, 0, &[4], Activation::Tanh, 2.0));
        let shuffle = Map::Shuffle(Shuffle::random(LAYOUT.total, &mut stream));
        Chain::new(LAYOUT.total, vec![block(), shuffle, block()])
    }

    fn random(len: usize, deviation: f64, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; len];
        fill_normal(&mut values, deviation, &mut Seed(seed).stream(Purpose::Weights, 0));
        values
    }

    /// What the objective holds fixed while it differentiates: data, noise, inputs of the inverse passes.
    struct Fixed {
        x: Vec<Vec<f64>>,
        y: Vec<Vec<f64>>,
        reconstruction: Vec<Vec<f64>>,
        reconstructs: Vec<bool>,
        sampling: Vec<Vec<f64>>,
        /// Root of the mean squared error of y.
        y_error: f64,
        z_reference: Batch<f64>,
        x_reference: Batch<f64>,
        /// The reference's own mean kernel over pairs of the batch, less that over all pairs.
        x_shift: f64,
    }

    struct Network<'a> {
        chain: &'a Chain,
        parameters: &'a [f64],
    }

    impl Network<'_> {
        fn run(&self, tile: &[f64], inverse: bool) -> Vec<f64> {
            let pass = Pass { parameters: self.parameters, condition: &[], rows: ROWS, keep: Keep::States };
            let mut state = tile.to_vec();
            let mut record = vec![0.0; Invertible::<f64>::record_len(self.chain, Keep::States)];
            let mut scratch = vec![0.0; Invertible::<f64>::scratch_len(self.chain)];
            let mut logdet = vec![0.0; ROWS];
            match inverse {
                true => self.chain.inverse(&pass, &mut state, &mut logdet, &mut record, &mut scratch),
                false => self.chain.forward(&pass, &mut state, &mut logdet, &mut record, &mut scratch),
            }
            state
        }
    }

    /// The loss written down again from its definition, row by row, as a function of the parameters alone.
    fn loss(network: &Network, fixed: &Fixed, settings: &Settings, ramp: f64) -> f64 {
        let mut sums = [0.0; 4];
        let mut rebuilt_rows = 0.0;
        let (mut energy, mut pairs) = (0.0, 0.0);
        let mut z_points = Batch::zeros(ROWS_OF_DATA, LAYOUT.z + LAYOUT.y);
        let mut x_points = Batch::zeros(ROWS_OF_DATA, fixed.x_reference.columns());
        for tile in 0..fixed.x.len() {
            let out = network.run(&fixed.x[tile], false);
            let rebuilt = network.run(&fixed.reconstruction[tile], true);
            let drawn = network.run(&fixed.sampling[tile], true);
            for r in 0..rows_of_tile(ROWS_OF_DATA, tile) {
                let row = tile * ROWS + r;
                let at = |tile: &[f64], column: usize| tile[column * ROWS + r];
                sums[0] +=
                    LAYOUT.y_columns().map(|c| (at(&out, c) - at(&fixed.y[tile], 0)).powi(2)).sum::<f64>();
                sums[1] += LAYOUT.yz_padding().map(|c| at(&out, c).powi(2)).sum::<f64>();
                if fixed.reconstructs[tile] {
                    sums[2] += (0..LAYOUT.total)
                        .map(|c| (at(&rebuilt, c) - at(&fixed.x[tile], c)).powi(2))
                        .sum::<f64>();
                    rebuilt_rows += 1.0;
                }
                sums[3] += LAYOUT.x_padding().map(|c| at(&drawn, c).powi(2)).sum::<f64>();
                z_points.set_row(row, &[at(&out, 0), at(&out, 1), at(&fixed.y[tile], 0)]);
                // The step is even: the second half of a tile is drawn for the y of the first.
                let half = rows_of_tile(ROWS_OF_DATA, tile) / 2;
                let owner = if settings.energy_weight > 0.0 { r % half } else { r };
                let y = settings.x_condition.sqrt() * fixed.y[tile][owner];
                let xy = [at(&drawn, 0), at(&drawn, 1), y];
                x_points.set_row(row, &xy[..fixed.x_reference.columns()]);
                if settings.energy_weight > 0.0 && r < half {
                    let sample = |r: usize| [drawn[r], drawn[ROWS + r]];
                    let (a, b, x) =
                        (sample(r), sample(r + half), [fixed.x[tile][r], fixed.x[tile][ROWS + r]]);
                    let distance = |a: [f64; 2], b: [f64; 2]| {
                        let d = [a[0] - b[0], a[1] - b[1]];
                        d[0].hypot(d[1]) + (d[0].abs() + d[1].abs()) / 2f64.sqrt()
                    };
                    energy += (distance(a, x) + distance(b, x) - distance(a, b)) / 2.0;
                    pairs += 1.0;
                }
            }
        }
        let n = ROWS_OF_DATA as f64;
        let padding = sums[1] / LAYOUT.yz_padding().len() as f64 + sums[3] / LAYOUT.x_padding().len() as f64;
        settings.y_weight * sums[0] / n
            + settings.reconstruction_weight * sums[2] / (rebuilt_rows * LAYOUT.total as f64)
            + settings.padding_weight * padding / n
            + settings.energy_weight * fixed.y_error * energy / f64::max(pairs, 1.0)
            + settings.z_weight * mmd(&z_points, &fixed.z_reference, &settings.z_kernels)
            + ramp
                * settings.x_weight
                * (mmd(&x_points, &fixed.x_reference, &settings.x_kernels) + fixed.x_shift)
    }

    fn x_shift(reference: &Batch<f64>, scales: &[f64]) -> f64 {
        let sum = |rows: usize| {
            let point = |i: usize| (0..reference.columns()).map(move |c| reference.get(i, c));
            let distance = |i, j| point(i).zip(point(j)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            let kernel = |d: f64| scales.iter().map(|c| c / (c + d)).sum::<f64>();
            (0..rows)
                .flat_map(|i| (0..rows).map(move |j| (i, j)))
                .map(|(i, j)| kernel(distance(i, j)))
                .sum::<f64>()
        };
        let (n, m) = (ROWS_OF_DATA as f64, reference.rows() as f64);
        (sum(ROWS_OF_DATA) - n * scales.len() as f64) / (n * (n - 1.0)) - sum(reference.rows()) / (m * m)
    }

    /// The rows that the MMD on x compares with are those of the batch and those after it, x exactly.
    fn check_reference(objective: &Bidirectional<f64>, x: &[f64], rows: &Rows) {
        let wanted: Vec<usize> = rows.batch().iter().copied().chain(rows.following(usize::MAX)).collect();
        assert_eq!(objective.x_reference.rows(), ROWS_OF_DATA + FOLLOWING);
        for (i, row) in wanted.into_iter().enumerate() {
            assert_eq!(
                (0..2).map(|c| objective.x_reference.get(i, c)).collect::<Vec<_>>(),
                x[2 * row..2 * row + 2]
            );
        }
    }

    fn y_error(objective: &Bidirectional<f64>, network: &Network) -> f64 {
        let errors = objective.slots.iter().enumerate().flat_map(|(tile, slot)| {
            let out = network.run(&slot.x, false);
            (0..rows_of_tile(ROWS_OF_DATA, tile))
                .map(|r| (out[LAYOUT.y_columns().start * ROWS + r] - slot.y[r]).powi(2))
                .collect::<Vec<_>>()
        });
        unexplained(
            errors.sum::<f64>() / ROWS_OF_DATA as f64,
            objective.settings.y_noise * objective.noise_level(PROGRESS),
        )
    }

    fn fixed(objective: &Bidirectional<f64>, network: &Network, settings: &Settings) -> Fixed {
        let of_each = |f: &dyn Fn(&Slot<f64>) -> Vec<f64>| objective.slots.iter().map(f).collect();
        Fixed {
            x: of_each(&|slot| slot.x.clone()),
            y: of_each(&|slot| slot.y.clone()),
            reconstruction: of_each(&|slot| match slot.reconstructs {
                true => network.run(&slot.reconstruction.state, false),
                // Not run in this step.
                false => slot.reconstruction.state.clone(),
            }),
            reconstructs: objective.slots.iter().map(|slot| slot.reconstructs).collect(),
            sampling: of_each(&|slot| network.run(&slot.sampling.state, false)),
            y_error: y_error(objective, network),
            z_reference: objective.z_reference.clone(),
            x_reference: objective.x_reference.clone(),
            x_shift: x_shift(&objective.x_reference, &settings.x_kernels),
        }
    }

    #[test]
    fn the_assembled_gradient_is_the_fourth_order_difference() {
        for (x_condition, energy_weight) in [(0.0, 5.0), (0.6, 5.0), (0.6, 0.0)] {
            check_gradient(&Settings { x_condition, energy_weight, ..settings() });
        }
    }

    fn check_gradient(settings: &Settings) {
        let chain = chain();
        let mut parameters = random(Invertible::<f64>::parameters(&chain), 0.4, 7);
        let total = ROWS_OF_DATA + FOLLOWING;
        let (x, y) = (random(2 * total, 1.0, 8), random(total, 1.0, 9));
        let data = Data { x: &x, y: &y, x_columns: 2, y_columns: 1 };
        let order: Vec<usize> = (0..total).rev().collect();
        let rows = Rows { all: &order, batch: 10..10 + ROWS_OF_DATA };
        let mut objective = Bidirectional::new(&chain, LAYOUT, settings.clone(), Keep::States, ROWS_OF_DATA);
        let mut gradient = Gradient::zeros(parameters.len());
        let terms = objective.gradient(&parameters, &data, &rows, NOISE, PROGRESS, &mut gradient);
        check_reference(&objective, &x, &rows);
        let fixed = fixed(&objective, &Network { chain: &chain, parameters: &parameters }, settings);
        let ramp = objective.ramp(PROGRESS);
        assert!(ramp > 0.1 && ramp < 0.9);

        let value = loss(&Network { chain: &chain, parameters: &parameters }, &fixed, settings, 1.0);
        assert!((terms.iter().sum::<f64>() - value).abs() < 1e-10 * value, "{terms:?} {value}");
        for i in 0..parameters.len() {
            let original = parameters[i];
            let mut at = |step: f64| {
                parameters[i] = original + step;
                loss(&Network { chain: &chain, parameters: &parameters }, &fixed, settings, ramp)
            };
            let h = 1e-3;
            let wanted = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            parameters[i] = original;
            assert!(
                (gradient.values()[i] - wanted).abs() < 1e-6 * wanted.abs().max(1.0),
                "{i}: {} {wanted}",
                gradient.values()[i]
            );
        }
    }
}
