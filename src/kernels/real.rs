//! The two scalar types of the core, `f32` for users and `f64` for the laws.

use super::vector::{Portable, Vector};
#[cfg(target_arch = "x86_64")]
use super::x86;
use num_traits::Float;
use std::fmt::Debug;
use std::iter::Sum;

/// Side of the squares that a transposition moves at a time.
pub const SQUARE: usize = 4;

/// A floating-point type with one SIMD vector per instruction set.
pub trait Real: Float + Default + Debug + Sum + Send + Sync + 'static {
    /// Lanes of AVX-512.
    type Wide: Vector<Self>;
    /// Lanes of AVX2 with fused multiply-add.
    type Medium: Vector<Self>;
    /// Lanes of the target's baseline (SSE2, NEON).
    type Baseline: Vector<Self>;

    /// Adding and subtracting this rounds to the nearest integer: 1.5 times 2 to the mantissa's width.
    const ROUNDING: Self;
    /// Exponent bias of the IEEE format.
    const EXPONENT_BIAS: Self;
    /// Largest argument of `exp` whose result is finite, and the smallest whose result is normal.
    const EXP_RANGE: (Self, Self);
    /// ln 2 cut after a few bits, so that its product with an exponent is exact, and the rest.
    const LN_2: (Self, Self);
    /// Terms of the Taylor series of exp on |r| <= ln(2)/2 that reach the last bit.
    const EXP_TERMS: usize;
    /// Odd terms of the series of 2 artanh on |f| <= 3 - 2 sqrt(2) that reach the last bit.
    const LN_TERMS: usize;

    /// Conversion that rounds.
    fn of(value: f64) -> Self;
    /// Exact conversion.
    fn to_double(self) -> f64;
    /// `to[i * to_stride + j] = from[j * from_stride + i]` for i and j below [`SQUARE`].
    #[inline]
    fn transpose_square(to: &mut [Self], to_stride: usize, from: &[Self], from_stride: usize) {
        for i in 0..SQUARE {
            for j in 0..SQUARE {
                to[i * to_stride + j] = from[j * from_stride + i];
            }
        }
    }
    /// The one of two casts of the same numbers that is of this type.
    fn pick<'a>(casts: (&'a [f64], &'a [f32])) -> &'a [Self];
}

macro_rules! real {
    ($scalar:ty, $own:tt, $wide:ty, $medium:ty, $rounding:expr, $bias:expr, $range:expr, $ln2:expr, $terms:expr,
     $ln_terms:expr $(, $transpose:path)?) => {
        impl Real for $scalar {
            #[cfg(target_arch = "x86_64")]
            type Wide = $wide;
            #[cfg(target_arch = "x86_64")]
            type Medium = $medium;
            #[cfg(not(target_arch = "x86_64"))]
            type Wide = Portable<$scalar>;
            #[cfg(not(target_arch = "x86_64"))]
            type Medium = Portable<$scalar>;
            type Baseline = Portable<$scalar>;

            const ROUNDING: Self = $rounding;
            const EXPONENT_BIAS: Self = $bias;
            const EXP_RANGE: (Self, Self) = $range;
            const LN_2: (Self, Self) = $ln2;
            const EXP_TERMS: usize = $terms;
            const LN_TERMS: usize = $ln_terms;

            #[inline(always)]
            fn of(value: f64) -> Self {
                value as $scalar
            }
            #[inline(always)]
            fn to_double(self) -> f64 {
                f64::from(self)
            }
            fn pick<'a>(casts: (&'a [f64], &'a [f32])) -> &'a [Self] {
                casts.$own
            }
            $(
                #[cfg(target_arch = "x86_64")]
                #[inline]
                fn transpose_square(to: &mut [Self], to_stride: usize, from: &[Self], from_stride: usize) {
                    $transpose(to, to_stride, from, from_stride);
                }
            )?
        }
    };
}

real!(
    f32,
    1,
    x86::F32x16,
    x86::F32x8,
    12_582_912.0,
    127.0,
    (-87.0, 88.0),
    (0.693_359_4, -2.121_944_4e-4),
    7,
    5,
    x86::transpose_square
);
real!(
    f64,
    0,
    x86::F64x8,
    x86::F64x4,
    6_755_399_441_055_744.0,
    1023.0,
    (-708.0, 709.0),
    (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10),
    13,
    11
);
