//! The spline coupling: a scale and a shift, then a monotone rational-quadratic spline on [-bound, bound] with the
//! identity beyond (Durkan et al. 2019, arXiv 1906.04032; the pieces are those of Gregory and Delbourgo 1982).
//!
//! Within a bin of width w and height h, s = h / w, with slopes d0 and d1 at its ends and a at the fraction x of it,
//! v = v0 + h N / E, where q = x (1 - x), N = s x^2 + d0 q, E = s + (d0 + d1 - 2 s) q, and
//! dv/da = s^2 P / E^2 with P = d1 x^2 + 2 s q + d0 (1 - x)^2. With s, d0, d1 > 0 both E and P are positive.
//!
//! In single precision value and log slope err no more than a few times what rounding the knots to it does: 16 and 6 times
//! for raw parameters of order one, 4 and 2 times for those that a training begins with.

mod bins;
mod piece;
#[cfg(test)]
mod tests;

use super::coupling::{BackwardOperands, Coupling, Direction, Elementwise, Operands};
use crate::kernels::dispatch::{Kernel, dispatch};
use crate::kernels::elementwise::{bounded, exp, slope_of_bounded};
use crate::kernels::vector::Vector;
use crate::kernels::{ROWS, Real};
use crate::subnet::Activation;
use bins::{Shape, WIDTHS_IN_KEPT, WIDTHS_IN_RAW, locate, shares, spread};
use piece::{Piece, Weights, bend_of_log_slope, derivatives, fraction, root, slopes};

/// Half the width of the interval that the spline bends: nearly all of a standard normal.
const BOUND: f64 = 4.0;

/// A scale, a shift and a spline.
#[derive(Clone, Debug)]
pub struct Spline {
    bins: usize,
    bound: f64,
    /// Bound on the log scale.
    clamp: f64,
}

/// Two spline couplings.
pub type SplineCoupling = Coupling<Spline>;

impl SplineCoupling {
    /// A block for tiles of `dim` columns whose subnetworks see `condition` columns more.
    pub fn new(
        dim: usize,
        condition: usize,
        hidden: &[usize],
        activation: Activation,
        bins: usize,
        clamp: f64,
    ) -> Self {
        Self::with(Spline::new(bins, BOUND, clamp), dim, condition, hidden, activation)
    }
}

impl Spline {
    /// One of so many bins on [-bound, bound], with this bound on the log scale before it.
    pub fn new(bins: usize, bound: f64, clamp: f64) -> Self {
        Self { bins, bound, clamp }
    }
}

impl Elementwise for Spline {
    /// Scale, shift, widths, heights, slopes at the inner knots.
    fn outputs(&self) -> usize {
        2 + 2 * self.bins + self.bins - 1
    }

    /// The log scale, the unscaled column, the scaled and shifted one, widths and heights as shares, slopes.
    fn kept(&self) -> usize {
        1 + self.outputs()
    }

    fn set_share(&mut self, share: f64) {
        self.clamp *= share;
    }

    fn transform<T: Real>(&self, direction: Direction, operands: Operands<T>) {
        dispatch(Bend { spline: self, direction, operands });
    }

    fn backward<T: Real>(&self, direction: Direction, operands: BackwardOperands<T>) {
        dispatch(BendBackward { spline: self, direction, operands });
    }
}

/// Positive inside the interval, and the number moved to it.
#[inline(always)]
fn inside<T: Real, V: Vector<T>>(bound: V, value: V) -> (V, V) {
    let least = V::splat(T::zero()).sub(bound);
    let size = value.max(V::splat(T::zero()).sub(value));
    (bound.sub(size), value.max(least).min(bound))
}

struct Bend<'a, 'b, T> {
    spline: &'a Spline,
    direction: Direction,
    operands: Operands<'b, T>,
}

