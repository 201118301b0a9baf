//! A fixed rotation of the columns.

use super::{Invertible, Keep, Pass};
use crate::error::{Error, Result};
use crate::kernels::product::{Finish, Matrix, Start, product};
use crate::kernels::{ROWS, Real};
use crate::random::{Stream, fill_normal};

/// v = Q u with a fixed orthogonal matrix Q, so u = Q^T v and the log determinant is zero.
#[derive(Clone, Debug)]
pub struct Orthogonal {
    dim: usize,
    /// Row by row, in both precisions: the cast is made once.
    double: Vec<f64>,
    single: Vec<f32>,
}

/// Largest deviation from orthogonality that a given matrix may have.
const TOLERANCE: f64 = 1e-10;

impl Orthogonal {
    /// A random matrix, uniform over all rotations and reflections: independent normal rows made orthogonal (Stewart
    /// 1980, SIAM J. Numer. Anal. 17, 403).
    pub fn random(dim: usize, stream: &mut Stream) -> Self {
        let mut matrix = vec![0.0; dim * dim];
        fill_normal(&mut matrix, 1.0, stream);
        for row in 0..dim {
            let (before, rest) = matrix.split_at_mut(row * dim);
            let own = &mut rest[..dim];
            // Twice is enough for rounding (Giraud et al. 2005, Numer. Math. 101, 87).
            for _ in 0..2 {
                for other in before.chunks_exact(dim) {
                    let overlap: f64 = own.iter().zip(other).map(|(a, b)| a * b).sum();
                    own.iter_mut().zip(other).for_each(|(a, b)| *a -= overlap * b);
                }
                let norm = own.iter().map(|a| a * a).sum::<f64>().sqrt();
                own.iter_mut().for_each(|a| *a /= norm);
            }
        }
        Self::from_orthogonal(matrix, dim)
    }

    /// A given matrix, row by row.
    pub fn new(matrix: Vec<f64>, dim: usize) -> Result<Self> {
        if matrix.len() != dim * dim {
            return Err(Error::Format(format!("a rotation of {dim} columns has {} numbers", matrix.len())));
        }
        for (i, a) in matrix.chunks_exact(dim).enumerate() {
            for (j, b) in matrix.chunks_exact(dim).enumerate() {
                let overlap: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                let wanted = if i == j { 1.0 } else { 0.0 };
                let deviation = (overlap - wanted).abs();
                if deviation.is_nan() || deviation > TOLERANCE {
                    return Err(Error::Format("a rotation is not orthogonal".into()));
                }
            }
        }
        Ok(Self::from_orthogonal(matrix, dim))
    }

    fn from_orthogonal(double: Vec<f64>, dim: usize) -> Self {
        let single = double.iter().map(|&v| v as f32).collect();
        Self { dim, double, single }
    }

    /// The matrix, row by row.
    pub fn into_matrix(self) -> Vec<f64> {
        self.double
    }

    /// Multiplies by Q, or by its transpose.
    fn turn<T: Real>(&self, state: &mut [T], scratch: &mut [T], rows: usize, transposed: bool) {
        let copy = &mut scratch[..state.len()];
        copy.copy_from_slice(state);
        let (row, column) = if transposed { (1, self.dim) } else { (self.dim, 1) };
        let data = T::pick((&self.double, &self.single));
        let matrix = Matrix { data, row, column };
        product(state, self.dim, matrix, copy, self.dim, rows, Start::Zero, Finish::Keep);
    }
}

impl<T: Real> Invertible<T> for Orthogonal {
    fn dim(&self) -> usize {
        self.dim
    }

    fn parameters(&self) -> usize {
        0
    }

    fn record_len(&self, _keep: Keep) -> usize {
        0
    }

    fn scratch_len(&self) -> usize {
        self.dim * ROWS
    }

    fn initialise(&self, _parameters: &mut [T], _last_layer: f64, _stream: &mut Stream) {}

    fn forward(
        &self,
        pass: &Pass<T>,
        state: &mut [T],
        _logdet: &mut [T],
        _record: &mut [T],
        scratch: &mut [T],
    ) {
        self.turn(state, scratch, pass.rows, false);
    }

    fn inverse(
        &self,
        pass: &Pass<T>,
        state: &mut [T],
        _logdet: &mut [T],
        _record: &mut [T],
        scratch: &mut [T],
    ) {
        self.turn(state, scratch, pass.rows, true);
    }

    fn forward_backward(
        &self,
        pass: &Pass<T>,
        cotangent: &mut [T],
        _logdet_cotangent: &[T],
        _record: &mut [T],
        _gradient: &mut [T],
        scratch: &mut [T],
    ) {
        self.turn(cotangent, scratch, pass.rows, true);
    }

    fn inverse_backward(
        &self,
        pass: &Pass<T>,
        cotangent: &mut [T],
        _logdet_cotangent: &[T],
        _record: &mut [T],
        _gradient: &mut [T],
        scratch: &mut [T],
    ) {
        self.turn(cotangent, scratch, pass.rows, false);
    }
}
