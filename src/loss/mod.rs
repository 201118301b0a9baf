//! Losses: plain functions of batches that return a value and a gradient. They know nothing of flows.

pub mod energy;
pub mod fit;
pub mod likelihood;
pub mod mmd;
