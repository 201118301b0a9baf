//! A learned linear map of the columns: the invertible 1 x 1 convolution of Kingma & Dhariwal 2018 (Glow, arXiv
//! 1807.03039, section 3.2) for any data, by its factors.
//!
//! v = P L U u with a fixed permutation P, L lower triangular with ones on its diagonal, and U upper triangular with
//! exp(d) on its. The log determinant is the sum of d, and the inverse takes two substitutions: neither ever needs a
//! determinant or an inverse matrix.

use super::{Invertible, Keep, Pass};
use crate::flow::shuffle::Shuffle;
use crate::kernels::{ROWS, Real};
use crate::random::Stream;
use std::ops::Range;

/// The map; its parameters are d, then the rows of U above the diagonal, then the rows of L below it.
#[derive(Clone, Debug)]
pub struct LearnedLinear {
    dim: usize,
    permutation: Shuffle,
}

/// Which of the two triangular factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Factor {
    Upper,
    Lower,
}

impl LearnedLinear {
    /// With a fixed permutation, from which training starts.
    pub fn new(permutation: Shuffle, dim: usize) -> Self {
        Self { dim, permutation }
    }

    fn strict(&self) -> usize {
        self.dim * (self.dim - 1) / 2
    }

    /// Where a row of a factor lies among the parameters.
    fn row(&self, factor: Factor, i: usize) -> Range<usize> {
        let (start, len) = match factor {
            Factor::Upper => (self.dim + i * (2 * self.dim - i - 1) / 2, self.dim - i - 1),
            Factor::Lower => (self.dim + self.strict() + i * i.saturating_sub(1) / 2, i),
        };
        start..start + len
    }

    /// First column that row i of a factor multiplies, besides the diagonal.
    fn first(factor: Factor, i: usize) -> usize {
        if factor == Factor::Upper { i + 1 } else { 0 }
    }

    fn diagonal<T: Real>(factor: Factor, parameters: &[T], i: usize) -> T {
        if factor == Factor::Upper { parameters[i].exp() } else { T::one() }
    }

    /// Row numbers of a factor, those first whose argument no later row needs; or the other way round.
    fn rows(&self, factor: Factor, reversed: bool) -> impl Iterator<Item = usize> + use<> {
        let last = self.dim - 1;
        let descends = (factor == Factor::Lower) != reversed;
        (0..=last).map(move |i| if descends { last - i } else { i })
    }

    /// state = factor * state.
    fn multiply<T: Real>(&self, factor: Factor, parameters: &[T], state: &mut [T]) {
        for i in self.rows(factor, false) {
            let diagonal = Self::diagonal(factor, parameters, i);
            let mut own = column(state, i);
            own.iter_mut().for_each(|v| *v = diagonal * *v);
            for (j, &weight) in self.entries(factor, parameters, i) {
                add(&mut own, weight, &column(state, j));
            }
            state[i * ROWS..(i + 1) * ROWS].copy_from_slice(&own);
        }
    }

    /// state = factor^-1 * state, by substitution.
    fn solve<T: Real>(&self, factor: Factor, parameters: &[T], state: &mut [T]) {
        for i in self.rows(factor, true) {
            let mut own = column(state, i);
            for (j, &weight) in self.entries(factor, parameters, i) {
                add(&mut own, -weight, &column(state, j));
            }
            let diagonal = Self::diagonal(factor, parameters, i);
            own.iter_mut().for_each(|v| *v = *v / diagonal);
            state[i * ROWS..(i + 1) * ROWS].copy_from_slice(&own);
        }
    }

    /// state = factor^T * state.
    fn multiply_transposed<T: Real>(&self, factor: Factor, parameters: &[T], state: &mut [T]) {
        for i in self.rows(factor, true) {
            let own = column(state, i);
            let diagonal = Self::diagonal(factor, parameters, i);
            for (j, &weight) in self.entries(factor, parameters, i) {
                add(&mut state[j * ROWS..(j + 1) * ROWS], weight, &own);
            }
            state[i * ROWS..(i + 1) * ROWS].iter_mut().for_each(|v| *v = diagonal * *v);
        }
    }

    /// state = factor^-T * state.
    fn solve_transposed<T: Real>(&self, factor: Factor, parameters: &[T], state: &mut [T]) {
        for i in self.rows(factor, false) {
            let diagonal = Self::diagonal(factor, parameters, i);
            let mut own = column(state, i);
            own.iter_mut().for_each(|v| *v = *v / diagonal);
            state[i * ROWS..(i + 1) * ROWS].copy_from_slice(&own);
            for (j, &weight) in self.entries(factor, parameters, i) {
                add(&mut state[j * ROWS..(j + 1) * ROWS], -weight, &own);
            }
        }
    }

