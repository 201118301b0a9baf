//! Functions applied to every element of a tile, vectorised, with their accuracy stated and tested.

use super::dispatch::{Kernel, dispatch};
use super::real::Real;
use super::vector::Vector;

/// exp(x) - 1 as (2^n, p) with the result 2^n * p + (2^n - 1), from x = n ln 2 + r and p = exp(r) - 1.
#[inline(always)]
fn exp_parts<T: Real, V: Vector<T>>(x: V) -> (V, V) {
    let rounding = V::splat(T::ROUNDING);
    let x = x.max(V::splat(T::EXP_RANGE.0)).min(V::splat(T::EXP_RANGE.1));
    let log2_e = V::splat(T::of(std::f64::consts::LOG2_E));
    let n = x.mul_add(log2_e, rounding).sub(rounding);
    let r = n.neg_mul_add(V::splat(T::LN_2.0), x);
    let r = n.neg_mul_add(V::splat(T::LN_2.1), r);
    // Horner form of the Taylor series r (1 + r/2 (1 + r/3 (...))).
    let mut p = V::splat(T::one());
    for term in (2..=T::EXP_TERMS).rev() {
        p = p.mul(r).mul_add(V::splat(T::of(1.0 / term as f64)), V::splat(T::one()));
    }
    let scale = n.add(V::splat(T::ROUNDING + T::EXPONENT_BIAS)).power_of_two();
    (scale, p.mul(r))
}

/// exp(x) within 2 units in the last place; beyond the range of normal numbers it stays at the edge.
#[inline(always)]
pub fn exp<T: Real, V: Vector<T>>(x: V) -> V {
    let (scale, p) = exp_parts(x);
    scale.mul_add(p, scale)
}

/// tanh(x) within 4 units in the last place, near zero too.
#[inline(always)]
pub fn tanh<T: Real, V: Vector<T>>(x: V) -> V {
    // tanh is 1 to the last bit from here on, and exp(2x) would overflow.
    let edge = V::splat(T::of(TANH_EDGE));
    let x = x.max(V::splat(T::of(-TANH_EDGE))).min(edge);
    let (scale, p) = exp_parts(x.add(x));
    let minus_one = scale.mul_add(p, scale.sub(V::splat(T::one())));
    minus_one.div(minus_one.add(V::splat(T::of(2.0))))
}

/// Natural logarithm of a positive normal number, within 3 units in the last place, or an absolute error of 1 unit
/// near 1.
#[inline(always)]
pub fn ln<T: Real, V: Vector<T>>(x: V) -> V {
    let one = V::splat(T::one());
    let (n, m) = x.split_exponent();
    // m from [1, 2) to [sqrt(1/2), sqrt(2)], around which the series converges fast.
    let high = m.sub(V::splat(T::of(std::f64::consts::SQRT_2)));
    let m = high.choose(m.mul(V::splat(T::of(0.5))), m);
    let n = high.choose(n.add(one), n);
    let f = m.sub(one).div(m.add(one));
    let square = f.mul(f);
    let term = |i: usize| V::splat(T::of(2.0 / (2 * i + 1) as f64));
    let mut series = term(T::LN_TERMS);
    for i in (0..T::LN_TERMS).rev() {
        series = series.mul_add(square, term(i));
    }
    n.mul_add(V::splat(T::LN_2.0), series.mul_add(f, n.mul(V::splat(T::LN_2.1))))
}

/// raw / sqrt(1 + (raw / clamp)^2): within the clamp, with slope 1 at 0.
#[inline(always)]
pub fn bounded<T: Real, V: Vector<T>>(raw: V, clamp: T) -> V {
    let bent = raw.mul(V::splat(clamp.recip()));
    raw.div(bent.mul_add(bent, V::splat(T::one())).sqrt())
}

