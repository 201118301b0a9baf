//! The affine coupling block of Ardizzone et al. 2019 (arXiv 1808.04730, section 3.2): two couplings that
//! transform one half of the columns each, seen by the other.
//!
//! v1 = u1 exp(s2(u2)) + t2(u2), v2 = u2 exp(s1(v1)) + t1(v1), where s is bounded: s = raw / sqrt(1 + (raw / clamp)^2), which
//! has slope 1 at 0 and saturates slowly, so that a coupling near its bound still learns.

use super::{Invertible, Keep, Pass};
use crate::kernels::dispatch::{Kernel, dispatch};
use crate::kernels::elementwise::exp;
use crate::kernels::vector::Vector;
use crate::kernels::{ROWS, Real};
use crate::random::Stream;
use crate::subnet::{Activation, Subnet, share_of_chain};

/// Two affine couplings with one subnetwork each, which gives scale and shift together.
#[derive(Clone, Debug)]
pub struct AffineCoupling {
    dim: usize,
    condition: usize,
    clamp: f64,
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

/// A half's share of a record: the subnetwork's input, the log scales, the active columns before the scaling, and
/// the hidden activations where they are kept.
struct HalfRecord<'a, T> {
    input: &'a mut [T],
    log_scale: &'a mut [T],
    unscaled: &'a mut [T],
    hidden: &'a mut [T],
}

impl AffineCoupling {
    /// A block for tiles of `dim` columns whose subnetworks see `condition` columns more.
    pub fn new(dim: usize, condition: usize, hidden: &[usize], activation: Activation, clamp: f64) -> Self {
        let half = dim.div_ceil(2);
        let coupling = |active: std::ops::Range<usize>, passive: std::ops::Range<usize>| {
            // One column alone leaves the other half empty: no parameters that nothing depends on.
            let hidden = if active.is_empty() { &[] } else { hidden };
            let subnet = Subnet::new(passive.len() + condition, hidden, 2 * active.len(), activation);
            Half { active, passive, subnet }
        };
        let first = coupling(0..half, half..dim);
        let second = coupling(half..dim, 0..half);
        Self { dim, condition, clamp, first, second }
    }

    /// The same as one of so many blocks of a chain: in a deep one each may stretch less, so that together they
    /// stretch no more than a shallow one's and never overflow.
    pub fn in_chain_of(mut self, blocks: usize) -> Self {
        let share = share_of_chain(blocks);
        self.clamp *= share;
        self.first.subnet.set_share(share);
        self.second.subnet.set_share(share);
        self
    }

    fn half_record_len(&self, half: &Half, keep: Keep) -> usize {
        let hidden = if keep.activations() { half.subnet.activations() } else { 0 };
        (half.passive.len() + self.condition + 2 * half.active.len()) * ROWS + hidden
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
        let (log_scale, rest) = rest.split_at_mut(half.active.len() * ROWS);
        let (unscaled, rest) = rest.split_at_mut(half.active.len() * ROWS);
        let hidden = if keep.activations() { rest } else { hidden };
        HalfRecord { input, log_scale, unscaled, hidden }
    }

    fn hidden_len(&self) -> usize {
        self.first.subnet.activations().max(self.second.subnet.activations())
    }

