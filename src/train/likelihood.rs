//! The objective of maximum likelihood, by change of variables (Dinh et al. 2017, arXiv 1605.08803): the mean of
//! -log p(x | y) = -log N(z; 0, 1) - log N(y'; y, noise^2) - log |det d[z, y'] / dx|, where [z, y'] is what the network
//! makes of x. Where the subnetworks see y, the middle term is missing.
//!
//! Padding counts like y: normal with mean zero and its own noise, on either side. The noise on y starts large and
//! falls: from the start at its last value, the exact y would drown everything else.

use super::gradient::Gradient;
use super::objective::{Data, Noise, Objective, Rows, add_noise, gather};
use super::schedule::decayed;
use crate::flow::chain::Chain;
use crate::flow::{Invertible, Keep, Pass};
use crate::kernels::{ROWS, Real};
use crate::layout::Layout;
use crate::loss::likelihood::normal_nll;
use crate::random::Stream;
use crate::tiles::{groups, tiles_of};
use rayon::prelude::*;

/// Noise of the objective, in standardised units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Standard deviation of y around the network's y', at the end of a fit.
    pub y_noise: f64,
    /// The same at its start.
    pub first_y_noise: f64,
    /// Standard deviation of the padding.
    pub padding_noise: f64,
}

/// Progress at which the noise on y has its last value, shortly before the learning rate begins to fall.
const LAST_NOISE_FROM: f64 = 0.65;

/// Names of the terms.
const TERMS: [&str; 4] = ["z", "y", "padding", "log_determinant"];

/// Memory of one group of tiles.
#[derive(Clone, Debug)]
struct Worker<T> {
    gradient: Vec<T>,
    state: Vec<T>,
    y: Vec<T>,
    cotangent: Vec<T>,
    logdet: Vec<T>,
    logdet_cotangent: Vec<T>,
    record: Vec<T>,
    scratch: Vec<T>,
    sums: [f64; 4],
}

/// The objective with its memory, which is allocated once.
pub struct Likelihood<'a, T> {
    chain: &'a Chain,
    layout: Layout,
    settings: Settings,
    keep: Keep,
    workers: Vec<Worker<T>>,
}

impl<'a, T: Real> Likelihood<'a, T> {
    /// For batches of up to `rows` rows; `keep` says what a tile keeps between its forward and its backward.
    pub fn new(chain: &'a Chain, layout: Layout, settings: Settings, keep: Keep, rows: usize) -> Self {
        let zeros = |len| vec![T::zero(); len];
        let worker = || Worker {
            gradient: zeros(Invertible::<T>::parameters(chain)),
            state: zeros(layout.total * ROWS),
            y: zeros(layout.y * ROWS),
            cotangent: zeros(layout.total * ROWS),
            logdet: zeros(ROWS),
            logdet_cotangent: zeros(ROWS),
            record: zeros(Invertible::<T>::record_len(chain, keep)),
            scratch: zeros(Invertible::<T>::scratch_len(chain)),
            sums: [0.0; 4],
        };
        let workers = (0..groups(rows.div_ceil(ROWS))).map(|_| worker()).collect();
        Self { chain, layout, settings, keep, workers }
    }

    /// The noise on y.
    fn y_noise(&self, progress: f64) -> f64 {
        let Settings { y_noise, first_y_noise, .. } = self.settings;
        let first = first_y_noise.max(y_noise);
        decayed(first, y_noise / first, (progress / LAST_NOISE_FROM).min(1.0))
    }

    /// All tiles, forward and, where wanted, backward; the terms.
    fn run(
        &mut self,
        parameters: &[T],
        data: &Data<T>,
        rows: &[usize],
        noise: Noise,
        progress: f64,
        backward: bool,
    ) -> Vec<f64> {
        let tiles = rows.len().div_ceil(ROWS);
        let context = Context {
            chain: self.chain,
            layout: self.layout,
            keep: self.keep,
            parameters,
            y_noise: self.y_noise(progress),
            padding_noise: self.settings.padding_noise,
            weight: T::of(1.0 / rows.len() as f64),
        };
        let workers = &mut self.workers[..groups(tiles)];
        workers.par_iter_mut().enumerate().for_each(|(group, worker)| {
            worker.gradient.fill(T::zero());
            worker.sums = [0.0; 4];
            for tile in tiles_of(group, tiles) {
                let rows = &rows[tile * ROWS..(tile * ROWS + ROWS).min(rows.len())];
                context.forward_tile(worker, data, rows, noise.of_tile(tile));
                if backward {
                    context.backward_tile(worker, rows.len());
                }
            }
        });
        let mean = |term: usize| workers.iter().map(|w| w.sums[term]).sum::<f64>() / rows.len() as f64;
        (0..TERMS.len()).map(mean).collect()
    }
}

