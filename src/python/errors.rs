//! The one place where errors become Python exceptions.

use crate::error::Error;
use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::File { path, source } => {
                // The subclass of OSError that fits the reason, with the path in its place.
                match source.raw_os_error() {
                    Some(code) => pyo3::exceptions::PyOSError::new_err((code, source.to_string(), path)),
                    None => pyo3::exceptions::PyOSError::new_err(format!("{path}: {source}")),
                }
            }
            Error::Threads { .. } => PyRuntimeError::new_err(error.to_string()),
            _ => PyValueError::new_err(error.to_string()),
        }
    }
}
