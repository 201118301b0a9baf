//! Which columns of the network are which: [x, padding] on one side, [z, padding, y] on the other.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Numbers of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Parameters.
    pub x: usize,
    /// Observations.
    pub y: usize,
    /// Latent variables.
    pub z: usize,
    /// Width of the network.
    pub total: usize,
}

impl Layout {
    /// Checks that both sides fit; `total` of `None` is the smallest width that does.
    pub fn new(x: usize, y: usize, z: usize, total: Option<usize>) -> Result<Self> {
        let needed = x.max(y + z);
        let total = total.unwrap_or(needed);
        if total < needed {
            let needs = format!(
                "at least max(columns of x, columns of y + latent_dim) = max({x}, {y} + {z}) = {needed}"
            );
            return Err(Error::setting("total_dim", total, needs));
        }
        Ok(Self { x, y, z, total })
    }

    /// Columns of the x side beyond x.
    pub fn x_padding(&self) -> Range<usize> {
        self.x..self.total
    }

    /// Columns of the other side between z and y.
    pub fn yz_padding(&self) -> Range<usize> {
        self.z..self.total - self.y
    }

    /// Columns of y on the other side.
    pub fn y_columns(&self) -> Range<usize> {
        self.total - self.y..self.total
    }
}
