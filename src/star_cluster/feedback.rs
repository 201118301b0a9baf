//! What a young star cluster gives off as it ages: ionising photons, light and momentum.

use super::units::{CM_PER_KM, LIGHT_SPEED};

/// Mass of the cluster in the table, in solar masses.
const TABLE_MASS: f64 = 1e6;
/// Speed of supernova ejecta, in km/s: ties their momentum to their energy.
const EJECTA_SPEED: f64 = 1e4;
/// Age in Myr; then decimal logs of the ionising photons per second, the luminosity in erg/s, the momentum of winds
/// per second in dyn, and the mechanical luminosities in erg/s of winds and supernovae, and of winds alone.
///
/// An instantaneous burst of 1e6 solar masses, solar metallicity, stars that do not rotate, by Starburst99: C. Leitherer
/// et al., Astrophysical Journal Supplement 123 (1999).
const TABLE: [(f64, [f64; COLUMNS]); 11] = [
    (0.01, [52.760, 42.549, 31.805, 40.068, 40.068]),
    (1.01, [52.761, 42.580, 31.899, 40.121, 40.121]),
    (2.11, [52.666, 42.627, 31.918, 40.053, 40.053]),
    (2.61, [52.467, 42.654, 32.095, 40.104, 40.104]),
    (3.11, [52.510, 42.613, 32.354, 40.546, 40.320]),
    (4.11, [52.052, 42.387, 31.854, 40.336, 39.709]),
    (5.11, [51.615, 42.233, 31.479, 40.271, 39.266]),
    (6.11, [51.131, 42.102, 31.090, 40.237, 38.804]),
    (7.11, [50.739, 41.988, 30.885, 40.227, 38.617]),
    (9.71, [49.999, 41.754, 30.269, 40.121, 38.025]),
    (11.71, [49.612, 41.634, 29.776, 40.058, 37.555]),
];
const COLUMNS: usize = 5;
/// Where the slope of the logs changes, in Myr: all rows but the last, as the last slope goes on beyond it.
pub const KINKS: usize = TABLE.len() - 1;

/// What stars give off at one time, in cgs units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Feedback {
    /// Ionising photons per second.
    pub photons: f64,
    /// Luminosity over the speed of light, in dyn.
    pub light: f64,
    /// Momentum of winds and supernovae per second, in dyn.
    pub matter: f64,
}

/// A stretch of ages between two rows of the table, in which the logs are linear.
#[derive(Clone, Copy, Debug)]
pub struct Stretch(usize);

impl Stretch {
    /// The stretch that begins at this age or holds it; 0 comes before the table, with the values of its first row.
    pub fn of(age: f64) -> Self {
        Self(TABLE[..KINKS].partition_point(|(start, _)| *start <= age))
    }

    /// The age at which it ends, infinite for the last.
    pub fn end(self) -> f64 {
        if self.0 < KINKS { TABLE[self.0].0 } else { f64::INFINITY }
    }

    /// What stars of this mass, in solar masses, give off at an age in this stretch, in Myr.
    pub fn feedback(self, mass: f64, age: f64) -> Feedback {
        let share = mass / TABLE_MASS;
        let row = self.0.saturating_sub(1);
        let ((start, low), (end, high)) = (TABLE[row], TABLE[row + 1]);
        let along = if self.0 == 0 { 0.0 } else { (age - start) / (end - start) };
        let value =
            |i: usize| share * ((low[i] + along * (high[i] - low[i])) * std::f64::consts::LN_10).exp();
        let supernovae = value(3) - value(4);
        Feedback {
            photons: value(0),
            light: value(1) / LIGHT_SPEED,
            matter: value(2) + 2.0 * supernovae / (EJECTA_SPEED * CM_PER_KM),
        }
    }
}

impl std::ops::Add for Feedback {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            photons: self.photons + other.photons,
            light: self.light + other.light,
            matter: self.matter + other.matter,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(age: f64) -> Feedback {
        Stretch::of(age).feedback(TABLE_MASS, age)
    }

    fn assert_close(a: f64, b: f64) {
        assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn goes_through_the_table() {
        for (age, row) in TABLE {
            let here = at(age);
            assert_close(here.photons, 10f64.powf(row[0]));
            assert_close(here.light, 10f64.powf(row[1]) / 2.99792458e10);
            let supernovae = 10f64.powf(row[3]) - 10f64.powf(row[4]);
            assert_close(here.matter, 10f64.powf(row[2]) + 2.0 * supernovae / 1e9);
        }
        // The first stars explode after 2.6 Myr.
        assert_close(at(2.0).matter, 10f64.powf(31.899 + (31.918 - 31.899) * (2.0 - 1.01) / 1.1));
    }

    #[test]
    fn is_linear_in_the_log_between_rows_and_in_mass() {
        assert_close(at(8.41).photons, 10f64.powf((50.739 + 49.999) / 2.0));
        let tenth = Stretch::of(8.41).feedback(TABLE_MASS / 10.0, 8.41);
        assert_close(10.0 * tenth.light, at(8.41).light);
        assert_close(10.0 * tenth.matter, at(8.41).matter);
    }

    #[test]
    fn is_held_before_the_table_and_goes_on_after_it() {
        assert_eq!(at(0.0), at(0.01));
        assert_close(at(13.71).photons, 10f64.powf(49.612 - (49.999 - 49.612)));
    }

    #[test]
    fn stretches_end_where_the_next_begin() {
        let mut age = 0.0;
        for (start, _) in &TABLE[..KINKS] {
            assert_eq!(Stretch::of(age).end(), *start);
            age = Stretch::of(age).end();
        }
        assert_eq!(Stretch::of(age).end(), f64::INFINITY);
        assert_eq!(Stretch::of(5.5).end(), 6.11);
    }
}
