//! Invertible maps. Forward turns u into v and adds log |det dv/du| to a running sum, row by row; inverse turns
//! v into u and adds log |det du/dv|. The two sums of a round trip cancel.

pub mod affine;
pub mod chain;
pub mod coupling;
#[cfg(test)]
mod laws;
pub mod learned_linear;
pub mod orthogonal;
pub mod shuffle;
pub mod spline;

use crate::kernels::Real;
use crate::random::Stream;

/// What a pass through a map needs besides the tile itself.
#[derive(Clone, Copy)]
pub struct Pass<'a, T> {
    /// The map's parameters.
    pub parameters: &'a [T],
    /// Columns that every subnetwork sees as well, as a tile; may be empty.
    pub condition: &'a [T],
    /// Rows of the tile that are in use.
    pub rows: usize,
    /// What is kept for the backward pass.
    pub keep: Keep,
}

/// What a pass keeps for its backward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All activations: fastest while the tile's record stays in the cache.
    Activations,
    /// Inputs and outputs of each map only; the subnetworks' hidden layers are computed again.
    States,
    /// The result of a chain only; its backward rebuilds what each map saw by running the map backwards. Memory does
    /// not grow with the length of the chain.
    Result,
}

impl Keep {
    /// Whether a single map keeps its subnetworks' hidden layers; there is one such record at a time where a chain
    /// keeps its result only.
    pub fn activations(self) -> bool {
        self != Keep::States
    }
}

/// An invertible map of tiles and the derivative of each direction.
///
/// A direction works in place on `state` (dim columns), adds its log determinant to `logdet` (one tile column), and
/// writes to `record` (of `record_len`) what its backward reads. A backward turns the cotangent of the
/// direction's result into that of its argument, in place, adds to `gradient` that of the parameters, and takes
/// the cotangent of the log determinant into account. `scratch` (of `scratch_len`) is overwritten.
///
/// Both directions between the same u and v write the same record, up to rounding, so that either's record serves
/// either's backward.
pub trait Invertible<T: Real>: Send + Sync {
    /// Columns of the tiles.
    fn dim(&self) -> usize;
    /// Number of parameters.
    fn parameters(&self) -> usize;
    /// Scalars of a tile's record.
    fn record_len(&self, keep: Keep) -> usize;
    /// Scalars of working memory.
    fn scratch_len(&self) -> usize;
    /// Sets the parameters that training starts from; `last_layer` is how large the weights of the subnetworks' last
    /// layers are, against the usual scale: the smaller, the nearer to a map that changes nothing.
    fn initialise(&self, parameters: &mut [T], last_layer: f64, stream: &mut Stream);
    /// Sets the factor of each parameter's learning rate.
    fn rates(&self, rates: &mut [T]) {
        rates.fill(T::one());
    }
    /// u -> v.
    fn forward(&self, pass: &Pass<T>, state: &mut [T], logdet: &mut [T], record: &mut [T], scratch: &mut [T]);
    /// v -> u.
    fn inverse(&self, pass: &Pass<T>, state: &mut [T], logdet: &mut [T], record: &mut [T], scratch: &mut [T]);
    /// Cotangent of v -> cotangent of u, after `forward`.
    fn forward_backward(
        &self,
        pass: &Pass<T>,
        cotangent: &mut [T],
        logdet_cotangent: &[T],
        record: &mut [T],
        gradient: &mut [T],
        scratch: &mut [T],
    );
    /// Cotangent of u -> cotangent of v, after `inverse`.
    fn inverse_backward(
        &self,
        pass: &Pass<T>,
        cotangent: &mut [T],
        logdet_cotangent: &[T],
        record: &mut [T],
        gradient: &mut [T],
        scratch: &mut [T],
    );
}

/// Declares the enum of all maps and the list of their kinds together, so that none can be left out.
macro_rules! registry {
    ($($(#[$doc:meta])* $kind:ident($map:ty)),* $(,)?) => {
        /// Any invertible map that a chain can hold.
        #[derive(Clone, Debug)]
        pub enum Map {
            $($(#[$doc])* $kind($map)),*
        }

        /// The kinds of maps, for tests that go through all of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $kind),*
        }

        impl Kind {
            /// Every kind there is.
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];
        }

        impl Map {
            /// The kind of this map.
            pub fn kind(&self) -> Kind {
                match self { $(Map::$kind(_) => Kind::$kind),* }
            }

            fn as_invertible<T: Real>(&self) -> &dyn Invertible<T> {
                match self { $(Map::$kind(map) => map),* }
            }
        }
    };
}

registry! {
    /// Two affine couplings.
    Affine(affine::AffineCoupling),
    /// Two spline couplings.
    Spline(spline::SplineCoupling),
    /// A learned linear map.
    LearnedLinear(learned_linear::LearnedLinear),
    /// A fixed rotation.
    Orthogonal(orthogonal::Orthogonal),
    /// A fixed permutation of the columns.
    Shuffle(shuffle::Shuffle),
}
