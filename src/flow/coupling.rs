//! A block of two couplings that transform one half of the columns each, by a function whose parameters a
//! subnetwork makes of the other half (Dinh et al. 2017, arXiv 1605.08803; both halves in one block: Ardizzone et al. 2019,
//! arXiv 1808.04730).

use super::{Invertible, Keep, Pass};
use crate::kernels::{ROWS, Real};
use crate::random::Stream;
use crate::subnet::{Activation, Subnet, share_of_chain};

/// An invertible function of one number, applied to every active column of a tile, with the parameters that a
/// subnetwork gives for each of its rows.
pub trait Elementwise: Clone + std::fmt::Debug + Send + Sync {
    /// Parameters for each active column.
    fn outputs(&self) -> usize;
    /// Numbers that the backward reads for each active column, the same for both directions.
    fn kept(&self) -> usize;
    /// Makes it part of a chain of which each block has this share, see [`share_of_chain`].
    fn set_share(&mut self, share: f64);
    /// Applies one direction.
    fn transform<T: Real>(&self, direction: Direction, operands: Operands<T>);
    /// The backward of that direction.
    fn backward<T: Real>(&self, direction: Direction, operands: BackwardOperands<T>);
}

/// The two directions of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// u -> v
    Forward,
    /// v -> u
    Inverse,
}

/// What a direction reads and writes. Parameter p of active column c is tile column p * (active columns) + c.
pub struct Operands<'a, T> {
    /// The subnetwork's parameters.
    pub raw: &'a [T],
    /// The active columns, changed in place.
    pub active: &'a mut [T],
    /// One tile column, to which the log determinant is added.
    pub logdet: &'a mut [T],
    /// What is kept, laid out as the parameters are.
    pub kept: &'a mut [T],
}

/// What a direction's backward reads and writes.
pub struct BackwardOperands<'a, T> {
    /// Filled with the cotangent of the parameters.
    pub raw: &'a mut [T],
    /// The cotangent of the active columns, changed in place.
    pub active: &'a mut [T],
    /// The cotangent of the log determinant.
    pub logdet: &'a [T],
    /// What the direction kept.
    pub kept: &'a [T],
}

/// Two couplings with one subnetwork each, which gives all parameters of its columns together.
#[derive(Clone, Debug)]
pub struct Coupling<E> {
    dim: usize,
    condition: usize,
    elementwise: E,
    /// Transforms the first half, sees the second.
    first: Half,
    /// Transforms the second half, sees the first.
    second: Half,
}

/// One of the two couplings: which columns it transforms, and by what.
#[derive(Clone, Debug)]
struct Half {
    active: std::ops::Range<usize>,
    passive: std::ops::Range<usize>,
    subnet: Subnet,
}

/// A half's share of a record: the subnetwork's input, what the transformation keeps, and the hidden activations where
/// they are kept.
struct HalfRecord<'a, T> {
    input: &'a mut [T],
    kept: &'a mut [T],
    hidden: &'a mut [T],
}

impl<E: Elementwise> Coupling<E> {
    /// A block for tiles of `dim` columns whose subnetworks see `condition` columns more.
    pub fn with(
        elementwise: E,
        dim: usize,
        condition: usize,
        hidden: &[usize],
        activation: Activation,
    ) -> Self {
        let half = dim.div_ceil(2);
        let coupling = |active: std::ops::Range<usize>, passive: std::ops::Range<usize>| {
            // One column alone leaves the other half empty: no parameters that nothing depends on.
            let hidden = if active.is_empty() { &[] } else { hidden };
            let subnet = Subnet::new(
                passive.len() + condition,
                hidden,
                elementwise.outputs() * active.len(),
                activation,
            );
            Half { active, passive, subnet }
        };
        let first = coupling(0..half, half..dim);
        let second = coupling(half..dim, 0..half);
        Self { dim, condition, elementwise, first, second }
    }

