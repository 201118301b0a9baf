//! The simulator of star clusters, seen from Python.

use crate::threads::with_threads;
use numpy::{PyArray2, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;

/// Shell, photons and ionised gas of each row of parameters; columns as in `simulate`.
#[pyfunction]
pub fn star_cluster<'py>(
    py: Python<'py>,
    x: PyReadonlyArray2<'py, f64>,
    tolerance: f64,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let x = x.as_array();
    let rows = py.detach(|| with_threads(threads, || crate::star_cluster::simulate(x, tolerance)))??;
    Ok(rows.to_pyarray(py))
}
