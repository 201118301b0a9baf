//! The laws that every invertible map obeys, in double precision, and maps broken on purpose that show that
//! each law can fail.

use super::affine::AffineCoupling;
use super::chain::Chain;
use super::coupling::Direction;
use super::learned_linear::LearnedLinear;
use super::orthogonal::Orthogonal;
use super::shuffle::Shuffle;
use super::spline::{Spline, SplineCoupling};
use super::{Invertible, Keep, Kind, Map, Pass};
use crate::kernels::ROWS;
use crate::kernels::dispatch::tests::with_each;
use crate::random::{Purpose, Seed, Stream, fill_normal};
use crate::subnet::Activation;

/// Rounding of a few dozen double operations on numbers of order one.
const ROUNDING: f64 = 1e-11;
/// Step of the fourth-order differences, and their error: h^4 times fifth derivatives, plus rounding / h.
const STEP: f64 = 1e-4;
const DIFFERENCE_ERROR: f64 = 2e-8;

type LawResult = Result<(), String>;

/// A map with inputs, parameters and cotangents to try it on.
struct Trial<'a> {
    map: &'a dyn Invertible<f64>,
    rows: usize,
    parameters: Vec<f64>,
    condition: Vec<f64>,
    state: Vec<f64>,
}

/// The result of a direction, and its log determinants.
struct Image {
    state: Vec<f64>,
    logdet: Vec<f64>,
}

fn random_tile(columns: usize, rows: usize, stream: &mut Stream) -> Vec<f64> {
    let mut tile = vec![0.0; columns * ROWS];
    for column in tile.chunks_exact_mut(ROWS) {
        fill_normal(&mut column[..rows], 1.0, stream);
    }
    tile
}

impl<'a> Trial<'a> {
    fn new(map: &'a dyn Invertible<f64>, condition: usize, rows: usize, seed: u64) -> Self {
        let mut stream = Seed(seed).stream(Purpose::Weights, 0);
        let mut parameters = vec![0.0; map.parameters()];
        map.initialise(&mut parameters, 0.1, &mut stream);
        // Away from special values: biases that are not zero, last layers that are not small.
        for parameter in &mut parameters {
            let mut bump = [0.0];
            fill_normal(&mut bump, 0.2, &mut stream);
            *parameter += bump[0];
        }
        let condition = random_tile(condition, rows, &mut stream);
        let state = random_tile(map.dim(), rows, &mut stream);
        Self { map, rows, parameters, condition, state }
    }

    fn pass<'b>(&'b self, parameters: &'b [f64], keep: Keep) -> Pass<'b, f64> {
        Pass { parameters, condition: &self.condition, rows: self.rows, keep }
    }

    fn run(&self, direction: Direction, parameters: &[f64], state: &[f64]) -> Image {
        self.run_recorded(direction, parameters, state, Keep::States).0
    }

    fn run_recorded(
        &self,
        direction: Direction,
        parameters: &[f64],
        state: &[f64],
        keep: Keep,
    ) -> (Image, Vec<f64>, Vec<f64>) {
        let mut image = Image { state: state.to_vec(), logdet: vec![0.0; ROWS] };
        let mut record = vec![f64::NAN; self.map.record_len(keep)];
        let mut scratch = vec![f64::NAN; self.map.scratch_len()];
        let pass = self.pass(parameters, keep);
        let (state, logdet) = (&mut image.state, &mut image.logdet);
        match direction {
            Direction::Forward => self.map.forward(&pass, state, logdet, &mut record, &mut scratch),
            Direction::Inverse => self.map.inverse(&pass, state, logdet, &mut record, &mut scratch),
        }
        (image, record, scratch)
    }

