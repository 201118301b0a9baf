//! Published values, conservation laws, and a Monte Carlo simulation.

use super::monte_carlo;
use super::*;
use crate::kernels::dispatch::tests::with_each;
use crate::threads::with_threads;

/// A layer: mu_a, mu_s, g, thickness.
type Slab = [f64; 4];

/// Column `k` of the layers of each case.
fn column(cases: &[Vec<Slab>], k: usize) -> Array2<f64> {
    Array2::from_shape_fn((cases.len(), cases[0].len()), |(case, layer)| cases[case][layer][k])
}

fn solve_cases(cases: &[Vec<Slab>], index: f64, n_angles: usize) -> Result<Array2<f64>> {
    let [mu_a, mu_s, g, thickness] = [0, 1, 2, 3].map(|k| column(cases, k));
    let layers = Layers { mu_a: mu_a.view(), mu_s: mu_s.view(), g: g.view(), thickness: thickness.view() };
    reflectance_and_transmittance(&layers, index, n_angles)
}

/// Reflectance and transmittance of one stack.
fn solve_one(layers: &[Slab], index: f64, n_angles: usize) -> [f64; 2] {
    let answer = solve_cases(&[layers.to_vec()], index, n_angles).unwrap();
    [answer[[0, 0]], answer[[0, 1]]]
}

fn assert_near(value: f64, expected: f64, relative: f64, what: &str) {
    assert!((value / expected - 1.0).abs() <= relative, "{what}: {value}, expected {expected}");
}

/// Three layers of colon, blood-rich and blood-poor, at 560 and 700 nm.
fn tissue() -> Vec<Vec<Slab>> {
    vec![
        vec![[11.0, 130.0, 0.87, 0.08], [4.0, 250.0, 0.92, 0.06], [20.0, 40.0, 0.81, 0.05]],
        vec![[0.1, 90.0, 0.87, 0.08], [0.05, 170.0, 0.92, 0.06], [0.2, 30.0, 0.81, 0.05]],
    ]
}

/// A stack for which others have published reflectance and transmittance.
struct Published {
    layers: Vec<Slab>,
    index: f64,
    reflectance: f64,
    transmittance: Option<f64>,
    source: &'static str,
}

fn published() -> Vec<Published> {
    let thick = [0.1, 90.0, 0.9, 0.5];
    let isotropic = [0.1, 90.0, 0.0, 0.5];
    let sample = vec![[1.0, 100.0, 0.9, 0.1], [1.0, 10.0, 0.0, 0.1], [2.0, 10.0, 0.7, 0.2]];
    let case = |layers, index, reflectance, transmittance, source| Published {
        layers,
        index,
        reflectance,
        transmittance,
        source,
    };
    vec![
        case(vec![[10.0, 90.0, 0.75, 0.02]], 1.0, 0.09739, Some(0.66096), "van de Hulst 1980"),
        case(vec![[10.0, 90.0, 0.0, 100.0]], 1.5, 0.2203, None, "MCML for the case of Giovanelli 1955"),
        case(sample, 1.37, 0.23786, Some(0.09622), "sample file of MCML"),
        case(vec![thick], 1.4, 0.5318, Some(0.266), "g 0.9"),
        case(vec![isotropic], 1.4, 0.8221, Some(0.0202), "g 0"),
        case(vec![thick, isotropic], 1.4, 0.6443, Some(0.0105), "g 0.9 over g 0"),
    ]
}

/// The stacks of others and those of tissue, with their refractive indices.
fn stacks() -> Vec<(Vec<Slab>, f64)> {
    let others = published().into_iter().map(|case| (case.layers, case.index));
    others.chain(tissue().into_iter().map(|layers| (layers, 1.36))).collect()
}

#[test]
fn published_values_are_met() {
    for Published { layers, index, reflectance, transmittance, source } in published() {
        let [back, passed] = solve_one(&layers, index, 12);
        assert_near(back, reflectance, 0.003, source);
        match transmittance {
            // Small ones are published with few digits.
            Some(expected) => {
                assert_near(passed, expected, if expected < 0.1 { 0.02 } else { 0.003 }, source)
            }
            None => assert!(passed < 1e-12),
        }
    }
}

#[test]
fn an_infinite_medium_reflects_what_giovanelli_found() {
    let specular = angles::fresnel(1.0, 1.5);
    assert_near(specular, 0.04, 1e-12, "specular");
    assert_near(specular + solve_one(&[[10.0, 90.0, 0.0, 100.0]], 1.5, 12)[0], 0.2600, 0.003, "total");
}

#[test]
fn the_order_of_layers_matters() {
    let (a, b) = ([0.1, 90.0, 0.9, 0.5], [5.0, 90.0, 0.0, 0.5]);
    let (there, back) = (solve_one(&[a, b], 1.4, 12), solve_one(&[b, a], 1.4, 12));
    assert!((there[0] - back[0]).abs() > 0.1);
}

