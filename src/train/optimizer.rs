//! Adam (Kingma & Ba 2015, arXiv 1412.6980) with an L2 penalty and gradients clamped element by element.

use super::average::Following;
use super::gradient::{CHUNK, Gradient};
use crate::kernels::Real;
use crate::kernels::update::{self, AdamStep, Moving};
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

/// What one step downhill needs to know.
pub struct Descent<'a, T> {
    /// Constants of the optimizer.
    pub adam: Adam,
    /// The learning rate.
    pub rate: f64,
    /// Factors of the rate, one for each parameter.
    pub rates: &'a [T],
    /// The gradient.
    pub gradient: &'a Gradient<T>,
    /// Factor of the gradient.
    pub scale: f64,
}

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

    /// One step downhill, and the average of the parameters, where there is one, after it.
    pub fn step(&mut self, descent: &Descent<T>, parameters: &mut [T], average: Option<Following<T>>) {
        let Descent { adam, rate, rates, gradient, scale } = descent;
        let (average, share) = average.map_or((None, 0.0), |next| (Some(next.weights), next.share));
        self.steps += 1;
        let bias_1 = 1.0 - adam.beta_1.powf(self.steps as f64);
        let bias_2 = 1.0 - adam.beta_2.powf(self.steps as f64);
        let step = AdamStep {
            betas: (T::of(adam.beta_1), T::of(adam.beta_2)),
            rate: T::of(rate / bias_1),
            root: T::of(bias_2.sqrt().recip()),
            epsilon: T::of(adam.epsilon),
            decay: T::of(adam.weight_decay),
            scale: T::of(*scale),
            clamp: T::of(adam.clamp),
            share: T::of(share),
        };
        let moments = self.first.par_chunks_mut(CHUNK).zip(self.second.par_chunks_mut(CHUNK));
        let read = gradient.values().par_chunks(CHUNK).zip(rates.par_chunks(CHUNK));
        let chunks = parameters.par_chunks_mut(CHUNK).zip(moments).zip(read);
        let update = |((parameters, (first, second)), (gradient, rates)), average| {
            update::adam(step, Moving { changed: [parameters, first, second], average, gradient, rates });
        };
        match average.map(|average| average.par_chunks_mut(CHUNK)) {
            None => chunks.for_each(|chunk| update(chunk, None)),
            Some(average) => chunks.zip(average).for_each(|(chunk, own)| update(chunk, Some(own))),
        }
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
    /// The factor of a gradient with this norm: less than one where that is beyond the limit.
    pub fn scale(&mut self, norm: f64) -> f64 {
        let limit = LIMIT * self.mean.unwrap_or(norm);
        let kept = norm.min(limit);
        let mean = self.mean.unwrap_or(kept);
        self.mean = Some(mean + NORM_RATE * (kept - mean));
        if norm > limit { limit / norm } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limiter_scales_outliers_only() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.scale(0.0), 1.0);
        let mut limiter = Limiter::default();
        assert_eq!(limiter.scale(5.0), 1.0);
        assert_eq!(limiter.scale(1e6), 10.0 / 1e6);
        assert_eq!(limiter.scale(0.1), 1.0);
    }

    /// The recursion of the paper, written out in plain scalars; the average of the parameters follows it.
    #[test]
    fn follows_the_published_recursion() {
        let adam = Adam { weight_decay: 0.1, clamp: 2.0, ..Adam::default() };
        let (mut p, mut m, mut v, mut mean) = (1.5f64, 0.0, 0.0, 1.5);
        let (mut parameters, mut unwatched) = ([1.5f64], [1.5f64]);
        let (mut moments, mut same) = (Moments::new(1), Moments::new(1));
        let mut average = [1.5f64];
        let (mut summed, scale, share) = (Gradient::zeros(1), 0.9, 0.25);
        for (t, gradient) in [0.3, -5.0, 2.5, 0.0].into_iter().enumerate() {
            let g = f64::clamp(0.9 * gradient, -2.0, 2.0) + 0.1 * p;
            m = 0.8 * m + 0.2 * g;
            v = 0.9 * v + 0.1 * g * g;
            let t = t as i32 + 1;
            let (m_hat, v_hat) = (m / (1.0 - 0.8f64.powi(t)), v / (1.0 - 0.9f64.powi(t)));
            p -= 0.01 * m_hat / (v_hat.sqrt() + 1e-6);
            mean += 0.25 * (p - mean);
            summed.sum(&[&[gradient - 1.0], &[1.0]]);
            let descent = Descent { adam, rate: 0.01, rates: &[1.0], gradient: &summed, scale };
            moments.step(&descent, &mut parameters, Some(Following { weights: &mut average, share }));
            same.step(&descent, &mut unwatched, None);
            assert!((parameters[0] - p).abs() < 1e-12, "step {t}");
            assert!((average[0] - mean).abs() < 1e-12, "step {t}");
            assert_eq!(unwatched, parameters);
        }
    }
}
