//! The affine coupling of Ardizzone et al. 2019 (arXiv 1808.04730, section 3.2).
//!
//! v1 = u1 exp(s2(u2)) + t2(u2), v2 = u2 exp(s1(v1)) + t1(v1), where s is bounded: s = raw / sqrt(1 + (raw / clamp)^2), which
//! has slope 1 at 0 and saturates slowly, so that a coupling near its bound still learns.

use super::coupling::{BackwardOperands, Coupling, Direction, Elementwise, Operands};
use crate::kernels::dispatch::{Kernel, dispatch};
use crate::kernels::elementwise::{bounded, exp, slope_of_bounded};
use crate::kernels::vector::Vector;
use crate::kernels::{ROWS, Real};
use crate::subnet::Activation;

/// A scale and a shift.
#[derive(Clone, Debug)]
pub struct Affine {
    /// Bound on the log scale.
    clamp: f64,
}

/// Two affine couplings.
pub type AffineCoupling = Coupling<Affine>;

impl AffineCoupling {
    /// A block for tiles of `dim` columns whose subnetworks see `condition` columns more.
    pub fn new(dim: usize, condition: usize, hidden: &[usize], activation: Activation, clamp: f64) -> Self {
        Self::with(Affine { clamp }, dim, condition, hidden, activation)
    }
}

impl Elementwise for Affine {
    fn outputs(&self) -> usize {
        2
    }

    /// The log scale and the unscaled column.
    fn kept(&self) -> usize {
        2
    }

    fn set_share(&mut self, share: f64) {
        self.clamp *= share;
    }

    fn transform<T: Real>(&self, direction: Direction, operands: Operands<T>) {
        let Operands { raw, active, logdet, kept } = operands;
        let (raw_scale, shift) = raw.split_at(active.len());
        let (log_scale, unscaled) = kept.split_at_mut(active.len());
        let clamp = T::of(self.clamp);
        dispatch(Couple { direction, clamp, raw_scale, shift, active, logdet, log_scale, unscaled });
    }

    fn backward<T: Real>(&self, direction: Direction, operands: BackwardOperands<T>) {
        let BackwardOperands { raw, active, logdet: logdet_cotangent, kept } = operands;
        let (raw_scale, shift) = raw.split_at_mut(active.len());
        let (log_scale, unscaled) = kept.split_at(active.len());
        let clamp = T::of(self.clamp);
        dispatch(CoupleBackward {
            direction,
            clamp,
            active,
            logdet_cotangent,
            log_scale,
            unscaled,
            raw_scale,
            shift,
        });
    }
}

struct Couple<'a, T> {
    direction: Direction,
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
        for i in (0..len).step_by(V::LANES) {
            // SAFETY: every slice has `len` elements, a multiple of ROWS and so of LANES.
            unsafe {
                let s = bounded(V::load(self.raw_scale.as_ptr().add(i)), self.clamp);
                let t = V::load(self.shift.as_ptr().add(i));
                let active = V::load(self.active.as_ptr().add(i));
                let logdet = self.logdet.as_mut_ptr().add(i % ROWS);
                let (result, unscaled, sum) = match self.direction {
                    Direction::Forward => (active.mul_add(exp(s), t), active, V::load(logdet).add(s)),
                    Direction::Inverse => {
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
    direction: Direction,
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
        let zero = V::splat(T::zero());
        for i in (0..len).step_by(V::LANES) {
            // SAFETY: every slice has `len` elements, a multiple of ROWS and so of LANES.
            unsafe {
                let incoming = V::load(self.active.as_ptr().add(i));
                let g = V::load(self.logdet_cotangent.as_ptr().add(i % ROWS));
                let s = V::load(self.log_scale.as_ptr().add(i));
                let u = V::load(self.unscaled.as_ptr().add(i));
                let (outgoing, scale, shift) = match self.direction {
                    Direction::Forward => {
                        let outgoing = incoming.mul(exp(s));
                        (outgoing, outgoing.mul_add(u, g), incoming)
                    }
                    Direction::Inverse => {
                        let outgoing = incoming.mul(exp(zero.sub(s)));
                        (outgoing, zero.sub(incoming.mul_add(u, g)), zero.sub(outgoing))
                    }
                };
                scale.mul(slope_of_bounded(s, self.clamp)).store(self.raw_scale.as_mut_ptr().add(i));
                shift.store(self.shift.as_mut_ptr().add(i));
                outgoing.store(self.active.as_mut_ptr().add(i));
            }
        }
    }
}
