//! The extension module: convert, release the GIL, call, convert. Nothing here computes.

mod adding_doubling;
mod errors;
mod fit;
mod mmd;
mod model;
mod star_cluster;

use pyo3::prelude::*;

/// The compiled core of innverse; its interface may change with every version.
#[pymodule]
mod _core {
    #[pymodule_export]
    use super::adding_doubling::adding_doubling;
    #[pymodule_export]
    use super::fit::{constant_columns, fit_network};
    #[pymodule_export]
    use super::mmd::{mmd_double, mmd_single};
    #[pymodule_export]
    use super::model::Model;
    #[pymodule_export]
    use super::model::energy_score;
    #[pymodule_export]
    use super::star_cluster::star_cluster;

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("INSTRUCTIONS", format!("{:?}", crate::kernels::dispatch::instructions()).to_lowercase())
    }
}
