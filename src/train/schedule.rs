//! How values change during a fit.

/// Share of a fit over which the learning rate rises: the first gradients are far larger than later ones.
const WARM_UP: f64 = 0.03;
/// Steps that the rise takes at least, as long as they are no more than `LONGEST_WARM_UP` of the fit: Adam's first
/// steps have the full size whatever the gradients say, and must not be taken at the full rate.
const FEWEST_WARM_UP_STEPS: f64 = 60.0;
/// Largest share of a fit over which the rate rises.
const LONGEST_WARM_UP: f64 = 0.3;
/// Share of a fit over which the learning rate falls, at its end.
const COOL_DOWN: f64 = 0.3;
/// Progress at which it begins to fall.
pub const COOLING_FROM: f64 = 1.0 - COOL_DOWN;

/// The learning rate, as a share of its highest: up, constant, down to zero (the warm-up, stable and decay phases of
/// Hu et al. 2024, arXiv 2404.06395; linear decay as in Haegele et al. 2024, arXiv 2405.18392). Most of the way is
/// made at the full rate, and the last part can begin whenever nothing improves.
///
/// `progress` is in [0, 1]; `warm_up` is the share of the way that the rise takes.
fn rate(progress: f64, warm_up: f64) -> f64 {
    (progress / warm_up).min((1.0 - progress) / COOL_DOWN).clamp(0.0, 1.0)
}

/// The share of a fit of so many steps over which the rate rises.
fn warm_up(steps: f64) -> f64 {
    (FEWEST_WARM_UP_STEPS / steps).clamp(WARM_UP, LONGEST_WARM_UP)
}

/// A value that falls exponentially during a fit, to `fraction` of `initial` at its end; `progress` is in [0, 1].
pub fn decayed(initial: f64, fraction: f64, progress: f64) -> f64 {
    initial * fraction.powf(progress)
}

/// The way of a fit from start to end, which can be cut short.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    epochs: usize,
    /// As planned at the start.
    planned: usize,
    cut: bool,
}

impl Course {
    /// So many epochs.
    pub fn new(epochs: usize) -> Self {
        Self { epochs, planned: epochs, cut: false }
    }

    /// How far it has come, in [0, 1].
    pub fn progress(&self, epochs: f64) -> f64 {
        (epochs / self.epochs as f64).min(1.0)
    }

    /// The learning rate after so many epochs of so many steps, as a share of its highest.
    pub fn rate(&self, epochs: f64, steps: usize) -> f64 {
        rate(self.progress(epochs), warm_up((self.planned * steps) as f64))
    }

    /// Whether the learning rate falls by now.
    pub fn cools(&self, epoch: usize) -> bool {
        self.cut || self.progress(epoch as f64) >= COOLING_FROM
    }

    /// Makes the learning rate fall from this epoch on.
    pub fn cool_from(&mut self, epoch: usize) {
        self.epochs = self.epochs.min((epoch as f64 / COOLING_FROM).round() as usize);
        self.cut = true;
    }

    /// Whether it is over.
    pub fn is_over(&self, epoch: usize) -> bool {
        epoch >= self.epochs
    }
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

    #[test]
    fn the_rate_rises_stays_and_falls() {
        let progress = [0.0, 0.015, 0.03, 0.5, 0.7, 0.85, 1.0];
        let rates: Vec<f64> = progress.into_iter().map(|p| rate(p, warm_up(1e6))).collect();
        let wanted = [0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0];
        assert!(rates.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-12), "{rates:?}");
    }

    #[test]
    fn the_rise_takes_some_steps_of_a_short_fit_too() {
        assert_eq!(warm_up(600.0), 0.1);
        assert_eq!(warm_up(10.0), LONGEST_WARM_UP);
        assert_eq!(rate(0.05, warm_up(600.0)), 0.5);
    }

    #[test]
    fn a_course_can_be_cut_short_but_not_prolonged() {
        let mut course = Course::new(100);
        assert!(!course.cools(21) && !course.is_over(99) && course.is_over(100));
        course.cool_from(21);
        assert!(course.cools(21) && !course.is_over(29) && course.is_over(30));
        course.cool_from(90);
        assert!(course.is_over(30));
    }
}
