//! The bins of a spline, from the raw parameters that a subnetwork gives and back to their cotangents.

use super::Spline;
use super::piece::Derivatives;
use crate::flow::coupling::Direction;
use crate::kernels::Real;
use crate::kernels::elementwise::exp;
use crate::kernels::vector::Vector;

/// Least width and height of a bin, as a fraction of the mean one. What a spline flattens its inverse stretches, rounding
/// errors included: with 0.1 eight trained blocks still invert single precision within 1e-5 of the norm, with 0.01 they do
/// not, and the densities are as good (kinematics and six tasks of the benchmark).
pub const LEAST_BIN: f64 = 0.1;

/// Where the numbers of one vector of one column are: parameter p is `stride` times p further on. Of what is kept, the
/// first is the log scale, then the unscaled number, the bent one's argument, and the spline's own parameters.
#[derive(Clone, Copy)]
pub struct Shape<V> {
    pub bins: usize,
    pub bound: V,
    pub stride: usize,
    /// Width of the whole interval that the least bins leave over, and the least bin.
    pub free: V,
    pub least: V,
}

/// Numbers before a spline's own, among the raw parameters and among what is kept.
pub const WIDTHS_IN_RAW: usize = 2;
pub const WIDTHS_IN_KEPT: usize = 3;

impl<V> Shape<V> {
    pub fn new<T: Real>(spline: &Spline, stride: usize) -> Self
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

    /// Width or height of a bin with this share.
    #[inline(always)]
    pub fn size<T: Real>(&self, share: V) -> V
    where
        V: Vector<T>,
    {
        share.mul_add(self.free, self.least)
    }
}

/// Writes the shares that `raw` stands for: exp(raw), divided by their sum.
///
/// # Safety
/// Both hold `shape.bins` vectors, `shape.stride` apart.
#[inline(always)]
pub unsafe fn shares<T: Real, V: Vector<T>>(shape: &Shape<V>, raw: *const T, to: *mut T) {
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
pub struct Bin<V> {
    /// Its left end and its width, along a and along v, and what share of the interval they are.
    pub left: V,
    pub width: V,
    pub width_share: V,
    pub bottom: V,
    pub height: V,
    pub height_share: V,
    /// Raw slopes at both ends; zero, which stands for slope 1, at the ends of the interval.
    pub raw_slopes: (V, V),
    /// Sums of the shares before it.
    pub widths_before: V,
    pub heights_before: V,
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
pub unsafe fn locate<T: Real, V: Vector<T>>(
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

/// Fills the cotangents of the spline's own parameters.
///
/// # Safety
/// `kept` and `raw` point to what is kept of one vector and to its raw parameters.
#[inline(always)]
pub unsafe fn spread<T: Real, V: Vector<T>>(
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