    fn raw_len(&self) -> usize {
        2 * self.first.active.len().max(self.second.active.len()) * ROWS
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

    /// One coupling of either direction; they differ in what `transform` does with scale and shift.
    #[expect(clippy::too_many_arguments, reason = "the operands of a pass")]
    fn couple<T: Real>(
        &self,
        half: &Half,
        transform: Transform,
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
        let (raw_scale, shift) = raw.split_at(half.active.len() * ROWS);
        let active = &mut state[half.active.start * ROWS..half.active.end * ROWS];
        dispatch(Couple {
            transform,
            clamp: T::of(self.clamp),
            raw_scale,
            shift: &shift[..active.len()],
            active,
            logdet,
            log_scale: record.log_scale,
            unscaled: record.unscaled,
        });
    }

    /// The backward of `couple`.
    #[expect(clippy::too_many_arguments, reason = "the operands of a backward pass")]
    fn couple_backward<T: Real>(
        &self,
        half: &Half,
        transform: Transform,
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
        let (raw_scale, shift) = raw.split_at_mut(half.active.len() * ROWS);
        let boundary = self.first.active.end * ROWS;
        let (lower, upper) = cotangent.split_at_mut(boundary);
        let (active, passive) = if half.active.start == 0 { (lower, upper) } else { (upper, lower) };
        dispatch(CoupleBackward {
            transform,
            clamp: T::of(self.clamp),
            active,
            logdet_cotangent,
            log_scale: record.log_scale,
            unscaled: record.unscaled,
            raw_scale,
            shift,
        });
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

impl<T: Real> Invertible<T> for AffineCoupling {
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

    fn initialise(&self, parameters: &mut [T], stream: &mut Stream) {
        let (first, second) = parameters.split_at_mut(self.first.subnet.parameters());
        self.first.subnet.initialise(first, stream);
        self.second.subnet.initialise(second, stream);
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
        self.couple(&self.first, Transform::Scale, pass, p1, state, logdet, r1, scratch);
        self.couple(&self.second, Transform::Scale, pass, p2, state, logdet, r2, scratch);
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
        self.couple(&self.second, Transform::Unscale, pass, p2, state, logdet, r2, scratch);
        self.couple(&self.first, Transform::Unscale, pass, p1, state, logdet, r1, scratch);
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
        let transform = Transform::Scale;
        self.couple_backward(&self.second, transform, pass, p2, cotangent, logdet_cotangent, r2, g2, scratch);
        self.couple_backward(&self.first, transform, pass, p1, cotangent, logdet_cotangent, r1, g1, scratch);
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
        let transform = Transform::Unscale;
        self.couple_backward(&self.first, transform, pass, p1, cotangent, logdet_cotangent, r1, g1, scratch);
        self.couple_backward(&self.second, transform, pass, p2, cotangent, logdet_cotangent, r2, g2, scratch);
    }
}

/// The two directions of a coupling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transform {
    /// v = u exp(s) + t, log determinant s
    Scale,
    /// u = (v - t) exp(-s), log determinant -s
    Unscale,
}

struct Couple<'a, T> {
    transform: Transform,
    clamp: T,
    raw_scale: &'a [T],
    shift: &'a [T],
    active: &'a mut [T],
    logdet: &'a mut [T],
    log_scale: &'a mut [T],
    unscaled: &'a mut [T],
}

impl<T: Real> Kernel<T> for Couple<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self) {
        let len = self.active.len();
        assert!(self.raw_scale.len() >= len && self.shift.len() >= len && self.logdet.len() == ROWS);
        assert!(self.log_scale.len() >= len && self.unscaled.len() >= len && len.is_multiple_of(ROWS));
        let (one, steepness) = (V::splat(T::one()), V::splat(self.clamp.recip()));
        for i in (0..len).step_by(V::LANES) {
            // SAFETY: every slice has `len` elements, a multiple of ROWS and so of LANES.
            unsafe {
                let raw = V::load(self.raw_scale.as_ptr().add(i));
                let bent = raw.mul(steepness);
                let s = raw.div(bent.mul_add(bent, one).sqrt());
                let t = V::load(self.shift.as_ptr().add(i));
                let active = V::load(self.active.as_ptr().add(i));
                let logdet = self.logdet.as_mut_ptr().add(i % ROWS);
                let (result, unscaled, sum) = match self.transform {
                    Transform::Scale => (active.mul_add(exp(s), t), active, V::load(logdet).add(s)),
                    Transform::Unscale => {
                        let u = active.sub(t).mul(exp(V::splat(T::zero()).sub(s)));
                        (u, u, V::load(logdet).sub(s))
                    }
                };
                sum.store(logdet);
                s.store(self.log_scale.as_mut_ptr().add(i));
                unscaled.store(self.unscaled.as_mut_ptr().add(i));
                result.store(self.active.as_mut_ptr().add(i));
            }
        }
    }
}

/// Turns the cotangent of the active columns, in place, and fills those of the raw scale and the shift.
struct CoupleBackward<'a, T> {
    transform: Transform,
    clamp: T,
    active: &'a mut [T],
    logdet_cotangent: &'a [T],
    log_scale: &'a [T],
    unscaled: &'a [T],
    raw_scale: &'a mut [T],
    shift: &'a mut [T],
}

impl<T: Real> Kernel<T> for CoupleBackward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self) {
        let len = self.active.len();
        assert!(
            self.raw_scale.len() >= len && self.shift.len() >= len && self.logdet_cotangent.len() == ROWS
        );
        assert!(self.log_scale.len() >= len && self.unscaled.len() >= len && len.is_multiple_of(ROWS));
        let (zero, one) = (V::splat(T::zero()), V::splat(T::one()));
        let steepness = V::splat(self.clamp.recip());
        for i in (0..len).step_by(V::LANES) {
            // SAFETY: every slice has `len` elements, a multiple of ROWS and so of LANES.
            unsafe {
                let incoming = V::load(self.active.as_ptr().add(i));
                let g = V::load(self.logdet_cotangent.as_ptr().add(i % ROWS));
                let s = V::load(self.log_scale.as_ptr().add(i));
                let u = V::load(self.unscaled.as_ptr().add(i));
                let (outgoing, scale, shift) = match self.transform {
                    Transform::Scale => {
                        let outgoing = incoming.mul(exp(s));
                        (outgoing, outgoing.mul_add(u, g), incoming)
                    }
                    Transform::Unscale => {
                        let outgoing = incoming.mul(exp(zero.sub(s)));
                        (outgoing, zero.sub(incoming.mul_add(u, g)), zero.sub(outgoing))
                    }
                };
                let bend = s.mul(steepness);
                // 1 / (1 + (raw / clamp)^2) = 1 - (s / clamp)^2; rounding may take it below zero.
                let flatness = bend.neg_mul_add(bend, one).max(zero);
                let slope = flatness.mul(flatness.sqrt());
                scale.mul(slope).store(self.raw_scale.as_mut_ptr().add(i));
                shift.store(self.shift.as_mut_ptr().add(i));
                outgoing.store(self.active.as_mut_ptr().add(i));
            }
        }
    }
}
