//! Posterior distributions from simulations, with invertible neural networks.
//!
//! Arrows point one way: bindings -> model, train, store -> flow, loss -> subnet -> tiles, kernels, random, error.

/// One enum for everything that can go wrong.
pub mod error;
/// Invertible maps.
pub mod flow;
/// Arithmetic on tiles, vectorised.
pub mod kernels;
/// One seed, one stream per purpose.
pub mod random;
/// The multilayer perceptron of a coupling.
pub mod subnet;
/// Batches cut into tiles, worked on by threads.
pub mod tiles;
/// Losses with value and gradient.
pub mod loss;
/// Which columns of the network are which.
pub mod layout;
/// The energy score.
pub mod score;
/// Standardisation of columns.
pub mod scaling;
/// Objectives, optimizer, training loop.
pub mod train;
/// A network with its scaling.
pub mod model;
/// One thread pool per call.
pub mod threads;
/// Fitting a network to pairs of x and y.
pub mod inn;
/// A model in a file.
pub mod store;
/// The extension module.
#[cfg(feature = "python")]
mod python;
