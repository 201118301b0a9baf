//! The gradient of a batch: the sum of those of its groups of tiles.

use crate::kernels::Real;
use crate::kernels::update::sum_of_parts;
use crate::tiles::GROUPS;
use rayon::prelude::*;

/// Parameters that one thread works on at a time, in sums and in steps.
pub(super) const CHUNK: usize = 4096;

/// A gradient and its norm.
#[derive(Clone, Debug)]
pub struct Gradient<T> {
    values: Vec<T>,
    /// Sums of squares of the chunks.
    squares: Vec<f64>,
}

impl<T: Real> Gradient<T> {
    /// All zero.
    pub fn zeros(parameters: usize) -> Self {
        Self { values: vec![T::zero(); parameters], squares: vec![0.0; parameters.div_ceil(CHUNK)] }
    }

    /// Becomes `parts[0] + parts[1] + ...`, in that order, whatever the threads; at most one part for each group.
    pub fn sum(&mut self, parts: &[&[T]]) {
        let chunks = self.values.par_chunks_mut(CHUNK).zip(&mut self.squares);
        chunks.enumerate().for_each(|(i, (chunk, square))| {
            let range = i * CHUNK..i * CHUNK + chunk.len();
            let mut own: [&[T]; GROUPS] = [&[]; GROUPS];
            own.iter_mut().zip(parts).for_each(|(own, part)| *own = &part[range.clone()]);
            *square = sum_of_parts(chunk, &own[..parts.len()]);
        });
    }

    /// One value for each parameter.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// Euclidean norm.
    pub fn norm(&self) -> f64 {
        self.squares.iter().sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, Seed, fill_normal};

    #[test]
    fn sums_parts_in_their_order_and_knows_the_norm() {
        let parts: Vec<Vec<f64>> = (0..3)
            .map(|i| {
                let mut part = vec![0.0; CHUNK + 5];
                fill_normal(&mut part, 1.0, &mut Seed(i).stream(Purpose::Weights, 0));
                part
            })
            .collect();
        let mut gradient = Gradient::zeros(CHUNK + 5);
        gradient.sum(&[&parts[0], &parts[1], &parts[2]]);
        let wanted: Vec<f64> = (0..CHUNK + 5).map(|i| parts[0][i] + parts[1][i] + parts[2][i]).collect();
        assert_eq!(gradient.values(), wanted);
        let norm = wanted.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!((gradient.norm() - norm).abs() < 1e-12 * norm);
        gradient.sum(&[&parts[0]]);
        assert_eq!(gradient.values(), parts[0]);
    }
}
