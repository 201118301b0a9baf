//! Matrix products with tiles.
#![expect(
    clippy::needless_range_loop,
    reason = "loops over constants unroll into registers; iterators did not always"
)]

use super::ROWS;
use super::dispatch::{Kernel, dispatch};
use super::real::{Real, SQUARE};
use super::vector::Vector;
use std::hint::black_box;

/// A matrix of which one element at a time is broadcast: element (i, k) is at `i * row + k * column`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    /// The elements.
    pub data: &'a [T],
    /// Distance of two rows.
    pub row: usize,
    /// Distance of two columns.
    pub column: usize,
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub enum Start<'a, T> {
    /// Nothing.
    Zero,
    /// One value per output column.
    Bias(&'a [T]),
    /// What the output holds.
    Accumulate,
}

/// What is done with a sum before it is written.
#[derive(Clone, Copy)]
pub enum Finish<'a, T> {
    /// Nothing.
    Keep,
    /// Negative values become zero.
    Relu,
    /// Zero wherever this tile is not positive: the gradient of `Relu` from its output.
    Mask(&'a [T]),
}

/// Tallest register block of any instruction set.
const TALLEST: usize = 12;

/// `out[m][r] = finish(start + sum_k a[m][k] * b[k][r])` for the first `rows` rows of a tile.
///
/// `out` has `m` columns of [`ROWS`], `b` has `k`. Rows up to the next full vector are computed as well.
#[expect(clippy::too_many_arguments, reason = "the operands of one product")]
pub fn product<T: Real>(
    out: &mut [T],
    m: usize,
    a: Matrix<T>,
    b: &[T],
    k: usize,
    rows: usize,
    start: Start<T>,
    finish: Finish<T>,
) {
    if m == 0 {
        return;
    }
    assert!(rows <= ROWS && out.len() >= m * ROWS && b.len() >= k * ROWS);
    assert!(k == 0 || a.data.len() > (m - 1) * a.row + (k - 1) * a.column);
    if let Start::Bias(bias) = start {
        assert!(bias.len() >= m);
    }
    if let Finish::Mask(tile) = finish {
        assert!(tile.len() >= m * ROWS);
    }
    dispatch(Product { out, m, a, b, k, rows, start, finish });
}

struct Product<'a, T> {
    out: &'a mut [T],
    m: usize,
    a: Matrix<'a, T>,
    b: &'a [T],
    k: usize,
    rows: usize,
    start: Start<'a, T>,
    finish: Finish<'a, T>,
}

/// Calls `$body` with a constant `$height` equal to the run-time value.
macro_rules! with_height {
    ($value:expr, $height:ident, $body:expr) => {
        match $value {
            1 => {
                const $height: usize = 1;
                $body
            }
            2 => {
                const $height: usize = 2;
                $body
            }
            3 => {
                const $height: usize = 3;
                $body
            }
            4 => {
                const $height: usize = 4;
                $body
            }
            5 => {
                const $height: usize = 5;
                $body
            }
            6 => {
                const $height: usize = 6;
                $body
            }
            7 => {
                const $height: usize = 7;
                $body
            }
            8 => {
                const $height: usize = 8;
                $body
            }
            9 => {
                const $height: usize = 9;
                $body
            }
            10 => {
                const $height: usize = 10;
                $body
            }
            11 => {
                const $height: usize = 11;
                $body
            }
            _ => {
                const $height: usize = TALLEST;
                $body
            }
        }
    };
}

/// Rows 0..m cut into blocks of nearly equal height, none taller than the register block.
#[derive(Clone, Copy)]
struct Blocks {
    count: usize,
    height: usize,
    taller: usize,
}

impl Blocks {
    #[inline(always)]
    fn new(m: usize, tallest: usize) -> Self {
        let count = m.div_ceil(tallest);
        Self { count, height: m / count, taller: m % count }
    }

    /// First row and height of a block; the first blocks are one row taller where m does not divide.
    #[inline(always)]
    fn get(self, block: usize) -> (usize, usize) {
        let first = block * self.height + block.min(self.taller);
        (first, self.height + usize::from(block < self.taller))
    }
}

