//! The motion of a thin shell of gas around a star cluster, until it falls back.

use super::hii;
use super::units::{GRAVITY, PC_PER_MYR};
use crate::error::{Error, Result};
use crate::ode;
use std::f64::consts::PI;

/// A shell that falls below this radius, in pc, forms stars.
pub const COLLAPSE_RADIUS: f64 = 1.0;
/// A shell starts at this share of the cloud's radius, with this speed in km/s.
const START_SHARE: f64 = 0.05;
const START_SPEED: f64 = 5.0;
/// Errors of the momentum are measured against it and against the shell's mass at this speed, in pc/Myr.
const SPEED_SCALE: f64 = 1.0;
/// The first step is this share of the time in which the radius would double.
const FIRST_STEP: f64 = 0.01;
/// An event is located to this share of a step, or in so many rounds.
const EVENT_SHARE: f64 = 1e-10;
const EVENT_ROUNDS: usize = 60;
/// No motion in the bounds of the parameters takes a hundredth of these steps.
const MAX_STEPS: usize = 1_000_000;

/// What drives a shell at one time.
#[derive(Clone, Copy, Debug)]
pub struct Push {
    /// Momentum that the shell takes up, in solar mass pc/Myr^2.
    pub momentum: f64,
    /// Ionising photons per second.
    pub photons: f64,
}

/// A cloud with stars at its centre. Solar masses and pc.
#[derive(Clone, Copy, Debug)]
pub struct Cloud {
    /// Mass of the gas, in the shell and beyond it.
    pub gas: f64,
    /// Density of the gas beyond the shell.
    pub density: f64,
    /// Mass of all stars.
    pub stars: f64,
    /// Constant of gravity, 0 in tests.
    pub gravity: f64,
}

impl Cloud {
    /// A cloud in which gravity is what it is.
    pub fn new(gas: f64, density: f64, stars: f64) -> Self {
        Self { gas, density, stars, gravity: GRAVITY }
    }

    fn mass_within(&self, radius: f64) -> f64 {
        4.0 / 3.0 * PI * self.density * radius.powi(3)
    }

    fn radius_of(&self, mass: f64) -> f64 {
        (3.0 * mass / (4.0 * PI * self.density)).cbrt()
    }
}

/// A shell on its way. Myr, pc and solar masses.
///
/// Its mass grows while it sweeps up gas that no shell has met, and is constant otherwise: outside of the cloud, and
/// where it moves through what it has swept empty.
#[derive(Clone, Debug)]
pub struct Shell {
    cloud: Cloud,
    time: f64,
    /// Radius and momentum.
    state: [f64; 2],
    /// Mass, `None` while it sweeps up gas.
    mass: Option<f64>,
    step: f64,
}

impl Shell {
    /// A shell that sets out.
    pub fn start(cloud: Cloud, time: f64) -> Self {
        let radius = START_SHARE * cloud.radius_of(cloud.gas);
        let speed = START_SPEED * PC_PER_MYR;
        let momentum = cloud.mass_within(radius) * speed;
        Self { cloud, time, state: [radius, momentum], mass: None, step: FIRST_STEP * radius / speed }
    }

    /// In Myr.
    pub fn time(&self) -> f64 {
        self.time
    }

    /// In pc.
    pub fn radius(&self) -> f64 {
        self.state[0]
    }

    /// In pc/Myr, negative while it falls.
    pub fn velocity(&self) -> f64 {
        self.state[1] / self.mass_at(self.state[0])
    }

    /// Moves on, until the end or until the shell has fallen below `COLLAPSE_RADIUS`; tells whether it has. The push
    /// must be a smooth function of time until then.
    pub fn advance(&mut self, push: impl Fn(f64) -> Push, end: f64, tolerance: f64) -> Result<bool> {
        let mut slope = self.slope(&push, self.time, &self.state);
        for _ in 0..MAX_STEPS {
            if self.time >= end {
                return Ok(false);
            }
            let left = end - self.time;
            let h = self.step.min(left);
            let next = self.step(&push, &slope, h);
            let error = self.error(&next) / tolerance;
            let factor = ode::factor(error);
            // A step cut off at the end says nothing about the length of the next.
            self.step = if h < left || factor < 1.0 { h * factor } else { self.step.max(h * factor) };
            // Neither for an error that is no number.
            let accepted = error <= 1.0;
            if !accepted {
                continue;
            }
            if self.excess(&next.state) > 0.0 {
                self.go_to_event(&push, &slope, h);
                if self.pass_event() {
                    return Ok(true);
                }
                slope = self.slope(&push, self.time, &self.state);
            } else {
                self.time = if h < left { self.time + h } else { end };
                (self.state, slope) = (next.state, next.slope);
            }
        }
        Err(Error::Undefined(format!("the shell's motion takes more than {MAX_STEPS} steps")))
    }

