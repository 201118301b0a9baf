//! One seed for everything random: each purpose draws from a ChaCha stream of its own, so that drawing more
//! for one changes nothing for another, and any piece of work can start its stream without the others.

use crate::kernels::Real;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What random numbers are drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial weights.
    Weights = 1,
    /// Fixed permutations and rotations between blocks.
    Mixing = 2,
    /// The validation part of the data.
    Split = 3,
    /// The order of the rows in an epoch.
    Order = 4,
    /// Noise and latent variables of a training step.
    Training = 5,
    /// The same of a validation, equal in every epoch.
    Validation = 6,
    /// Latent variables of posterior samples.
    Posterior = 7,
}

/// A generator of one stream.
pub type Stream = ChaCha8Rng;

/// The seed of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream number `index` of a purpose.
    pub fn stream(self, purpose: Purpose, index: u64) -> Stream {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.0.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        let mut stream = Stream::from_seed(key);
        stream.set_stream(index);
        stream
    }
}

/// A standard normal number.
pub fn normal<T: Real>(stream: &mut Stream) -> T {
    let value: f64 = StandardNormal.sample(stream);
    T::of(value)
}

/// Fills a slice with normal numbers of the given standard deviation.
pub fn fill_normal<T: Real>(values: &mut [T], deviation: T, stream: &mut Stream) {
    for value in values {
        *value = deviation * normal::<T>(stream);
    }
}

/// The numbers 0..n in random order.
pub fn permutation(n: usize, stream: &mut Stream) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(stream);
    order
}
