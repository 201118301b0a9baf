//! How values change during a fit.

/// A value that falls exponentially during a fit, to `fraction` of `initial` at its end; `progress` is in [0, 1].
pub fn decayed(initial: f64, fraction: f64, progress: f64) -> f64 {
    initial * fraction.powf(progress)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_from_the_initial_value_to_its_fraction() {
        assert_eq!(decayed(1e-3, 0.01, 0.0), 1e-3);
        assert!((decayed(1e-3, 0.01, 0.5) - 1e-4).abs() < 1e-18);
        assert!((decayed(1e-3, 0.01, 1.0) - 1e-5).abs() < 1e-18);
    }
}
