//! The energy score of pairs of samples (Gneiting & Raftery 2007, JASA 102, 359, section 4.3), with its gradient.

use crate::kernels::{ROWS, Real};

/// Rows of a tile that are drawn for one observation: each of the first half with one of the second. The observation,
/// and the truth, is that of one of the two, the owner. A last row without a partner is in no pair.
#[derive(Clone, Copy)]
pub struct Pairs {
    count: usize,
    first_owns: bool,
}

impl Pairs {
    /// Of so many rows; in turn the first half and the second are the owners.
    pub fn of(rows: usize, turn: u64) -> Self {
        Self { count: rows / 2, first_owns: turn.is_multiple_of(2) }
    }

    /// No row has a partner.
    pub fn none() -> Self {
        Self { count: 0, first_owns: true }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// The owner of each pair and the other row.
    pub fn rows(self) -> impl Iterator<Item = (usize, usize)> {
        let Self { count, first_owns } = self;
        (0..count).map(move |r| if first_owns { (r, r + count) } else { (r + count, r) })
    }

    /// Gives the other row of each pair what its owner has, in every column.
    pub fn share<T: Copy>(self, columns: &mut [T]) {
        for column in columns.chunks_exact_mut(ROWS) {
            self.rows().for_each(|(owner, other)| column[other] = column[owner]);
        }
    }
}

/// Adds to `cotangent` the gradient of `weight * sum S` over the pairs a, b of samples and their truth x, and returns
/// the sum, unweighted.
///
/// S = (|a - x| + |b - x| - |a - b|) / 2 of all d columns together, plus the sum of the same of each column alone over
/// sqrt(d). If a and b are independent its mean is the energy score and that of each column, which is the continuous
/// ranked probability score: in many columns the first hardly feels that one of them is too narrow.
pub fn energy<T: Real>(samples: &[T], truth: &[T], pairs: Pairs, weight: T, cotangent: &mut [T]) -> f64 {
    let starts = || (0..truth.len()).step_by(ROWS);
    let alone = T::of((truth.len() / ROWS) as f64).sqrt().recip();
    let factor = T::of(0.5) * weight;
    let mut sum = 0.0;
    for (a, b) in pairs.rows() {
        let differences = |c: usize| {
            let (a, b, x) = (samples[c + a], samples[c + b], truth[c + a]);
            [a - x, b - x, a - b]
        };
        let (mut squares, mut absolutes) = ([T::zero(); 3], [T::zero(); 3]);
        for c in starts() {
            for (k, d) in differences(c).into_iter().enumerate() {
                squares[k] = squares[k] + d * d;
                absolutes[k] = absolutes[k] + d.abs();
            }
        }
        let distances = squares.map(T::sqrt);
        let score = |[of_a, of_b, apart]: [T; 3]| 0.5 * (of_a + of_b - apart).to_double();
        sum += score(distances) + alone.to_double() * score(absolutes);
        for c in starts() {
            let d = differences(c);
            // The slope of a distance of 0 is taken to be 0.
            let [of_a, of_b, apart] =
                [0, 1, 2].map(|k| slope(d[k], distances[k]) + alone * slope(d[k], d[k].abs()));
            cotangent[c + a] = cotangent[c + a] + factor * (of_a - apart);
            cotangent[c + b] = cotangent[c + b] + factor * (of_b + apart);
        }
    }
    sum
}

/// How fast a distance grows with one of its differences.
fn slope<T: Real>(difference: T, distance: T) -> T {
    if distance > T::zero() { difference / distance } else { T::zero() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::tests::assert_adds_gradient;
    use crate::random::{Purpose, Seed, fill_normal};
    use crate::score::energy_score;
    use ndarray::{Array2, Array3, ArrayView2, ArrayView3, s};

    const COLUMNS: usize = 3;

    fn random(seed: u64) -> Vec<f64> {
        let mut values = vec![0.0; COLUMNS * ROWS];
        fill_normal(&mut values, 1.0, &mut Seed(seed).stream(Purpose::Training, 0));
        values
    }

    #[test]
    fn is_the_energy_score_of_two_samples_and_that_of_each_column() {
        let (samples, truth) = (random(1), random(2));
        for turn in [0, 1] {
            let pairs = Pairs::of(9, turn);
            let rows: Vec<_> = pairs.rows().collect();
            assert_eq!(rows.len(), 4);
            let draws = Array3::from_shape_fn((4, 2, COLUMNS), |(i, k, c)| {
                samples[c * ROWS + if k == 0 { rows[i].0 } else { rows[i].1 }]
            });
            let owners = Array2::from_shape_fn((4, COLUMNS), |(i, c)| truth[c * ROWS + rows[i].0]);
            let score = |draws: ArrayView3<f64>, owners: ArrayView2<f64>| {
                energy_score(draws, owners, &vec![1.0; owners.ncols()]).unwrap().iter().sum::<f64>()
            };
            let alone = |c: usize| score(draws.slice(s![.., .., c..c + 1]), owners.slice(s![.., c..c + 1]));
            let of_each = (0..COLUMNS).map(alone).sum::<f64>();
            let wanted = score(draws.view(), owners.view()) + of_each / (COLUMNS as f64).sqrt();
            let got = energy(&samples, &truth, pairs, 1.0, &mut [0.0; COLUMNS * ROWS]);
            assert!((got - wanted).abs() < 1e-12, "{got} {wanted}");
        }
    }

    #[test]
    fn gradient_is_the_difference() {
        let (samples, truth) = (random(1), random(2));
        let pairs = Pairs::of(9, 1);
        let value = |samples: &[f64]| 0.7 * energy(samples, &truth, pairs, 0.7, &mut [0.0; COLUMNS * ROWS]);
        let mut gradient = [1.0; COLUMNS * ROWS];
        energy(&samples, &truth, pairs, 0.7, &mut gradient);
        assert_adds_gradient(value, &samples, &gradient, 1e-5, 1e-8);
    }

    #[test]
    fn equal_samples_have_a_finite_gradient() {
        let mut gradient = [0.0; ROWS];
        let sum = energy(&[1.0; ROWS], &[1.0; ROWS], Pairs::of(ROWS, 0), 1.0, &mut gradient);
        assert_eq!((sum, gradient), (0.0, [0.0; ROWS]));
    }

    #[test]
    fn partners_share_what_the_owner_has() {
        for (turn, wanted) in [(0, [0.0, 1.0, 0.0, 1.0, 4.0]), (1, [2.0, 3.0, 2.0, 3.0, 4.0])] {
            let mut column: Vec<f64> = (0..ROWS).map(|r| r as f64).collect();
            Pairs::of(5, turn).share(&mut column);
            assert_eq!(column[..5], wanted);
            assert_eq!(column[5..], (5..ROWS).map(|r| r as f64).collect::<Vec<_>>());
        }
        let mut column = random(3);
        let before = column.clone();
        Pairs::none().share(&mut column);
        assert_eq!(column, before);
    }
}