/// What the work on a tile reads.
struct Context<'a, T> {
    chain: &'a Chain,
    layout: Layout,
    keep: Keep,
    parameters: &'a [T],
    y_noise: f64,
    padding_noise: f64,
    weight: T,
}

impl<T: Real> Context<'_, T> {
    fn forward_tile(&self, worker: &mut Worker<T>, data: &Data<T>, rows: &[usize], mut noise: Stream) {
        let Worker { state, y, cotangent, logdet, record, scratch, sums, .. } = worker;
        let (layout, count) = (self.layout, rows.len());
        gather(state, rows, |row| data.x_row(row));
        gather(y, rows, |row| data.y_row(row));
        let padding_noise = T::of(self.padding_noise);
        add_noise(&mut state[layout.x * ROWS..], padding_noise, count, &mut noise);
        logdet.fill(T::zero());
        let pass = Pass { parameters: self.parameters, condition: y, rows: count, keep: self.keep };
        self.chain.forward(&pass, state, logdet, record, scratch);

        cotangent.fill(T::zero());
        let parts = [
            (0..layout.z, None, 1.0),
            (layout.y_columns(), Some(&y[..]), self.y_noise),
            (layout.yz_padding(), None, self.padding_noise),
        ];
        for ((columns, target, deviation), sum) in parts.into_iter().zip(&mut *sums) {
            let range = columns.start * ROWS..columns.end * ROWS;
            let cotangent = &mut cotangent[range.clone()];
            *sum += normal_nll(&state[range], target, deviation, self.weight, cotangent, count);
        }
        sums[3] -= logdet[..count].iter().copied().sum::<T>().to_double();
    }

    fn backward_tile(&self, worker: &mut Worker<T>, rows: usize) {
        let Worker { gradient, y, cotangent, logdet_cotangent, record, scratch, .. } = worker;
        logdet_cotangent.fill(T::zero());
        logdet_cotangent[..rows].fill(-self.weight);
        let pass = Pass { parameters: self.parameters, condition: y, rows, keep: self.keep };
        self.chain.forward_backward(&pass, cotangent, logdet_cotangent, record, gradient, scratch);
    }
}

