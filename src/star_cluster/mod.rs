//! A star cluster that blows its birth cloud away, or fails to: a thin shell driven by the cluster's light, winds and
//! supernovae and by the pressure of the ionised gas, against gravity. Shells that fall back form another cluster.
//!
//! After D. Rahner et al., Monthly Notices of the Royal Astronomical Society 470 (2017), much simplified.

/// Light and momentum of ageing stars.
pub mod feedback;
/// Ionised gas within the shell.
pub mod hii;
/// Motion of the shell.
pub mod shell;
/// Constants and units.
pub mod units;

use crate::error::{Error, Result};
use feedback::{Feedback, Stretch};
use ndarray::{Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;
use shell::{Cloud, Push, Shell};
use units::{CM_PER_PC, FORCE, G_PER_SOLAR_MASS, HYDROGEN_MASS, PC_PER_MYR};

/// Mass of the gas per mass of its hydrogen: a tenth of helium by number.
const GAS_PER_HYDROGEN: f64 = 1.4;
/// Ages are told apart by more than this, in Myr: an age just short of a row of the table counts as reaching it.
const AGE_ROUNDING: f64 = 1e-9;
/// Columns of the parameters of `simulate`.
pub const PARAMETERS: usize = 5;
/// Columns of its result.
pub const OBSERVABLES: usize = 6;
/// A cloud that has collapsed so often is given up: no cloud in the bounds of the parameters does.
const MAX_CLUSTERS: usize = 1000;

/// Stars of one age.
struct Cluster {
    /// In solar masses.
    mass: f64,
    /// In Myr.
    born: f64,
    stretch: Stretch,
}

impl Cluster {
    fn feedback(&self, time: f64) -> Feedback {
        self.stretch.feedback(self.mass, time - self.born)
    }
}

/// What a cloud has become, row by row of its parameters.
///
/// Columns of x: decimal logs of the mass of the cloud in solar masses, of the share of it that forms stars, and of
/// its hydrogen atoms per cm^3; the age in Myr since the first cluster formed; decimal log of the factor on the
/// momentum of winds and supernovae. Columns of the result: radius of the shell in pc, its velocity in km/s, decimal
/// logs of the ionising photons per second, of the electrons per cm^3 in the layer that they ionise and of the
/// ionisation parameter there; how often the shell has fallen back. Before age 0 everything is as at 0.
///
/// Rows are independent, each with the error `tolerance` in a step, relative to radius and momentum.
pub fn simulate(x: ArrayView2<f64>, tolerance: f64) -> Result<Array2<f64>> {
    if x.ncols() != PARAMETERS {
        return Err(Error::Columns { name: "x", got: x.ncols(), needs: PARAMETERS });
    }
    if let Some(((row, column), &got)) = x.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(Error::NotFinite { name: "x", got, row, column });
    }
    if !(1e-12..=1e-2).contains(&tolerance) {
        return Err(Error::setting("tolerance", tolerance, "between 1e-12 and 1e-2"));
    }
    let rows = (0..x.nrows()).into_par_iter().map(|row| evolve(x.row(row), tolerance));
    Ok(Array2::from(rows.collect::<Result<Vec<_>>>()?))
}

fn evolve(x: ArrayView1<f64>, tolerance: f64) -> Result<[f64; OBSERVABLES]> {
    let [mass, efficiency, atoms, boost] = [0, 1, 2, 4].map(|column| 10f64.powf(x[column]));
    let age = x[3].max(0.0);
    let density = GAS_PER_HYDROGEN * HYDROGEN_MASS * atoms * CM_PER_PC.powi(3) / G_PER_SOLAR_MASS;
    let mut gas = mass;
    let mut clusters: Vec<Cluster> = Vec::with_capacity(4);
    let mut form_stars = |clusters: &mut Vec<Cluster>, born: f64| {
        clusters.push(Cluster { mass: efficiency * gas, born, stretch: Stretch::of(0.0) });
        gas *= 1.0 - efficiency;
        Shell::start(Cloud::new(gas, density, clusters.iter().map(|cluster| cluster.mass).sum()), born)
    };
    let mut shell = form_stars(&mut clusters, 0.0);
    while shell.time() < age {
        let time = shell.time();
        let mut end = age;
        for cluster in &mut clusters {
            cluster.stretch = Stretch::of(time - cluster.born + AGE_ROUNDING);
            end = end.min(cluster.born + cluster.stretch.end());
        }
        let push = |time: f64| {
            let feedback = total(&clusters, time);
            let momentum = (feedback.light + boost * feedback.matter) * FORCE;
            Push { momentum, photons: feedback.photons }
        };
        let fallen = shell.advance(push, end, tolerance)?;
        if fallen {
            if clusters.len() == MAX_CLUSTERS {
                return Err(Error::Undefined(format!("the cloud collapses more than {MAX_CLUSTERS} times")));
            }
            shell = form_stars(&mut clusters, shell.time());
        }
    }
    let feedback = total(&clusters, age);
    let momentum = feedback.light + boost * feedback.matter;
    let (electrons, ionisation) = hii::layer(feedback.photons, momentum, shell.radius());
    Ok([
        shell.radius(),
        shell.velocity() / PC_PER_MYR,
        feedback.photons.log10(),
        electrons.log10(),
        ionisation.log10(),
        (clusters.len() - 1) as f64,
    ])
}