    /// The cotangent of the state and the gradient of the parameters.
    fn backward(
        &self,
        direction: Direction,
        cotangent: &[f64],
        logdet: &[f64],
        keep: Keep,
    ) -> (Vec<f64>, Vec<f64>) {
        let (_, mut record, mut scratch) = self.run_recorded(direction, &self.parameters, &self.state, keep);
        scratch.fill(f64::NAN);
        let mut gradient = vec![0.0; self.parameters.len()];
        let mut cotangent = cotangent.to_vec();
        let pass = self.pass(&self.parameters, keep);
        match direction {
            Direction::Forward => self.map.forward_backward(
                &pass,
                &mut cotangent,
                logdet,
                &mut record,
                &mut gradient,
                &mut scratch,
            ),
            Direction::Inverse => self.map.inverse_backward(
                &pass,
                &mut cotangent,
                logdet,
                &mut record,
                &mut gradient,
                &mut scratch,
            ),
        }
        (cotangent, gradient)
    }

    fn entries(&self) -> impl Iterator<Item = usize> + use<> {
        let rows = self.rows;
        (0..self.map.dim()).flat_map(move |c| (0..rows).map(move |r| c * ROWS + r))
    }

    fn compare(&self, name: &str, got: &[f64], wanted: &[f64], tolerance: f64) -> LawResult {
        for i in self.entries().filter(|&i| i < got.len()) {
            close(&format!("{name}, element {i}"), got[i], wanted[i], tolerance)?;
        }
        Ok(())
    }
}

fn close(name: &str, got: f64, wanted: f64, tolerance: f64) -> LawResult {
    if (got - wanted).abs() <= tolerance * wanted.abs().max(1.0) {
        Ok(())
    } else {
        Err(format!("{name}: got {got:e}, wanted {wanted:e}"))
    }
}

/// Fourth-order central difference of a function along one coordinate.
fn derivative(f: impl Fn(f64) -> f64) -> f64 {
    difference(&f, STEP)
}

fn difference(f: &impl Fn(f64) -> f64, step: f64) -> f64 {
    (8.0 * (f(step) - f(-step)) - (f(2.0 * step) - f(-2.0 * step))) / (12.0 * step)
}

/// The same where steps of two sizes agree: they do not across a knot of a spline, where its slope has a kink.
fn smooth_derivative(f: impl Fn(f64) -> f64) -> Option<f64> {
    let (coarse, fine) = (difference(&f, STEP), difference(&f, STEP / 2.0));
    let agree = (coarse - fine).abs() <= DIFFERENCE_ERROR * fine.abs().max(1.0);
    agree.then_some(fine)
}

/// Compares derivatives with their differences, and fails too where more than a few differences make no sense.
fn compare_derivatives(name: &str, got: &[f64], wanted: impl Fn(usize) -> Option<f64>) -> LawResult {
    let mut skipped = 0;
    for (i, &got) in got.iter().enumerate() {
        match wanted(i) {
            Some(wanted) => close(&format!("{name} {i}"), got, wanted, DIFFERENCE_ERROR)?,
            None => skipped += 1,
        }
    }
    if skipped * 10 > got.len() { Err(format!("{name}: {skipped} kinks")) } else { Ok(()) }
}

fn law_round_trip(trial: &Trial) -> LawResult {
    for (there, back) in [(Direction::Forward, Direction::Inverse), (Direction::Inverse, Direction::Forward)]
    {
        let image = trial.run(there, &trial.parameters, &trial.state);
        let origin = trial.run(back, &trial.parameters, &image.state);
        trial.compare("round trip", &origin.state, &trial.state, ROUNDING)?;
        for r in 0..trial.rows {
            close("log determinants cancel", origin.logdet[r], -image.logdet[r], ROUNDING)?;
        }
    }
    Ok(())
}

/// log |det| by Gaussian elimination with partial pivoting.
fn log_abs_det(mut matrix: Vec<Vec<f64>>) -> f64 {
    let n = matrix.len();
    let mut sum = 0.0;
    for i in 0..n {
        let pivot = (i..n).max_by(|&a, &b| matrix[a][i].abs().total_cmp(&matrix[b][i].abs())).unwrap();
        matrix.swap(i, pivot);
        sum += matrix[i][i].abs().ln();
        let (above, below) = matrix.split_at_mut(i + 1);
        for row in below {
            let factor = row[i] / above[i][i];
            row.iter_mut().zip(&above[i]).for_each(|(value, upper)| *value -= factor * upper);
        }
    }
    sum
}

