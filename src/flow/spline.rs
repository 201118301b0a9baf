//! The spline coupling: a scale and a shift, then a monotone rational-quadratic spline on [-bound, bound] with the
//! identity beyond (Durkan et al. 2019, arXiv 1906.04032; the pieces are those of Gregory and Delbourgo 1982).
//!
//! Within a bin of width w and height h, s = h / w, with slopes d0 and d1 at its ends and a at the fraction x of it,
//! v = v0 + h N / E, where q = x (1 - x), N = s x^2 + d0 q, E = s + (d0 + d1 - 2 s) q, and
//! dv/da = s^2 P / E^2 with P = d1 x^2 + 2 s q + d0 (1 - x)^2. With s, d0, d1 > 0 both E and P are positive.

use super::coupling::{BackwardOperands, Coupling, Direction, Elementwise, Operands};
use crate::kernels::dispatch::{Kernel, dispatch};
use crate::kernels::elementwise::{exp, ln};
use crate::kernels::vector::Vector;
use crate::kernels::{ROWS, Real};
use crate::subnet::Activation;

/// Half the width of the interval that the spline bends: nearly all of a standard normal.
const BOUND: f64 = 4.0;
/// Least width and height of a bin, as a fraction of the mean one. What a spline flattens its inverse stretches, rounding
/// errors included: with 0.1 eight trained blocks still invert single precision within 1e-5 of the norm, with 0.01 they do
/// not, and the densities are as good (kinematics and six tasks of the benchmark).
const LEAST_BIN: f64 = 0.1;
/// Bound on the log of a slope at a knot, of the size that the least bin allows the slope within one.
const SLOPE_CLAMP: f64 = 2.5;

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

/// Where the numbers of one vector of one column are: parameter p is `stride` times p further on. Of what is kept, the
/// first is the log scale, then the unscaled number, the bent one's argument, and the spline's own parameters.
#[derive(Clone, Copy)]
struct Shape<V> {
    bins: usize,
    bound: V,
    stride: usize,
    /// Width of the whole interval that the least bins leave over, and the least bin.
    free: V,
    least: V,
}

const WIDTHS_IN_RAW: usize = 2;
const WIDTHS_IN_KEPT: usize = 3;

impl<V> Shape<V> {
    fn new<T: Real>(spline: &Spline, stride: usize) -> Self
    where
        V: Vector<T>,
    {
        let (interval, bins) = (2.0 * spline.bound, spline.bins as f64);
        let constant = |value: f64| V::splat(T::of(value));
        let (free, least) = (interval * (1.0 - LEAST_BIN), interval * LEAST_BIN / bins);
        Self {
            bins: spline.bins,
            bound: constant(spline.bound),
            stride,
            free: constant(free),
            least: constant(least),
        }
    }
}

impl<V> Shape<V> {
    /// Width or height of a bin with this share.
    #[inline(always)]
    fn size<T: Real>(&self, share: V) -> V
    where
        V: Vector<T>,
    {
        share.mul_add(self.free, self.least)
    }
}

/// raw / sqrt(1 + (raw / clamp)^2): within the clamp, with slope 1 at 0.
#[inline(always)]
fn bounded<T: Real, V: Vector<T>>(raw: V, clamp: T) -> V {
    let bent = raw.mul(V::splat(clamp.recip()));
    raw.div(bent.mul_add(bent, V::splat(T::one())).sqrt())
}

/// The slope of `bounded` where its value is this.
#[inline(always)]
fn slope_of_bounded<T: Real, V: Vector<T>>(value: V, clamp: T) -> V {
    let bent = value.mul(V::splat(clamp.recip()));
    // Rounding may take it below zero.
    let flatness = bent.neg_mul_add(bent, V::splat(T::one())).max(V::splat(T::zero()));
    flatness.mul(flatness.sqrt())
}

/// Writes the shares that `raw` stands for: exp(raw), divided by their sum.
///
/// # Safety
/// Both hold `shape.bins` vectors, `shape.stride` apart.
#[inline(always)]
unsafe fn shares<T: Real, V: Vector<T>>(shape: &Shape<V>, raw: *const T, to: *mut T) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut largest = V::load(raw);
        for k in 1..shape.bins {
            largest = largest.max(V::load(raw.add(k * shape.stride)));
        }
        let mut sum = V::splat(T::zero());
        for k in 0..shape.bins {
            let power = exp(V::load(raw.add(k * shape.stride)).sub(largest));
            power.store(to.add(k * shape.stride));
            sum = sum.add(power);
        }
        let factor = V::splat(T::one()).div(sum);
        for k in 0..shape.bins {
            let at = to.add(k * shape.stride);
            V::load(at).mul(factor).store(at);
        }
    }
}

