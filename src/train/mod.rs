//! Training: the only place that knows both flows and losses.

pub mod average;
pub mod bidirectional;
pub mod fit;
pub mod gradient;
pub mod likelihood;
pub mod objective;
pub mod optimizer;
pub mod schedule;