impl<T: Real> Kernel<T> for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self) {
        let out = self.out.as_mut_ptr();
        let blocks = Blocks::new(self.m, V::BLOCK);
        let vectors = self.rows.div_ceil(V::LANES);
        let mut vector = 0;
        while vector < vectors {
            let pair = vectors - vector >= 2;
            let offset = vector * V::LANES;
            for block in 0..blocks.count {
                let (first, height) = blocks.get(block);
                // SAFETY: `product` checked every length; `first + height <= m`, and the vectors of a pair or
                // a single one end within ROWS, which is a multiple of LANES.
                with_height!(height, H, unsafe {
                    if pair {
                        self.block::<V, H, 2>(out, first, offset);
                    } else {
                        self.block::<V, H, 1>(out, first, offset);
                    }
                });
            }
            vector += if pair { 2 } else { 1 };
        }
    }
}

impl<T: Real> Product<'_, T> {
    /// A register block: `H` output columns, `W` vectors of rows.
    ///
    /// # Safety
    /// The block lies inside the output.
    #[inline(always)]
    unsafe fn block<V: Vector<T>, const H: usize, const W: usize>(
        &self,
        out: *mut T,
        first: usize,
        offset: usize,
    ) {
        // SAFETY: the caller's promise, and the lengths checked by `product`.
        unsafe {
            let at = |h: usize, w: usize| (first + h) * ROWS + offset + w * V::LANES;
            let mut sums = [[V::splat(T::zero()); W]; H];
            match self.start {
                Start::Zero => {}
                Start::Bias(bias) => {
                    for h in 0..H {
                        sums[h] = [V::splat(*bias.get_unchecked(first + h)); W];
                    }
                }
                Start::Accumulate => {
                    for h in 0..H {
                        for w in 0..W {
                            sums[h][w] = V::load(out.add(at(h, w)));
                        }
                    }
                }
            }
            let a = rows_of(self.a.data.as_ptr().add(first * self.a.row), self.a.row);
            let b = self.b.as_ptr().add(offset);
            accumulate::<T, V, H, W, 1>(&mut sums, a, self.a.column, b, ROWS, self.k);
            for h in 0..H {
                for w in 0..W {
                    let value = match self.finish {
                        Finish::Keep => sums[h][w],
                        Finish::Relu => sums[h][w].max(V::splat(T::zero())),
                        Finish::Mask(tile) => V::load(tile.as_ptr().add(at(h, w))).where_positive(sums[h][w]),
                    };
                    value.store(out.add(at(h, w)));
                }
            }
        }
    }
}

/// Rows whose addresses are derived from one pointer, see [`rows_of`].
const ROWS_OF_BASE: usize = 3;

/// Addresses of rows that lie `row` apart, a distance that the compiler does not know. It would find each from the one
/// before, and the inner loop would wait for the last as long as for the arithmetic: so it is not told that these
/// belong together.
///
/// # Safety
/// The rows lie in one allocation.
#[inline(always)]
unsafe fn rows_of<T, const H: usize>(first: *const T, row: usize) -> [*const T; H] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut base = first;
        std::array::from_fn(|h| {
            if h.is_multiple_of(ROWS_OF_BASE) {
                base = black_box(first.add(h * row));
            }
            base.add(h % ROWS_OF_BASE * row)
        })
    }
}

/// Terms of a gradient's sums between two branches, by experiment: these sums of [`ROWS`] terms gain by it (2 gain less,
/// with 8 they lose), the longer ones of a product do not.
const UNROLLED: usize = 4;

/// `sums[h][w] += sum_k a[h][k * column] * b[k * stride + w]`: the inner loop of everything, with a branch after every
/// `U` terms.
///
/// # Safety
/// All addresses are readable.
#[inline(always)]
unsafe fn accumulate<T: Real, V: Vector<T>, const H: usize, const W: usize, const U: usize>(
    sums: &mut [[V; W]; H],
    a: [*const T; H],
    column: usize,
    b: *const T,
    stride: usize,
    k: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut local = *sums;
        let (mut at, mut b) = (0, b);
        macro_rules! add_term {
            () => {
                let mut right = [V::splat(T::zero()); W];
                for w in 0..W {
                    right[w] = V::load(b.add(w * V::LANES));
                }
                for h in 0..H {
                    let left = V::splat(*a[h].add(at));
                    for w in 0..W {
                        local[h][w] = left.mul_add(right[w], local[h][w]);
                    }
                }
                at += column;
                b = b.add(stride);
            };
        }
        for _ in 0..k / U {
            for _ in 0..U {
                add_term!();
            }
        }
        for _ in 0..k % U {
            add_term!();
        }
        *sums = local;
    }
}

