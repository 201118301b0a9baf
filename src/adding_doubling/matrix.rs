//! Small matrices of vectors: each lane of a vector is a matrix of its own, so that one instruction serves several
//! cases, and no shape is awkward. Sizes are multiples of 4.
#![expect(clippy::needless_range_loop, reason = "index loops over constants unroll; the algorithms read so")]

use crate::kernels::vector::Vector;
use std::ops::Range;

/// Rows, then columns.
pub type Matrix<V, const N: usize> = [[V; N]; N];

/// Rows and columns of the block of sums that is held in registers: 8 sums hide the latency of a fused product, and
/// their 6 operands fit beside them in the 16 registers of AVX2.
const ROWS: usize = 2;
const COLUMNS: usize = 4;

/// `sums[r][c] = sum_k left(r, k) * right(k, c)`.
#[inline(always)]
fn block<V: Vector<f64>>(
    depth: Range<usize>,
    left: impl Fn(usize, usize) -> V,
    right: impl Fn(usize, usize) -> V,
) -> [[V; COLUMNS]; ROWS] {
    let mut sums = [[V::splat(0.0); COLUMNS]; ROWS];
    for k in depth {
        let row = [right(k, 0), right(k, 1), right(k, 2), right(k, 3)];
        for r in 0..ROWS {
            let factor = left(r, k);
            for c in 0..COLUMNS {
                sums[r][c] = factor.mul_add(row[c], sums[r][c]);
            }
        }
    }
    sums
}

/// All elements equal to `value`.
#[inline(always)]
pub fn filled<V: Vector<f64>, const N: usize>(value: f64) -> Matrix<V, N> {
    [[V::splat(value); N]; N]
}

/// `out = a b`
#[inline(always)]
pub fn product<V: Vector<f64>, const N: usize>(out: &mut Matrix<V, N>, a: &Matrix<V, N>, b: &Matrix<V, N>) {
    for i in (0..N).step_by(ROWS) {
        for j in (0..N).step_by(COLUMNS) {
            let sums = block(0..N, |r, k| a[i + r][k], |k, c| b[k][j + c]);
            for r in 0..ROWS {
                out[i + r][j..j + COLUMNS].copy_from_slice(&sums[r]);
            }
        }
    }
}

/// Calls `each(i, j, (a b)[i][j])` for the lower triangle, for a product that is known to be symmetric.
#[inline(always)]
pub fn symmetric_product<V: Vector<f64>, const N: usize>(
    a: &Matrix<V, N>,
    b: &Matrix<V, N>,
    mut each: impl FnMut(usize, usize, V),
) {
    for i in (0..N).step_by(ROWS) {
        for j in (0..i + ROWS).step_by(COLUMNS) {
            let sums = block(0..N, |r, k| a[i + r][k], |k, c| b[k][j + c]);
            for r in 0..ROWS {
                for c in 0..COLUMNS {
                    if j + c <= i + r {
                        each(i + r, j + c, sums[r][c]);
                    }
                }
            }
        }
    }
}

/// Calls `each(i, j, (a' a)[i][j], (b' b)[i][j])` for the lower triangle.
#[inline(always)]
pub fn squares<V: Vector<f64>, const N: usize>(
    a: &Matrix<V, N>,
    b: &Matrix<V, N>,
    mut each: impl FnMut(usize, usize, V, V),
) {
    for i in (0..N).step_by(ROWS) {
        for j in (0..i + ROWS).step_by(COLUMNS) {
            let first = block(0..N, |r, k| a[k][i + r], |k, c| a[k][j + c]);
            let second = block(0..N, |r, k| b[k][i + r], |k, c| b[k][j + c]);
            for r in 0..ROWS {
                for c in 0..COLUMNS {
                    if j + c <= i + r {
                        each(i + r, j + c, first[r][c], second[r][c]);
                    }
                }
            }
        }
    }
}

