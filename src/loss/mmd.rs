//! Maximum mean discrepancy (Gretton et al. 2012, JMLR 13, 723) with a sum of inverse multiquadratic kernels.
//!
//! k(a, b) = sum_h C_h / (C_h + |a - b|^2), and the biased estimate of the squared discrepancy between samples
//! x and y is mean k(x, x') + mean k(y, y') - 2 mean k(x, y), never negative. Points are taken tile against
//! tile, so that memory grows with the number of points and not with its square.

use crate::kernels::dispatch::{Kernel, dispatch};
use crate::kernels::product::{Finish, Matrix, Start, product};
use crate::kernels::vector::Vector;
use crate::kernels::{ROWS, Real};
use crate::tiles::{Batch, rows_of_tile};
use rayon::prelude::*;

/// Memory of one thread: the slopes of the kernel for two tiles, their sums, and the weighted neighbours.
#[derive(Clone, Debug)]
struct Workspace<T> {
    slopes: Vec<T>,
    slope_sums: Vec<T>,
    neighbours: Vec<T>,
}

impl<T: Real> Workspace<T> {
    fn new(columns: usize) -> Self {
        Self {
            slopes: vec![T::zero(); ROWS * ROWS],
            slope_sums: vec![T::zero(); ROWS],
            neighbours: vec![T::zero(); columns * ROWS],
        }
    }
}

/// How mean k(y, y'), which has no gradient, is found from the reference sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeanKernel {
    /// Over all pairs, each point with itself among them.
    Biased,
    /// Over the pairs of different points among the first `rows`, where there are two.
    Unbiased {
        /// Of these points.
        rows: usize,
    },
}

/// The squared discrepancy between `points` and `reference`, and its gradient with respect to `points`.
///
/// `scales` are the C_h. `gradient` has the rows of `points` and its leading columns, as many as are wanted; its
/// padded rows become zero. The result does not depend on the number of threads.
pub fn mmd_gradient<T: Real>(
    points: &Batch<T>,
    reference: &Batch<T>,
    scales: &[T],
    own: MeanKernel,
    gradient: &mut Batch<T>,
) -> f64 {
    assert!(points.columns() == reference.columns() && gradient.columns() <= points.columns());
    assert_eq!(gradient.rows(), points.rows());
    let columns = gradient.columns();
    let tile_len = gradient.tile_len();
    let values: Vec<f64> = gradient
        .data_mut()
        .par_chunks_mut(tile_len)
        .enumerate()
        .map_init(
            || Workspace::new(columns),
            |workspace, (tile, gradient)| tile_gradient(points, reference, scales, tile, gradient, workspace),
        )
        .collect();
    values.iter().sum::<f64>() + mean_of_kernel(reference, scales, own)
}

/// The squared discrepancy between two samples.
pub fn mmd<T: Real>(points: &Batch<T>, reference: &Batch<T>, scales: &[T]) -> f64 {
    assert_eq!(points.columns(), reference.columns());
    let own = |batch| mean_of_kernel(batch, scales, MeanKernel::Biased);
    let across: Vec<f64> = (0..points.tiles())
        .into_par_iter()
        .map(|tile| {
            let (own, rows) = (points.tile(tile), points.rows_of(tile));
            let sum_with = |other| {
                let (theirs, count) = (reference.tile(other), reference.rows_of(other));
                dispatch(Pairs { own, theirs, rows, count, scales, output: None })
            };
            (0..reference.tiles()).map(sum_with).sum()
        })
        .collect();
    let pairs = points.rows() as f64 * reference.rows() as f64;
    own(points) + own(reference) - 2.0 * across.iter().sum::<f64>() / pairs
}

