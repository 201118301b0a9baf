//! A fixed permutation of the columns.

use super::{Invertible, Keep, Pass};
use crate::error::{Error, Result};
use crate::kernels::{ROWS, Real};
use crate::random::{Stream, permutation};

/// Column c of the result is column `order[c]` of the argument; the log determinant is zero.
#[derive(Clone, Debug)]
pub struct Shuffle {
    order: Vec<usize>,
}

impl Shuffle {
    /// A random permutation.
    pub fn random(dim: usize, stream: &mut Stream) -> Self {
        Self { order: permutation(dim, stream) }
    }

    /// A given order.
    pub fn new(order: Vec<usize>, dim: usize) -> Result<Self> {
        let mut seen = vec![false; dim];
        for &column in &order {
            if column >= dim || std::mem::replace(&mut seen[column], true) {
                return Err(Error::Format(format!("{order:?} is no permutation of {dim} columns")));
            }
        }
        if order.len() == dim {
            Ok(Self { order })
        } else {
            Err(Error::Format("a permutation is too short".into()))
        }
    }

    /// The order.
    pub fn into_order(self) -> Vec<usize> {
        self.order
    }

    /// Column c becomes what column `order[c]` is.
    pub fn gather<T: Real>(&self, state: &mut [T], scratch: &mut [T]) {
        let copy = &mut scratch[..state.len()];
        copy.copy_from_slice(state);
        for (to, &from) in state.chunks_exact_mut(ROWS).zip(&self.order) {
            to.copy_from_slice(&copy[from * ROWS..(from + 1) * ROWS]);
        }
    }

    /// The inverse of `gather`.
    pub fn scatter<T: Real>(&self, state: &mut [T], scratch: &mut [T]) {
        let copy = &mut scratch[..state.len()];
        copy.copy_from_slice(state);
        for (from, &to) in copy.chunks_exact(ROWS).zip(&self.order) {
            state[to * ROWS..(to + 1) * ROWS].copy_from_slice(from);
        }
    }
}

impl<T: Real> Invertible<T> for Shuffle {
    fn dim(&self) -> usize {
        self.order.len()
    }

    fn parameters(&self) -> usize {
        0
    }

    fn record_len(&self, _keep: Keep) -> usize {
        0
    }

    fn scratch_len(&self) -> usize {
        self.order.len() * ROWS
    }

    fn initialise(&self, _parameters: &mut [T], _last_layer: f64, _stream: &mut Stream) {}

    fn forward(
        &self,
        _pass: &Pass<T>,
        state: &mut [T],
        _logdet: &mut [T],
        _record: &mut [T],
        scratch: &mut [T],
    ) {
        self.gather(state, scratch);
    }

    fn inverse(
        &self,
        _pass: &Pass<T>,
        state: &mut [T],
        _logdet: &mut [T],
        _record: &mut [T],
        scratch: &mut [T],
    ) {
        self.scatter(state, scratch);
    }

    fn forward_backward(
        &self,
        _pass: &Pass<T>,
        cotangent: &mut [T],
        _logdet_cotangent: &[T],
        _record: &mut [T],
        _gradient: &mut [T],
        scratch: &mut [T],
    ) {
        self.scatter(cotangent, scratch);
    }

    fn inverse_backward(
        &self,
        _pass: &Pass<T>,
        cotangent: &mut [T],
        _logdet_cotangent: &[T],
        _record: &mut [T],
        _gradient: &mut [T],
        scratch: &mut [T],
    ) {
        self.gather(cotangent, scratch);
    }
}
