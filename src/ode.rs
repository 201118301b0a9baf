//! Steps of an ordinary differential equation by an embedded Runge-Kutta pair: J. Dormand, P. Prince, "A family of
//! embedded Runge-Kutta formulae", Journal of Computational and Applied Mathematics 6 (1980), 5(4) with seven stages.

/// Nodes of stages 2 to 7; the last two are at the end of the step.
const NODES: [f64; 6] = [1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];
/// Weights of the earlier slopes in stages 2 to 7. The last row is the solution of fifth order.
const STAGES: [[f64; 6]; 6] = [
    [1.0 / 5.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [3.0 / 40.0, 9.0 / 40.0, 0.0, 0.0, 0.0, 0.0],
    [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0, 0.0, 0.0, 0.0],
    [19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0, 0.0, 0.0],
    [9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0, 0.0],
    [35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];
/// Weights of the slopes in the difference between the solutions of fifth and fourth order.
const ERROR: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0];
/// The controller aims this far below the tolerance, and changes the step by no more than these factors.
const SAFETY: f64 = 0.9;
const LEAST_FACTOR: f64 = 0.2;
const LARGEST_FACTOR: f64 = 5.0;

/// Where a step leads.
pub struct Step<const N: usize> {
    /// State at the end, of fifth order.
    pub state: [f64; N],
    /// Slope there.
    pub slope: [f64; N],
    /// Estimate of the error of the solution of fourth order.
    pub error: [f64; N],
}

/// One step of length h from a state whose slope is known.
pub fn step<const N: usize>(
    slope_at: impl Fn(f64, &[f64; N]) -> [f64; N],
    time: f64,
    state: &[f64; N],
    slope: &[f64; N],
    h: f64,
) -> Step<N> {
    let mut slopes = [[0.0; N]; 7];
    slopes[0] = *slope;
    let mut end = *state;
    for (stage, (weights, node)) in STAGES.iter().zip(NODES).enumerate() {
        let known = &slopes[..=stage];
        end = std::array::from_fn(|i| state[i] + h * weighted(weights, known, i));
        slopes[stage + 1] = slope_at(time + node * h, &end);
    }
    let error = std::array::from_fn(|i| h * weighted(&ERROR, &slopes, i));
    Step { state: end, slope: slopes[6], error }
}

/// What to multiply the length of a step by, given its error in units of the tolerance. Above 1 unit, the step must
/// be taken again.
pub fn factor(error: f64) -> f64 {
    // An error that is no number is one too large.
    if error.is_nan() {
        LEAST_FACTOR
    } else {
        (SAFETY * error.powf(-0.2)).clamp(LEAST_FACTOR, LARGEST_FACTOR)
    }
}

fn weighted<const N: usize>(weights: &[f64], slopes: &[[f64; N]], i: usize) -> f64 {
    weights.iter().zip(slopes).map(|(weight, slope)| weight * slope[i]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pendulum without friction, time-dependent by a push.
    fn slope_at(t: f64, y: &[f64; 2]) -> [f64; 2] {
        [y[1], -y[0].sin() + 0.1 * t]
    }

    fn integrate(steps: usize) -> [f64; 2] {
        let h = 2.0 / steps as f64;
        let mut state = [1.0, 0.0];
        let mut slope = slope_at(0.0, &state);
        for i in 0..steps {
            let next = step(slope_at, i as f64 * h, &state, &slope, h);
            (state, slope) = (next.state, next.slope);
        }
        state
    }

    #[test]
    fn is_of_fifth_order() {
        let best = integrate(3200);
        let error = |steps| integrate(steps).iter().zip(best).map(|(a, b)| (a - b).abs()).sum::<f64>();
        for steps in [20, 40, 80] {
            let order = (error(steps) / error(2 * steps)).log2();
            assert!((order - 5.0).abs() < 0.3, "{steps} {order}");
        }
    }

    #[test]
    fn error_estimate_is_of_fifth_order_in_one_step() {
        let (state, slope) = ([1.0, 0.0], slope_at(0.0, &[1.0, 0.0]));
        let error = |h| step(slope_at, 0.0, &state, &slope, h).error[0].abs();
        let order = (error(0.1) / error(0.05)).log2();
        assert!((order - 5.0).abs() < 0.5, "{order}");
    }

    #[test]
    fn polynomials_are_exact() {
        // Both solutions are exact for slopes up to the third power of time.
        let next = step(|t, _: &[f64; 1]| [4.0 * t.powi(3)], 1.0, &[1.0], &[4.0], 2.0);
        assert!((next.state[0] - 81.0).abs() < 1e-12);
        assert!(next.error[0].abs() < 1e-12);
        assert_eq!(next.slope, [108.0]);
    }

    #[test]
    fn factor_is_bounded() {
        assert_eq!(factor(0.0), LARGEST_FACTOR);
        assert_eq!(factor(f64::INFINITY), LEAST_FACTOR);
        assert_eq!(factor(f64::NAN), LEAST_FACTOR);
        assert!((factor(1.0) - SAFETY).abs() < 1e-15);
    }
}
