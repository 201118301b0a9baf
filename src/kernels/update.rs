//! Arithmetic on all parameters at once: sums of gradients with their squares, and a step of Adam.

use super::dispatch::{Kernel, dispatch};
use super::real::Real;
use super::vector::Vector;

/// Loads lanes from `start` on, fewer at the end of the slice.
#[inline(always)]
fn load<T: Real, V: Vector<T>>(from: &[T], start: usize) -> V {
    let from = &from[start..];
    // SAFETY: the slice has as many scalars as are read.
    unsafe {
        if from.len() >= V::LANES { V::load(from.as_ptr()) } else { V::load_first(from.as_ptr(), from.len()) }
    }
}

/// The counterpart of `load`.
#[inline(always)]
fn store<T: Real, V: Vector<T>>(vector: V, to: &mut [T], start: usize) {
    let to = &mut to[start..];
    // SAFETY: the slice has as many scalars as are written.
    unsafe {
        if to.len() >= V::LANES {
            vector.store(to.as_mut_ptr());
        } else {
            vector.store_first(to.as_mut_ptr(), to.len());
        }
    }
}

/// `sum = parts[0] + parts[1] + ...`, in that order; all have the same length. Returns the sum of its squares, in an
/// order that depends on the length and the instruction set only.
pub fn sum_of_parts<T: Real>(sum: &mut [T], parts: &[&[T]]) -> f64 {
    assert!(parts.iter().all(|part| part.len() == sum.len()));
    dispatch(SumOfParts { sum, parts })
}

struct SumOfParts<'a, T> {
    sum: &'a mut [T],
    parts: &'a [&'a [T]],
}

impl<T: Real> Kernel<T> for SumOfParts<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<V: Vector<T>>(self) -> f64 {
        let mut squares = V::splat(T::zero());
        for start in (0..self.sum.len()).step_by(V::LANES) {
            let mut parts = self.parts.iter();
            let first = parts.next().map_or(V::splat(T::zero()), |part| load(part, start));
            let total = parts.fold(first, |total, part| total.add(load(part, start)));
            squares = total.mul_add(total, squares);
            store(total, self.sum, start);
        }
        squares.sum().to_double()
    }
}

/// A step of Adam, as it is for one set of parameters.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep<T> {
    /// Decay of both moments.
    pub betas: (T, T),
    /// The learning rate over the bias of the first moment.
    pub rate: T,
    /// One over the root of the bias of the second moment.
    pub root: T,
    /// Keeps the division finite.
    pub epsilon: T,
    /// Factor of the parameter that is added to its gradient.
    pub decay: T,
    /// Factor of the gradient.
    pub scale: T,
    /// Bound of every element of the gradient.
    pub clamp: T,
    /// Share of the new parameters in their average.
    pub share: T,
}

/// What a step changes and what it reads, all of the same length; `rates` are factors of the learning rate.
pub struct Moving<'a, T> {
    /// Parameters, first and second moments.
    pub changed: [&'a mut [T]; 3],
    /// The average of the parameters, where there is one.
    pub average: Option<&'a mut [T]>,
    /// The gradient.
    pub gradient: &'a [T],
    /// Factors of the rate, one for each parameter.
    pub rates: &'a [T],
}

/// Moves parameters one step downhill, and their average after them.
pub fn adam<T: Real>(step: AdamStep<T>, moving: Moving<T>) {
    let len = moving.gradient.len();
    assert!(moving.rates.len() == len && moving.changed.iter().all(|part| part.len() == len));
    assert!(moving.average.as_ref().is_none_or(|average| average.len() == len));
    dispatch(AdamKernel { step, moving });
}

struct AdamKernel<'a, T> {
    step: AdamStep<T>,
    moving: Moving<'a, T>,
}

impl<T: Real> Kernel<T> for AdamKernel<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self) {
        let Moving { changed: [parameters, first, second], mut average, gradient, rates } = self.moving;
        let AdamStep { betas: (b1, b2), rate, root, epsilon, decay, scale, clamp, share } = self.step;
        let [new_1, new_2] = [b1, b2].map(|beta| V::splat(T::one() - beta));
        let [b1, b2, rate, root] = [b1, b2, rate, root].map(V::splat);
        let [epsilon, decay, scale, share] = [epsilon, decay, scale, share].map(V::splat);
        let (lowest, highest) = (V::splat(-clamp), V::splat(clamp));
        for start in (0..gradient.len()).step_by(V::LANES) {
            let parameter: V = load(parameters, start);
            let g = load::<T, V>(gradient, start).mul(scale).min(highest).max(lowest);
            let g = decay.mul_add(parameter, g);
            let m = new_1.mul_add(g, b1.mul(load(first, start)));
            let v = new_2.mul(g).mul_add(g, b2.mul(load(second, start)));
            let step = load::<T, V>(rates, start).mul(rate).mul(m).div(v.sqrt().mul_add(root, epsilon));
            let parameter = parameter.sub(step);
            store(parameter, parameters, start);
            store(m, first, start);
            store(v, second, start);
            if let Some(average) = average.as_deref_mut() {
                let before: V = load(average, start);
                store(before.add(share.mul(parameter.sub(before))), average, start);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::tests::with_each;
    use crate::random::{Purpose, Seed, fill_normal};

    fn random(len: usize, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; len];
        fill_normal(&mut values, 1.0, &mut Seed(seed).stream(Purpose::Weights, 0));
        values
    }

    #[test]
    fn sums_are_those_of_plain_loops() {
        with_each(|_| {
            for len in [0, 1, 7, 8, 37, 100] {
                let parts: Vec<Vec<f64>> = (0..3).map(|i| random(len, i)).collect();
                let parts: Vec<&[f64]> = parts.iter().map(|part| &part[..]).collect();
                let mut sum = vec![9.0; len];
                let square = sum_of_parts(&mut sum, &parts);
                assert!((0..len).all(|i| sum[i] == parts[0][i] + parts[1][i] + parts[2][i]));
                let squares: f64 = sum.iter().map(|s| s * s).sum();
                assert!((square - squares).abs() <= 1e-13 * squares);
                assert_eq!(sum_of_parts(&mut sum, &[]), 0.0);
                assert!(sum.iter().all(|&s| s == 0.0));
            }
        });
    }
}