fn law_log_determinant(trial: &Trial) -> LawResult {
    let dim = trial.map.dim();
    for direction in [Direction::Forward, Direction::Inverse] {
        let logdet = trial.run(direction, &trial.parameters, &trial.state).logdet;
        for r in 0..trial.rows {
            let jacobian = (0..dim).map(|out| {
                let entry = |input: usize| {
                    derivative(|step| {
                        let mut state = trial.state.clone();
                        state[input * ROWS + r] += step;
                        trial.run(direction, &trial.parameters, &state).state[out * ROWS + r]
                    })
                };
                (0..dim).map(entry).collect()
            });
            let wanted = log_abs_det(jacobian.collect());
            close(&format!("log determinant, {direction:?}"), logdet[r], wanted, DIFFERENCE_ERROR)?;
        }
    }
    Ok(())
}

/// A scalar of the result whose gradient is known: sum of cotangents times results and log determinants.
fn pairing(trial: &Trial, image: &Image, cotangent: &[f64], logdet: &[f64]) -> f64 {
    let state: f64 = trial.entries().map(|i| image.state[i] * cotangent[i]).sum();
    state + (0..trial.rows).map(|r| image.logdet[r] * logdet[r]).sum::<f64>()
}

fn law_backward(trial: &Trial) -> LawResult {
    let mut stream = Seed(99).stream(Purpose::Training, 0);
    let cotangent = random_tile(trial.map.dim(), trial.rows, &mut stream);
    let logdet = random_tile(1, trial.rows, &mut stream);
    for direction in [Direction::Forward, Direction::Inverse] {
        let (input, gradient) = trial.backward(direction, &cotangent, &logdet, Keep::Activations);
        let entries: Vec<usize> = trial.entries().collect();
        let input: Vec<f64> = entries.iter().map(|&i| input[i]).collect();
        compare_derivatives(&format!("input, {direction:?}"), &input, |i| {
            smooth_derivative(|step| {
                let mut state = trial.state.clone();
                state[entries[i]] += step;
                pairing(trial, &trial.run(direction, &trial.parameters, &state), &cotangent, &logdet)
            })
        })?;
        compare_derivatives(&format!("parameter, {direction:?}"), &gradient, |i| {
            smooth_derivative(|step| {
                let mut parameters = trial.parameters.clone();
                parameters[i] += step;
                pairing(trial, &trial.run(direction, &parameters, &trial.state), &cotangent, &logdet)
            })
        })?;
    }
    Ok(())
}

/// With a full tile: a spline's parameters act on some of its rows only.
fn law_every_parameter_learns(trial: &Trial) -> LawResult {
    let full = Trial::new(trial.map, trial.condition.len() / ROWS, ROWS, 7);
    let logdet = vec![1.0; ROWS];
    for direction in [Direction::Forward, Direction::Inverse] {
        let (_, gradient) = full.backward(direction, &full.state, &logdet, Keep::Activations);
        if let Some(i) = gradient.iter().position(|&g| g == 0.0) {
            return Err(format!("parameter {i} has no gradient, {direction:?}"));
        }
    }
    Ok(())
}

fn law_keeping_less_changes_nothing(trial: &Trial) -> LawResult {
    let cotangent = trial.state.clone();
    let logdet = vec![1.0; ROWS];
    for direction in [Direction::Forward, Direction::Inverse] {
        let (input, gradient) = trial.backward(direction, &cotangent, &logdet, Keep::Activations);
        for keep in [Keep::States, Keep::Result] {
            let (input_2, gradient_2) = trial.backward(direction, &cotangent, &logdet, keep);
            // What is rebuilt by inversion differs by rounding, what is computed again does not at all.
            let tolerance = if keep == Keep::Result { ROUNDING } else { 0.0 };
            trial.compare("input cotangent", &input_2, &input, tolerance)?;
            for (i, (&got, &wanted)) in gradient_2.iter().zip(&gradient).enumerate() {
                close(&format!("parameter {i}, {keep:?}"), got, wanted, tolerance)?;
            }
        }
    }
    Ok(())
}