    /// The same as one of so many blocks of a chain: in a deep one each may stretch less, so that together they
    /// stretch no more than a shallow one's and never overflow.
    pub fn in_chain_of(mut self, blocks: usize) -> Self {
        let share = share_of_chain(blocks);
        self.elementwise.set_share(share);
        self.first.subnet.set_share(share);
        self.second.subnet.set_share(share);
        self
    }

    fn half_record_len(&self, half: &Half, keep: Keep) -> usize {
        let hidden = if keep.activations() { half.subnet.activations() } else { 0 };
        (half.passive.len() + self.condition + self.elementwise.kept() * half.active.len()) * ROWS + hidden
    }

    /// The parts of a half's record; hidden activations that are not kept live in the scratch.
    fn half_record<'a, T>(
        &self,
        half: &Half,
        record: &'a mut [T],
        hidden: &'a mut [T],
        keep: Keep,
    ) -> HalfRecord<'a, T> {
        let (input, rest) = record.split_at_mut((half.passive.len() + self.condition) * ROWS);
        let (kept, rest) = rest.split_at_mut(self.elementwise.kept() * half.active.len() * ROWS);
        let hidden = if keep.activations() { rest } else { hidden };
        HalfRecord { input, kept, hidden }
    }

    fn hidden_len(&self) -> usize {
        self.first.subnet.activations().max(self.second.subnet.activations())
    }

    fn raw_len(&self) -> usize {
        self.elementwise.outputs() * self.first.active.len().max(self.second.active.len()) * ROWS
    }

    /// Parameters of the first half's subnetwork, then those of the second's.
    fn halves_of<'a, T>(&self, parameters: &'a [T]) -> (&'a [T], &'a [T]) {
        parameters.split_at(self.first.subnet.parameters())
    }

    /// Runs a half's subnetwork on the passive columns: fills the record's input and hidden, and `raw`.
    fn run_subnet<T: Real>(
        &self,
        half: &Half,
        pass: &Pass<T>,
        parameters: &[T],
        state: &[T],
        record: &mut HalfRecord<T>,
        raw: &mut [T],
    ) {
        let passive = half.passive.len() * ROWS;
        record.input[..passive].copy_from_slice(&state[half.passive.start * ROWS..half.passive.end * ROWS]);
        record.input[passive..].copy_from_slice(&pass.condition[..self.condition * ROWS]);
        half.subnet.hidden(parameters, record.input, record.hidden, pass.rows);
        half.subnet.output(parameters, record.input, record.hidden, raw, pass.rows);
    }

    /// One coupling of either direction.
    #[expect(clippy::too_many_arguments, reason = "the operands of a pass")]
    fn couple<T: Real>(
        &self,
        half: &Half,
        direction: Direction,
        pass: &Pass<T>,
        parameters: &[T],
        state: &mut [T],
        logdet: &mut [T],
        record: &mut [T],
        scratch: &mut [T],
    ) {
        if half.active.is_empty() {
            return;
        }
        let (raw, hidden) = scratch.split_at_mut(self.raw_len());
        let mut record = self.half_record(half, record, hidden, pass.keep);
        self.run_subnet(half, pass, parameters, state, &mut record, raw);
        let active = &mut state[half.active.start * ROWS..half.active.end * ROWS];
        let raw = &raw[..self.elementwise.outputs() * active.len()];
        self.elementwise.transform(direction, Operands { raw, active, logdet, kept: record.kept });
    }

    /// The backward of `couple`.
    #[expect(clippy::too_many_arguments, reason = "the operands of a backward pass")]
    fn couple_backward<T: Real>(
        &self,
        half: &Half,
        direction: Direction,
        pass: &Pass<T>,
        parameters: &[T],
        cotangent: &mut [T],
        logdet_cotangent: &[T],
        record: &mut [T],
        gradient: &mut [T],
        scratch: &mut [T],
    ) {
        if half.active.is_empty() {
            return;
        }
        let (raw, rest) = scratch.split_at_mut(self.raw_len());
        let (hidden, subnet_scratch) = rest.split_at_mut(self.hidden_len());
        let record = self.half_record(half, record, hidden, pass.keep);
        if !pass.keep.activations() {
            half.subnet.hidden(parameters, record.input, record.hidden, pass.rows);
        }
        let boundary = self.first.active.end * ROWS;
        let (lower, upper) = cotangent.split_at_mut(boundary);
        let (active, passive) = if half.active.start == 0 { (lower, upper) } else { (upper, lower) };
        let raw = &mut raw[..self.elementwise.outputs() * active.len()];
        let operands = BackwardOperands { raw, active, logdet: logdet_cotangent, kept: record.kept };
        self.elementwise.backward(direction, operands);
        half.subnet.backward(
            parameters,
            record.input,
            record.hidden,
            raw,
            passive,
            gradient,
            subnet_scratch,
            pass.rows,
        );
    }
}