impl<T: Real> Objective<T> for Likelihood<'_, T> {
    fn terms(&self) -> &'static [&'static str] {
        &TERMS
    }

    fn chain(&self) -> &Chain {
        self.chain
    }

    fn evaluate(&mut self, parameters: &[T], data: &Data<T>, rows: &Rows, noise: Noise) -> Vec<f64> {
        // As the end of a fit will have it.
        self.run(parameters, data, rows.batch(), noise, 1.0, false)
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
        let terms = self.run(parameters, data, rows.batch(), noise, progress, true);
        let used = groups(rows.batch().len().div_ceil(ROWS));
        let parts: Vec<&[T]> = self.workers[..used].iter().map(|w| &w.gradient[..]).collect();
        gradient.sum(&parts);
        terms
    }

    fn settled(&self, progress: f64) -> bool {
        self.layout.conditional || progress >= LAST_NOISE_FROM
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Map;
    use crate::flow::affine::AffineCoupling;
    use crate::flow::learned_linear::LearnedLinear;
    use crate::flow::shuffle::Shuffle;
    use crate::random::{Purpose, Seed, fill_normal};
    use crate::subnet::Activation;

    const ROWS_OF_DATA: usize = 40;
    const NOISE: Noise = Noise { seed: Seed(3), purpose: Purpose::Training, step: 4 };
    const SETTINGS: Settings = Settings { y_noise: 0.2, first_y_noise: 0.6, padding_noise: 0.1 };

    fn chain(layout: Layout) -> Chain {
        let total = layout.total;
        let block =
            || Map::Affine(AffineCoupling::new(total, layout.condition(), &[5], Activation::Tanh, 2.0));
        let shuffle = Shuffle::random(total, &mut Seed(1).stream(Purpose::Mixing, 0));
        let linear = Map::LearnedLinear(LearnedLinear::new(shuffle, total));
        Chain::new(total, vec![block(), linear, block()])
    }

    fn random(len: usize, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; len];
        fill_normal(&mut values, 0.5, &mut Seed(seed).stream(Purpose::Weights, 0));
        values
    }

    /// Both kinds of network, with and without padding; the noise is the same in every evaluation.
    #[test]
    fn the_assembled_gradient_is_the_fourth_order_difference() {
        let layouts = [
            Layout::conditional(2, 1),
            Layout::conditional(1, 3),
            Layout::new(3, 1, 2, None).unwrap(),
            Layout::new(2, 1, 2, Some(5)).unwrap(),
        ];
        for layout in layouts {
            let chain = chain(layout);
            let mut parameters = random(Invertible::<f64>::parameters(&chain), 7);
            let (x, y) = (random(layout.x * ROWS_OF_DATA, 8), random(layout.y * ROWS_OF_DATA, 9));
            let data = Data { x: &x, y: &y, x_columns: layout.x, y_columns: layout.y };
            let rows: Vec<usize> = (0..ROWS_OF_DATA).rev().collect();
            for keep in [Keep::Activations, Keep::Result] {
                let mut objective = Likelihood::new(&chain, layout, SETTINGS, keep, ROWS_OF_DATA);
                let mut gradient = Gradient::zeros(parameters.len());
                let terms = objective.gradient(
                    &parameters,
                    &data,
                    &Rows::of_batch(&rows, 0, 1),
                    NOISE,
                    0.3,
                    &mut gradient,
                );
                assert_eq!(terms[2] == 0.0, layout.yz_padding().is_empty());
                assert_eq!(terms[1] == 0.0, layout.conditional);
                let mut at = |parameters: &[f64]| {
                    let unused = &mut gradient.clone();
                    objective
                        .gradient(parameters, &data, &Rows::of_batch(&rows, 0, 1), NOISE, 0.3, unused)
                        .iter()
                        .sum::<f64>()
                };
                for i in 0..parameters.len() {
                    let mut moved = |step: f64| {
                        let before = parameters[i];
                        parameters[i] = before + step;
                        let loss = at(&parameters);
                        parameters[i] = before;
                        loss
                    };
                    let h = 1e-3;
                    let wanted =
                        (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (12.0 * h);
                    assert!(
                        (gradient.values()[i] - wanted).abs() < 1e-7 * wanted.abs().max(1.0),
                        "{layout:?}, {keep:?}, {i}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_noise_on_y_falls_to_its_last_value() {
        let layout = Layout::new(3, 1, 2, None).unwrap();
        let chain = chain(layout);
        let objective = Likelihood::<f64>::new(&chain, layout, SETTINGS, Keep::Result, 1);
        assert!((objective.y_noise(0.0) - 0.6).abs() < 1e-12);
        assert!((objective.y_noise(LAST_NOISE_FROM) - 0.2).abs() < 1e-12);
        assert!((objective.y_noise(1.0) - 0.2).abs() < 1e-12);
    }

    /// A coupling chain with all parameters zero is a permutation, so the loss is that of the data itself.
    #[test]
    fn the_value_is_the_density_of_the_data_where_the_network_does_nothing() {
        let layout = Layout::conditional(2, 1);
        let chain = chain(layout);
        let parameters = vec![0.0; Invertible::<f64>::parameters(&chain)];
        let (x, y) = (random(2 * ROWS_OF_DATA, 8), random(ROWS_OF_DATA, 9));
        let data = Data { x: &x, y: &y, x_columns: 2, y_columns: 1 };
        let rows: Vec<usize> = (0..ROWS_OF_DATA).collect();
        let mut objective = Likelihood::new(&chain, layout, SETTINGS, Keep::States, ROWS_OF_DATA);
        let loss: f64 =
            objective.evaluate(&parameters, &data, &Rows::of_batch(&rows, 0, 1), NOISE).iter().sum();
        let wanted = x.iter().map(|v| 0.5 * v * v).sum::<f64>() / ROWS_OF_DATA as f64
            + (2.0 * std::f64::consts::PI).ln();
        assert!((loss - wanted).abs() < 1e-12);
    }
}