/// The slope of `bounded` where its value is this.
#[inline(always)]
pub fn slope_of_bounded<T: Real, V: Vector<T>>(value: V, clamp: T) -> V {
    let bent = value.mul(V::splat(clamp.recip()));
    // 1 / (1 + (raw / clamp)^2) = 1 - (value / clamp)^2; rounding may take it below zero.
    let flatness = bent.neg_mul_add(bent, V::splat(T::one())).max(V::splat(T::zero()));
    flatness.mul(flatness.sqrt())
}

/// 1 - tanh(x) < 2^-54 beyond this.
const TANH_EDGE: f64 = 19.1;

/// A function of one element, for any vector.
pub trait Function<T: Real>: Copy {
    /// The value at `x`.
    fn apply<V: Vector<T>>(&self, x: V) -> V;
}

/// Replaces every element by the function's value.
pub fn map<T: Real>(values: &mut [T], function: impl Function<T>) {
    dispatch(Map { values, function });
}

struct Map<'a, T, F> {
    values: &'a mut [T],
    function: F,
}

impl<T: Real, F: Function<T>> Kernel<T> for Map<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self) {
        let mut chunks = self.values.chunks_exact_mut(V::LANES);
        for chunk in &mut chunks {
            // SAFETY: the chunk has LANES elements.
            unsafe { self.function.apply(V::load(chunk.as_ptr())).store(chunk.as_mut_ptr()) }
        }
        let rest = chunks.into_remainder();
        if !rest.is_empty() {
            // SAFETY: the rest has fewer than LANES elements, and so many are touched.
            unsafe {
                let x = V::load_first(rest.as_ptr(), rest.len());
                self.function.apply(x).store_first(rest.as_mut_ptr(), rest.len());
            }
        }
    }
}

/// Adds to `sums[c]` the sum over the first `rows` rows of column c of a tile.
pub fn add_column_sums<T: Real>(sums: &mut [T], tile: &[T], rows: usize) {
    assert!(rows <= super::ROWS && tile.len() >= sums.len() * super::ROWS);
    dispatch(ColumnSums { sums, tile, rows });
}

struct ColumnSums<'a, T> {
    sums: &'a mut [T],
    tile: &'a [T],
    rows: usize,
}