fn law_one_record_for_both(trial: &Trial) -> LawResult {
    let there = trial.run_recorded(Direction::Forward, &trial.parameters, &trial.state, Keep::Activations);
    let (image, record, _) = there;
    let (_, back, _) =
        trial.run_recorded(Direction::Inverse, &trial.parameters, &image.state, Keep::Activations);
    // Rows that are not in use hold anything, and what neither direction writes stays what it was.
    let used =
        (0..record.len()).filter(|&i| i % ROWS < trial.rows && !(record[i].is_nan() && back[i].is_nan()));
    for i in used {
        close(&format!("record {i}"), back[i], record[i], ROUNDING)?;
    }
    Ok(())
}

type Law = fn(&Trial) -> LawResult;
const LAWS: [(&str, Law); 6] = [
    ("round trip", law_round_trip),
    ("log determinant", law_log_determinant),
    ("backward", law_backward),
    ("learning", law_every_parameter_learns),
    ("keeping", law_keeping_less_changes_nothing),
    ("record", law_one_record_for_both),
];

/// Smooth activations only: a difference across a kink is no derivative. The subnetwork's tests have the others.
fn examples(kind: Kind) -> Vec<(Map, usize)> {
    let mut stream = Seed(5).stream(Purpose::Mixing, 0);
    match kind {
        Kind::Affine => vec![
            (Map::Affine(AffineCoupling::new(2, 0, &[5], Activation::Tanh, 2.0)), 0),
            (Map::Affine(AffineCoupling::new(5, 0, &[7, 3], Activation::Silu, 1.0)), 0),
            (Map::Affine(AffineCoupling::new(4, 3, &[], Activation::Tanh, 0.5)), 3),
            (Map::Affine(AffineCoupling::new(3, 2, &[17], Activation::Silu, 4.0)), 2),
            (Map::Affine(AffineCoupling::new(1, 2, &[4], Activation::Tanh, 2.0)), 2),
            (Map::Affine(AffineCoupling::new(1, 0, &[], Activation::Tanh, 2.0)), 0),
        ],
        Kind::Spline => {
            // The narrow ones have many rows beyond their interval. No row of these lies within a step of a knot, where
            // the numerical Jacobian is off by as much.
            let spline = |dim, condition, hidden: &[usize], bins, bound| {
                let spline = Spline::new(bins, bound, 2.0);
                let coupling = SplineCoupling::with(spline, dim, condition, hidden, Activation::Tanh);
                (Map::Spline(coupling), condition)
            };
            vec![
                spline(2, 0, &[5], 8, 2.5),
                spline(5, 2, &[7, 3], 4, 1.0),
                spline(1, 2, &[], 2, 0.5),
                spline(3, 1, &[4], 3, 2.0),
            ]
        }
        Kind::LearnedLinear => [1, 2, 5]
            .map(|dim| {
                let permutation = Shuffle::random(dim, &mut stream);
                (Map::LearnedLinear(LearnedLinear::new(permutation, dim)), 0)
            })
            .into(),
        Kind::Orthogonal => {
            [1, 2, 7].map(|dim| (Map::Orthogonal(Orthogonal::random(dim, &mut stream)), 0)).into()
        }
        Kind::Shuffle => [1, 2, 7].map(|dim| (Map::Shuffle(Shuffle::random(dim, &mut stream)), 0)).into(),
    }
}

fn example_chain(condition: usize) -> Chain {
    let mut stream = Seed(6).stream(Purpose::Mixing, 0);
    let block = |activation| Map::Affine(AffineCoupling::new(5, condition, &[6], activation, 2.0));
    let shuffle = Map::Shuffle(Shuffle::random(5, &mut stream));
    let rotation = Map::Orthogonal(Orthogonal::random(5, &mut stream));
    let linear = Map::LearnedLinear(LearnedLinear::new(Shuffle::random(5, &mut stream), 5));
    let spline = Map::Spline(SplineCoupling::new(5, condition, &[6], Activation::Tanh, 3, 2.0));
    let blocks = [block(Activation::Tanh), spline, block(Activation::Silu)];
    Chain::new(5, blocks.into_iter().zip([shuffle, rotation, linear]).flat_map(<[Map; 2]>::from).collect())
}