    /// The entries of a row beside the diagonal, with their columns.
    fn entries<'a, T>(
        &self,
        factor: Factor,
        parameters: &'a [T],
        i: usize,
    ) -> impl Iterator<Item = (usize, &'a T)> {
        (Self::first(factor, i)..).zip(&parameters[self.row(factor, i)])
    }

    /// Adds sign * sum over rows of result_cotangent argument^T to the gradient of a factor.
    fn add_gradient<T: Real>(
        &self,
        factor: Factor,
        pass: &Pass<T>,
        result_cotangent: &[T],
        argument: &[T],
        sign: T,
        gradient: &mut [T],
    ) {
        for i in 0..self.dim {
            let c = &result_cotangent[i * ROWS..][..pass.rows];
            let with = |j: usize| dot(c, &argument[j * ROWS..][..pass.rows]);
            if factor == Factor::Upper {
                gradient[i] = gradient[i] + sign * pass.parameters[i].exp() * with(i);
            }
            let first = Self::first(factor, i);
            for (j, g) in (first..).zip(&mut gradient[self.row(factor, i)]) {
                *g = *g + sign * with(j);
            }
        }
    }

    /// The gradient of d that comes from the log determinant.
    fn add_logdet_gradient<T: Real>(
        &self,
        pass: &Pass<T>,
        logdet_cotangent: &[T],
        sign: T,
        gradient: &mut [T],
    ) {
        let total = sign * logdet_cotangent[..pass.rows].iter().copied().sum::<T>();
        gradient[..self.dim].iter_mut().for_each(|g| *g = *g + total);
    }

    fn add_logdet<T: Real>(&self, parameters: &[T], logdet: &mut [T], sign: T) {
        let total = sign * parameters[..self.dim].iter().copied().sum::<T>();
        logdet.iter_mut().for_each(|l| *l = *l + total);
    }
}

fn column<T: Real>(state: &[T], i: usize) -> [T; ROWS] {
    state[i * ROWS..(i + 1) * ROWS].try_into().expect("a column has ROWS rows")
}

fn add<T: Real>(to: &mut [T], weight: T, from: &[T; ROWS]) {
    to.iter_mut().zip(from).for_each(|(t, &f)| *t = *t + weight * f);
}

fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// The record holds u and U u, in either direction.
impl<T: Real> Invertible<T> for LearnedLinear {
    fn dim(&self) -> usize {
        self.dim
    }

    fn parameters(&self) -> usize {
        self.dim * self.dim
    }

    fn record_len(&self, _keep: Keep) -> usize {
        2 * self.dim * ROWS
    }

    fn scratch_len(&self) -> usize {
        self.dim * ROWS
    }

    fn initialise(&self, parameters: &mut [T], _last_layer: f64, _stream: &mut Stream) {
        parameters.fill(T::zero());
    }

    fn forward(
        &self,
        pass: &Pass<T>,
        state: &mut [T],
        logdet: &mut [T],
        record: &mut [T],
        scratch: &mut [T],
    ) {
        let (u, middle) = record.split_at_mut(state.len());
        u.copy_from_slice(state);
        self.multiply(Factor::Upper, pass.parameters, state);
        middle.copy_from_slice(state);
        self.multiply(Factor::Lower, pass.parameters, state);
        self.permutation.gather(state, scratch);
        self.add_logdet(pass.parameters, logdet, T::one());
    }

    fn inverse(
        &self,
        pass: &Pass<T>,
        state: &mut [T],
        logdet: &mut [T],
        record: &mut [T],
        scratch: &mut [T],
    ) {
        let (u, middle) = record.split_at_mut(state.len());
        self.permutation.scatter(state, scratch);
        self.solve(Factor::Lower, pass.parameters, state);
        middle.copy_from_slice(state);
        self.solve(Factor::Upper, pass.parameters, state);
        u.copy_from_slice(state);
        self.add_logdet(pass.parameters, logdet, -T::one());
    }

    fn forward_backward(
        &self,
        pass: &Pass<T>,
        cotangent: &mut [T],
        logdet_cotangent: &[T],
        record: &mut [T],
        gradient: &mut [T],
        scratch: &mut [T],
    ) {
        let (u, middle) = record.split_at(cotangent.len());
        self.permutation.scatter(cotangent, scratch);
        self.add_gradient(Factor::Lower, pass, cotangent, middle, T::one(), gradient);
        self.multiply_transposed(Factor::Lower, pass.parameters, cotangent);
        self.add_gradient(Factor::Upper, pass, cotangent, u, T::one(), gradient);
        self.multiply_transposed(Factor::Upper, pass.parameters, cotangent);
        self.add_logdet_gradient(pass, logdet_cotangent, T::one(), gradient);
    }

    fn inverse_backward(
        &self,
        pass: &Pass<T>,
        cotangent: &mut [T],
        logdet_cotangent: &[T],
        record: &mut [T],
        gradient: &mut [T],
        scratch: &mut [T],
    ) {
        let (u, middle) = record.split_at(cotangent.len());
        self.solve_transposed(Factor::Upper, pass.parameters, cotangent);
        self.add_gradient(Factor::Upper, pass, cotangent, u, -T::one(), gradient);
        self.solve_transposed(Factor::Lower, pass.parameters, cotangent);
        self.add_gradient(Factor::Lower, pass, cotangent, middle, -T::one(), gradient);
        self.permutation.gather(cotangent, scratch);
        self.add_logdet_gradient(pass, logdet_cotangent, -T::one(), gradient);
    }
}