impl<T: Real> Kernel<T> for ColumnSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self) {
        let full = self.rows / V::LANES;
        let rest = self.rows % V::LANES;
        for (sum, column) in self.sums.iter_mut().zip(self.tile.chunks_exact(super::ROWS)) {
            let mut total = V::splat(T::zero());
            for v in 0..full {
                // SAFETY: full * LANES <= rows <= ROWS.
                total = total.add(unsafe { V::load(column.as_ptr().add(v * V::LANES)) });
            }
            if rest > 0 {
                // SAFETY: the remaining rows of the column.
                total = total.add(unsafe { V::load_first(column.as_ptr().add(full * V::LANES), rest) });
            }
            *sum = *sum + total.sum();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::ROWS;
    use crate::kernels::dispatch::tests::with_each;

    #[derive(Clone, Copy)]
    struct Exp;
    #[derive(Clone, Copy)]
    struct Tanh;
    #[derive(Clone, Copy)]
    struct Reciprocal;
    #[derive(Clone, Copy)]
    struct Ln;

    impl<T: Real> Function<T> for Ln {
        #[inline(always)]
        fn apply<V: Vector<T>>(&self, x: V) -> V {
            ln(x)
        }
    }

    impl<T: Real> Function<T> for Exp {
        #[inline(always)]
        fn apply<V: Vector<T>>(&self, x: V) -> V {
            exp(x)
        }
    }
    impl<T: Real> Function<T> for Tanh {
        #[inline(always)]
        fn apply<V: Vector<T>>(&self, x: V) -> V {
            tanh(x)
        }
    }
    impl<T: Real> Function<T> for Reciprocal {
        #[inline(always)]
        fn apply<V: Vector<T>>(&self, x: V) -> V {
            x.reciprocal()
        }
    }

    /// Largest error in units in the last place of the wanted value, with every instruction set.
    fn error<T: Real>(points: &[f64], function: impl Function<T>, exact: impl Fn(f64) -> f64) -> f64 {
        let mut worst = 0.0f64;
        with_each(|_| {
            let points: Vec<T> = points.iter().map(|&p| T::of(p)).collect();
            let mut values = points.clone();
            map(&mut values, function);
            for (point, value) in points.iter().zip(&values) {
                let wanted = exact(point.to_double());
                let unit = T::epsilon().to_double() * wanted.abs();
                worst = worst.max((value.to_double() - wanted).abs() / unit);
            }
        });
        worst
    }

    fn points(low: f64, high: f64) -> Vec<f64> {
        (0..=100_001).map(|i| low + (high - low) * f64::from(i) / 100_001.0).collect()
    }

    #[test]
    fn exp_is_accurate() {
        assert!(error::<f32>(&points(-87.0, 88.0), Exp, f64::exp) < 2.0);
        assert!(error::<f64>(&points(-708.0, 709.0), Exp, f64::exp) < 2.0);
    }

    #[test]
    fn tanh_is_accurate_also_near_zero() {
        for range in [points(-25.0, 25.0), points(1e-6, 1e-2), points(-1.0, -0.1)] {
            assert!(error::<f32>(&range, Tanh, f64::tanh) < 4.0);
            assert!(error::<f64>(&range, Tanh, f64::tanh) < 4.0);
        }
    }

    #[test]
    fn reciprocal_is_accurate() {
        assert!(error::<f32>(&points(1e-3, 1e4), Reciprocal, f64::recip) < 2.0);
        assert!(error::<f64>(&points(1e-3, 1e4), Reciprocal, f64::recip) < 2.0);
    }

    #[test]
    fn ln_is_accurate() {
        for range in [points(1e-30, 1e-3), points(1e-3, 0.7), points(1.5, 1e30)] {
            assert!(error::<f32>(&range, Ln, f64::ln) < 3.0);
            assert!(error::<f64>(&range, Ln, f64::ln) < 3.0);
        }
        // Near 1 the logarithm is small: an absolute error, in units of 1.
        let shifted = |x: f64| 1.0 + x.ln();
        #[derive(Clone, Copy)]
        struct LnPlusOne;
        impl<T: Real> Function<T> for LnPlusOne {
            #[inline(always)]
            fn apply<V: Vector<T>>(&self, x: V) -> V {
                ln(x).add(V::splat(T::one()))
            }
        }
        assert!(error::<f32>(&points(0.7, 1.5), LnPlusOne, shifted) < 2.0);
        assert!(error::<f64>(&points(0.7, 1.5), LnPlusOne, shifted) < 2.0);
    }

    #[test]
    fn extremes_stay_finite() {
        with_each(|_| {
            let mut values = [f32::MAX, -f32::MAX, 0.0, 1e-40, f32::INFINITY, f32::NEG_INFINITY];
            map(&mut values, Exp);
            assert!(values.iter().all(|v| v.is_finite()));
            assert_eq!(values[2], 1.0);
            let mut values = [f32::MAX, f32::MIN, 0.0, f32::INFINITY];
            map(&mut values, Tanh);
            assert_eq!(values, [1.0, -1.0, 0.0, 1.0]);
        });
    }

    #[test]
    fn column_sums_ignore_rows_that_are_not_in_use() {
        with_each(|_| {
            for rows in 1..=ROWS {
                let tile: Vec<f64> =
                    (0..3 * ROWS).map(|i| if i % ROWS < rows { 1.0 } else { f64::NAN }).collect();
                let mut sums = [0.5; 3];
                add_column_sums(&mut sums, &tile, rows);
                assert_eq!(sums, [rows as f64 + 0.5; 3]);
            }
        });
    }
}
