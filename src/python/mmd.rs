//! The maximum mean discrepancy, seen from Python.

use crate::kernels::Real;
use crate::loss::mmd::{MeanKernel, mmd, mmd_gradient};
use crate::threads::with_threads;
use crate::tiles::Batch;
use numpy::ndarray::{Array2, ArrayView2};
use numpy::{Element, PyArray2, PyReadonlyArray2, ToPyArray};
use pyo3::prelude::*;

type ValueAndGradient<'py, T> = (f64, Option<Bound<'py, PyArray2<T>>>);

/// The squared discrepancy of two samples in single precision, and its gradient in the points where wanted.
#[pyfunction]
pub fn mmd_single<'py>(
    py: Python<'py>,
    points: PyReadonlyArray2<'py, f32>,
    reference: PyReadonlyArray2<'py, f32>,
    scales: Vec<f64>,
    gradient: bool,
    threads: usize,
) -> PyResult<ValueAndGradient<'py, f32>> {
    convert(py, points, reference, &scales, gradient, threads)
}

/// The same in double precision.
#[pyfunction]
pub fn mmd_double<'py>(
    py: Python<'py>,
    points: PyReadonlyArray2<'py, f64>,
    reference: PyReadonlyArray2<'py, f64>,
    scales: Vec<f64>,
    gradient: bool,
    threads: usize,
) -> PyResult<ValueAndGradient<'py, f64>> {
    convert(py, points, reference, &scales, gradient, threads)
}

fn convert<'py, T: Real + Element>(
    py: Python<'py>,
    points: PyReadonlyArray2<'py, T>,
    reference: PyReadonlyArray2<'py, T>,
    scales: &[f64],
    gradient: bool,
    threads: usize,
) -> PyResult<ValueAndGradient<'py, T>> {
    let (points, reference) = (points.as_array(), reference.as_array());
    let work = || with_threads(threads, || call(points, reference, scales, gradient));
    let (value, gradient) = py.detach(work)?;
    Ok((value, gradient.map(|gradient| gradient.to_pyarray(py))))
}

fn call<T: Real>(
    points: ArrayView2<T>,
    reference: ArrayView2<T>,
    scales: &[f64],
    gradient: bool,
) -> (f64, Option<Array2<T>>) {
    let (points, reference) = (batch(points), batch(reference));
    let scales: Vec<T> = scales.iter().map(|&scale| T::of(scale)).collect();
    if !gradient {
        return (mmd(&points, &reference, &scales), None);
    }
    let mut gradient = Batch::zeros(points.rows(), points.columns());
    let value = mmd_gradient(&points, &reference, &scales, MeanKernel::Biased, &mut gradient);
    let shape = (gradient.rows(), gradient.columns());
    (value, Some(Array2::from_shape_fn(shape, |(row, column)| gradient.get(row, column))))
}

fn batch<T: Real>(table: ArrayView2<T>) -> Batch<T> {
    let mut batch = Batch::zeros(table.nrows(), table.ncols());
    for (i, row) in table.outer_iter().enumerate() {
        batch.set_row(i, &row.to_vec());
    }
    batch
}