/// One tile's share of mean k(x, x') - 2 mean k(x, y), and its rows of the gradient.
fn tile_gradient<T: Real>(
    points: &Batch<T>,
    reference: &Batch<T>,
    scales: &[T],
    tile: usize,
    gradient: &mut [T],
    workspace: &mut Workspace<T>,
) -> f64 {
    let rows = points.rows_of(tile);
    let (n, m) = (points.rows() as f64, reference.rows() as f64);
    let own = points.tile(tile);
    gradient.fill(T::zero());
    let mut value = 0.0;
    // A pair's slope dk/d(d^2) moves a point by 2 (own - other). Every pair of points counts twice, because either
    // is the first once; a pair with the reference has the factor -2.
    let (within, across) = (1.0 / (n * n), -2.0 / (n * m));
    for (others, weight, gradient_weight) in
        [(points, within, 4.0 * within), (reference, across, 2.0 * across)]
    {
        workspace.neighbours.fill(T::zero());
        workspace.slope_sums.fill(T::zero());
        let mut sum = 0.0;
        for other in 0..others.tiles() {
            let count = others.rows_of(other);
            let theirs = others.tile(other);
            let (slopes, slope_sums) = (&mut workspace.slopes, &mut workspace.slope_sums);
            sum += dispatch(Pairs { own, theirs, rows, count, scales, output: Some((slopes, slope_sums)) });
            let theirs = Matrix { data: theirs, row: ROWS, column: 1 };
            let out = &mut workspace.neighbours;
            product(
                out,
                gradient.len() / ROWS,
                theirs,
                &workspace.slopes,
                count,
                rows,
                Start::Accumulate,
                Finish::Keep,
            );
        }
        let factor = T::of(gradient_weight);
        for (c, column) in gradient.chunks_exact_mut(ROWS).enumerate() {
            for (r, total) in column[..rows].iter_mut().enumerate() {
                let i = c * ROWS + r;
                let pull = own[i] * workspace.slope_sums[r] - workspace.neighbours[i];
                *total = *total + factor * pull;
            }
        }
        value += weight * sum;
    }
    value
}

/// mean k(y, y'), each pair of different tiles taken once.
fn mean_of_kernel<T: Real>(batch: &Batch<T>, scales: &[T], own: MeanKernel) -> f64 {
    let unbiased = match own {
        MeanKernel::Unbiased { rows } if rows > 1 => Some(rows),
        _ => None,
    };
    let rows = unbiased.unwrap_or(batch.rows());
    let sums: Vec<f64> = (0..rows.div_ceil(ROWS))
        .into_par_iter()
        .map(|tile| {
            let own = batch.tile(tile);
            let pair = |other: usize| {
                let (theirs, count) = (batch.tile(other), rows_of_tile(rows, other));
                let rows = rows_of_tile(rows, tile);
                dispatch(Pairs { own, theirs, rows, count, scales, output: None })
            };
            pair(tile) + 2.0 * (0..tile).map(pair).sum::<f64>()
        })
        .collect();
    let (n, sum) = (rows as f64, sums.iter().sum::<f64>());
    match unbiased {
        // A point's kernel with itself is one for each scale.
        Some(_) => (sum / n - scales.len() as f64) / (n - 1.0),
        None => sum / (n * n),
    }
}

/// The kernel between the rows of two tiles: returns its sum, and fills the slopes (one line of own rows per
/// row of theirs) and their sums where asked.
struct Pairs<'a, T> {
    own: &'a [T],
    theirs: &'a [T],
    rows: usize,
    count: usize,
    scales: &'a [T],
    output: Option<(&'a mut Vec<T>, &'a mut Vec<T>)>,
}

/// Rows of theirs that are taken at once: their independent chains of arithmetic fill the pipelines, and each load of
/// an own row serves all of them.
const AT_ONCE: usize = 4;

/// Sums over pairs so far, one of the own rows to a lane.
struct Sums<V> {
    kernel: V,
    slope: V,
}