fn check(map: &dyn Invertible<f64>, condition: usize, name: &str) {
    for rows in [1, 3] {
        let trial = Trial::new(map, condition, rows, 7);
        for (law, run) in LAWS {
            if let Err(reason) = run(&trial) {
                panic!("{name}, {rows} rows, law \"{law}\": {reason}");
            }
        }
    }
}

#[test]
fn every_map_obeys_every_law() {
    with_each(|instructions| {
        for &kind in Kind::ALL {
            let examples = examples(kind);
            assert!(!examples.is_empty());
            for (map, condition) in examples {
                assert_eq!(map.kind(), kind);
                check(map.as_invertible(), condition, &format!("{kind:?} on {instructions:?}"));
            }
        }
    });
}

#[test]
fn chains_obey_every_law() {
    check(&example_chain(0), 0, "chain");
    check(&example_chain(2), 2, "conditional chain");
}

#[test]
fn a_full_tile_and_a_single_row_agree() {
    let chain = example_chain(2);
    let all = Trial::new(&chain, 2, ROWS, 8);
    let image = all.run(Direction::Forward, &all.parameters, &all.state);
    for rows in 1..ROWS {
        let some = Trial { rows, condition: all.condition.clone(), ..Trial::new(&chain, 2, rows, 8) };
        let partial = some.run(Direction::Forward, &all.parameters, &all.state);
        some.compare("rows alone", &partial.state, &image.state, 0.0).unwrap();
    }
}

#[test]
fn single_precision_agrees_with_double() {
    let chain = example_chain(2);
    let trial = Trial::new(&chain, 2, ROWS, 9);
    let image = trial.run(Direction::Forward, &trial.parameters, &trial.state);
    let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let (parameters, condition) = (single(&trial.parameters), single(&trial.condition));
    let pass = Pass { parameters: &parameters, condition: &condition, rows: ROWS, keep: Keep::States };
    let mut state = single(&trial.state);
    let mut logdet = vec![0.0f32; ROWS];
    let mut record = vec![0.0f32; Invertible::<f32>::record_len(&chain, Keep::States)];
    let mut scratch = vec![0.0f32; Invertible::<f32>::scratch_len(&chain)];
    chain.forward(&pass, &mut state, &mut logdet, &mut record, &mut scratch);
    for (&got, &wanted) in state.iter().zip(&image.state) {
        close("single precision", f64::from(got), wanted, 2e-5).unwrap();
    }
}

/// Ways to be wrong.
#[derive(Clone, Copy, Debug)]
enum Flaw {
    InverseOffset,
    LogDeterminantSign,
    LogDeterminantSize,
    InputGradient,
    ParameterGradient,
    LogDeterminantGradient,
    ForgottenParameter,
    Kept,
    Record,
}

/// v = exp(p) u column by column, wrong in one way.
struct Broken(Flaw, usize);

impl Broken {
    fn has(&self, flaw: Flaw) -> bool {
        self.0 as usize == flaw as usize
    }

    fn scale(&self, pass: &Pass<f64>, state: &mut [f64], logdet: &mut [f64], sign: f64) {
        for (column, p) in state.chunks_exact_mut(ROWS).zip(pass.parameters) {
            column.iter_mut().for_each(|u| *u *= (sign * p).exp());
            logdet.iter_mut().for_each(|l| *l += sign * p);
        }
    }

    fn backward(
        &self,
        pass: &Pass<f64>,
        cotangent: &mut [f64],
        logdet_cotangent: &[f64],
        record: &[f64],
        gradient: &mut [f64],
        sign: f64,
    ) {
        let sized = if self.has(Flaw::LogDeterminantGradient) { 0.5 } else { 1.0 };
        for (c, column) in cotangent.chunks_exact_mut(ROWS).enumerate() {
            for r in 0..pass.rows {
                let result = record[c * ROWS + r] * if sign > 0.0 { pass.parameters[c].exp() } else { 1.0 };
                gradient[c] += sign * (column[r] * result + sized * logdet_cotangent[r]);
                column[r] *= (sign * pass.parameters[c]).exp();
                if self.has(Flaw::InputGradient) || (self.has(Flaw::Kept) && pass.keep != Keep::Activations) {
                    column[r] *= 1.001;
                }
            }
        }
        if self.has(Flaw::ParameterGradient) {
            gradient[0] *= 1.001;
        }
        if self.has(Flaw::ForgottenParameter) {
            gradient[1] = 0.0;
        }
    }
}

