//! AVX2 and AVX-512 vectors. Every method is inlined into a function that enables the instructions.

use super::real::SQUARE;
use super::vector::Vector;
use std::arch::x86_64::*;

/// 16 single-precision lanes of AVX-512.
#[derive(Clone, Copy)]
pub struct F32x16(__m512);
/// 8 double-precision lanes of AVX-512.
#[derive(Clone, Copy)]
pub struct F64x8(__m512d);
/// 8 single-precision lanes of AVX2.
#[derive(Clone, Copy)]
pub struct F32x8(__m256);
/// 4 double-precision lanes of AVX2.
#[derive(Clone, Copy)]
pub struct F64x4(__m256d);

/// The transposition of a square of [`SQUARE`] lines: SSE is part of every x86-64.
pub fn transpose_square(to: &mut [f32], to_stride: usize, from: &[f32], from_stride: usize) {
    assert!(
        to.len() >= (SQUARE - 1) * to_stride + SQUARE && from.len() >= (SQUARE - 1) * from_stride + SQUARE
    );
    // SAFETY: each line has SQUARE scalars, see the assertion.
    unsafe {
        let line = |j: usize| _mm_loadu_ps(from.as_ptr().add(j * from_stride));
        let [mut a, mut b, mut c, mut d] = [line(0), line(1), line(2), line(3)];
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (i, column) in [a, b, c, d].into_iter().enumerate() {
            _mm_storeu_ps(to.as_mut_ptr().add(i * to_stride), column);
        }
    }
}

/// Rows of a product's register block: 32 registers of AVX-512 hold 24 sums, 16 of AVX2 hold 12.
const BLOCK_AVX512: usize = 12;
const BLOCK_AVX2: usize = 6;

macro_rules! binary {
    ($($name:ident => $intrinsic:ident),*) => {
        $(#[inline(always)]
        fn $name(self, other: Self) -> Self {
            // SAFETY: only reached through dispatch, on processors that have the instruction.
            Self(unsafe { $intrinsic(self.0, other.0) })
        })*
    };
}

macro_rules! vector {
    ($name:ident, $half:ident, $scalar:ty, $lanes:expr, $block:expr, $splat:ident, $load:ident, $store:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident, $fnma:ident, $max:ident, $min:ident, $sqrt:ident,
     { $($special:item)* }) => {
        // SAFETY: only chosen by dispatch, on processors that have the instructions.
        unsafe impl Vector<$scalar> for $name {
            type Half = $half;
            const LANES: usize = $lanes;
            const BLOCK: usize = $block;

            #[inline(always)]
            fn splat(value: $scalar) -> Self {
                // SAFETY: see the impl.
                Self(unsafe { $splat(value) })
            }
            #[inline(always)]
            unsafe fn load(from: *const $scalar) -> Self {
                // SAFETY: the caller's promise.
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $scalar) {
                // SAFETY: the caller's promise.
                unsafe { $store(to, self.0) }
            }
            binary!(add => $add, sub => $sub, mul => $mul, div => $div, max => $max, min => $min);
            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                // SAFETY: see the impl.
                Self(unsafe { $fma(self.0, factor.0, addend.0) })
            }
            #[inline(always)]
            fn neg_mul_add(self, factor: Self, addend: Self) -> Self {
                // SAFETY: see the impl.
                Self(unsafe { $fnma(self.0, factor.0, addend.0) })
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                // SAFETY: see the impl.
                Self(unsafe { $sqrt(self.0) })
            }
            $(#[inline(always)] $special)*
        }
    };
}

/// The first `count` of up to 16 lanes.
#[inline(always)]
fn mask16(count: usize) -> __mmask16 {
    ((1u32 << count) - 1) as __mmask16
}

/// The first `count` of up to 8 lanes.
#[inline(always)]
fn mask8(count: usize) -> __mmask8 {
    ((1u32 << count) - 1) as __mmask8
}

/// Lane numbers, compared with a count to make AVX2's masks.
const LANE_NUMBERS: [i32; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
const LANE_NUMBERS_64: [i64; 4] = [0, 1, 2, 3];

/// AVX2's mask of the first `count` single-precision lanes.
#[inline(always)]
fn mask_avx2(count: usize) -> __m256i {
    // SAFETY: AVX2 is there, the array has 8 numbers.
    unsafe {
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_loadu_si256(LANE_NUMBERS.as_ptr().cast()))
    }
}

