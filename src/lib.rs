//! Posterior distributions from simulations, with invertible neural networks.
//!
//! Arrows point one way: bindings -> model, train, store -> flow, loss -> subnet -> tiles, kernels, random, error.

/// Light in layers of tissue.
pub mod adding_doubling;
/// The Cholesky factor of a covariance.
pub mod cholesky;
/// Stages of training with a learned simulator.
pub mod curriculum;
/// Several networks used as one.
pub mod ensemble;
/// One enum for everything that can go wrong.
pub mod error;
/// Invertible maps.
pub mod flow;
/// Fitting a network to pairs of x and y.
pub mod inn;
/// Arithmetic on tiles, vectorised.
pub mod kernels;
/// Columns whose values are evenly spaced.
pub mod lattice;
/// Which columns of the network are which.
pub mod layout;
/// Losses with value and gradient.
pub mod loss;
/// A network with its scaling.
pub mod model;
/// Observations that the simulations do not cover.
pub mod novelty;
/// Ordinary differential equations.
pub mod ode;
/// The extension module.
#[cfg(feature = "python")]
mod python;
/// One seed, one stream per purpose.
pub mod random;
/// The linear part of an inverse problem.
pub mod regression;
/// Standardisation of columns.
pub mod scaling;
/// The energy score.
pub mod score;
/// Spread of latent variables.
pub mod spread;
/// Weights of the parts of a mixture.
pub mod stacking;
/// A star cluster and the shell around it.
pub mod star_cluster;
/// A model in a file.
pub mod store;
/// The multilayer perceptron of a coupling.
pub mod subnet;
/// A simulator learned from simulations.
pub mod surrogate;
/// One thread pool per call.
pub mod threads;
/// Batches cut into tiles, worked on by threads.
pub mod tiles;
/// Objectives, optimizer, training loop.
pub mod train;