impl Invertible<f64> for Broken {
    fn dim(&self) -> usize {
        self.1
    }
    fn parameters(&self) -> usize {
        self.1
    }
    fn record_len(&self, _keep: Keep) -> usize {
        self.1 * ROWS
    }
    fn scratch_len(&self) -> usize {
        0
    }
    fn initialise(&self, parameters: &mut [f64], _last_layer: f64, stream: &mut Stream) {
        fill_normal(parameters, 0.3, stream);
    }
    fn forward(
        &self,
        pass: &Pass<f64>,
        state: &mut [f64],
        logdet: &mut [f64],
        record: &mut [f64],
        _: &mut [f64],
    ) {
        record.copy_from_slice(state);
        let sized = if self.has(Flaw::LogDeterminantSize) { 1.01 } else { 1.0 };
        let before = logdet.to_vec();
        self.scale(pass, state, logdet, 1.0);
        logdet.iter_mut().zip(before).for_each(|(l, b)| *l = b + sized * (*l - b));
    }
    fn inverse(
        &self,
        pass: &Pass<f64>,
        state: &mut [f64],
        logdet: &mut [f64],
        record: &mut [f64],
        _: &mut [f64],
    ) {
        let before = logdet.to_vec();
        self.scale(pass, state, logdet, -1.0);
        if self.has(Flaw::LogDeterminantSign) {
            logdet.iter_mut().zip(before).for_each(|(l, b)| *l = 2.0 * b - *l);
        }
        if self.has(Flaw::LogDeterminantSize) {
            logdet.iter_mut().for_each(|l| *l *= 1.01);
        }
        if self.has(Flaw::InverseOffset) {
            state[0] += 1e-9;
        }
        record.copy_from_slice(state);
        if self.has(Flaw::Record) {
            record[0] += 1e-9;
        }
    }
    fn forward_backward(
        &self,
        pass: &Pass<f64>,
        cotangent: &mut [f64],
        logdet_cotangent: &[f64],
        record: &mut [f64],
        gradient: &mut [f64],
        _: &mut [f64],
    ) {
        self.backward(pass, cotangent, logdet_cotangent, record, gradient, 1.0);
    }
    fn inverse_backward(
        &self,
        pass: &Pass<f64>,
        cotangent: &mut [f64],
        logdet_cotangent: &[f64],
        record: &mut [f64],
        gradient: &mut [f64],
        _: &mut [f64],
    ) {
        self.backward(pass, cotangent, logdet_cotangent, record, gradient, -1.0);
    }
}

#[test]
fn every_law_can_fail() {
    let broken = |flaw| {
        let map = Broken(flaw, 2);
        let trial = Trial::new(&map, 0, 3, 1);
        LAWS.iter().filter(|(_, law)| law(&trial).is_err()).map(|(name, _)| *name).collect::<Vec<_>>()
    };
    assert_eq!(broken(Flaw::InverseOffset), ["round trip", "record"]);
    assert_eq!(broken(Flaw::LogDeterminantSign), ["round trip", "log determinant", "backward"]);
    assert_eq!(broken(Flaw::LogDeterminantSize), ["log determinant", "backward"]);
    assert_eq!(broken(Flaw::InputGradient), ["backward"]);
    assert_eq!(broken(Flaw::ParameterGradient), ["backward"]);
    assert_eq!(broken(Flaw::LogDeterminantGradient), ["backward"]);
    assert_eq!(broken(Flaw::ForgottenParameter), ["backward", "learning"]);
    assert_eq!(broken(Flaw::Kept), ["keeping"]);
    assert_eq!(broken(Flaw::Record), ["record"]);
}