/// AVX2's mask of the first `count` double-precision lanes.
#[inline(always)]
fn mask_avx2_64(count: usize) -> __m256i {
    // SAFETY: AVX2 is there, the array has 4 numbers.
    unsafe {
        _mm256_cmpgt_epi64(
            _mm256_set1_epi64x(count as i64),
            _mm256_loadu_si256(LANE_NUMBERS_64.as_ptr().cast()),
        )
    }
}

vector!(
    F32x16,
    F32x8,
    f32,
    16,
    BLOCK_AVX512,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_div_ps,
    _mm512_fmadd_ps,
    _mm512_fnmadd_ps,
    _mm512_max_ps,
    _mm512_min_ps,
    _mm512_sqrt_ps,
    {
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            // SAFETY: the caller's promise; masked lanes are not touched.
            Self(unsafe { _mm512_maskz_loadu_ps(mask16(count), from) })
        }
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            // SAFETY: the caller's promise; masked lanes are not touched.
            unsafe { _mm512_mask_storeu_ps(to, mask16(count), self.0) }
        }
        fn reciprocal(self) -> Self {
            // SAFETY: see the impl.
            let guess = Self(unsafe { _mm512_rcp14_ps(self.0) });
            // One Newton step doubles the 14 bits.
            let error = self.neg_mul_add(guess, Self::splat(1.0));
            guess.mul_add(error, guess)
        }
        fn choose(self, yes: Self, no: Self) -> Self {
            // SAFETY: see the impl.
            unsafe {
                let mask = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_ps());
                Self(_mm512_mask_mov_ps(no.0, mask, yes.0))
            }
        }
        fn split_exponent(self) -> (Self, Self) {
            // SAFETY: see the impl.
            unsafe {
                let mantissa = _mm512_getmant_ps::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_SRC>(self.0);
                (Self(_mm512_getexp_ps(self.0)), Self(mantissa))
            }
        }
        fn power_of_two(self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(self.0))) })
        }
        fn sum(self) -> f32 {
            // SAFETY: see the impl.
            unsafe {
                let low = _mm512_castps512_ps256(self.0);
                let high = _mm512_extractf32x8_ps::<1>(self.0);
                F32x8(_mm256_add_ps(low, high)).sum()
            }
        }
    }
);

vector!(
    F64x8,
    F64x4,
    f64,
    8,
    BLOCK_AVX512,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_add_pd,
    _mm512_sub_pd,
    _mm512_mul_pd,
    _mm512_div_pd,
    _mm512_fmadd_pd,
    _mm512_fnmadd_pd,
    _mm512_max_pd,
    _mm512_min_pd,
    _mm512_sqrt_pd,
    {
        unsafe fn load_first(from: *const f64, count: usize) -> Self {
            // SAFETY: the caller's promise; masked lanes are not touched.
            Self(unsafe { _mm512_maskz_loadu_pd(mask8(count), from) })
        }
        unsafe fn store_first(self, to: *mut f64, count: usize) {
            // SAFETY: the caller's promise; masked lanes are not touched.
            unsafe { _mm512_mask_storeu_pd(to, mask8(count), self.0) }
        }
        fn reciprocal(self) -> Self {
            Self::splat(1.0).div(self)
        }
        fn choose(self, yes: Self, no: Self) -> Self {
            // SAFETY: see the impl.
            unsafe {
                let mask = _mm512_cmp_pd_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_pd());
                Self(_mm512_mask_mov_pd(no.0, mask, yes.0))
            }
        }
        fn split_exponent(self) -> (Self, Self) {
            // SAFETY: see the impl.
            unsafe {
                let mantissa = _mm512_getmant_pd::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_SRC>(self.0);
                (Self(_mm512_getexp_pd(self.0)), Self(mantissa))
            }
        }
        fn power_of_two(self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { _mm512_castsi512_pd(_mm512_slli_epi64::<52>(_mm512_castpd_si512(self.0))) })
        }
        fn sum(self) -> f64 {
            // SAFETY: see the impl.
            unsafe {
                let low = _mm512_castpd512_pd256(self.0);
                let high = _mm512_extractf64x4_pd::<1>(self.0);
                F64x4(_mm256_add_pd(low, high)).sum()
            }
        }
    }
);

