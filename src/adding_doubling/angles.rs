//! The directions in which light is followed, and what happens to it at a surface.
//!
//! Directions are cosines with the inward normal, in (0, 1] downwards and mirrored upwards. Light totally reflected at
//! the surface, and light that is not, behave differently, so that each part of (0, 1] has its own quadrature: Gauss
//! below the critical cosine, Radau above it, whose last node is 1, the direction of the incident beam (Prahl 1995,
//! "The adding-doubling method", in Welch & van Gemert, Optical-Thermal Response of Laser-Irradiated Tissue).

/// What a surface reflects that lets nothing through. Were it 1, light trapped between two of them and nothing else
/// would be 0 / 0; this loses 1e-15 of it.
const TOTAL: f64 = 1.0 - 4.0 * f64::EPSILON;

/// N directions in a medium, with the surface between it and air.
pub struct Angles<const N: usize> {
    /// Cosines, ascending.
    pub cosine: [f64; N],
    /// sqrt(cosine * weight): intensities are multiplied by it, and by it once more when fluxes are summed.
    pub scale: [f64; N],
    /// Fresnel's reflectance of the surface, of unpolarised light from inside.
    pub mirror: [f64; N],
    /// (2k + 1) P_k(i) P_k(j) sqrt(weight_i weight_j / (cosine_i cosine_j)) at `[i][j][k]`: what the moment k of the
    /// phase function scatters from j to i on a unit length.
    pub scattering: Box<[[[f64; N]; N]; N]>,
}

impl<const N: usize> Angles<N> {
    /// Directions in a medium of this refractive index, at least 1. N is even.
    pub fn new(refractive_index: f64) -> Self {
        let critical = (1.0 - refractive_index.powi(-2)).sqrt();
        let mut nodes = Vec::with_capacity(N);
        // Without total reflection there is one part.
        let trapped = if critical > 0.0 { N / 2 } else { 0 };
        nodes.extend(mapped(gauss(trapped), 0.0, critical));
        nodes.extend(mapped(radau(N - trapped), critical, 1.0));
        let cosine: [f64; N] = std::array::from_fn(|i| nodes[i].0);
        let weight: [f64; N] = std::array::from_fn(|i| nodes[i].1);
        let polynomial = cosine.map(legendre::<N>);
        let mut scattering = Box::new([[[0.0; N]; N]; N]);
        for (i, j, k) in (0..N).flat_map(|i| (0..N).flat_map(move |j| (0..N).map(move |k| (i, j, k)))) {
            let root = (weight[i] * weight[j] / (cosine[i] * cosine[j])).sqrt();
            scattering[i][j][k] = (2 * k + 1) as f64 * polynomial[i][k] * polynomial[j][k] * root;
        }
        Self {
            cosine,
            scale: std::array::from_fn(|i| (cosine[i] * weight[i]).sqrt()),
            mirror: cosine.map(|x| fresnel(x, refractive_index).min(TOTAL)),
            scattering,
        }
    }
}

/// Fresnel's reflectance for unpolarised light that comes from inside a medium towards air.
pub fn fresnel(cosine: f64, refractive_index: f64) -> f64 {
    let square = refractive_index * refractive_index;
    // The squared cosine outside, by Snell's law; there is none where all is reflected.
    let outside_square = 1.0 - square + square * cosine * cosine;
    if outside_square <= 0.0 {
        return 1.0;
    }
    let outside = outside_square.sqrt();
    let amplitude = |a: f64, b: f64| ((a - b) / (a + b)).powi(2);
    let perpendicular = amplitude(refractive_index * cosine, outside);
    let parallel = amplitude(refractive_index * outside, cosine);
    (perpendicular + parallel) / 2.0
}

/// P_0 to P_(N - 1) by their recurrence.
fn legendre<const N: usize>(x: f64) -> [f64; N] {
    std::array::from_fn(|k| legendre_pair(k, x).0)
}

/// P_n and P_(n - 1), of which the second is 0 for n = 0.
fn legendre_pair(n: usize, x: f64) -> (f64, f64) {
    (0..n).fold((1.0, 0.0), |(now, before), k| {
        let k = k as f64;
        (((2.0 * k + 1.0) * x * now - k * before) / (k + 1.0), now)
    })
}

/// Nodes and weights on [-1, 1].
type Rule = Vec<(f64, f64)>;

/// Gauss's rule of n nodes.
fn gauss(n: usize) -> Rule {
    let weight = |x: f64| 2.0 * (1.0 - x * x) / (n as f64 * legendre_pair(n, x).1).powi(2);
    roots(n).into_iter().map(|x| (x, weight(x))).collect()
}