/// Writes the Cholesky factors of two positive definite matrices over their lower triangles, the reciprocals of the
/// diagonals in the diagonals. Two at a time, as each step of one has to wait for its last.
#[inline(always)]
pub fn cholesky<V: Vector<f64>, const N: usize>(pair: [&mut Matrix<V, N>; 2]) {
    let [a, b] = pair;
    for k in 0..N {
        let (first, second) = (a[k][k].sqrt().reciprocal(), b[k][k].sqrt().reciprocal());
        (a[k][k], b[k][k]) = (first, second);
        for i in k + 1..N {
            a[i][k] = a[i][k].mul(first);
            b[i][k] = b[i][k].mul(second);
        }
        for i in k + 1..N {
            for j in k + 1..=i {
                a[i][j] = a[i][k].neg_mul_add(a[j][k], a[i][j]);
                b[i][j] = b[i][k].neg_mul_add(b[j][k], b[i][j]);
            }
        }
    }
}

/// Writes the factors L and U over a matrix, U with a unit diagonal, the reciprocals of L's diagonal in the diagonal.
///
/// Without exchange of rows: for matrices 1 - A where A is of norm below 1, whose pivots stay away from 0.
#[inline(always)]
pub fn lower_upper<V: Vector<f64>, const N: usize>(m: &mut Matrix<V, N>) {
    for k in 0..N {
        let reciprocal = m[k][k].reciprocal();
        m[k][k] = reciprocal;
        for j in k + 1..N {
            m[k][j] = m[k][j].mul(reciprocal);
        }
        for i in k + 1..N {
            for j in k + 1..N {
                m[i][j] = m[i][k].neg_mul_add(m[k][j], m[i][j]);
            }
        }
    }
}

/// `out = L^-1 b`, with the factor of `cholesky` or `lower_upper`.
#[inline(always)]
pub fn solve_lower<V: Vector<f64>, const N: usize>(
    out: &mut Matrix<V, N>,
    factor: &Matrix<V, N>,
    b: &Matrix<V, N>,
) {
    for i in (0..N).step_by(ROWS) {
        for j in (0..N).step_by(COLUMNS) {
            let sums = block(0..i, |r, k| factor[i + r][k], |k, c| out[k][j + c]);
            for c in 0..COLUMNS {
                let upper = b[i][j + c].sub(sums[0][c]).mul(factor[i][i]);
                let lower = factor[i + 1][i].neg_mul_add(upper, b[i + 1][j + c].sub(sums[1][c]));
                out[i][j + c] = upper;
                out[i + 1][j + c] = lower.mul(factor[i + 1][i + 1]);
            }
        }
    }
}

/// `b -> U^-1 b`, with the factor of `lower_upper`.
#[inline(always)]
pub fn solve_upper<V: Vector<f64>, const N: usize>(factor: &Matrix<V, N>, b: &mut Matrix<V, N>) {
    for i in (0..N).step_by(ROWS).rev() {
        for j in (0..N).step_by(COLUMNS) {
            let sums = block(i + ROWS..N, |r, k| factor[i + r][k], |k, c| b[k][j + c]);
            for c in 0..COLUMNS {
                let lower = b[i + 1][j + c].sub(sums[1][c]);
                b[i + 1][j + c] = lower;
                b[i][j + c] = factor[i][i + 1].neg_mul_add(lower, b[i][j + c].sub(sums[0][c]));
            }
        }
    }
}

/// `b -> (L U)^-1 b` for one column, with the factors of `lower_upper`.
#[inline(always)]
pub fn solve_column<V: Vector<f64>, const N: usize>(factor: &Matrix<V, N>, b: &mut [V; N]) {
    for i in 0..N {
        for k in 0..i {
            b[i] = factor[i][k].neg_mul_add(b[k], b[i]);
        }
        b[i] = b[i].mul(factor[i][i]);
    }
    for i in (0..N).rev() {
        for k in i + 1..N {
            b[i] = factor[i][k].neg_mul_add(b[k], b[i]);
        }
    }
}