#[test]
fn monte_carlo_agrees() {
    // Those of several layers.
    let cases = stacks().into_iter().filter(|(layers, _)| layers.len() > 1);
    for (number, (layers, index)) in cases.enumerate() {
        let estimates = monte_carlo::reflectance_and_transmittance(&layers, index, 100, number as u64);
        for (estimate, value) in estimates.into_iter().zip(solve_one(&layers, index, 16)) {
            // Seeds are fixed; four standard errors, and what 16 angles leave.
            let allowed = 4.0 * estimate.error + 0.003 * value;
            assert!((value - estimate.mean).abs() < allowed, "case {number}: {value}, {estimate:?}");
            assert!(estimate.error < 0.02 * value || value < 0.02, "case {number}: noise hides everything");
        }
    }
}

#[test]
fn nothing_is_lost_without_absorption() {
    for index in [1.0, 1.36, 1.5] {
        let mut layers = tissue().remove(0);
        for layer in &mut layers {
            layer[0] = 0.0;
        }
        for n_angles in [8, 12, 16, 24] {
            let [back, passed] = solve_one(&layers, index, n_angles);
            assert!(back > 0.3 && passed > 0.05);
            assert_near(back + passed, 1.0 - angles::fresnel(1.0, index), 1e-12, "sum");
        }
    }
}

#[test]
fn more_absorption_makes_it_darker() {
    let with = |mu_a: f64| solve_one(&[[mu_a, 100.0, 0.9, 0.3]], 1.36, 12)[0];
    let values = [0.0, 0.01, 0.1, 1.0, 10.0, 100.0].map(with);
    assert!(values.windows(2).all(|pair| pair[1] < pair[0]), "{values:?}");
}

#[test]
fn a_layer_cut_in_two_stays_the_same() {
    let whole = tissue().remove(0);
    let expected = solve_one(&whole, 1.36, 12);
    // In halves the same thin layers are added up; other parts start from other thin ones, which are off by 1e-5 of
    // the reflectance and 20 times as much of the small transmittance.
    for (part, tolerance) in [(0.5, 1e-11), (0.3, 2e-5), (0.01, 2e-5)] {
        for cut in 0..3 {
            let mut layers = whole.clone();
            layers[cut][3] *= part;
            let mut rest = whole[cut];
            rest[3] *= 1.0 - part;
            layers.insert(cut + 1, rest);
            let [back, passed] = solve_one(&layers, 1.36, 12);
            assert_near(back, expected[0], tolerance, "reflectance");
            assert_near(passed, expected[1], 20.0 * tolerance, "transmittance");
        }
    }
}

#[test]
fn a_layer_without_thickness_or_matter_changes_nothing() {
    let layers = tissue().remove(0);
    let expected = solve_one(&layers, 1.36, 12);
    for extra in [[5.0, 100.0, 0.9, 0.0], [0.0, 0.0, 0.9, 3.0]] {
        for at in 0..=3 {
            let mut more = layers.clone();
            more.insert(at, extra);
            let [back, passed] = solve_one(&more, 1.36, 12);
            assert_near(back, expected[0], 1e-12, "reflectance");
            assert_near(passed, expected[1], 1e-12, "transmittance");
        }
    }
}

#[test]
fn without_scattering_a_beam_fades_between_two_mirrors() {
    let mirror = angles::fresnel(1.0, 1.5);
    for depth in [0.0, 0.1, 1.0, 5.0] {
        let [back, passed] = solve_one(&[[depth, 0.0, 0.5, 1.0]], 1.5, 12);
        let once = (-depth).exp();
        let through = (1.0 - mirror).powi(2) / (1.0 - (mirror * once).powi(2));
        // Thin layers, of at most 2 * 0.0252, take exp(-d) as (1 - d/2) / (1 + d/2), which is off by d^3 / 12.
        let tolerance = 1e-14 + depth * 0.0504f64.powi(2) / 12.0;
        assert_near(passed, through * once, tolerance, "transmittance");
        assert_near(back, through * mirror * once * once, 2.0 * tolerance, "reflectance");
    }
}

#[test]
fn more_angles_come_closer() {
    let mut sums = [0.0; 3];
    for (layers, index) in stacks() {
        let best = solve_one(&layers, index, 24)[0];
        let errors = [8, 12, 16].map(|n| (solve_one(&layers, index, n)[0] / best - 1.0).abs());
        assert!(errors[0] < 0.02 && errors[1] < 0.002 && errors[2] < 0.002, "{errors:?}");
        for (sum, error) in sums.iter_mut().zip(errors) {
            *sum += error;
        }
    }
    assert!(sums[0] > 3.0 * sums[1] && sums[1] > 1.2 * sums[2], "{sums:?}");
}