impl<T: Real> Kernel<T> for Bend<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self) {
        let Operands { raw, active, logdet, kept } = self.operands;
        let len = active.len();
        assert!(raw.len() == len * self.spline.outputs() && kept.len() == len * self.spline.kept());
        assert!(logdet.len() == ROWS && len.is_multiple_of(ROWS));
        let shape = Shape::<V>::new::<T>(self.spline, len);
        let clamp = T::of(self.spline.clamp);
        let zero = V::splat(T::zero());
        for i in (0..len).step_by(V::LANES) {
            // SAFETY: i + LANES <= len; parameter p < outputs of i is at p * len + i, and alike for what is kept.
            unsafe {
                let (raw, kept) = (raw.as_ptr().add(i), kept.as_mut_ptr().add(i));
                let (from, to) = (raw.add(WIDTHS_IN_RAW * len), kept.add(WIDTHS_IN_KEPT * len));
                let bins = shape.bins * len;
                shares(&shape, from, to);
                shares(&shape, from.add(bins), to.add(bins));
                for k in 0..shape.bins - 1 {
                    let at = 2 * bins + k * len;
                    V::load(from.add(at)).store(to.add(at));
                }
                let (log_scale, shift) = (bounded(V::load(raw), clamp), V::load(raw.add(len)));
                let active = active.as_mut_ptr().add(i);
                let given = V::load(active);
                let argument = match self.direction {
                    Direction::Forward => given.mul_add(exp(log_scale), shift),
                    Direction::Inverse => given,
                };
                let (inside, key) = inside(shape.bound, argument);
                let bin = locate(&shape, self.direction, kept, key);
                let (s, (d0, d1)) = (bin.height.div(bin.width), slopes(&bin));
                let part = match self.direction {
                    Direction::Forward => fraction(key.sub(bin.left).div(bin.width)),
                    Direction::Inverse => {
                        fraction(root(s, d0, d1, fraction(key.sub(bin.bottom).div(bin.height))))
                    }
                };
                let piece = Piece::new(s, d0, d1, part);
                let slope = inside.where_positive(piece.log_slope()).add(log_scale);
                let sum = logdet.as_mut_ptr().add(i % ROWS);
                let (result, unscaled, scaled) = match self.direction {
                    Direction::Forward => {
                        V::load(sum).add(slope).store(sum);
                        let bent = piece.value().mul_add(bin.height, bin.bottom);
                        (inside.choose(bent, argument), given, argument)
                    }
                    Direction::Inverse => {
                        V::load(sum).sub(slope).store(sum);
                        let scaled = inside.choose(part.mul_add(bin.width, bin.left), given);
                        let unscaled = scaled.sub(shift).mul(exp(zero.sub(log_scale)));
                        (unscaled, unscaled, scaled)
                    }
                };
                result.store(active);
                log_scale.store(kept);
                unscaled.store(kept.add(len));
                scaled.store(kept.add(2 * len));
            }
        }
    }
}

struct BendBackward<'a, 'b, T> {
    spline: &'a Spline,
    direction: Direction,
    operands: BackwardOperands<'b, T>,
}

impl<T: Real> Kernel<T> for BendBackward<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self) {
        let BackwardOperands { raw, active, logdet, kept } = self.operands;
        let len = active.len();
        assert!(raw.len() == len * self.spline.outputs() && kept.len() == len * self.spline.kept());
        assert!(logdet.len() == ROWS && len.is_multiple_of(ROWS));
        let shape = Shape::<V>::new::<T>(self.spline, len);
        let clamp = T::of(self.spline.clamp);
        let zero = V::splat(T::zero());
        for i in (0..len).step_by(V::LANES) {
            // SAFETY: as in `Bend`.
            unsafe {
                let (raw, kept) = (raw.as_mut_ptr().add(i), kept.as_ptr().add(i));
                let active = active.as_mut_ptr().add(i);
                let (incoming, g) = (V::load(active), V::load(logdet.as_ptr().add(i % ROWS)));
                let (log_scale, unscaled, scaled) =
                    (V::load(kept), V::load(kept.add(len)), V::load(kept.add(2 * len)));
                let (inside, key) = inside(shape.bound, scaled);
                let bin = locate(&shape, Direction::Forward, kept, key);
                let (d0, d1) = slopes(&bin);
                let part = fraction(key.sub(bin.left).div(bin.width));
                let piece = Piece::new(bin.height.div(bin.width), d0, d1, part);
                let masked = |alpha, beta| Weights {
                    alpha: inside.where_positive(alpha),
                    beta: inside.where_positive(beta),
                };
                let (outgoing, by_scale, by_shift, by) = match self.direction {
                    Direction::Forward => {
                        let by = derivatives(&bin, &piece, masked(incoming, g));
                        let by_argument = inside.choose(by.argument, incoming);
                        let outgoing = by_argument.mul(exp(log_scale));
                        (outgoing, outgoing.mul_add(unscaled, g), by_argument, by)
                    }
                    Direction::Inverse => {
                        let by_scaled = incoming.mul(exp(zero.sub(log_scale)));
                        let by_slope = g.mul(bend_of_log_slope(&bin, &piece));
                        let bent = by_scaled.sub(by_slope).div(piece.slope());
                        let outgoing = inside.choose(bent, by_scaled);
                        let by = derivatives(&bin, &piece, masked(zero.sub(outgoing), zero.sub(g)));
                        let by_scale = zero.sub(incoming.mul_add(unscaled, g));
                        (outgoing, by_scale, zero.sub(by_scaled), by)
                    }
                };
                outgoing.store(active);
                by_scale.mul(slope_of_bounded(log_scale, clamp)).store(raw);
                by_shift.store(raw.add(len));
                spread(&shape, key, &bin, &by, kept, raw);
            }
        }
    }
}
