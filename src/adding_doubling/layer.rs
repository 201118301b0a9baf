//! Reflection and transmission of one homogeneous layer: a thin one, doubled until it is as thick as it has to be.
//!
//! Intensities in direction i are multiplied by sqrt(cosine_i * weight_i). So scaled, the matrices R and T of a
//! homogeneous layer are symmetric, and light that comes from both sides alike, or with opposite signs, is only
//! reflected, by T + R or T - R: two problems that do not mix, with positive definite matrices.
//!
//! With the extinction and the scattering in each of them, P (even moments) and Q (odd), a layer of thickness d has
//! T + R = (1 - Y) / (1 + Y) and T - R = (1 - Z) / (1 + Z), where for thin layers Y = P d / 2 and Z = Q d / 2, up to
//! the third order in d: the diamond initialisation of Wiscombe (1976, JQSRT 16, 637), in which the light within the
//! layer is the mean of that at its two sides.
#![expect(clippy::needless_range_loop, reason = "index loops over constants unroll; the algorithms read so")]

use super::angles::Angles;
use super::matrix::{Matrix, cholesky, filled, solve_lower, squares};
use crate::kernels::vector::Vector;

/// Most lanes of any vector of f64.
pub const MOST_LANES: usize = 8;

/// Thickness of a layer to start from, in units of the smallest cosine. At 2, the reflectance of tissue is off by up
/// to 1e-5 of itself, a hundredth of the error of 12 angles.
const THIN: f64 = 2.0;

/// One layer of several cases, one in each lane.
#[derive(Clone, Copy)]
pub struct Optics {
    /// Absorption coefficients.
    pub mu_a: [f64; MOST_LANES],
    /// Scattering coefficients.
    pub mu_s: [f64; MOST_LANES],
    /// Anisotropies.
    pub g: [f64; MOST_LANES],
    /// Thicknesses.
    pub thickness: [f64; MOST_LANES],
}

/// A layer, with the memory that working it out takes.
pub struct Layer<V, const N: usize> {
    /// Reflection, the same from both sides.
    pub reflection: Matrix<V, N>,
    /// Transmission, the same in both directions.
    pub transmission: Matrix<V, N>,
    even: Matrix<V, N>,
    odd: Matrix<V, N>,
    factors: [Matrix<V, N>; 2],
}

/// A layer cut into 2^doublings thin ones.
struct Thin<V, const N: usize> {
    doublings: [u32; MOST_LANES],
    /// Half the optical thickness of a thin one.
    extinction: V,
    /// Half of what it scatters into each Legendre moment.
    moments: [V; N],
}

impl<V: Vector<f64>, const N: usize> Thin<V, N> {
    /// The part of the phase function that N moments cannot resolve counts as light that goes on straight (delta-M:
    /// Wiscombe 1977, J. Atmos. Sci. 34, 1408); the moments of Henyey & Greenstein's are powers of g.
    #[inline(always)]
    fn new(optics: &Optics, smallest_cosine: f64) -> Self {
        let mut doublings = [0; MOST_LANES];
        let mut extinction = [0.0; MOST_LANES];
        let mut moments = [[0.0; MOST_LANES]; N];
        for lane in 0..V::LANES {
            let (g, thickness) = (optics.g[lane], optics.thickness[lane]);
            let straight = g.powi(N as i32);
            let scattering = optics.mu_s[lane] * thickness;
            let mut depth = optics.mu_a[lane] * thickness + scattering * (1.0 - straight);
            let mut share = 0.5;
            while depth > THIN * smallest_cosine {
                depth *= 0.5;
                share *= 0.5;
                doublings[lane] += 1;
            }
            extinction[lane] = 0.5 * depth;
            let mut power = 1.0;
            for k in 0..N {
                moments[k][lane] = scattering * share * (power - straight);
                power *= g;
            }
        }
        Self { doublings, extinction: load(&extinction), moments: moments.map(|moment| load(&moment)) }
    }
}

