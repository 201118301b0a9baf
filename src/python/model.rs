//! A trained network in Python's hands.

use crate::ensemble::Ensemble;
use crate::error::{Error, Result};
use crate::random::Seed;
use crate::store;
use crate::threads::with_threads;
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3, ToPyArray};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ops::Range;
use std::path::PathBuf;

/// Trained networks; never change.
#[pyclass(frozen, module = "innverse._core")]
pub struct Model {
    pub ensemble: Ensemble,
}

#[pymethods]
impl Model {
    /// Samples, n of them for each row of y, as an array of shape (rows * n, columns of x); or those from number
    /// `start` to before `stop`.
    #[pyo3(signature = (y, n, seed, threads, start = 0, stop = None))]
    #[expect(clippy::too_many_arguments, reason = "Python passes them by name")]
    fn posterior<'py>(
        &self,
        py: Python<'py>,
        y: PyReadonlyArray2<'py, f64>,
        n: usize,
        seed: u64,
        threads: usize,
        start: usize,
        stop: Option<usize>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (model, y) = (&self.ensemble, y.as_array());
        let columns = model.layout().x;
        let wanted = sample_numbers(y.nrows(), n, start, stop)?;
        let samples = py.detach(|| with_threads(threads, || model.posterior(y, n, Seed(seed), wanted)))??;
        let rows = samples.len() / columns;
        PyArray1::from_vec(py, samples).reshape([rows, columns])
    }

    /// The learned forward process.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (model, x) = (&self.ensemble, x.as_array());
        Ok(py.detach(|| with_threads(threads, || model.predict(x)))??.to_pyarray(py))
    }

    /// The latent variables of x, of the first network.
    fn latent<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f64>,
        y: Option<PyReadonlyArray2<'py, f64>>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (model, x, y) = (self.ensemble.first(), x.as_array(), y.as_ref().map(|y| y.as_array()));
        Ok(py.detach(|| with_threads(threads, || model.latent(x, y)))??.to_pyarray(py))
    }

    /// The x of latent variables and observations, by the first network.
    fn decode<'py>(
        &self,
        py: Python<'py>,
        z: PyReadonlyArray2<'py, f64>,
        y: PyReadonlyArray2<'py, f64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (model, z, y) = (self.ensemble.first(), z.as_array(), y.as_array());
        Ok(py.detach(|| with_threads(threads, || model.decode(z, y)))??.to_pyarray(py))
    }

    /// Natural log of the density of x given y, row by row.
    fn log_prob<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f64>,
        y: PyReadonlyArray2<'py, f64>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let (model, x, y) = (&self.ensemble, x.as_array(), y.as_array());
        Ok(py.detach(|| with_threads(threads, || model.log_prob(x, y)))??.to_pyarray(py))
    }

    /// Standard deviation of each column of x that the model was fitted to.
    fn x_spread<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        let columns = &self.ensemble.first().x_scaling.columns;
        columns.iter().map(|column| column.spread).collect::<Vec<_>>().to_pyarray(py)
    }

    /// How far rows of y are from the simulations, which cover them up to 1, and how often more is a false alarm;
    /// `None` without a test.
    fn novel<'py>(
        &self,
        py: Python<'py>,
        y: PyReadonlyArray2<'py, f64>,
        threads: usize,
    ) -> PyResult<Option<(Vec<f64>, f64)>> {
        let (model, y) = (self.ensemble.first(), y.as_array());
        let novel = py.detach(|| model.novel(y, threads))?;
        Ok(novel.zip(model.novelty.as_ref().map(|novelty| novelty.false_alarm)))
    }

    /// The model of one network alone.
    fn member(&self, index: usize) -> PyResult<Self> {
        let members = self.ensemble.members();
        let chosen = members.get(index).ok_or_else(|| {
            Error::setting("index", index, format!("below the number of networks, {}", members.len()))
        })?;
        Ok(Self { ensemble: Ensemble::new(vec![chosen.clone()])? })
    }

    /// How many networks there are.
    fn size(&self) -> usize {
        self.ensemble.members().len()
    }

    /// Numbers of columns: x, y, z, total.
    fn layout(&self) -> (usize, usize, usize, usize) {
        let layout = self.ensemble.layout();
        (layout.x, layout.y, layout.z, layout.total)
    }

    /// Writes a file, whole or not at all, with a text of the estimator's in its header.
    fn save(&self, py: Python<'_>, path: PathBuf, estimator: &str) -> PyResult<()> {
        Ok(py.detach(|| store::write(&path, &store::to_bytes(&self.ensemble, estimator, false)?))?)
    }

    /// The model in such a file, and the estimator's text.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<(Self, String)> {
        let (ensemble, estimator) = py.detach(|| store::from_bytes(&store::read(&path)?))?;
        Ok((Self { ensemble }, estimator))
    }

    /// The model in bytes made by pickle.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        let (ensemble, _) = py.detach(|| store::from_bytes(bytes))?;
        Ok(Self { ensemble })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let bytes = store::to_bytes(&slf.get().ensemble, "", true)?;
        let constructor = slf.get_type().getattr("from_bytes")?;
        Ok((constructor, (PyBytes::new(slf.py(), &bytes),)))
    }
}

/// The numbers of samples from `start` to before `stop`, of `n` for each observation.
fn sample_numbers(observations: usize, n: usize, start: usize, stop: Option<usize>) -> Result<Range<usize>> {
    let most = observations.checked_mul(n).ok_or_else(|| Error::setting("n", n, "fewer samples"))?;
    let stop = stop.unwrap_or(most);
    if start > stop || stop > most {
        let needed = format!("numbers in order, at most {most}");
        return Err(Error::setting("start and stop", format!("{start} and {stop}"), needed));
    }
    Ok(start..stop)
}

/// The energy score of each row of samples, shape (m, n, d), against its row of truth, shape (m, d).
#[pyfunction]
pub fn energy_score<'py>(
    py: Python<'py>,
    samples: PyReadonlyArray3<'py, f64>,
    truth: PyReadonlyArray2<'py, f64>,
    scale: Vec<f64>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray1<f64>>> {
    let (samples, truth) = (samples.as_array(), truth.as_array());
    let scores =
        py.detach(|| with_threads(threads, || crate::score::energy_score(samples, truth, &scale)))??;
    Ok(scores.to_pyarray(py))
}
