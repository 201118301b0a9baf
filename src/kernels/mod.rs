//! Arithmetic on tiles. A tile holds up to [`ROWS`] rows of a batch, column by column: the rows of one column
//! lie side by side, so one vector instruction serves many rows and every column count is as good as another.

pub mod dispatch;
pub mod elementwise;
pub mod product;
pub mod real;
pub mod update;
pub mod vector;
#[cfg(target_arch = "x86_64")]
pub mod x86;

pub use real::Real;

/// Rows of a tile: two AVX-512 vectors of f32, and what lets a hidden layer of 256 stay in the first cache.
pub const ROWS: usize = 32;