/// Radau's rule of n nodes, the last of which is 1: the others are where P_n = P_(n - 1).
fn radau(n: usize) -> Rule {
    let difference = |x: f64| {
        let (now, before) = legendre_pair(n, x);
        now - before
    };
    let weight = |x: f64| (1.0 + x) / (n as f64 * legendre_pair(n, x).1).powi(2);
    let mut nodes = between(&roots(n - 1), difference);
    // The bracket above the last root holds 1 itself.
    *nodes.last_mut().expect("n is at least 1") = 1.0;
    nodes.into_iter().map(|x| (x, weight(x))).collect()
}

/// Roots of P_n, ascending: one lies between any two of P_(n - 1) and the ends.
fn roots(n: usize) -> Vec<f64> {
    (1..=n).fold(Vec::new(), |fewer, degree| between(&fewer, |x| legendre_pair(degree, x).0))
}

/// A root of `f` in each of the intervals into which `edges` cut [-1, 1], by bisection down to rounding.
fn between(edges: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    let lows = std::iter::once(-1.0).chain(edges.iter().copied());
    let highs = edges.iter().copied().chain(std::iter::once(1.0));
    let bisect = |(mut low, mut high): (f64, f64)| {
        let rises = f(low) < 0.0;
        loop {
            let middle = (low + high) / 2.0;
            if middle <= low || middle >= high {
                return middle;
            }
            if (f(middle) < 0.0) == rises { low = middle } else { high = middle }
        }
    };
    lows.zip(highs).map(bisect).collect()
}

/// The rule on another interval.
fn mapped(rule: Rule, low: f64, high: f64) -> impl Iterator<Item = (f64, f64)> {
    let half = (high - low) / 2.0;
    rule.into_iter().map(move |(x, weight)| (low + half * (1.0 + x), half * weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integral(rule: &Rule, power: i32) -> f64 {
        rule.iter().map(|(x, weight)| weight * x.powi(power)).sum()
    }

    #[test]
    fn rules_are_exact_for_their_degree() {
        for n in 1..=24 {
            for (rule, degree) in [(gauss(n), 2 * n - 1), (radau(n), 2 * n - 2)] {
                assert!(rule.windows(2).all(|pair| pair[0].0 < pair[1].0));
                for power in 0..=degree as i32 {
                    let expected = if power % 2 == 0 { 2.0 / f64::from(power + 1) } else { 0.0 };
                    assert!((integral(&rule, power) - expected).abs() < 1e-13, "{n} {power}");
                }
                let beyond = degree as i32 + 1;
                let expected = if beyond % 2 == 0 { 2.0 / f64::from(beyond + 1) } else { 0.0 };
                assert!(n > 12 || (integral(&rule, beyond) - expected).abs() > 1e-9, "{n}: too good");
            }
            assert_eq!(radau(n).last().unwrap().0, 1.0);
        }
    }

    #[test]
    fn directions_fill_both_parts() {
        let critical = (1.0f64 - 1.0 / 1.36f64.powi(2)).sqrt();
        let angles = Angles::<12>::new(1.36);
        let below = angles.cosine.iter().filter(|&&cosine| cosine < critical).count();
        assert_eq!(below, 6);
        assert!(angles.mirror[..6].iter().all(|&mirror| mirror == TOTAL));
        assert!(angles.mirror[6..].iter().all(|&mirror| mirror < 0.9));
        assert_eq!(angles.cosine[11], 1.0);
        let flux: f64 = angles.scale.iter().map(|scale| scale * scale).sum();
        assert!((flux - 0.5).abs() < 1e-15, "integral of the cosine");
        assert!(Angles::<8>::new(1.0).mirror.iter().all(|&mirror| mirror == 0.0));
    }

    #[test]
    fn nothing_is_gained_or_lost_in_scattering() {
        // What the even moments of light that is the same in all directions scatter is the same light again.
        let angles = Angles::<12>::new(1.36);
        let weight = |i: usize| angles.scale[i].powi(2) / angles.cosine[i];
        for i in 0..12 {
            for k in [0, 2, 4, 6, 8, 10] {
                let light = |j: usize| angles.scattering[i][j][k] * angles.scale[j];
                let scattered: f64 = (0..12).map(light).sum();
                let expected = if k == 0 { (weight(i) / angles.cosine[i]).sqrt() } else { 0.0 };
                assert!((scattered - expected).abs() < 1e-11, "{i} {k}: {scattered}");
            }
        }
    }

    #[test]
    fn fresnel_is_known_in_special_directions() {
        let n = 1.5f64;
        assert!((fresnel(1.0, n) - 0.04).abs() < 1e-15);
        // At Brewster's angle nothing of one polarisation is reflected, and of the other ((n^2 - 1) / (n^2 + 1))^2.
        let brewster = (1.0 / (1.0 + n.powi(-2))).sqrt();
        let half = ((n * n - 1.0) / (n * n + 1.0)).powi(2) / 2.0;
        assert!((fresnel(brewster, n) - half).abs() < 1e-15);
        assert_eq!(fresnel((1.0 - n.powi(-2)).sqrt() - 1e-9, n), 1.0);
        assert_eq!(fresnel(0.3, 1.0), 0.0);
    }
}