/// The bin that a number lies in.
#[derive(Clone, Copy)]
struct Bin<V> {
    /// Its left end and its width, along a and along v, and what share of the interval they are.
    left: V,
    width: V,
    width_share: V,
    bottom: V,
    height: V,
    height_share: V,
    /// Raw slopes at both ends; zero, which stands for slope 1, at the ends of the interval.
    raw_slopes: (V, V),
    /// Sums of the shares before it.
    widths_before: V,
    heights_before: V,
}

impl<V> Bin<V> {
    #[inline(always)]
    fn zero<T: Real>() -> Self
    where
        V: Vector<T>,
    {
        let zero = V::splat(T::zero());
        Self {
            left: zero,
            width: zero,
            width_share: zero,
            bottom: zero,
            height: zero,
            height_share: zero,
            raw_slopes: (zero, zero),
            widths_before: zero,
            heights_before: zero,
        }
    }

    /// This bin in the lanes where `passed > 0`, the other one elsewhere.
    #[inline(always)]
    fn or<T: Real>(self, passed: V, other: Self) -> Self
    where
        V: Vector<T>,
    {
        let choose = |own: V, other: V| passed.choose(own, other);
        Self {
            left: choose(self.left, other.left),
            width: choose(self.width, other.width),
            width_share: choose(self.width_share, other.width_share),
            bottom: choose(self.bottom, other.bottom),
            height: choose(self.height, other.height),
            height_share: choose(self.height_share, other.height_share),
            raw_slopes: (
                choose(self.raw_slopes.0, other.raw_slopes.0),
                choose(self.raw_slopes.1, other.raw_slopes.1),
            ),
            widths_before: choose(self.widths_before, other.widths_before),
            heights_before: choose(self.heights_before, other.heights_before),
        }
    }
}

/// The bin of `key`, which is an a where `direction` is forward and a v where it is inverse.
///
/// # Safety
/// `kept` points to what is kept of one vector.
#[inline(always)]
unsafe fn locate<T: Real, V: Vector<T>>(
    shape: &Shape<V>,
    direction: Direction,
    kept: *const T,
    key: V,
) -> Bin<V> {
    let start = V::splat(T::zero()).sub(shape.bound);
    let mut next = Bin { left: start, bottom: start, ..Bin::zero() };
    let mut found = next;
    // SAFETY: the caller's promise.
    unsafe {
        let widths = kept.add(WIDTHS_IN_KEPT * shape.stride);
        let heights = widths.add(shape.bins * shape.stride);
        let slopes = heights.add(shape.bins * shape.stride);
        for k in 0..shape.bins {
            next.width_share = V::load(widths.add(k * shape.stride));
            next.height_share = V::load(heights.add(k * shape.stride));
            next.width = shape.size(next.width_share);
            next.height = shape.size(next.height_share);
            let is_last = k + 1 == shape.bins;
            let slope = if is_last { V::splat(T::zero()) } else { V::load(slopes.add(k * shape.stride)) };
            next.raw_slopes = (next.raw_slopes.1, slope);
            found = next.or(passed(direction, k, key, next.left, next.bottom), found);
            next.left = next.left.add(next.width);
            next.bottom = next.bottom.add(next.height);
            next.widths_before = next.widths_before.add(next.width_share);
            next.heights_before = next.heights_before.add(next.height_share);
        }
    }
    found
}

/// Positive where the key lies in bin k or a later one.
#[inline(always)]
fn passed<T: Real, V: Vector<T>>(direction: Direction, k: usize, key: V, left: V, bottom: V) -> V {
    match (k, direction) {
        (0, _) => V::splat(T::one()),
        (_, Direction::Forward) => key.sub(left),
        (_, Direction::Inverse) => key.sub(bottom),
    }
}

/// The rational function of a bin at one fraction of it; names as in the module's formulas.
#[derive(Clone, Copy)]
struct Piece<V> {
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
    fn new<T: Real>(s: V, d0: V, d1: V, fraction: V) -> Self
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
    fn value<T: Real>(&self) -> V
    where
        V: Vector<T>,
    {
        self.n.div(self.e)
    }

    /// dv/da
    #[inline(always)]
    fn slope<T: Real>(&self) -> V
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
    fn log_slope<T: Real>(&self) -> V
    where
        V: Vector<T>,
    {
        ln(self.slope())
    }
}

