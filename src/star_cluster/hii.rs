//! The ionised gas that fills a shell: hydrogen with singly ionised helium, at one density and temperature.

use super::units::{BOLTZMANN, CM_PER_PC, FORCE, LIGHT_SPEED};
use std::f64::consts::PI;

/// Temperature in K.
pub const TEMPERATURE: f64 = 8000.0;
/// Recombinations of hydrogen to all but the ground state, cm^3/s (D. Osterbrock, G. Ferland, "Astrophysics of gaseous
/// nebulae and active galactic nuclei", 2006: 2.6e-13 at 10,000 K, 3.1e-13 at 8,000 K).
const RECOMBINATION: f64 = 3e-13;
/// Particles for each hydrogen ion: itself, its electron, and a tenth of a helium ion.
const PARTICLES: f64 = 2.1;
/// Pressure per density of ions, erg.
const PRESSURE: f64 = PARTICLES * BOLTZMANN * TEMPERATURE;

/// Density of ions in 1/cm^3 at which as many recombine within this radius, in pc, as there are photons per second.
pub fn density(photons: f64, radius: f64) -> f64 {
    (3.0 * photons / (4.0 * PI * RECOMBINATION * (radius * CM_PER_PC).powi(3))).sqrt()
}

/// Outward force on the shell, in solar mass pc/Myr^2.
pub fn force(photons: f64, radius: f64) -> f64 {
    area(radius) * PRESSURE * density(photons, radius) * FORCE
}

/// The layer in which the shell's inner side is ionised: density of electrons in 1/cm^3, and ionisation parameter.
///
/// The gas inside and the momentum that the shell takes up, in dyn, press on it.
pub fn layer(photons: f64, momentum: f64, radius: f64) -> (f64, f64) {
    let electrons = density(photons, radius) + momentum / (area(radius) * PRESSURE);
    (electrons, photons / (area(radius) * electrons * LIGHT_SPEED))
}

/// In cm^2.
fn area(radius: f64) -> f64 {
    4.0 * PI * (radius * CM_PER_PC).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photons_balance_recombinations() {
        let n = density(1e51, 10.0);
        let volume = 4.0 / 3.0 * PI * 3.0857e19f64.powi(3);
        assert!((3e-13 * n * n * volume / 1e51 - 1.0).abs() < 1e-4);
        assert!(
            (force(1e51, 10.0) / FORCE / (area(10.0) * 2.1 * n * 1.380649e-16 * 8000.0) - 1.0).abs() < 1e-12
        );
    }

    #[test]
    fn layer_is_in_balance_of_pressure() {
        let (inside, momentum) = (density(1e51, 10.0), 1e32);
        let (electrons, u) = layer(1e51, momentum, 10.0);
        let pressure = 2.1 * 1.380649e-16 * 8000.0 * (electrons - inside);
        assert!((pressure * area(10.0) / momentum - 1.0).abs() < 1e-9);
        assert!((u * electrons * 2.99792458e10 * area(10.0) / 1e51 - 1.0).abs() < 1e-12);
        assert_eq!(layer(1e51, 0.0, 10.0).0, inside);
    }
}
