//! Photons that wander at random: slow and noisy, but nothing of it is shared with adding and doubling except
//! Fresnel's law. An oracle for tests, after Wang, Jacques & Zheng 1995 (Comput. Meth. Prog. Biomed. 47, 131).

use super::angles::fresnel;
use crate::random::{Purpose, Seed, Stream};
use rand::RngExt;
use rayon::prelude::*;

/// A layer: mu_a, mu_s, g, thickness.
pub type Layer = [f64; 4];

/// A mean over photons with its standard error.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    pub mean: f64,
    pub error: f64,
}

/// Photons that one stream of random numbers serves.
const BLOCK: usize = 1000;
/// Below this weight a photon survives one time in ten, ten times as heavy.
const ROULETTE: f64 = 1e-3;

/// Share of a normally incident beam that comes back out of the layers, without what the surface reflects, and share
/// that passes.
pub fn reflectance_and_transmittance(
    layers: &[Layer],
    index: f64,
    blocks: usize,
    seed: u64,
) -> [Estimate; 2] {
    let sums: Vec<[f64; 4]> = (0..blocks)
        .into_par_iter()
        .map(|block| {
            let mut stream = Seed(seed).stream(Purpose::Training, block as u64);
            let mut sums = [0.0; 4];
            for _ in 0..BLOCK {
                let escaped = photon(layers, index, &mut stream);
                for side in 0..2 {
                    sums[side] += escaped[side];
                    sums[2 + side] += escaped[side].powi(2);
                }
            }
            sums
        })
        .collect();
    let count = (blocks * BLOCK) as f64;
    [0, 1].map(|side| {
        let mean = sums.iter().map(|sums| sums[side]).sum::<f64>() / count;
        let square = sums.iter().map(|sums| sums[2 + side]).sum::<f64>() / count;
        Estimate { mean, error: ((square - mean * mean) / count).sqrt() }
    })
}

/// The weight of one photon that leaves at the top and at the bottom.
fn photon(layers: &[Layer], index: f64, stream: &mut Stream) -> [f64; 2] {
    let mut escaped = [0.0; 2];
    let mut weight = 1.0 - fresnel(1.0, index);
    // Depth within the layer, and the cosine with the way down: what happens sideways makes no difference.
    let (mut layer, mut depth, mut cosine) = (0, 0.0, 1.0);
    // Mean free paths to the next interaction.
    let mut path = free_path(stream);
    while weight > 0.0 {
        let [mu_a, mu_s, g, thickness] = layers[layer];
        let distance: f64 = if cosine > 0.0 { (thickness - depth) / cosine } else { -depth / cosine };
        if path < distance * (mu_a + mu_s) {
            depth += cosine * path / (mu_a + mu_s);
            weight *= mu_s / (mu_a + mu_s);
            cosine = scattered(cosine, g, stream);
            path = free_path(stream);
            if weight < ROULETTE {
                weight = if stream.random::<f64>() < 0.1 { 10.0 * weight } else { 0.0 };
            }
            continue;
        }
        path -= distance * (mu_a + mu_s);
        let down = cosine > 0.0;
        let at_surface = if down { layer + 1 == layers.len() } else { layer == 0 };
        if !at_surface {
            layer = if down { layer + 1 } else { layer - 1 };
            depth = if down { 0.0 } else { layers[layer][3] };
        } else if stream.random::<f64>() < fresnel(cosine.abs(), index) {
            depth = if down { thickness } else { 0.0 };
            cosine = -cosine;
        } else {
            escaped[usize::from(down)] = weight;
            break;
        }
    }
    escaped
}

fn free_path(stream: &mut Stream) -> f64 {
    -(1.0 - stream.random::<f64>()).ln()
}

/// The new cosine with the vertical after scattering by Henyey & Greenstein's angle, turned around the old direction
/// by any angle.
fn scattered(cosine: f64, g: f64, stream: &mut Stream) -> f64 {
    let uniform: f64 = stream.random();
    let turn = if g == 0.0 {
        2.0 * uniform - 1.0
    } else {
        let ratio = (1.0 - g * g) / (1.0 - g + 2.0 * g * uniform);
        (1.0 + g * g - ratio * ratio) / (2.0 * g)
    };
    let azimuth = std::f64::consts::TAU * stream.random::<f64>();
    let sines = ((1.0 - turn * turn).max(0.0) * (1.0 - cosine * cosine).max(0.0)).sqrt();
    (cosine * turn + sines * azimuth.cos()).clamp(-1.0, 1.0)
}