impl<T: Real> Pairs<'_, T> {
    /// The kernel between the own rows from `start` on and `N` of theirs from `j` on.
    #[inline(always)]
    fn at_once<V: Vector<T>, const N: usize>(&mut self, start: usize, j: usize, sums: &mut Sums<V>) {
        assert!(start + V::LANES <= ROWS && j + N <= ROWS);
        let zero = V::splat(T::zero());
        let mut distances = [zero; N];
        for (own, theirs) in self.own.chunks_exact(ROWS).zip(self.theirs.chunks_exact(ROWS)) {
            // SAFETY: both columns have ROWS elements, and see the assertion.
            let own = unsafe { V::load(own.as_ptr().add(start)) };
            for (distance, &theirs) in distances.iter_mut().zip(&theirs[j..j + N]) {
                let difference = own.sub(V::splat(theirs));
                *distance = difference.mul_add(difference, *distance);
            }
        }
        let (mut values, mut slopes) = ([zero; N], [zero; N]);
        for &scale in self.scales {
            let scale = V::splat(scale);
            for i in 0..N {
                let inverse = distances[i].add(scale).reciprocal();
                let value = scale.mul(inverse);
                values[i] = values[i].add(value);
                slopes[i] = value.neg_mul_add(inverse, slopes[i]);
            }
        }
        sums.kernel = values.into_iter().fold(sums.kernel, V::add);
        if let Some((output, _)) = &mut self.output {
            for (i, slope) in slopes.into_iter().enumerate() {
                sums.slope = sums.slope.add(slope);
                let to = &mut output[(j + i) * ROWS + start..][..V::LANES];
                // SAFETY: there is room for LANES.
                unsafe { slope.store(to.as_mut_ptr()) }
            }
        }
    }
}

impl<T: Real> Kernel<T> for Pairs<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<V: Vector<T>>(mut self) -> f64 {
        assert!(self.theirs.len() == self.own.len() && self.rows <= ROWS && self.count <= ROWS);
        let zero = V::splat(T::zero());
        let mut total = 0.0;
        for start in (0..self.rows).step_by(V::LANES) {
            let mut sums = Sums { kernel: zero, slope: zero };
            let even = self.count - self.count % AT_ONCE;
            for j in (0..even).step_by(AT_ONCE) {
                self.at_once::<V, AT_ONCE>(start, j, &mut sums);
            }
            for j in even..self.count {
                self.at_once::<V, 1>(start, j, &mut sums);
            }
            if let Some((_, slope_sums)) = &mut self.output {
                let to = slope_sums[start..][..V::LANES].as_mut_ptr();
                // SAFETY: there is room for LANES.
                unsafe { V::load(to).add(sums.slope).store(to) }
            }
            total += sum_of_rows(sums.kernel, self.rows - start);
        }
        total
    }
}