    fn mass_at(&self, radius: f64) -> f64 {
        self.mass.unwrap_or_else(|| self.cloud.mass_within(radius))
    }

    fn slope(&self, push: &impl Fn(f64) -> Push, time: f64, [radius, momentum]: &[f64; 2]) -> [f64; 2] {
        let (mass, push) = (self.mass_at(*radius), push(time));
        let weight = self.cloud.gravity * mass * (self.cloud.stars + mass / 2.0) / (radius * radius);
        [momentum / mass, push.momentum + hii::force(push.photons, *radius) - weight]
    }

    fn step(&self, push: &impl Fn(f64) -> Push, slope: &[f64; 2], h: f64) -> ode::Step<2> {
        ode::step(|t, state| self.slope(push, t, state), self.time, &self.state, slope, h)
    }

    /// The error of a step, relative to radius and momentum.
    fn error(&self, next: &ode::Step<2>) -> f64 {
        let scale = |i: usize| self.state[i].abs().max(next.state[i].abs());
        let momentum = scale(1).max(self.mass_at(next.state[0]) * SPEED_SCALE);
        ((next.error[0] / scale(0)).powi(2) + (next.error[1] / momentum).powi(2)).sqrt()
    }

    /// Positive where the next event has passed: the shell turns round, has the whole cloud, meets gas again, or falls
    /// below `COLLAPSE_RADIUS`.
    fn excess(&self, [radius, momentum]: &[f64; 2]) -> f64 {
        let inwards = -momentum / (self.mass_at(*radius) * SPEED_SCALE);
        match self.mass {
            None => (radius / self.cloud.radius_of(self.cloud.gas) - 1.0).max(inwards),
            Some(mass) => {
                let fallen = (1.0 - radius / COLLAPSE_RADIUS).min(inwards);
                let meets_gas = radius / self.cloud.radius_of(mass) - 1.0;
                if mass < self.cloud.gas { fallen.max(meets_gas) } else { fallen }
            }
        }
    }

    /// Moves on to just after the event within the next step of length h, by false position (the Illinois variant:
    /// M. Dowell, P. Jarratt, BIT 11 (1971)).
    fn go_to_event(&mut self, push: &impl Fn(f64) -> Push, slope: &[f64; 2], h: f64) {
        let excess = |share: f64| {
            let state = self.step(push, slope, share * h).state;
            (self.excess(&state), state)
        };
        let (mut low, mut low_excess) = (0.0, self.excess(&self.state).min(0.0));
        let (mut high, (mut high_excess, mut state)) = (1.0, excess(1.0));
        for _ in 0..EVENT_ROUNDS {
            if high - low <= EVENT_SHARE {
                break;
            }
            // Where the line between the two is flat, or hits one of them, halve.
            let line = high - high_excess * (high - low) / (high_excess - low_excess);
            let middle = if low < line && line < high { line } else { (low + high) / 2.0 };
            let (value, there) = excess(middle);
            if value > 0.0 {
                (high, high_excess, state) = (middle, value, there);
                low_excess /= 2.0;
            } else {
                (low, low_excess) = (middle, value);
                high_excess /= 2.0;
            }
        }
        self.time += high * h;
        self.state = state;
    }