fn total(clusters: &[Cluster], time: f64) -> Feedback {
    clusters.iter().map(|cluster| cluster.feedback(time)).fold(Feedback::default(), |sum, one| sum + one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    const TOLERANCE: f64 = 1e-6;
    /// A massive cloud that makes few stars: it falls back.
    const HEAVY: [f64; PARAMETERS] = [6.8, -1.8, 2.9, 8.0, 0.1];

    fn at_ages(x: [f64; PARAMETERS], ages: &[f64]) -> Array2<f64> {
        let mut rows = Array2::from_shape_fn((ages.len(), PARAMETERS), |(_, column)| x[column]);
        rows.column_mut(3).assign(&ArrayView1::from(ages));
        simulate(rows.view(), TOLERANCE).unwrap()
    }

    #[test]
    fn starts_as_specified() {
        let rows = at_ages([6.0, -1.0, 2.0, 0.0, 0.0], &[0.0, -3.0]);
        // Of 9e5 solar masses of gas at 3.46 per pc^3.
        let density = 1.4 * 1.67353e-24 * 100.0 * 3.0856776e18f64.powi(3) / 1.98841e33;
        let radius = (3.0 * 9e5 / (4.0 * std::f64::consts::PI * density)).cbrt();
        assert!((rows[[0, 0]] / (0.05 * radius) - 1.0).abs() < 1e-5);
        assert!((rows[[0, 1]] - 5.0).abs() < 1e-12);
        assert!((rows[[0, 2]] - 51.760).abs() < 1e-12);
        assert_eq!(rows.row(0), rows.row(1));
    }

    #[test]
    fn a_second_cluster_forms_from_the_gas_that_is_left() {
        let ages: Vec<f64> = (0..1600).map(|i| 0.005 * i as f64).collect();
        let rows = at_ages(HEAVY, &ages);
        let again = rows.column(5).iter().position(|n| *n == 1.0).unwrap();
        assert_eq!(rows[[again - 1, 5]], 0.0);
        assert!(rows[[again - 1, 1]] < 0.0 && rows[[again, 1]] > 0.0);
        assert!(rows[[again, 0]] < rows[[again - 1, 0]] + 3.0);
        // The young stars join the old.
        let (efficiency, mass): (f64, f64) = (10f64.powf(HEAVY[1]), 10f64.powf(HEAVY[0]));
        let age = ages[again];
        let old = Stretch::of(age).feedback(efficiency * mass, age).photons;
        let young = Stretch::of(0.0).feedback(efficiency * (1.0 - efficiency) * mass, 0.0).photons;
        assert!((rows[[again, 2]] - (old + young).log10()).abs() < 1e-3);
    }

    #[test]
    fn ages_do_not_disturb_each_other() {
        // A row that ends in the middle of another's steps is on the same track.
        let ages = [0.5, 1.01, 2.0, 4.11, 4.2, 6.0, 9.0];
        let rows = at_ages(HEAVY, &ages);
        let mut fine = HEAVY;
        for (row, age) in rows.rows().into_iter().zip(ages) {
            fine[3] = age;
            let best = simulate(array![fine].view(), 1e-11).unwrap();
            for column in 0..OBSERVABLES {
                assert!((row[column] - best[[0, column]]).abs() < 1e-4 * (1.0 + best[[0, column]].abs()));
            }
        }
    }

    #[test]
    fn rows_are_the_same_on_any_number_of_threads() {
        let ages: Vec<f64> = (0..100).map(|i| 0.1 * i as f64).collect();
        let one = crate::threads::with_threads(1, || at_ages(HEAVY, &ages)).unwrap();
        let three = crate::threads::with_threads(3, || at_ages(HEAVY, &ages)).unwrap();
        assert_eq!(one, three);
        assert_eq!(one.slice(s![50..51, ..]), at_ages(HEAVY, &ages[50..51]));
    }

    #[test]
    fn refuses_what_is_no_cloud() {
        let refused = |x: Array2<f64>, tolerance| simulate(x.view(), tolerance).unwrap_err().to_string();
        assert_eq!(refused(array![[6.0, -1.0]], TOLERANCE), "x has 2 columns, needs 5");
        let message = refused(array![[6.0, -1.0, 2.0, f64::NAN, 0.0]], TOLERANCE);
        assert_eq!(message, "x must be finite, got NaN at row 0, column 3");
        assert!(refused(array![HEAVY], 0.0).contains("tolerance must be between"));
    }
}