vector!(
    F32x8,
    F32x8,
    f32,
    8,
    BLOCK_AVX2,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_div_ps,
    _mm256_fmadd_ps,
    _mm256_fnmadd_ps,
    _mm256_max_ps,
    _mm256_min_ps,
    _mm256_sqrt_ps,
    {
        unsafe fn load_first(from: *const f32, count: usize) -> Self {
            // SAFETY: the caller's promise; masked lanes are not touched.
            Self(unsafe { _mm256_maskload_ps(from, mask_avx2(count)) })
        }
        unsafe fn store_first(self, to: *mut f32, count: usize) {
            // SAFETY: the caller's promise; masked lanes are not touched.
            unsafe { _mm256_maskstore_ps(to, mask_avx2(count), self.0) }
        }
        fn reciprocal(self) -> Self {
            // SAFETY: see the impl.
            let guess = Self(unsafe { _mm256_rcp_ps(self.0) });
            // The guess has 12 bits only: two Newton steps.
            let error = self.neg_mul_add(guess, Self::splat(1.0));
            let guess = guess.mul_add(error, guess);
            let error = self.neg_mul_add(guess, Self::splat(1.0));
            guess.mul_add(error, guess)
        }
        fn choose(self, yes: Self, no: Self) -> Self {
            // SAFETY: see the impl.
            unsafe {
                let mask = _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, _mm256_setzero_ps());
                Self(_mm256_blendv_ps(no.0, yes.0, mask))
            }
        }
        fn split_exponent(self) -> (Self, Self) {
            // Beneath the bits of 2^23, an integer is that integer more.
            let (base, bias) = (8388608.0, 127.0);
            // SAFETY: see the impl.
            unsafe {
                let bits = _mm256_srli_epi32::<23>(_mm256_castps_si256(self.0));
                let number = _mm256_or_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(base));
                let mask = _mm256_castsi256_ps(_mm256_set1_epi32((1 << 23) - 1));
                let mantissa = _mm256_or_ps(_mm256_and_ps(self.0, mask), _mm256_set1_ps(1.0));
                (Self(_mm256_sub_ps(number, _mm256_set1_ps(base + bias))), Self(mantissa))
            }
        }
        fn power_of_two(self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(self.0))) })
        }
        fn sum(self) -> f32 {
            // SAFETY: see the impl.
            unsafe {
                let halves = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
                let pairs = _mm_add_ps(halves, _mm_movehl_ps(halves, halves));
                _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps::<1>(pairs, pairs)))
            }
        }
    }
);

vector!(
    F64x4,
    F64x4,
    f64,
    4,
    BLOCK_AVX2,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_add_pd,
    _mm256_sub_pd,
    _mm256_mul_pd,
    _mm256_div_pd,
    _mm256_fmadd_pd,
    _mm256_fnmadd_pd,
    _mm256_max_pd,
    _mm256_min_pd,
    _mm256_sqrt_pd,
    {
        unsafe fn load_first(from: *const f64, count: usize) -> Self {
            // SAFETY: the caller's promise; masked lanes are not touched.
            Self(unsafe { _mm256_maskload_pd(from, mask_avx2_64(count)) })
        }
        unsafe fn store_first(self, to: *mut f64, count: usize) {
            // SAFETY: the caller's promise; masked lanes are not touched.
            unsafe { _mm256_maskstore_pd(to, mask_avx2_64(count), self.0) }
        }
        fn reciprocal(self) -> Self {
            Self::splat(1.0).div(self)
        }
        fn choose(self, yes: Self, no: Self) -> Self {
            // SAFETY: see the impl.
            unsafe {
                let mask = _mm256_cmp_pd::<_CMP_GT_OQ>(self.0, _mm256_setzero_pd());
                Self(_mm256_blendv_pd(no.0, yes.0, mask))
            }
        }
        fn split_exponent(self) -> (Self, Self) {
            // Beneath the bits of 2^52, an integer is that integer more.
            let (base, bias) = (4503599627370496.0, 1023.0);
            // SAFETY: see the impl.
            unsafe {
                let bits = _mm256_srli_epi64::<52>(_mm256_castpd_si256(self.0));
                let number = _mm256_or_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(base));
                let mask = _mm256_castsi256_pd(_mm256_set1_epi64x((1 << 52) - 1));
                let mantissa = _mm256_or_pd(_mm256_and_pd(self.0, mask), _mm256_set1_pd(1.0));
                (Self(_mm256_sub_pd(number, _mm256_set1_pd(base + bias))), Self(mantissa))
            }
        }
        fn power_of_two(self) -> Self {
            // SAFETY: see the impl.
            Self(unsafe { _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(self.0))) })
        }
        fn sum(self) -> f64 {
            // SAFETY: see the impl.
            unsafe {
                let halves = _mm_add_pd(_mm256_castpd256_pd128(self.0), _mm256_extractf128_pd::<1>(self.0));
                _mm_cvtsd_f64(_mm_add_sd(halves, _mm_unpackhi_pd(halves, halves)))
            }
        }
    }
);
