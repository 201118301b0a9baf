//! The rational function within one bin, its inverse and its derivatives; names as in the formulas of the spline.

use super::bins::Bin;
use crate::kernels::Real;
use crate::kernels::elementwise::{bounded, exp, ln, slope_of_bounded};
use crate::kernels::vector::Vector;

/// Bound on the log of a slope at a knot, of the size that the least bin allows the slope within one.
const SLOPE_CLAMP: f64 = 2.5;

/// The rational function of a bin at one fraction of it; names as in the spline's formulas.
#[derive(Clone, Copy)]
pub struct Piece<V> {
    fraction: V,
    rest: V,
    q: V,
    s: V,
    d0: V,
    d1: V,
    /// d0 + d1 - 2 s
    bend: V,
    n: V,
    e: V,
    p: V,
}

impl<V> Piece<V> {
    #[inline(always)]
    pub fn new<T: Real>(s: V, d0: V, d1: V, fraction: V) -> Self
    where
        V: Vector<T>,
    {
        let rest = V::splat(T::one()).sub(fraction);
        let q = fraction.mul(rest);
        let bend = d0.add(d1).sub(s.add(s));
        let square = fraction.mul(fraction);
        let n = s.mul_add(square, d0.mul(q));
        let e = bend.mul_add(q, s);
        let p = d1.mul_add(square, s.add(s).mul_add(q, d0.mul(rest).mul(rest)));
        Self { fraction, rest, q, s, d0, d1, bend, n, e, p }
    }

    /// N / E
    #[inline(always)]
    pub fn value<T: Real>(&self) -> V
    where
        V: Vector<T>,
    {
        self.n.div(self.e)
    }

    /// dv/da
    #[inline(always)]
    pub fn slope<T: Real>(&self) -> V
    where
        V: Vector<T>,
    {
        let ratio = self.s.div(self.e);
        ratio.mul(ratio).mul(self.p)
    }

    /// dq/dx
    #[inline(always)]
    fn tilt<T: Real>(&self) -> V
    where
        V: Vector<T>,
    {
        self.rest.sub(self.fraction)
    }

    /// Half of dP/dx
    #[inline(always)]
    fn slope_of_p<T: Real>(&self) -> V
    where
        V: Vector<T>,
    {
        self.d1.mul_add(self.fraction, self.s.mul(self.tilt())).sub(self.d0.mul(self.rest))
    }

    /// ln dv/da
    #[inline(always)]
    pub fn log_slope<T: Real>(&self) -> V
    where
        V: Vector<T>,
    {
        ln(self.slope())
    }
}

/// The slopes at a bin's ends.
#[inline(always)]
pub fn slopes<T: Real, V: Vector<T>>(bin: &Bin<V>) -> (V, V) {
    let clamp = T::of(SLOPE_CLAMP);
    (exp(bounded(bin.raw_slopes.0, clamp)), exp(bounded(bin.raw_slopes.1, clamp)))
}

/// The fraction x of a bin where N / E is theta: the root of (bend theta + s - d0) x^2 + (d0 - bend theta) x - s theta,
/// by whichever of the two forms adds numbers of one sign.
#[inline(always)]
pub fn root<T: Real, V: Vector<T>>(s: V, d0: V, d1: V, theta: V) -> V {
    let zero = V::splat(T::zero());
    let lifted = d0.add(d1).sub(s.add(s)).mul(theta);
    let (a, b, c) = (s.sub(d0).add(lifted), d0.sub(lifted), s.mul(theta));
    let four = V::splat(T::of(4.0));
    let discriminant = b.mul_add(b, four.mul(a).mul(c)).max(zero).sqrt();
    let falling = zero.sub(b);
    let (top, bottom) =
        (falling.choose(discriminant.add(falling), c.add(c)), falling.choose(a.add(a), b.add(discriminant)));
    // Both are zero where theta is and d0 is lost beside it.
    bottom.choose(top.div(bottom), zero)
}

/// Keeps a fraction in [0, 1] against rounding.
#[inline(always)]
pub fn fraction<T: Real, V: Vector<T>>(value: V) -> V {
    value.max(V::splat(T::zero())).min(V::splat(T::one()))
}

/// Derivatives of G = alpha v + beta ln dv/da by a and by what shapes the bin.
pub struct Derivatives<V> {
    pub argument: V,
    pub left: V,
    pub width: V,
    pub bottom: V,
    pub height: V,
    /// By the raw slopes.
    pub raw_slopes: (V, V),
}

/// Where weight lies on the value and on the log slope.
#[derive(Clone, Copy)]
pub struct Weights<V> {
    pub alpha: V,
    pub beta: V,
}

/// From the derivative by a slope to that by the raw number it stands for. (A closure would not always be inlined, and
/// could not use the instruction set then.)
#[inline(always)]
fn by_raw_slope<T: Real, V: Vector<T>>(by: V, slope: V, raw: V) -> V {
    let clamp = T::of(SLOPE_CLAMP);
    by.mul(slope).mul(slope_of_bounded(bounded(raw, clamp), clamp))
}

#[inline(always)]
pub fn derivatives<T: Real, V: Vector<T>>(
    bin: &Bin<V>,
    piece: &Piece<V>,
    weights: Weights<V>,
) -> Derivatives<V> {
    let Piece { fraction, rest, q, s, d0, d1, bend, n, e, p } = *piece;
    let Weights { alpha, beta } = weights;
    let (zero, one, two) = (V::splat(T::zero()), V::splat(T::one()), V::splat(T::of(2.0)));
    let (by_e, by_p, by_width) = (one.div(e), one.div(p), one.div(bin.width));
    let value = n.mul(by_e);
    // The value's weight in units of N / E, and over E.
    let alpha_e = alpha.mul(bin.height).mul(by_e);
    let tilt = piece.tilt();
    let twice_q = q.add(q);
    // d(N / E) = (dN - (N / E) dE) / E, d ln dv/da = 2 ds / s + dP / P - 2 dE / E
    let combine = |dn: V, de: V, dp: V| {
        let of_value = value.neg_mul_add(de, dn).mul(alpha_e);
        let of_slope = dp.mul(by_p).sub(two.mul(de).mul(by_e));
        beta.mul_add(of_slope, of_value)
    };
    let dn = two.mul(s).mul_add(fraction, d0.mul(tilt));
    let dp = two.mul(piece.slope_of_p());
    let by_fraction = combine(dn, bend.mul(tilt), dp);
    let by_s = combine(fraction.mul(fraction), one.sub(twice_q), twice_q).add(two.mul(beta).div(s));
    let by_d0 = combine(q, q, rest.mul(rest));
    let by_d1 = combine(zero, q, fraction.mul(fraction));
    let argument = by_fraction.mul(by_width);
    let by_s_width = by_s.mul(by_width);
    Derivatives {
        argument,
        left: zero.sub(argument),
        width: zero.sub(argument.mul_add(fraction, by_s_width.mul(s))),
        bottom: alpha,
        height: alpha.mul_add(value, by_s_width),
        raw_slopes: (by_raw_slope(by_d0, d0, bin.raw_slopes.0), by_raw_slope(by_d1, d1, bin.raw_slopes.1)),
    }
}

/// d(ln dv/da)/da
#[inline(always)]
pub fn bend_of_log_slope<T: Real, V: Vector<T>>(bin: &Bin<V>, piece: &Piece<V>) -> V {
    let half = piece.slope_of_p().div(piece.p).sub(piece.bend.mul(piece.tilt()).div(piece.e));
    half.add(half).div(bin.width)
}
