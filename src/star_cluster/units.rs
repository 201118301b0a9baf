//! Constants of physics, and what turns cgs into solar masses, parsecs and millions of years.

/// cm/s, by definition.
pub const LIGHT_SPEED: f64 = 2.997_924_58e10;
/// erg/K, by definition.
pub const BOLTZMANN: f64 = 1.380_649e-16;
/// g (CODATA 2018: atomic mass constant times the 1.007825 of hydrogen).
pub const HYDROGEN_MASS: f64 = 1.673_53e-24;
/// pc^3 / (solar mass Myr^2): the solar mass parameter 1.32712440e26 cm^3/s^2 (IAU 2015).
pub const GRAVITY: f64 = 1.327_124_40e26 / (CM_PER_PC * CM_PER_PC * CM_PER_PC) * S_PER_MYR * S_PER_MYR;
/// The solar mass parameter over the CODATA 2018 constant of gravitation, 6.6743e-8 cm^3/g/s^2.
pub const G_PER_SOLAR_MASS: f64 = 1.327_124_40e26 / 6.6743e-8;
/// IAU 2015: 648000 / pi astronomical units.
pub const CM_PER_PC: f64 = 3.085_677_581_491_367e18;
/// 365.25 days of 86,400 s.
pub const S_PER_MYR: f64 = 3.155_76e13;
/// By definition.
pub const CM_PER_KM: f64 = 1e5;

/// pc/Myr in 1 km/s.
pub const PC_PER_MYR: f64 = CM_PER_KM / CM_PER_PC * S_PER_MYR;
/// solar mass pc/Myr^2 in 1 dyn.
pub const FORCE: f64 = S_PER_MYR * S_PER_MYR / (G_PER_SOLAR_MASS * CM_PER_PC);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_the_usual_figures() {
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-4, "{a} {b}");
        close(GRAVITY, 4.4985e-3);
        close(PC_PER_MYR, 1.0227);
        close(LIGHT_SPEED / CM_PER_KM * PC_PER_MYR, 3.066e5);
        close(G_PER_SOLAR_MASS, 1.9884e33);
        close(FORCE, 1.0 / 6.1610e24);
    }
}
