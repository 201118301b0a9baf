//! Batches cut into tiles of fixed size, and work on them that gives the same bits on any number of threads:
//! tiles form fixed groups, a group is worked through in order by one thread, and sums over groups are
//! taken in the order of the groups.

use crate::kernels::{ROWS, Real};
use std::ops::Range;

/// Groups a batch is cut into at most: the most threads that can help, and the number of gradients kept.
pub const GROUPS: usize = 8;
/// Groups that any batch is cut into, as far as it has tiles.
const FEWEST_GROUPS: usize = 4;
/// Tiles of a group in larger batches. Each group sets a gradient to zero and has it summed in the end, which takes
/// as long as the arithmetic of a tile or two where the gradients do not fit in the cache.
const TILES_OF_GROUP: usize = 8;

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

/// Number of groups, for so many tiles in all.
pub fn groups(tiles: usize) -> usize {
    (tiles / TILES_OF_GROUP).clamp(FEWEST_GROUPS, GROUPS).min(tiles)
}

/// The tiles of one group: as many as of any other, or one less.
pub fn tiles_of(group: usize, tiles: usize) -> Range<usize> {
    let groups = groups(tiles);
    group * tiles / groups..(group + 1) * tiles / groups
}

/// One slice for each group, of the slots of its tiles.
pub fn by_groups<S>(mut slots: &mut [S]) -> Vec<&mut [S]> {
    let tiles = slots.len();
    let take =
        |group| slots.split_off_mut(..tiles_of(group, tiles).len()).expect("the groups share out the tiles");
    (0..groups(tiles)).map(take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_share_out_the_tiles() {
        for tiles in 0..200 {
            let ranges: Vec<_> = (0..groups(tiles)).map(|group| tiles_of(group, tiles)).collect();
            assert!(ranges.iter().flat_map(|range| range.clone()).eq(0..tiles), "{tiles}");
            let (least, most) = (tiles / ranges.len().max(1), tiles.div_ceil(ranges.len().max(1)));
            assert!(ranges.iter().all(|range| range.len() == least || range.len() == most), "{tiles}");
            let mut slots: Vec<usize> = (0..tiles).collect();
            let parts: Vec<Range<usize>> =
                by_groups(&mut slots).iter().map(|part| part[0]..part[part.len() - 1] + 1).collect();
            assert_eq!(parts, ranges);
            // A fit keeps as many gradients as its largest batch needs.
            assert!((0..tiles).all(|fewer| groups(fewer) <= groups(tiles)));
        }
    }
}