#[test]
fn a_medium_without_an_end_has_an_answer() {
    for layer in [[0.0, 1e8, 0.0, 1.0], [1.0, 1e7, 0.99, 9.0], [1e8, 0.0, 0.0, 1.0], [1e4, 1e4, -0.99, 1e3]] {
        let [back, passed] = solve_one(&[layer, layer], 1.36, 12);
        assert!(
            (0.0..1.0).contains(&back) && (-1e-12..1e-6).contains(&passed),
            "{layer:?}: {back}, {passed}"
        );
    }
}

/// Many different cases.
fn assorted(count: usize) -> Vec<Vec<Slab>> {
    let value = |case: usize, step: f64| (case as f64 * step).fract();
    let slab = |case: usize| {
        [
            20.0 * value(case, 0.618).powi(3),
            400.0 * value(case, 0.414),
            0.99 * value(case, 0.732),
            0.1 * value(case, 0.236),
        ]
    };
    (0..count).map(|case| (0..3).map(|layer| slab(3 * case + layer + 1)).collect()).collect()
}

#[test]
fn neighbours_and_threads_change_no_bit() {
    let cases = assorted(150);
    let together = solve_cases(&cases, 1.36, 8).unwrap();
    for threads in [1, 3] {
        let again = with_threads(threads, || solve_cases(&cases, 1.36, 8)).unwrap().unwrap();
        assert_eq!(together, again);
    }
    for (case, layers) in cases.iter().enumerate().step_by(13) {
        assert_eq!(solve_one(layers, 1.36, 8), [together[[case, 0]], together[[case, 1]]], "{case}");
    }
}

#[test]
fn instruction_sets_agree() {
    let cases = assorted(11);
    let [mu_a, mu_s, g, thickness] = [0, 1, 2, 3].map(|k| column(&cases, k));
    let layers = Layers { mu_a: mu_a.view(), mu_s: mu_s.view(), g: g.view(), thickness: thickness.view() };
    let angles = Angles::<12>::new(1.36);
    let expected = solve_cases(&cases, 1.36, 12).unwrap();
    with_each(|instructions| {
        let mut answers = vec![0.0; 2 * cases.len()];
        dispatch(Tile { layers: &layers, angles: &angles, first: 0, answers: &mut answers });
        for (value, expected) in answers.iter().zip(expected.iter()) {
            assert!((value - expected).abs() < 1e-12, "{instructions:?}: {value}, {expected}");
        }
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    let message = |layer: Slab, index: f64, n_angles: usize| {
        solve_cases(&[vec![[1.0, 1.0, 0.5, 1.0]], vec![layer]], index, n_angles).unwrap_err().to_string()
    };
    let good = [1.0, 1.0, 0.5, 1.0];
    assert!(
        message([-1.0, 1.0, 0.5, 1.0], 1.4, 12)
            .starts_with("mu_a must be finite and at least 0, got -1 in case 1")
    );
    assert!(message([1.0, f64::NAN, 0.5, 1.0], 1.4, 12).starts_with("mu_s must be finite"));
    assert!(message([1.0, 1.0, 1.0, 1.0], 1.4, 12).starts_with("g must be above -1 and below 1, got 1"));
    assert!(message([1.0, 1.0, 0.5, f64::INFINITY], 1.4, 12).starts_with("thickness must be finite"));
    assert!(message([1e300, 1.0, 0.5, 1e300], 1.4, 12).starts_with("thickness must be at most 1e8"));
    for index in [0.9, f64::NAN, 5.0] {
        assert!(message(good, index, 12).starts_with("refractive_index must be from 1 to 4"));
    }
    for n_angles in [0, 7, 10, 1000] {
        assert!(message(good, 1.4, n_angles).starts_with("n_angles must be 8, 12, 16 or 24"));
    }
    let (few, many) = (Array2::zeros((2, 1)), Array2::zeros((2, 2)));
    let layers = Layers { mu_a: few.view(), mu_s: few.view(), g: many.view(), thickness: few.view() };
    let error = reflectance_and_transmittance(&layers, 1.4, 12).unwrap_err().to_string();
    assert!(error.starts_with("g must be of the shape of mu_a, (2, 1), got (2, 2)"), "{error}");
}

#[test]
fn no_cases_and_no_layers_are_no_special_case() {
    let none = Array2::zeros((0, 3));
    let layers = Layers { mu_a: none.view(), mu_s: none.view(), g: none.view(), thickness: none.view() };
    assert_eq!(reflectance_and_transmittance(&layers, 1.4, 12).unwrap().dim(), (0, 2));
    let bare = solve_one(&[], 1.5, 12);
    let mirror = angles::fresnel(1.0, 1.5);
    assert_near(bare[1], (1.0 - mirror) / (1.0 + mirror), 1e-14, "a pane of glass");
}