/// The sum of the first `rows` lanes (or all), which are those of real rows.
#[inline(always)]
fn sum_of_rows<T: Real, V: Vector<T>>(vector: V, rows: usize) -> f64 {
    if rows >= V::LANES {
        return vector.sum().to_double();
    }
    let mut lanes = [T::zero(); ROWS];
    // SAFETY: LANES <= ROWS.
    unsafe { vector.store(lanes.as_mut_ptr()) };
    lanes[..rows].iter().map(|lane| lane.to_double()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};

    const SCALES: [f64; 3] = [0.05, 0.4, 3.0];

    fn sample(rows: usize, columns: usize, shift: f64, seed: u64) -> (Batch<f64>, Vec<f64>) {
        let mut stream = Seed(seed).stream(Purpose::Training, 0);
        let mut values = vec![0.0; rows * columns];
        fill_normal(&mut values, 1.0, &mut stream);
        values.iter_mut().for_each(|v| *v += shift);
        (Batch::from_rows(&values, columns), values)
    }

    /// The definition, pair by pair.
    fn by_definition(x: &[f64], y: &[f64], columns: usize, scales: &[f64]) -> f64 {
        let mean = |a: &[f64], b: &[f64]| {
            let mut sum = 0.0;
            for p in a.chunks(columns) {
                for q in b.chunks(columns) {
                    let distance: f64 = p.iter().zip(q).map(|(s, t)| (s - t).powi(2)).sum();
                    sum += scales.iter().map(|c| c / (c + distance)).sum::<f64>();
                }
            }
            sum / ((a.len() / columns) * (b.len() / columns)) as f64
        };
        mean(x, x) + mean(y, y) - 2.0 * mean(x, y)
    }

    #[test]
    fn value_is_the_definition() {
        for (n, m, columns) in [(1, 1, 1), (5, 70, 3), (33, 31, 2), (64, 96, 10)] {
            let ((x, xs), (y, ys)) = (sample(n, columns, 0.0, 1), sample(m, columns, 0.3, 2));
            let wanted = by_definition(&xs, &ys, columns, &SCALES);
            let mut gradient = Batch::zeros(n, columns);
            let beside = mmd_gradient(&x, &y, &SCALES, MeanKernel::Biased, &mut gradient);
            for got in [mmd(&x, &y, &SCALES), beside] {
                assert!((got - wanted).abs() < 1e-12, "{n} {m} {columns}: {got} {wanted}");
            }
        }
    }

    #[test]
    fn unbiased_mean_takes_each_pair_of_the_first_points_once() {
        let (batch, values) = sample(70, 3, 0.0, 10);
        for rows in [2, 33, 70] {
            let mut sum = 0.0;
            for (i, p) in values.chunks(3).take(rows).enumerate() {
                for q in values.chunks(3).take(i) {
                    let distance: f64 = p.iter().zip(q).map(|(s, t)| (s - t).powi(2)).sum();
                    sum += SCALES.iter().map(|c| c / (c + distance)).sum::<f64>();
                }
            }
            let wanted = sum / (rows * (rows - 1) / 2) as f64;
            let got = mean_of_kernel(&batch, &SCALES, MeanKernel::Unbiased { rows });
            assert!((got - wanted).abs() < 1e-12, "{rows}: {got} {wanted}");
        }
    }

    #[test]
    fn gradient_is_the_fourth_order_difference() {
        for (n, m, columns) in [(1, 1, 1), (7, 40, 3), (35, 20, 2)] {
            let ((x, xs), (y, _)) = (sample(n, columns, 0.0, 3), sample(m, columns, 0.5, 4));
            let mut gradient = Batch::zeros(n, columns);
            mmd_gradient(&x, &y, &SCALES, MeanKernel::Biased, &mut gradient);
            let got = gradient.to_rows();
            let mut leading = Batch::zeros(n, 1);
            mmd_gradient(&x, &y, &SCALES, MeanKernel::Biased, &mut leading);
            assert!((0..n).all(|row| leading.get(row, 0) == gradient.get(row, 0)));
            for i in 0..xs.len() {
                let at = |step: f64| {
                    let mut moved = xs.clone();
                    moved[i] += step;
                    mmd(&Batch::from_rows(&moved, columns), &y, &SCALES)
                };
                let h = 1e-3;
                let wanted = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
                assert!((got[i] - wanted).abs() < 1e-8, "{i}: {} {wanted}", got[i]);
            }
        }
    }

    #[test]
    fn same_sample_has_no_discrepancy_and_no_gradient() {
        let (x, _) = sample(100, 3, 0.0, 5);
        let mut gradient = Batch::zeros(100, 3);
        assert!(mmd_gradient(&x, &x.clone(), &SCALES, MeanKernel::Biased, &mut gradient).abs() < 1e-14);
        assert!(gradient.data().iter().all(|g| g.abs() < 1e-14));
    }

    #[test]
    fn threads_change_no_bit() {
        let ((x, _), (y, _)) = (sample(300, 4, 0.0, 6), sample(500, 4, 0.2, 7));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut gradient = Batch::zeros(300, 4);
            let value = pool.install(|| mmd_gradient(&x, &y, &SCALES, MeanKernel::Biased, &mut gradient));
            (value.to_bits(), gradient.to_rows())
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(5));
    }

    #[test]
    fn single_precision_agrees_with_double() {
        let ((x, xs), (y, ys)) = (sample(200, 3, 0.0, 8), sample(200, 3, 0.1, 9));
        let single = |v: &[f64]| Batch::from_rows(&v.iter().map(|&v| v as f32).collect::<Vec<_>>(), 3);
        let got = mmd(&single(&xs), &single(&ys), &SCALES.map(|s| s as f32));
        assert!((got - mmd(&x, &y, &SCALES)).abs() < 2e-6);
    }
}
