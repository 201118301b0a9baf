//! Light in layers, seen from Python.

use crate::adding_doubling::{Layers, reflectance_and_transmittance};
use crate::threads::with_threads;
use numpy::{PyArray2, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;

/// Diffuse reflectance and total transmittance of stacks of layers, a row for each: shape (cases, 2).
///
/// The arrays have a row for each case and a column for each layer from top to bottom.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "four properties of each layer, and how to solve")]
pub fn adding_doubling<'py>(
    py: Python<'py>,
    mu_a: PyReadonlyArray2<'py, f64>,
    mu_s: PyReadonlyArray2<'py, f64>,
    g: PyReadonlyArray2<'py, f64>,
    thickness: PyReadonlyArray2<'py, f64>,
    refractive_index: f64,
    n_angles: usize,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let layers = Layers {
        mu_a: mu_a.as_array(),
        mu_s: mu_s.as_array(),
        g: g.as_array(),
        thickness: thickness.as_array(),
    };
    let solve = || reflectance_and_transmittance(&layers, refractive_index, n_angles);
    Ok(py.detach(|| with_threads(threads, solve))??.to_pyarray(py))
}
