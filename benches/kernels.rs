//! Times of the parts that training is made of: `cargo bench`. One thread, single precision.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use innverse::flow::affine::AffineCoupling;
use innverse::flow::spline::SplineCoupling;
use innverse::flow::{Invertible, Keep, Pass};
use innverse::kernels::ROWS;
use innverse::kernels::elementwise::{Function, exp, map, tanh};
use innverse::kernels::product::{Finish, Matrix, Start, outer, product, transpose, transposed_stride};
use innverse::kernels::vector::Vector;
use innverse::loss::mmd::{MeanKernel, mmd_gradient};
use innverse::random::{Purpose, Seed, fill_normal};
use innverse::subnet::Activation;
use innverse::tiles::Batch;

fn main() {
    divan::main();
}

fn random(len: usize) -> Vec<f32> {
    let mut values = vec![0.0; len];
    fill_normal(&mut values, 0.5, &mut Seed(0).stream(Purpose::Weights, 0));
    values
}

const WIDTHS: [usize; 4] = [64, 128, 256, 512];

/// A hidden layer of one tile; items are floating-point operations.
#[divan::bench(args = WIDTHS)]
fn layer_forward(bencher: Bencher, width: usize) {
    let (weights, bias) = (random(width * width), random(width));
    let (tile, mut out) = (random(width * ROWS), random(width * ROWS));
    bencher.counter(ItemsCount::new(2 * width * width * ROWS)).bench_local(|| {
        let matrix = Matrix { data: &weights, row: width, column: 1 };
        product(&mut out, width, matrix, black_box(&tile), width, ROWS, Start::Bias(&bias), Finish::Relu);
    });
}

/// The cotangent of its input: the same weights, read down their columns.
#[divan::bench(args = WIDTHS)]
fn layer_cotangent(bencher: Bencher, width: usize) {
    let weights = random(width * width);
    let (above, mask, mut below) = (random(width * ROWS), random(width * ROWS), random(width * ROWS));
    bencher.counter(ItemsCount::new(2 * width * width * ROWS)).bench_local(|| {
        let matrix = Matrix { data: &weights, row: 1, column: width };
        product(&mut below, width, matrix, black_box(&above), width, ROWS, Start::Zero, Finish::Mask(&mask));
    });
}

/// The gradient of its weights.
#[divan::bench(args = WIDTHS)]
fn layer_gradient(bencher: Bencher, width: usize) {
    let (a, b, mut gradient) = (random(width * ROWS), random(width * ROWS), random(width * width));
    let stride = transposed_stride(width);
    let mut transposed = random(stride * ROWS);
    bencher.counter(ItemsCount::new(2 * width * width * ROWS)).bench_local(|| {
        transpose(&mut transposed, stride, black_box(&b), width, ROWS);
        outer(&mut gradient, width, width, &a, &transposed, stride, ROWS);
    });
}

#[derive(Clone, Copy)]
struct Exp;
#[derive(Clone, Copy)]
struct Tanh;

impl Function<f32> for Exp {
    #[inline(always)]
    fn apply<V: Vector<f32>>(&self, x: V) -> V {
        exp(x)
    }
}

impl Function<f32> for Tanh {
    #[inline(always)]
    fn apply<V: Vector<f32>>(&self, x: V) -> V {
        tanh(x)
    }
}

fn elementwise(bencher: Bencher, function: impl Function<f32>) {
    let values = random(4096);
    let bytes = BytesCount::of_slice(&values);
    bencher.counter(bytes).with_inputs(|| values.clone()).bench_local_refs(|values| map(values, function));
}

#[divan::bench]
fn exponential(bencher: Bencher) {
    elementwise(bencher, Exp);
}

#[divan::bench]
fn hyperbolic_tangent(bencher: Bencher) {
    elementwise(bencher, Tanh);
}

/// One coupling, forward and backward, for a tile of 4 columns seen with 2 more; items are rows.
fn coupling(bencher: Bencher, map: &impl Invertible<f32>) {
    let parameters = random(map.parameters());
    let condition = random(2 * ROWS);
    let pass = Pass { parameters: &parameters, condition: &condition, rows: ROWS, keep: Keep::Activations };
    let start = random(4 * ROWS);
    let (mut logdet, mut record) = (vec![0.0; ROWS], vec![0.0; map.record_len(Keep::Activations)]);
    let (mut gradient, mut scratch) = (vec![0.0; parameters.len()], vec![0.0; map.scratch_len()]);
    let logdet_cotangent = vec![1.0; ROWS];
    bencher.counter(ItemsCount::new(ROWS)).bench_local(|| {
        let mut state = start.clone();
        map.forward(&pass, &mut state, &mut logdet, &mut record, &mut scratch);
        let mut cotangent = state;
        map.forward_backward(
            &pass,
            &mut cotangent,
            &logdet_cotangent,
            &mut record,
            &mut gradient,
            &mut scratch,
        );
    });
}

#[divan::bench(args = WIDTHS)]
fn affine_coupling(bencher: Bencher, width: usize) {
    coupling(bencher, &AffineCoupling::new(4, 2, &[width, width], Activation::Relu, 2.0));
}

#[divan::bench(args = WIDTHS)]
fn spline_coupling(bencher: Bencher, width: usize) {
    coupling(bencher, &SplineCoupling::new(4, 2, &[width, width], Activation::Relu, 8, 2.0));
}

/// MMD with its gradient, ten columns; items are pairs of points.
#[divan::bench(args = [500, 2000])]
fn discrepancy(bencher: Bencher, points: usize) {
    let (x, y) = (Batch::from_rows(&random(points * 10), 10), Batch::from_rows(&random(points * 10), 10));
    let mut gradient = Batch::zeros(points, 10);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    bencher.counter(ItemsCount::new(5 * points * points / 2)).bench_local(|| {
        one.install(|| mmd_gradient(&x, &y, &[0.05, 0.2, 0.9], MeanKernel::Biased, &mut gradient))
    });
}