/// `sum_k a[k] b[k]`
#[inline(always)]
pub fn dot<V: Vector<f64>, const N: usize>(a: &[V; N], b: &[V; N]) -> V {
    let mut sum = V::splat(0.0);
    for k in 0..N {
        sum = a[k].mul_add(b[k], sum);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::vector::Portable;

    type V = Portable<f64>;
    const N: usize = 8;

    /// Numbers without a pattern, another set for each seed, in all lanes.
    fn some(seed: f64) -> Matrix<V, N> {
        std::array::from_fn(|i| {
            std::array::from_fn(|j| V::splat(((1.0 + i as f64) * (2.0 + j as f64) * seed).sin()))
        })
    }

    /// First lanes.
    fn plain(m: &Matrix<V, N>) -> [[f64; N]; N] {
        m.map(|row| row.map(|v| v.sum() / V::LANES as f64))
    }

    /// 10 + a a', positive definite.
    fn definite(seed: f64) -> Matrix<V, N> {
        let a = some(seed);
        let mut m = filled(0.0);
        for i in 0..N {
            for j in 0..N {
                let unit = V::splat(if i == j { 10.0 } else { 0.0 });
                m[i][j] = (0..N).fold(unit, |sum, k| a[i][k].mul_add(a[j][k], sum));
            }
        }
        m
    }

    fn assert_close(a: &Matrix<V, N>, b: &Matrix<V, N>) {
        for (x, y) in plain(a).iter().flatten().zip(plain(b).iter().flatten()) {
            assert!((x - y).abs() < 1e-12, "{x} {y}");
        }
    }

    #[test]
    fn products_are_the_sums() {
        let (a, b) = (some(0.7), some(0.3));
        let mut out = filled(0.0);
        product(&mut out, &a, &b);
        let (x, y) = (plain(&a), plain(&b));
        let sum = |i: usize, j: usize| V::splat((0..N).map(|k| x[i][k] * y[k][j]).sum());
        let expected = std::array::from_fn(|i| std::array::from_fn(|j| sum(i, j)));
        assert_close(&out, &expected);
        let (mut first, mut second, mut lower) = (filled(0.0), filled(0.0), filled(0.0));
        squares(&a, &b, |i, j, aa, bb| (first[i][j], second[i][j]) = (aa, bb));
        symmetric_product(&a, &b, |i, j, ab| lower[i][j] = ab);
        for i in 0..N {
            for j in 0..N {
                let square = |m: &[[f64; N]; N]| (0..N).map(|k| m[k][i] * m[k][j]).sum::<f64>();
                let kept = if j <= i { 1.0 } else { 0.0 };
                assert!((plain(&first)[i][j] - kept * square(&x)).abs() < 1e-13);
                assert!((plain(&second)[i][j] - kept * square(&y)).abs() < 1e-13);
                assert!((plain(&lower)[i][j] - kept * plain(&expected)[i][j]).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn roots_have_the_right_square() {
        // X = L^-1 B has X' X = B' M^-1 B: with B = M, that is M.
        let pair = [definite(0.7), definite(0.3)];
        let [mut a, mut b] = pair;
        cholesky([&mut a, &mut b]);
        let mut x = [filled(0.0); 2];
        let mut square = x;
        solve_lower(&mut x[0], &a, &pair[0]);
        solve_lower(&mut x[1], &b, &pair[1]);
        squares(&x[0], &x[1], |i, j, first, second| {
            (square[0][i][j], square[0][j][i]) = (first, first);
            (square[1][i][j], square[1][j][i]) = (second, second);
        });
        assert_close(&square[0], &pair[0]);
        assert_close(&square[1], &pair[1]);
    }

    #[test]
    fn solutions_solve() {
        let mut m = definite(0.7);
        m[2][5] = V::splat(-3.0);
        let (b, mut factor) = (some(0.3), m);
        let (mut x, mut back) = (filled(0.0), filled(0.0));
        lower_upper(&mut factor);
        solve_lower(&mut x, &factor, &b);
        solve_upper(&factor, &mut x);
        product(&mut back, &m, &x);
        assert_close(&back, &b);
        let mut column = b.map(|row| row[3]);
        solve_column(&factor, &mut column);
        for i in 0..N {
            assert!((column[i].sum() - x[i][3].sum()).abs() < 1e-12);
            let expected = (0..N).map(|k| plain(&m)[i][k] * column[k].sum() / V::LANES as f64).sum::<f64>();
            assert!((dot(&m[i], &column).sum() / V::LANES as f64 - expected).abs() < 1e-12);
        }
    }
}
