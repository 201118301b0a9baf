//! Maps one after the other.
//!
//! A chain keeps the records of all its maps, or, with `Keep::Result`, its result and one record: the backward then
//! runs each map the other way, which rebuilds both what it saw and its record (Gomez et al. 2017, arXiv 1707.04585).

use super::{Invertible, Keep, Map, Pass};
use crate::kernels::{ROWS, Real};
use crate::random::Stream;

/// A composition of maps: forward runs them in order, inverse from the last to the first.
#[derive(Clone, Debug)]
pub struct Chain {
    dim: usize,
    links: Vec<Link>,
}

/// A map and where its parameters and its record start, the record for each way of keeping.
#[derive(Clone, Debug)]
struct Link {
    map: Map,
    parameters: usize,
    activations: usize,
    states: usize,
}

impl Chain {
    /// The composition of maps that all have `dim` columns.
    pub fn new(dim: usize, maps: Vec<Map>) -> Self {
        let (mut parameters, mut activations, mut states) = (0, 0, 0);
        let links = maps.into_iter().map(|map| {
            let link = Link { map, parameters, activations, states };
            let map = link.map.as_invertible::<f64>();
            debug_assert_eq!(map.dim(), dim);
            parameters += map.parameters();
            activations += map.record_len(Keep::Activations);
            states += map.record_len(Keep::States);
            link
        });
        Self { dim, links: links.collect() }
    }

    fn steps<T: Real>(&self, keep: Keep) -> impl DoubleEndedIterator<Item = Step<'_, T>> {
        self.links.iter().map(move |link| {
            let map = link.map.as_invertible::<T>();
            let record = if keep == Keep::Activations { link.activations } else { link.states };
            Step { map, parameters: link.parameters, record, record_len: map.record_len(keep) }
        })
    }

    /// The longest record of a single map.
    fn one_record<T: Real>(&self) -> usize {
        self.steps::<T>(Keep::Result).map(|step| step.record_len).max().unwrap_or(0)
    }
}

/// A link as one pass sees it.
struct Step<'a, T> {
    map: &'a dyn Invertible<T>,
    parameters: usize,
    record: usize,
    record_len: usize,
}

impl<T: Real> Step<'_, T> {
    fn pass<'a>(&self, pass: &Pass<'a, T>) -> Pass<'a, T> {
        let own = &pass.parameters[self.parameters..self.parameters + self.map.parameters()];
        Pass { parameters: own, ..*pass }
    }

    /// This map's part of the chain's record, or the one record there is.
    fn record<'a>(&self, keep: Keep, record: &'a mut [T], one: &'a mut [T]) -> &'a mut [T] {
        match keep {
            Keep::Result => &mut one[..self.record_len],
            _ => &mut record[self.record..self.record + self.record_len],
        }
    }

    fn gradient<'a>(&self, gradient: &'a mut [T]) -> &'a mut [T] {
        &mut gradient[self.parameters..self.parameters + self.map.parameters()]
    }
}

impl<T: Real> Invertible<T> for Chain {
    fn dim(&self) -> usize {
        self.dim
    }

    fn parameters(&self) -> usize {
        self.steps::<T>(Keep::States).map(|step| step.map.parameters()).sum()
    }

    fn record_len(&self, keep: Keep) -> usize {
        match keep {
            Keep::Result => self.dim * ROWS,
            _ => self.steps::<T>(keep).map(|step| step.record_len).sum(),
        }
    }

    fn scratch_len(&self) -> usize {
        let longest = self.steps::<T>(Keep::States).map(|step| step.map.scratch_len()).max().unwrap_or(0);
        self.one_record::<T>() + longest
    }

    fn initialise(&self, parameters: &mut [T], last_layer: f64, stream: &mut Stream) {
        for step in self.steps(Keep::States) {
            step.map.initialise(step.gradient(parameters), last_layer, stream);
        }
    }

    fn rates(&self, rates: &mut [T]) {
        for step in self.steps::<T>(Keep::States) {
            step.map.rates(step.gradient(rates));
        }
    }

    fn forward(
        &self,
        pass: &Pass<T>,
        state: &mut [T],
        logdet: &mut [T],
        record: &mut [T],
        scratch: &mut [T],
    ) {
        let (one, scratch) = scratch.split_at_mut(self.one_record::<T>());
        for step in self.steps(pass.keep) {
            let own = step.record(pass.keep, record, one);
            step.map.forward(&step.pass(pass), state, logdet, own, scratch);
        }
        if pass.keep == Keep::Result {
            record.copy_from_slice(state);
        }
    }

    fn inverse(
        &self,
        pass: &Pass<T>,
        state: &mut [T],
        logdet: &mut [T],
        record: &mut [T],
        scratch: &mut [T],
    ) {
        let (one, scratch) = scratch.split_at_mut(self.one_record::<T>());
        for step in self.steps(pass.keep).rev() {
            let own = step.record(pass.keep, record, one);
            step.map.inverse(&step.pass(pass), state, logdet, own, scratch);
        }
        if pass.keep == Keep::Result {
            record.copy_from_slice(state);
        }
    }

    fn forward_backward(
        &self,
        pass: &Pass<T>,
        cotangent: &mut [T],
        logdet_cotangent: &[T],
        record: &mut [T],
        gradient: &mut [T],
        scratch: &mut [T],
    ) {
        let (one, scratch) = scratch.split_at_mut(self.one_record::<T>());
        let mut logdet = [T::zero(); ROWS];
        for step in self.steps(pass.keep).rev() {
            let own_pass = step.pass(pass);
            if pass.keep == Keep::Result {
                step.map.inverse(&own_pass, record, &mut logdet, &mut one[..step.record_len], scratch);
            }
            let (own, gradient) = (step.record(pass.keep, record, one), step.gradient(gradient));
            step.map.forward_backward(&own_pass, cotangent, logdet_cotangent, own, gradient, scratch);
        }
    }

    fn inverse_backward(
        &self,
        pass: &Pass<T>,
        cotangent: &mut [T],
        logdet_cotangent: &[T],
        record: &mut [T],
        gradient: &mut [T],
        scratch: &mut [T],
    ) {
        let (one, scratch) = scratch.split_at_mut(self.one_record::<T>());
        let mut logdet = [T::zero(); ROWS];
        for step in self.steps(pass.keep) {
            let own_pass = step.pass(pass);
            if pass.keep == Keep::Result {
                step.map.forward(&own_pass, record, &mut logdet, &mut one[..step.record_len], scratch);
            }
            let (own, gradient) = (step.record(pass.keep, record, one), step.gradient(gradient));
            step.map.inverse_backward(&own_pass, cotangent, logdet_cotangent, own, gradient, scratch);
        }
    }
}