impl<E: Elementwise, T: Real> Invertible<T> for Coupling<E> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn parameters(&self) -> usize {
        self.first.subnet.parameters() + self.second.subnet.parameters()
    }

    fn record_len(&self, keep: Keep) -> usize {
        self.half_record_len(&self.first, keep) + self.half_record_len(&self.second, keep)
    }

    fn scratch_len(&self) -> usize {
        let subnet = self.first.subnet.scratch().max(self.second.subnet.scratch());
        self.raw_len() + self.hidden_len() + subnet
    }

    fn initialise(&self, parameters: &mut [T], last_layer: f64, stream: &mut Stream) {
        let (first, second) = parameters.split_at_mut(self.first.subnet.parameters());
        self.first.subnet.initialise(first, last_layer, stream);
        self.second.subnet.initialise(second, last_layer, stream);
    }

    fn rates(&self, rates: &mut [T]) {
        let (first, second) = rates.split_at_mut(self.first.subnet.parameters());
        self.first.subnet.rates(first);
        self.second.subnet.rates(second);
    }

    fn forward(
        &self,
        pass: &Pass<T>,
        state: &mut [T],
        logdet: &mut [T],
        record: &mut [T],
        scratch: &mut [T],
    ) {
        let (p1, p2) = self.halves_of(pass.parameters);
        let (r1, r2) = record.split_at_mut(self.half_record_len(&self.first, pass.keep));
        self.couple(&self.first, Direction::Forward, pass, p1, state, logdet, r1, scratch);
        self.couple(&self.second, Direction::Forward, pass, p2, state, logdet, r2, scratch);
    }

    fn inverse(
        &self,
        pass: &Pass<T>,
        state: &mut [T],
        logdet: &mut [T],
        record: &mut [T],
        scratch: &mut [T],
    ) {
        let (p1, p2) = self.halves_of(pass.parameters);
        let (r1, r2) = record.split_at_mut(self.half_record_len(&self.first, pass.keep));
        self.couple(&self.second, Direction::Inverse, pass, p2, state, logdet, r2, scratch);
        self.couple(&self.first, Direction::Inverse, pass, p1, state, logdet, r1, scratch);
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
        let (p1, p2) = self.halves_of(pass.parameters);
        let (g1, g2) = gradient.split_at_mut(self.first.subnet.parameters());
        let (r1, r2) = record.split_at_mut(self.half_record_len(&self.first, pass.keep));
        let direction = Direction::Forward;
        self.couple_backward(&self.second, direction, pass, p2, cotangent, logdet_cotangent, r2, g2, scratch);
        self.couple_backward(&self.first, direction, pass, p1, cotangent, logdet_cotangent, r1, g1, scratch);
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
        let (p1, p2) = self.halves_of(pass.parameters);
        let (g1, g2) = gradient.split_at_mut(self.first.subnet.parameters());
        let (r1, r2) = record.split_at_mut(self.half_record_len(&self.first, pass.keep));
        let direction = Direction::Inverse;
        self.couple_backward(&self.first, direction, pass, p1, cotangent, logdet_cotangent, r1, g1, scratch);
        self.couple_backward(&self.second, direction, pass, p2, cotangent, logdet_cotangent, r2, g2, scratch);
    }
}