/// `gradient[m][n] += sum_r a[m][r] * b[r][n]` over the first `rows` rows: the gradient of a weight matrix.
///
/// `gradient` is `m` by `n` without gaps, `a` a tile of `m` columns, `b` a transposed tile (see [`transpose`])
/// whose rows are `stride` apart, where `stride` is a multiple of [`TRANSPOSED_STEP`].
pub fn outer<T: Real>(gradient: &mut [T], m: usize, n: usize, a: &[T], b: &[T], stride: usize, rows: usize) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(rows <= ROWS && gradient.len() >= m * n && a.len() >= m * ROWS);
    assert!(stride >= n && stride.is_multiple_of(TRANSPOSED_STEP) && b.len() >= rows * stride);
    dispatch(Outer { gradient, m, n, a, b, stride, rows });
}

struct Outer<'a, T> {
    gradient: &'a mut [T],
    m: usize,
    n: usize,
    a: &'a [T],
    b: &'a [T],
    stride: usize,
    rows: usize,
}

impl<T: Real> Kernel<T> for Outer<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<T>>(self) {
        let gradient = self.gradient.as_mut_ptr();
        let blocks = Blocks::new(self.m, V::BLOCK);
        let mut column = 0;
        while column < self.n {
            let left = self.n - column;
            let (pair, half) = (left > V::LANES, left <= V::Half::LANES);
            for block in 0..blocks.count {
                let (first, height) = blocks.get(block);
                // SAFETY: `outer` checked every length; loads beyond n stay inside the stride of `b`, which
                // is a multiple of every LANES, and stores beyond n are masked.
                with_height!(height, H, unsafe {
                    if pair {
                        self.block::<V, H, 2>(gradient, first, column);
                    } else if half {
                        self.block::<V::Half, H, 1>(gradient, first, column);
                    } else {
                        self.block::<V, H, 1>(gradient, first, column);
                    }
                });
            }
            column += if pair { 2 * V::LANES } else { V::LANES };
        }
    }
}

impl<T: Real> Outer<'_, T> {
    /// # Safety
    /// The block starts inside the gradient.
    #[inline(always)]
    unsafe fn block<V: Vector<T>, const H: usize, const W: usize>(
        &self,
        gradient: *mut T,
        first: usize,
        column: usize,
    ) {
        // SAFETY: the caller's promise and the lengths checked by `outer`.
        unsafe {
            let to = |h: usize, w: usize| gradient.add((first + h) * self.n + column + w * V::LANES);
            // The sums take as long as memory does: what they are added to is then in the cache.
            for h in 0..H {
                for w in 0..W {
                    prefetch(to(h, w));
                }
            }
            let mut sums = [[V::splat(T::zero()); W]; H];
            let a = self.a.as_ptr().add(first * ROWS);
            let a = std::array::from_fn(|h| a.add(h * ROWS));
            let b = self.b.as_ptr().add(column);
            accumulate::<T, V, H, W, UNROLLED>(&mut sums, a, 1, b, self.stride, self.rows);
            let last = self.n - column - (W - 1) * V::LANES;
            for h in 0..H {
                for w in 0..W {
                    let to = to(h, w);
                    if w + 1 == W && last < V::LANES {
                        V::load_first(to, last).add(sums[h][w]).store_first(to, last);
                    } else {
                        V::load(to).add(sums[h][w]).store(to);
                    }
                }
            }
        }
    }
}

/// Asks for the cache line at an address, which may be any.
#[inline(always)]
fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of the architecture; a hint reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The rows of a transposed tile are padded to a multiple of this, the most lanes of any vector.
pub const TRANSPOSED_STEP: usize = 16;

/// Distance of the rows of a transposed tile with `columns` columns.
pub fn transposed_stride(columns: usize) -> usize {
    columns.next_multiple_of(TRANSPOSED_STEP)
}