    /// Changes what the event changes; tells whether the shell has fallen below `COLLAPSE_RADIUS`.
    fn pass_event(&mut self) -> bool {
        let [radius, momentum] = self.state;
        match self.mass {
            None if momentum < 0.0 => {
                self.mass = Some(self.cloud.mass_within(radius));
                self.state[1] = 0.0;
                radius < COLLAPSE_RADIUS
            }
            None => {
                self.mass = Some(self.cloud.gas);
                false
            }
            Some(_) if momentum < 0.0 => true,
            Some(_) => {
                self.mass = None;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: f64 = 1e-9;

    fn without_gravity(gas: f64) -> Cloud {
        Cloud { gas, density: 10.0, stars: 0.0, gravity: 0.0 }
    }

    #[test]
    fn without_force_momentum_stays() {
        let mut shell = Shell::start(without_gravity(1e5), 0.0);
        let momentum = shell.state[1];
        let still = |_| Push { momentum: 0.0, photons: 0.0 };
        for end in [0.1, 1.0, 10.0, 1e4] {
            assert!(!shell.advance(still, end, TOLERANCE).unwrap());
            assert!((shell.velocity() * shell.mass_at(shell.radius()) / momentum - 1.0).abs() < 1e-13);
        }
        // (4/3) pi rho R^3 dR/dt = p as long as there is gas.
        let mut shell = Shell::start(without_gravity(1e9), 0.0);
        let (start, momentum) = (shell.radius(), shell.state[1]);
        shell.advance(still, 50.0, TOLERANCE).unwrap();
        let expected = (start.powi(4) + 3.0 * momentum * 50.0 / (PI * 10.0)).powf(0.25);
        assert!((shell.radius() / expected - 1.0).abs() < 1e-7);
    }

    #[test]
    fn constant_force_in_uniform_gas() {
        // A tiny shell forgets how it started.
        let mut shell = Shell::start(without_gravity(1e12), 0.0);
        shell.state = [1e-3, 0.0];
        shell.step = 1e-9;
        let (force, time) = (1e4, 3.0);
        shell.advance(|_| Push { momentum: force, photons: 0.0 }, time, TOLERANCE).unwrap();
        let expected = (3.0 * force * time * time / (2.0 * PI * 10.0)).powf(0.25);
        assert!((shell.radius() / expected - 1.0).abs() < 1e-7, "{}", shell.radius() / expected);
        assert!((shell.velocity() / (expected / 2.0 / time) - 1.0).abs() < 1e-7);
    }

    #[test]
    fn beyond_the_cloud_a_constant_force_accelerates_evenly() {
        let cloud = without_gravity(100.0);
        let mut shell = Shell::start(cloud, 0.0);
        let push = |_| Push { momentum: 1e3, photons: 0.0 };
        shell.advance(push, 2.0, TOLERANCE).unwrap();
        assert_eq!(shell.mass, Some(100.0));
        let (radius, velocity) = (shell.radius(), shell.velocity());
        assert!(radius > cloud.radius_of(100.0));
        shell.advance(push, 3.0, TOLERANCE).unwrap();
        assert!((shell.velocity() - velocity - 10.0).abs() < 1e-7);
        assert!((shell.radius() - radius - velocity - 5.0).abs() < 1e-7);
    }

    fn none(_: f64) -> Push {
        Push { momentum: 0.0, photons: 0.0 }
    }

    /// A shell thrown out and left alone until its mass is settled, and that mass.
    fn turned(cloud: Cloud) -> (Shell, f64) {
        let mut shell = Shell::start(cloud, 0.0);
        shell.state[1] *= 30.0;
        while shell.mass.is_none() {
            shell.advance(none, shell.time + 0.01, TOLERANCE).unwrap();
        }
        let mass = shell.mass.unwrap();
        (shell, mass)
    }

    #[test]
    fn falls_as_a_free_body() {
        // No push: after the turn only gravity acts, and energy is kept.
        let cloud = Cloud::new(1e6, 10.0, 1e5);
        let (mut shell, mass) = turned(cloud);
        let potential = |radius: f64| -GRAVITY * (cloud.stars + mass / 2.0) / radius;
        let energy = |shell: &Shell| shell.velocity().powi(2) / 2.0 + potential(shell.radius());
        let before = energy(&shell);
        assert!(shell.velocity() < 0.0);
        assert!(shell.advance(none, 1e3, TOLERANCE).unwrap());
        assert!((shell.radius() - COLLAPSE_RADIUS).abs() < 1e-8, "{}", shell.radius());
        assert!((energy(&shell) / before - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_shell_that_turns_round_keeps_its_mass_until_it_meets_gas_again() {
        let cloud = Cloud::new(1e6, 10.0, 3e4);
        let (mut shell, mass) = turned(cloud);
        shell.advance(none, shell.time + 0.1, TOLERANCE).unwrap();
        assert_eq!(shell.mass, Some(mass));
        let turned_at = cloud.radius_of(mass);
        assert!(shell.radius() < turned_at);
        // A push outwards brings it back.
        let push = |_| Push { momentum: 1e7, photons: 0.0 };
        let mut crossed = false;
        for _ in 0..1000 {
            shell.advance(push, shell.time + 0.01, TOLERANCE).unwrap();
            crossed |= shell.mass.is_none();
            if !crossed {
                assert!(shell.radius() <= turned_at * (1.0 + 1e-9) && shell.mass == Some(mass));
            }
        }
        assert!(crossed && shell.mass == Some(cloud.gas), "{shell:?} {turned_at}");
    }

    #[test]
    fn tolerance_is_kept() {
        // In units of the tolerance, the error at the end is a small number of errors of single steps.
        let end = |tolerance: f64| {
            let mut shell = Shell::start(Cloud::new(9e5, 10.0, 1e5), 0.0);
            let push = |t: f64| Push { momentum: 3e6 * (-t / 3.0).exp(), photons: 1e51 * (-t / 2.0).exp() };
            shell.advance(push, 4.0, tolerance).unwrap();
            [shell.radius(), shell.velocity()]
        };
        let best = end(1e-12);
        for tolerance in [1e-4, 1e-6, 1e-8] {
            for (value, best) in end(tolerance).iter().zip(best) {
                assert!((value / best - 1.0).abs() < 10.0 * tolerance, "{tolerance} {value} {best}");
            }
        }
    }
}
