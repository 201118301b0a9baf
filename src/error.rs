//! Everything that can go wrong, as one enum. The Python exceptions are made from it in one place.

/// Why a call could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument or setting has a value that makes no sense.
    #[error("{name} must be {needs}, got {got}")]
    Setting {
        /// The argument.
        name: &'static str,
        /// What was given.
        got: String,
        /// What is allowed.
        needs: String,
    },
    /// An array has the wrong number of columns.
    #[error("{name} has {got} columns, needs {needs}")]
    Columns {
        /// The argument.
        name: &'static str,
        /// Columns given.
        got: usize,
        /// Columns needed.
        needs: usize,
    },
    /// Two arrays that belong together have different lengths.
    #[error("x has {x} rows and y has {y}; each row of x needs its row of y")]
    Rows {
        /// Rows of x.
        x: usize,
        /// Rows of y.
        y: usize,
    },
    /// An array has too few rows.
    #[error("{name} has {got} rows, needs at least {needs}")]
    TooFew {
        /// The argument.
        name: &'static str,
        /// Rows given.
        got: usize,
        /// Rows needed.
        needs: usize,
    },
    /// An array holds NaN or infinity.
    #[error("{name} must be finite, got {got} at row {row}, column {column}")]
    NotFinite {
        /// The argument.
        name: &'static str,
        /// The value.
        got: f64,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// What was asked for does not exist for this model.
    #[error("{0}")]
    Undefined(String),
    /// A file is not one of ours, is damaged, or is from a later version.
    #[error("cannot read the model: {0}")]
    Format(String),
    /// The operating system refused a file.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
    /// Threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// What the system said.
        reason: String,
    },
}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A setting out of range.
    pub fn setting(name: &'static str, got: impl std::fmt::Display, needs: impl Into<String>) -> Self {
        Self::Setting { name, got: got.to_string(), needs: needs.into() }
    }
}
