//! What every SIMD vector can do, and the portable one; the others are in `x86`.

use super::real::Real;

/// A register full of scalars. Loads and stores need no alignment.
///
/// # Safety
/// Implementations other than [`Portable`] hold for processors that have the instruction set; only
/// [`super::dispatch`] may choose them.
pub unsafe trait Vector<T: Real>: Copy {
    /// A vector of half as many lanes where the instruction set has one, for narrow matrices.
    type Half: Vector<T>;
    /// Scalars in one vector.
    const LANES: usize;
    /// Rows of the register block of a product: 2 vectors wide, as tall as the registers allow.
    const BLOCK: usize;

    /// All lanes equal to `value`.
    fn splat(value: T) -> Self;
    /// Reads `LANES` scalars.
    ///
    /// # Safety
    /// `from` is readable for `LANES` scalars.
    unsafe fn load(from: *const T) -> Self;
    /// Writes `LANES` scalars.
    ///
    /// # Safety
    /// `to` is writable for `LANES` scalars.
    unsafe fn store(self, to: *mut T);
    /// Reads `count < LANES` scalars, the other lanes are zero.
    ///
    /// # Safety
    /// `from` is readable for `count` scalars.
    unsafe fn load_first(from: *const T, count: usize) -> Self;
    /// Writes the first `count < LANES` scalars.
    ///
    /// # Safety
    /// `to` is writable for `count` scalars.
    unsafe fn store_first(self, to: *mut T, count: usize);
    /// `self + other`
    fn add(self, other: Self) -> Self;
    /// `self - other`
    fn sub(self, other: Self) -> Self;
    /// `self * other`
    fn mul(self, other: Self) -> Self;
    /// `self / other`
    fn div(self, other: Self) -> Self;
    /// `self * factor + addend`
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// `addend - self * factor`
    fn neg_mul_add(self, factor: Self, addend: Self) -> Self;
    /// The larger one; `other` where `self` is NaN.
    fn max(self, other: Self) -> Self;
    /// The smaller one; `other` where `self` is NaN.
    fn min(self, other: Self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// 1 / self to the last bit or two.
    fn reciprocal(self) -> Self;
    /// `value` in the lanes where `self > 0`, zero elsewhere.
    #[inline(always)]
    fn where_positive(self, value: Self) -> Self {
        self.choose(value, Self::splat(T::zero()))
    }
    /// `yes` in the lanes where `self > 0`, `no` elsewhere.
    fn choose(self, yes: Self, no: Self) -> Self;
    /// n and m of a positive normal number m 2^n with 1 <= m < 2.
    fn split_exponent(self) -> (Self, Self);
    /// 2^n for a vector that holds n + `ROUNDING` + `EXPONENT_BIAS`: the low bits are the exponent.
    fn power_of_two(self) -> Self;
    /// Sum of the lanes, in a fixed order.
    fn sum(self) -> T;
}

/// Scalars in the portable vector: 128 bits of f32, which SSE2 and NEON hold in one register.
const PORTABLE_LANES: usize = 4;

/// A vector for any processor: arithmetic on an array, which the compiler maps to the baseline's SIMD.
#[derive(Clone, Copy)]
pub struct Portable<T>([T; PORTABLE_LANES]);

#[inline(always)]
fn fused<T: Real>(a: T, b: T, c: T) -> T {
    // Without the instruction a fused product is a slow library call.
    if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
}

impl<T: Real> Portable<T> {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

macro_rules! portable {
    ($scalar:ty, $shift:expr, $bias:expr) => {
        // SAFETY: no instruction beyond the target's baseline.
        unsafe impl Vector<$scalar> for Portable<$scalar> {
            type Half = Self;
            const LANES: usize = PORTABLE_LANES;
            const BLOCK: usize = 6;

            #[inline(always)]
            fn splat(value: $scalar) -> Self {
                Self([value; PORTABLE_LANES])
            }
            #[inline(always)]
            unsafe fn load(from: *const $scalar) -> Self {
                // SAFETY: the caller's promise; arrays of scalars have the scalars' alignment.
                Self(unsafe { from.cast::<[$scalar; PORTABLE_LANES]>().read() })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $scalar) {
                // SAFETY: the caller's promise.
                unsafe { to.cast::<[$scalar; PORTABLE_LANES]>().write(self.0) }
            }
            #[inline(always)]
            unsafe fn load_first(from: *const $scalar, count: usize) -> Self {
                let mut lanes = [0.0; PORTABLE_LANES];
                for (i, lane) in lanes.iter_mut().enumerate().take(count) {
                    // SAFETY: the caller's promise.
                    *lane = unsafe { from.add(i).read() };
                }
                Self(lanes)
            }
            #[inline(always)]
            unsafe fn store_first(self, to: *mut $scalar, count: usize) {
                for (i, &lane) in self.0.iter().enumerate().take(count) {
                    // SAFETY: the caller's promise.
                    unsafe { to.add(i).write(lane) }
                }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.map(other, |a, b| a + b)
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.map(other, |a, b| a - b)
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self.map(other, |a, b| a * b)
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                self.map(other, |a, b| a / b)
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                Self(std::array::from_fn(|i| fused(self.0[i], factor.0[i], addend.0[i])))
            }
            #[inline(always)]
            fn neg_mul_add(self, factor: Self, addend: Self) -> Self {
                Self(std::array::from_fn(|i| fused(-self.0[i], factor.0[i], addend.0[i])))
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                self.map(other, |a, b| if a > b { a } else { b })
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                self.map(other, |a, b| if a < b { a } else { b })
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Self(self.0.map(<$scalar>::sqrt))
            }
            #[inline(always)]
            fn reciprocal(self) -> Self {
                Self(self.0.map(|a| 1.0 / a))
            }
            #[inline(always)]
            fn choose(self, yes: Self, no: Self) -> Self {
                Self(std::array::from_fn(|i| if self.0[i] > 0.0 { yes.0[i] } else { no.0[i] }))
            }
            #[inline(always)]
            fn split_exponent(self) -> (Self, Self) {
                let exponent = self.0.map(|a| (a.to_bits() >> $shift) as $scalar - $bias);
                let mantissa = |a: $scalar| {
                    let mask = (1 << $shift) - 1;
                    <$scalar>::from_bits(a.to_bits() & mask | (1.0 as $scalar).to_bits())
                };
                (Self(exponent), Self(self.0.map(mantissa)))
            }
            #[inline(always)]
            fn power_of_two(self) -> Self {
                Self(self.0.map(|a| <$scalar>::from_bits(a.to_bits() << $shift)))
            }
            #[inline(always)]
            fn sum(self) -> $scalar {
                let [a, b, c, d] = self.0;
                (a + c) + (b + d)
            }
        }
    };
}

portable!(f32, 23, 127.0);
portable!(f64, 52, 1023.0);
