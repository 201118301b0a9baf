//! Adam (Kingma & Ba 2015, arXiv 1412.6980) with an L2 penalty and gradients clamped element by element.

use crate::kernels::Real;
use crate::kernels::update::{self, AdamStep, Moving, sum_of_squares};
use rayon::prelude::*;

/// Constants of the optimizer.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// Keeps the division finite.
    pub epsilon: f64,
    /// Factor of the parameter that is added to its gradient.
    pub weight_decay: f64,
    /// Bound of every element of the gradient.
    pub clamp: f64,
}

impl Default for Adam {
    /// What the paper's authors used for the toy (their published experiments).
    fn default() -> Self {
        Self { beta_1: 0.8, beta_2: 0.9, epsilon: 1e-6, weight_decay: 2e-5, clamp: 15.0 }
    }
}

/// The moments, which grow with training and are kept between fits that go on.
#[derive(Clone, Debug, Default)]
pub struct Moments<T> {
    first: Vec<T>,
    second: Vec<T>,
    steps: u64,
}

/// Parameters that one thread updates at a time.
pub(super) const CHUNK: usize = 4096;

impl<T: Real> Moments<T> {
    /// Moments before the first step.
    pub fn new(parameters: usize) -> Self {
        Self { first: vec![T::zero(); parameters], second: vec![T::zero(); parameters], steps: 0 }
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// First and second moments.
    pub fn parts(&self) -> (&[T], &[T]) {
        (&self.first, &self.second)
    }

    /// From parts of equal length.
    pub fn from_parts(first: Vec<T>, second: Vec<T>, steps: u64) -> Self {
        Self { first, second, steps }
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// One step downhill.
    pub fn step(&mut self, adam: &Adam, rate: f64, rates: &[T], parameters: &mut [T], gradient: &[T]) {
        self.steps += 1;
        let bias_1 = 1.0 - adam.beta_1.powf(self.steps as f64);
        let bias_2 = 1.0 - adam.beta_2.powf(self.steps as f64);
        let step = AdamStep {
            betas: (T::of(adam.beta_1), T::of(adam.beta_2)),
            rate: T::of(rate / bias_1),
            root: T::of(bias_2.sqrt().recip()),
            epsilon: T::of(adam.epsilon),
            decay: T::of(adam.weight_decay),
            clamp: T::of(adam.clamp),
        };
        let moments = self.first.par_chunks_mut(CHUNK).zip(self.second.par_chunks_mut(CHUNK));
        let read = gradient.par_chunks(CHUNK).zip(rates.par_chunks(CHUNK));
        parameters.par_chunks_mut(CHUNK).zip(moments).zip(read).for_each(
            |((parameters, (first, second)), (gradient, rates))| {
                update::adam(step, Moving { changed: [parameters, first, second], gradient, rates });
            },
        );
    }
}

/// Scales down a gradient that is far larger than those before it: one bad batch must not undo many good ones.
///
/// The bound follows the norms themselves, since their size depends on the weights of the loss terms (the idea of
/// AutoClip, Seetharaman et al. 2020, arXiv 2007.14469, with a running mean in place of a percentile).
#[derive(Clone, Copy, Debug, Default)]
pub struct Limiter {
    mean: Option<f64>,
}

/// Norms up to so many times the running mean pass.
const LIMIT: f64 = 2.0;
/// Share of a new norm in the running mean.
const NORM_RATE: f64 = 0.05;

impl Limiter {
    /// Scales the gradient where its norm is beyond the limit.
    pub fn limit<T: Real>(&mut self, gradient: &mut [T]) {
        let norm = norm(gradient);
        let limit = LIMIT * self.mean.unwrap_or(norm);
        let kept = norm.min(limit);
        if norm > limit {
            let factor = T::of(limit / norm);
            gradient.par_chunks_mut(CHUNK).flatten_iter().for_each(|g| *g = *g * factor);
        }
        let mean = self.mean.unwrap_or(kept);
        self.mean = Some(mean + NORM_RATE * (kept - mean));
    }
}

/// Euclidean norm, summed in the order of fixed chunks.
fn norm<T: Real>(gradient: &[T]) -> f64 {
    let sums: Vec<f64> = gradient.par_chunks(CHUNK).map(sum_of_squares).collect();
    sums.iter().sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limiter_scales_outliers_only() {
        let mut limiter = Limiter::default();
        let mut gradient = vec![3.0f64, 4.0];
        limiter.limit(&mut gradient);
        assert_eq!(gradient, [3.0, 4.0]);
        let mut outlier = vec![0.0, 1e6];
        limiter.limit(&mut outlier);
        assert_eq!(outlier, [0.0, 10.0]);
        let mut small = vec![0.1, 0.0];
        limiter.limit(&mut small);
        assert_eq!(small, [0.1, 0.0]);
    }

    /// The recursion of the paper, written out in plain scalars.
    #[test]
    fn follows_the_published_recursion() {
        let adam = Adam { weight_decay: 0.1, clamp: 2.0, ..Adam::default() };
        let (mut p, mut m, mut v) = (1.5f64, 0.0, 0.0);
        let mut parameters = [1.5f64];
        let mut moments = Moments::new(1);
        for (t, gradient) in [0.3, -5.0, 2.5, 0.0].into_iter().enumerate() {
            let g = f64::clamp(gradient, -2.0, 2.0) + 0.1 * p;
            m = 0.8 * m + 0.2 * g;
            v = 0.9 * v + 0.1 * g * g;
            let t = t as i32 + 1;
            let (m_hat, v_hat) = (m / (1.0 - 0.8f64.powi(t)), v / (1.0 - 0.9f64.powi(t)));
            p -= 0.01 * m_hat / (v_hat.sqrt() + 1e-6);
            moments.step(&adam, 0.01, &[1.0], &mut parameters, &[gradient]);
            assert!((parameters[0] - p).abs() < 1e-12, "step {t}");
        }
    }
}
