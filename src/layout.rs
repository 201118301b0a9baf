//! Which columns of the network are which: [x, padding] on one side, [z, padding, y] on the other; or, where the
//! subnetworks see y instead, x and z.

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
    /// Whether y is shown to the subnetworks instead of being part of the network's result.
    pub conditional: bool,
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
        Ok(Self { x, y, z, total, conditional: false })
    }

    /// The network between x and z whose subnetworks see y.
    pub fn conditional(x: usize, y: usize) -> Self {
        Self { x, y, z: x, total: x, conditional: true }
    }

    /// Columns that the subnetworks see besides the network's own.
    pub fn condition(&self) -> usize {
        if self.conditional { self.y } else { 0 }
    }

    /// Columns of the x side beyond x.
    pub fn x_padding(&self) -> Range<usize> {
        self.x..self.total
    }

    /// Columns of the other side between z and y.
    pub fn yz_padding(&self) -> Range<usize> {
        self.z..self.y_columns().start
    }

    /// Columns of y on the other side.
    pub fn y_columns(&self) -> Range<usize> {
        self.total - (self.y - self.condition())..self.total
    }
}
