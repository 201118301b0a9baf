//! How far single precision is from the exact spline. That it is invertible and its gradients right, the laws of all
//! maps say.

use super::bins::LEAST_BIN;
use super::*;
use crate::kernels::dispatch::tests::with_each;
use crate::random::{Purpose, Seed, fill_normal};

const BINS: usize = 8;
const TILES: usize = 2000;

fn spline() -> Spline {
    Spline::new(BINS, BOUND, 2.0)
}

/// Values and log slopes of tiles of one column, through the spline with the given raw parameters.
fn bent<T: Real>(direction: Direction, raw: &[f64], values: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let spline = spline();
    let (mut results, mut slopes) = (Vec::new(), Vec::new());
    for (raw, values) in raw.chunks(ROWS * spline.outputs()).zip(values.chunks(ROWS)) {
        let raw: Vec<T> = raw.iter().map(|&value| T::of(value)).collect();
        let mut active: Vec<T> = values.iter().map(|&value| T::of(value)).collect();
        let mut logdet = vec![T::zero(); ROWS];
        let mut kept = vec![T::zero(); ROWS * spline.kept()];
        let operands = Operands { raw: &raw, active: &mut active, logdet: &mut logdet, kept: &mut kept };
        spline.transform(direction, operands);
        results.extend(active.iter().map(|value| value.to_double()));
        slopes.extend(logdet.iter().map(|value| value.to_double()));
    }
    (results, slopes)
}

/// Normal numbers that single precision holds.
fn random(len: usize, deviation: f64, seed: u64) -> Vec<f64> {
    let mut values = vec![0.0f32; len];
    fill_normal(&mut values, deviation as f32, &mut Seed(seed).stream(Purpose::Training, 0));
    values.into_iter().map(f64::from).collect()
}

/// A step that is small beside a bin and large beside the rounding of double precision.
const STEP: f64 = 1e-6;

/// Largest errors of single precision, of the value and of the log slope, each over what rounding to it does to the
/// knots, which are numbers up to [`BOUND`]: they move the value by the slope, and the log slope by its own derivative
/// and by the size of a bin.
fn errors(direction: Direction, deviation: f64) -> (f64, f64) {
    let raw = random(TILES * ROWS * spline().outputs(), deviation, 1);
    let values = random(TILES * ROWS, 2.0, 2);
    let beside = |step: f64| -> Vec<f64> {
        bent::<f64>(direction, &raw, &values.iter().map(|value| value + step).collect::<Vec<_>>()).1
    };
    let (before, after) = (beside(-STEP), beside(STEP));
    let (exact, exact_slopes) = bent::<f64>(direction, &raw, &values);
    let rounding = f64::from(f32::EPSILON) * BOUND;
    let narrowest = LEAST_BIN * 2.0 * BOUND / BINS as f64;
    let mut worst = (0.0f64, 0.0f64);
    with_each(|_| {
        let (single, slopes) = bent::<f32>(direction, &raw, &values);
        for i in 0..values.len() {
            let unit = rounding * (1.0 + exact_slopes[i].exp());
            worst.0 = worst.0.max((single[i] - exact[i]).abs() / unit);
            let change = (before[i] - exact_slopes[i]).abs().max((after[i] - exact_slopes[i]).abs()) / STEP;
            let unit = rounding * (1.0 / narrowest + change);
            worst.1 = worst.1.max((slopes[i] - exact_slopes[i]).abs() / unit);
        }
    });
    worst
}

#[test]
fn single_precision_is_accurate() {
    // Of the raw parameters: as a training begins, usual, and extreme, with slopes of hundreds.
    for (deviation, most_value, most_slope) in [(0.3, 4.0, 2.0), (1.0, 16.0, 6.0), (3.0, 50.0, 20.0)] {
        for direction in [Direction::Forward, Direction::Inverse] {
            let (value, slope) = errors(direction, deviation);
            assert!(value < most_value && slope < most_slope, "{direction:?} {deviation}: {value} {slope}");
        }
    }
}
