//! How the learning rate changes during a fit.

/// The learning rate falls exponentially to this fraction at the end of a fit, as in the paper's code.
const FINAL_FRACTION: f64 = 0.01;

/// The learning rate at `progress` in [0, 1] of the fit.
pub fn learning_rate(initial: f64, progress: f64) -> f64 {
    initial * FINAL_FRACTION.powf(progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_from_the_initial_rate_to_its_hundredth() {
        assert_eq!(learning_rate(1e-3, 0.0), 1e-3);
        assert!((learning_rate(1e-3, 0.5) - 1e-4).abs() < 1e-18);
        assert!((learning_rate(1e-3, 1.0) - 1e-5).abs() < 1e-18);
    }
}