/// The first lanes of an array.
#[inline(always)]
pub fn load<V: Vector<f64>>(values: &[f64; MOST_LANES]) -> V {
    const { assert!(V::LANES <= MOST_LANES) };
    // SAFETY: the array has at least as many values as the vector has lanes.
    unsafe { V::load(values.as_ptr()) }
}

impl<V: Vector<f64>, const N: usize> Layer<V, N> {
    /// Nothing yet.
    #[inline(always)]
    pub fn new() -> Self {
        let zero = filled(0.0);
        Self { reflection: zero, transmission: zero, even: zero, odd: zero, factors: [zero, zero] }
    }

    /// Works out the reflection and transmission.
    #[inline(always)]
    pub fn solve(&mut self, angles: &Angles<N>, optics: &Optics) {
        let thin = Thin::<V, N>::new(optics, angles.cosine[0]);
        self.start(angles, &thin);
        let most = thin.doublings.into_iter().max().unwrap_or(0);
        for step in 0..most {
            // A lane that is thick enough stays as it is, so that no case depends on its company.
            let going = thin.doublings.map(|doublings| f64::from(doublings) - f64::from(step));
            self.double(load(&going));
        }
    }

    /// The thin layer: T + R + 1 = 2 / (1 + Y), T - R + 1 = 2 / (1 + Z).
    #[inline(always)]
    fn start(&mut self, angles: &Angles<N>, thin: &Thin<V, N>) {
        let one = V::splat(1.0);
        self.transmission = filled(0.0);
        for i in 0..N {
            self.transmission[i][i] = one;
        }
        for parity in 0..2 {
            for i in 0..N {
                for j in 0..=i {
                    let mut sum = V::splat(0.0);
                    for k in (parity..N).step_by(2) {
                        sum = V::splat(angles.scattering[i][j][k]).neg_mul_add(thin.moments[k], sum);
                    }
                    self.factors[parity][i][j] = sum;
                }
                let loss = thin.extinction.mul_add(V::splat(1.0 / angles.cosine[i]), one);
                self.factors[parity][i][i] = self.factors[parity][i][i].add(loss);
            }
        }
        self.roots();
        let (reflection, transmission) = (&mut self.reflection, &mut self.transmission);
        squares(&self.even, &self.odd, |i, j, even, odd| {
            let unit = V::splat(if i == j { 1.0 } else { 0.0 });
            set(reflection, i, j, even.sub(odd));
            set(transmission, i, j, even.add(odd).sub(unit));
        });
    }

    /// Two such layers on top of each other, in the lanes where `going > 0`:
    /// T + R -> R + T / (1 - R) T and T - R -> T / (1 + R) T - R.
    #[inline(always)]
    fn double(&mut self, going: V) {
        let (zero, one, half) = (V::splat(0.0), V::splat(1.0), V::splat(0.5));
        for i in 0..N {
            for j in 0..=i {
                let r = self.reflection[i][j];
                let unit = if i == j { one } else { zero };
                self.factors[0][i][j] = unit.sub(r);
                self.factors[1][i][j] = unit.add(r);
            }
        }
        self.roots();
        let (reflection, transmission) = (&mut self.reflection, &mut self.transmission);
        squares(&self.even, &self.odd, |i, j, even, odd| {
            let (r, t) = (reflection[i][j], transmission[i][j]);
            set(reflection, i, j, going.choose(even.sub(odd).mul_add(half, r), r));
            set(transmission, i, j, going.choose(even.add(odd).mul(half), t));
        });
    }

    /// From each F in `factors`, an X with X' X = T / F T.
    #[inline(always)]
    fn roots(&mut self) {
        let [even, odd] = &mut self.factors;
        cholesky([even, odd]);
        solve_lower(&mut self.even, even, &self.transmission);
        solve_lower(&mut self.odd, odd, &self.transmission);
    }
}

/// Writes an element of a symmetric matrix.
#[inline(always)]
fn set<V: Copy, const N: usize>(m: &mut Matrix<V, N>, i: usize, j: usize, value: V) {
    m[i][j] = value;
    m[j][i] = value;
}
