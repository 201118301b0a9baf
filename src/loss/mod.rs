//! Losses: plain functions of batches that return a value and a gradient. They know nothing of flows.

pub mod energy;
pub mod fit;
pub mod likelihood;
pub mod mmd;

#[cfg(test)]
mod tests {
    /// Asserts that `gradient` is 1 plus the central differences of `value` at `point`: that it was added to ones.
    pub fn assert_adds_gradient(
        value: impl Fn(&[f64]) -> f64,
        point: &[f64],
        gradient: &[f64],
        step: f64,
        tolerance: f64,
    ) {
        assert_eq!(point.len(), gradient.len());
        for i in 0..point.len() {
            let mut moved = point.to_vec();
            moved[i] += step;
            let up = value(&moved);
            moved[i] -= 2.0 * step;
            let slope = (up - value(&moved)) / (2.0 * step);
            assert!((gradient[i] - 1.0 - slope).abs() < tolerance, "{i}: {} {slope}", gradient[i] - 1.0);
        }
    }
}
