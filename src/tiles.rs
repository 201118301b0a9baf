//! Batches cut into tiles of fixed size, and work on them that gives the same bits on any number of threads:
//! tiles form fixed groups, a group is worked through in order by one thread, and sums over groups are
//! taken in the order of the groups.

use crate::kernels::update::sum_of_parts;
use crate::kernels::{ROWS, Real};
use rayon::prelude::*;

/// Groups a batch is cut into at most: the most threads that can help, and the number of gradients kept.
const GROUPS: usize = 8;

/// Rows of data as tiles; the rows beyond the last one are zero.
#[derive(Clone, Debug, Default)]
pub struct Batch<T> {
    rows: usize,
    columns: usize,
    data: Vec<T>,
}

impl<T: Real> Batch<T> {
    /// All zero.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        let data = vec![T::zero(); rows.div_ceil(ROWS) * columns * ROWS];
        Self { rows, columns, data }
    }

    /// From row-major data.
    pub fn from_rows(values: &[T], columns: usize) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        let mut batch = Self::zeros(rows, columns);
        for (i, row) in values.chunks_exact(columns.max(1)).enumerate() {
            batch.set_row(i, row);
        }
        batch
    }

    /// Changes the number of rows, keeping the memory; the content is undefined afterwards.
    pub fn resize(&mut self, rows: usize) {
        self.rows = rows;
        self.data.resize(rows.div_ceil(ROWS) * self.columns * ROWS, T::zero());
    }

    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the batch.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// Rows of one tile.
    pub fn rows_of(&self, tile: usize) -> usize {
        rows_of_tile(self.rows, tile)
    }

    /// Scalars of one tile.
    pub fn tile_len(&self) -> usize {
        self.columns * ROWS
    }

    /// One tile.
    pub fn tile(&self, tile: usize) -> &[T] {
        &self.data[tile * self.tile_len()..(tile + 1) * self.tile_len()]
    }

    /// One tile, to be written.
    pub fn tile_mut(&mut self, tile: usize) -> &mut [T] {
        let len = self.tile_len();
        &mut self.data[tile * len..(tile + 1) * len]
    }

    /// All tiles, one after the other.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All tiles, to be written.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// Writes one row.
    pub fn set_row(&mut self, row: usize, values: &[T]) {
        let start = row / ROWS * self.tile_len() + row % ROWS;
        for (c, &value) in values.iter().enumerate() {
            self.data[start + c * ROWS] = value;
        }
    }

    /// One element.
    pub fn get(&self, row: usize, column: usize) -> T {
        self.data[row / ROWS * self.tile_len() + column * ROWS + row % ROWS]
    }

    /// Row-major copy.
    pub fn to_rows(&self) -> Vec<T> {
        let mut values = Vec::with_capacity(self.rows * self.columns);
        for row in 0..self.rows {
            values.extend((0..self.columns).map(|column| self.get(row, column)));
        }
        values
    }
}

/// Rows in one of the tiles of `rows` rows.
pub fn rows_of_tile(rows: usize, tile: usize) -> usize {
    (rows - tile * ROWS).min(ROWS)
}

/// Tiles in a group, for so many tiles in all.
pub fn tiles_per_group(tiles: usize) -> usize {
    tiles.div_ceil(GROUPS).max(1)
}

/// Number of groups, for so many tiles in all.
pub fn groups(tiles: usize) -> usize {
    tiles.div_ceil(tiles_per_group(tiles))
}

/// The most groups that up to so many tiles are cut into: fewer tiles can make more groups.
pub fn most_groups(tiles: usize) -> usize {
    tiles.min(GROUPS)
}

/// Scalars that one thread sums over all groups at a time.
const REDUCTION_CHUNK: usize = 4096;

/// `sum = parts[0] + parts[1] + ...`, in that order, whatever the threads; at most one part for each group.
pub fn ordered_sum<T: Real>(sum: &mut [T], parts: &[&[T]]) {
    sum.par_chunks_mut(REDUCTION_CHUNK).enumerate().for_each(|(i, chunk)| {
        let range = i * REDUCTION_CHUNK..i * REDUCTION_CHUNK + chunk.len();
        // There are at most GROUPS of them.
        let mut own: [&[T]; GROUPS] = [&[]; GROUPS];
        own.iter_mut().zip(parts).for_each(|(own, part)| *own = &part[range.clone()]);
        sum_of_parts(chunk, &own[..parts.len()]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_tiles_never_need_more_than_the_most_groups() {
        for most in 1..100 {
            assert!((1..=most).all(|tiles| groups(tiles) <= most_groups(most)), "{most}");
        }
    }
}