/// The slopes at a bin's ends.
#[inline(always)]
fn slopes<T: Real, V: Vector<T>>(bin: &Bin<V>) -> (V, V) {
    let clamp = T::of(SLOPE_CLAMP);
    (exp(bounded(bin.raw_slopes.0, clamp)), exp(bounded(bin.raw_slopes.1, clamp)))
}

/// The fraction x of a bin where N / E is theta: the root of (bend theta + s - d0) x^2 + (d0 - bend theta) x - s theta,
/// by whichever of the two forms adds numbers of one sign.
#[inline(always)]
fn root<T: Real, V: Vector<T>>(s: V, d0: V, d1: V, theta: V) -> V {
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
fn fraction<T: Real, V: Vector<T>>(value: V) -> V {
    value.max(V::splat(T::zero())).min(V::splat(T::one()))
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

/// Derivatives of G = alpha v + beta ln dv/da by a and by what shapes the bin.
struct Derivatives<V> {
    argument: V,
    left: V,
    width: V,
    bottom: V,
    height: V,
    /// By the raw slopes.
    raw_slopes: (V, V),
}

/// Where weight lies on the value and on the log slope.
#[derive(Clone, Copy)]
struct Weights<V> {
    alpha: V,
    beta: V,
}

#[inline(always)]
fn derivatives<T: Real, V: Vector<T>>(bin: &Bin<V>, piece: &Piece<V>, weights: Weights<V>) -> Derivatives<V> {
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
    let clamp = T::of(SLOPE_CLAMP);
    let to_raw = |by: V, slope: V, raw: V| by.mul(slope).mul(slope_of_bounded(bounded(raw, clamp), clamp));
    let argument = by_fraction.mul(by_width);
    let by_s_width = by_s.mul(by_width);
    Derivatives {
        argument,
        left: zero.sub(argument),
        width: zero.sub(argument.mul_add(fraction, by_s_width.mul(s))),
        bottom: alpha,
        height: alpha.mul_add(value, by_s_width),
        raw_slopes: (to_raw(by_d0, d0, bin.raw_slopes.0), to_raw(by_d1, d1, bin.raw_slopes.1)),
    }
}

/// d(ln dv/da)/da
#[inline(always)]
fn bend_of_log_slope<T: Real, V: Vector<T>>(bin: &Bin<V>, piece: &Piece<V>) -> V {
    let half = piece.slope_of_p().div(piece.p).sub(piece.bend.mul(piece.tilt()).div(piece.e));
    half.add(half).div(bin.width)
}

/// Fills the cotangents of the spline's own parameters.
///
/// # Safety
/// `kept` and `raw` point to what is kept of one vector and to its raw parameters.
#[inline(always)]
unsafe fn spread<T: Real, V: Vector<T>>(
    shape: &Shape<V>,
    key: V,
    bin: &Bin<V>,
    by: &Derivatives<V>,
    kept: *const T,
    raw: *mut T,
) {
    let (zero, stride) = (V::splat(T::zero()), shape.stride);
    // What the shares' cotangents have in common, because the shares sum to one.
    let common_width = by.left.mul_add(bin.widths_before, by.width.mul(bin.width_share));
    let common_height = by.bottom.mul_add(bin.heights_before, by.height.mul(bin.height_share));
    let (mut left, mut before, mut here) = (zero.sub(shape.bound), zero, V::splat(T::one()));
    // SAFETY: the caller's promise.
    unsafe {
        let (widths, to_widths) = (kept.add(WIDTHS_IN_KEPT * stride), raw.add(WIDTHS_IN_RAW * stride));
        let (heights, to_heights) = (widths.add(shape.bins * stride), to_widths.add(shape.bins * stride));
        let to_slopes = to_heights.add(shape.bins * stride);
        for k in 0..shape.bins {
            let (width, height) = (V::load(widths.add(k * stride)), V::load(heights.add(k * stride)));
            left = left.add(shape.size(width));
            let is_last = k + 1 == shape.bins;
            let after = if is_last { zero } else { passed(Direction::Forward, k + 1, key, left, left) };
            let of_width = after.choose(by.left, here.where_positive(by.width));
            let of_height = after.choose(by.bottom, here.where_positive(by.height));
            width.mul(shape.free).mul(of_width.sub(common_width)).store(to_widths.add(k * stride));
            height.mul(shape.free).mul(of_height.sub(common_height)).store(to_heights.add(k * stride));
            if k > 0 {
                // The knot between the bin before, whose right slope it is, and this one, whose left slope it is.
                let of_left = after.choose(zero, by.raw_slopes.0);
                let of_right = before.where_positive(by.raw_slopes.1);
                here.choose(of_left, of_right).store(to_slopes.add((k - 1) * stride));
            }
            (before, here) = (here, after);
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