/// `to[r * stride + column] = tile[column][r]` for all rows of the tile.
pub fn transpose<T: Real>(to: &mut [T], stride: usize, tile: &[T], columns: usize, rows: usize) {
    assert!(to.len() >= rows * stride && stride >= columns && tile.len() >= columns * ROWS);
    for c in (0..columns).step_by(SQUARE) {
        let width = SQUARE.min(columns - c);
        for r in (0..rows).step_by(SQUARE) {
            let height = SQUARE.min(rows - r);
            if width == SQUARE && height == SQUARE {
                T::transpose_square(&mut to[r * stride + c..], stride, &tile[c * ROWS + r..], ROWS);
            } else {
                for i in 0..height {
                    for j in 0..width {
                        to[(r + i) * stride + c + j] = tile[(c + j) * ROWS + r + i];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dispatch::tests::with_each;
    use crate::random::{Purpose, Seed, fill_normal};
    use proptest::prelude::*;

    fn random(len: usize, seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; len];
        fill_normal(&mut values, 1.0, &mut Seed(seed).stream(Purpose::Training, 0));
        values
    }

    fn single(values: &[f64]) -> Vec<f32> {
        values.iter().map(|&v| v as f32).collect()
    }

    /// Rounding of a sum of `k` products of numbers of order one.
    fn tolerance<T: Real>(k: usize) -> f64 {
        T::epsilon().to_double() * 8.0 * (k as f64 + 4.0)
    }

    fn check_product<T: Real>(
        m: usize,
        k: usize,
        rows: usize,
        transposed: bool,
        convert: impl Fn(&[f64]) -> Vec<T>,
    ) {
        let (a, b) = (random(m * k, 1), random(k * ROWS, 2));
        let (bias, before, mask) = (random(m, 3), random(m * ROWS, 4), random(m * ROWS, 5));
        let (row, column) = if transposed { (1, m) } else { (k, 1) };
        let (a_t, bias_t, mask_t) = (convert(&a), convert(&bias), convert(&mask));
        let starts = [Start::Zero, Start::Bias(&bias_t[..]), Start::Accumulate];
        let finishes = [Finish::Keep, Finish::Relu, Finish::Mask(&mask_t[..])];
        for (start, finish) in starts.into_iter().flat_map(|s| finishes.map(|f| (s, f))) {
            let mut out = convert(&before);
            let matrix = Matrix { data: &a_t, row, column };
            product(&mut out, m, matrix, &convert(&b), k, rows, start, finish);
            for i in 0..m {
                for r in 0..rows {
                    let start = match start {
                        Start::Zero => 0.0,
                        Start::Bias(_) => bias[i],
                        Start::Accumulate => before[i * ROWS + r],
                    };
                    let sum = (0..k).map(|j| a[i * row + j * column] * b[j * ROWS + r]).sum::<f64>() + start;
                    let wanted = match finish {
                        Finish::Keep => sum,
                        Finish::Relu => sum.max(0.0),
                        Finish::Mask(_) if mask[i * ROWS + r] > 0.0 => sum,
                        Finish::Mask(_) => 0.0,
                    };
                    let got = out[i * ROWS + r].to_double();
                    assert!((got - wanted).abs() < tolerance::<T>(k), "{m} {k} {rows}: {got} {wanted}");
                }
            }
        }
    }

    fn check_outer<T: Real>(m: usize, n: usize, rows: usize, convert: impl Fn(&[f64]) -> Vec<T>) {
        let (a, b, before) = (random(m * ROWS, 1), random(n * ROWS, 2), random(m * n + 3, 3));
        let stride = transposed_stride(n);
        let mut transposed = vec![T::nan(); rows * stride];
        transpose(&mut transposed, stride, &convert(&b), n, rows);
        let mut gradient = convert(&before);
        outer(&mut gradient, m, n, &convert(&a), &transposed, stride, rows);
        for i in 0..m {
            for j in 0..n {
                let sum: f64 = (0..rows).map(|r| a[i * ROWS + r] * b[j * ROWS + r]).sum();
                let (got, wanted) = (gradient[i * n + j].to_double(), before[i * n + j] + sum);
                assert!((got - wanted).abs() < tolerance::<T>(rows), "{m} {n} {rows}: {got} {wanted}");
            }
        }
        for i in m * n..before.len() {
            assert_eq!(gradient[i].to_double(), convert(&before)[i].to_double(), "written beyond the matrix");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn products_are_the_definition(m in 1usize..40, k in 0usize..40, rows in 1usize..=ROWS, transposed: bool) {
            with_each(|_| {
                check_product(m, k, rows, transposed, |v| v.to_vec());
                check_product(m, k, rows, transposed, single);
            });
        }

        #[test]
        fn outer_products_are_the_definition(m in 1usize..40, n in 1usize..70, rows in 1usize..=ROWS) {
            with_each(|_| {
                check_outer(m, n, rows, |v| v.to_vec());
                check_outer(m, n, rows, single);
            });
        }
    }
}
