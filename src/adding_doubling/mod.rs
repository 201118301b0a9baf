//! Light in stacks of scattering and absorbing layers, by adding and doubling (van de Hulst 1963; Prahl, van Gemert &
//! Welch 1993, Appl. Opt. 32, 559): the equation of radiative transfer, which Monte Carlo samples, without noise.
//!
//! A thin layer's reflection and transmission are known; doubling makes it thick (`layer`), adding puts unlike layers
//! on top of each other (`stack`). Light is followed in a few directions (`angles`); several cases are worked on at
//! once, one in each lane of a vector (`matrix`).

mod angles;
mod layer;
mod matrix;
#[cfg(test)]
mod monte_carlo;
mod stack;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::kernels::dispatch::{Kernel, dispatch};
use crate::kernels::vector::Vector;
use angles::Angles;
use layer::{Layer, MOST_LANES, Optics};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use stack::Stack;

/// Layers of many cases, one case a row, one column a layer from top to bottom.
#[derive(Clone, Copy)]
pub struct Layers<'a> {
    /// Absorption coefficient, per unit of length.
    pub mu_a: ArrayView2<'a, f64>,
    /// Scattering coefficient, per unit of length.
    pub mu_s: ArrayView2<'a, f64>,
    /// Mean cosine of the scattering angle, of Henyey & Greenstein's phase function.
    pub g: ArrayView2<'a, f64>,
    /// Thickness, in the same unit of length.
    pub thickness: ArrayView2<'a, f64>,
}

/// Cases that one thread works on at a time; a multiple of the lanes of every vector.
const TILE: usize = 64;

/// Most mean free paths in a layer: doubling loses a digit for every ten times, and half of all are gone here.
const MOST_OPTICAL_DEPTH: f64 = 1e8;

/// That of germanium, among the highest there are; far higher ones leave no room for directions that get out.
const MOST_REFRACTIVE_INDEX: f64 = 4.0;

/// For normal incidence on each stack, in air, the share of light that comes back out of it, without what the surface
/// reflects, and the share that passes: two columns.
///
/// All layers have the same refractive index. `n_angles` is 8, 12, 16 or 24.
pub fn reflectance_and_transmittance(
    layers: &Layers,
    refractive_index: f64,
    n_angles: usize,
) -> Result<Array2<f64>> {
    layers.check()?;
    if !(1.0..=MOST_REFRACTIVE_INDEX).contains(&refractive_index) {
        let needs = format!("from 1 to {MOST_REFRACTIVE_INDEX}");
        return Err(Error::setting("refractive_index", refractive_index, needs));
    }
    match n_angles {
        8 => Ok(solve::<8>(layers, refractive_index)),
        12 => Ok(solve::<12>(layers, refractive_index)),
        16 => Ok(solve::<16>(layers, refractive_index)),
        24 => Ok(solve::<24>(layers, refractive_index)),
        _ => Err(Error::setting("n_angles", n_angles, "8, 12, 16 or 24")),
    }
}

impl Layers<'_> {
    fn check(&self) -> Result<()> {
        let shape = self.mu_a.dim();
        let all = [("mu_a", self.mu_a), ("mu_s", self.mu_s), ("g", self.g), ("thickness", self.thickness)];
        for (name, values) in all {
            if values.dim() != shape {
                let needs = format!("of the shape of mu_a, {shape:?}");
                return Err(Error::setting(name, format!("{:?}", values.dim()), needs));
            }
            let (fits, needs): (fn(f64) -> bool, _) = match name {
                "g" => (|g| g > -1.0 && g < 1.0, "above -1 and below 1"),
                _ => (|value| value >= 0.0 && value.is_finite(), "finite and at least 0"),
            };
            if let Some(((case, layer), value)) = values.indexed_iter().find(|(_, value)| !fits(**value)) {
                return Err(Error::setting(name, format!("{value} in case {case}, layer {layer}"), needs));
            }
        }
        let depth = (&self.mu_a + &self.mu_s) * self.thickness;
        match depth.indexed_iter().find(|(_, depth)| !(0.0..=MOST_OPTICAL_DEPTH).contains(*depth)) {
            Some(((case, layer), depth)) => Err(Error::setting(
                "thickness",
                format!("{depth:e} in case {case}, layer {layer}"),
                format!("at most {MOST_OPTICAL_DEPTH:e} over mu_a + mu_s"),
            )),
            None => Ok(()),
        }
    }

    /// One layer of consecutive cases; the last of them fills the lanes that are left.
    fn gather(&self, layer: usize, first: usize, count: usize) -> Optics {
        let lanes = |values: &ArrayView2<f64>| {
            std::array::from_fn(|lane| values[[first + lane.min(count - 1), layer]])
        };
        Optics {
            mu_a: lanes(&self.mu_a),
            mu_s: lanes(&self.mu_s),
            g: lanes(&self.g),
            thickness: lanes(&self.thickness),
        }
    }
}

fn solve<const N: usize>(layers: &Layers, refractive_index: f64) -> Array2<f64> {
    let angles = Angles::<N>::new(refractive_index);
    let mut answers = Array2::zeros((layers.mu_a.nrows(), 2));
    let flat = answers.as_slice_mut().expect("a new array is contiguous");
    flat.par_chunks_mut(2 * TILE).enumerate().for_each(|(tile, answers)| {
        dispatch(Tile { layers, angles: &angles, first: tile * TILE, answers });
    });
    answers
}

/// Consecutive cases, worked on by one thread.
struct Tile<'a, 'b, const N: usize> {
    layers: &'a Layers<'b>,
    angles: &'a Angles<N>,
    first: usize,
    answers: &'a mut [f64],
}

impl<const N: usize> Kernel<f64> for Tile<'_, '_, N> {
    type Output = ();

    #[inline(always)]
    fn run<V: Vector<f64>>(self) {
        let mut layer = Layer::<V, N>::new();
        let mut stack = Stack::<V, N>::new();
        for (group, answers) in self.answers.chunks_mut(2 * V::LANES).enumerate() {
            let (first, count) = (self.first + group * V::LANES, answers.len() / 2);
            stack.reset(self.angles);
            for depth in (0..self.layers.mu_a.ncols()).rev() {
                layer.solve(self.angles, &self.layers.gather(depth, first, count));
                stack.cover(&layer);
            }
            let (back, passed) = stack.light(self.angles);
            let (mut back_lanes, mut passed_lanes) = ([0.0; MOST_LANES], [0.0; MOST_LANES]);
            // SAFETY: the arrays have at least as many values as any vector has lanes, see `layer::load`.
            unsafe {
                back.store(back_lanes.as_mut_ptr());
                passed.store(passed_lanes.as_mut_ptr());
            }
            for (lane, answer) in answers.chunks_exact_mut(2).enumerate() {
                answer.copy_from_slice(&[back_lanes[lane], passed_lanes[lane]]);
            }
        }
    }
}
