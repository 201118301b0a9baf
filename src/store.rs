//! A model in a file: safetensors with one JSON header. Nothing in it can run code.

use crate::error::{Error, Result};
use crate::inn::Trained;
use crate::model::{Architecture, Mixing, Model};
use crate::regression::Regression;
use crate::scaling::support::Support;
use crate::scaling::{Column, Scaling};
use crate::train::optimizer::Moments;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// Grows when a file can no longer be read by the version before.
const FORMAT_VERSION: u32 = 3;
/// The header's key in the file's metadata.
const HEADER: &str = "innverse";

/// What the file says besides numbers.
#[derive(Serialize, Deserialize)]
struct Header {
    format_version: u32,
    package_version: String,
    architecture: Architecture,
    /// What the estimator keeps: its parameters, names, history; opaque here.
    estimator: String,
    /// Steps of the optimizer, where its moments are in the file.
    steps: Option<u64>,
}

/// A model as bytes; `moments` are only needed to train on as if nothing had happened.
pub fn to_bytes(trained: &Trained, estimator: &str, with_moments: bool) -> Result<Vec<u8>> {
    let Trained { model, moments } = trained;
    let header = Header {
        format_version: FORMAT_VERSION,
        package_version: env!("CARGO_PKG_VERSION").into(),
        architecture: model.architecture.clone(),
        estimator: estimator.into(),
        steps: with_moments.then(|| moments.steps()),
    };
    let header = serde_json::to_string(&header).map_err(format_error)?;
    let mut tensors = vec![("parameters".into(), single(&model.parameters))];
    for (side, scaling) in [("x", &model.x_scaling), ("y", &model.y_scaling)] {
        for (i, name) in COLUMN.iter().enumerate() {
            let values: Vec<f64> = scaling.columns.iter().map(|column| numbers(column)[i]).collect();
            tensors.push((format!("{side}.{name}"), double(&values)));
        }
    }
    if let Some(Regression { intercept, coefficients, factor }) = &model.regression {
        for (name, values) in REGRESSION.into_iter().zip([intercept, coefficients, factor]) {
            tensors.push((name.into(), double(values)));
        }
    }
    if !model.architecture.rotations.is_empty() {
        tensors.push(("rotations".into(), double(&model.architecture.rotations.concat())));
    }
    if with_moments {
        let (first, second) = moments.parts();
        tensors.extend([("moments.first".into(), single(first)), ("moments.second".into(), single(second))]);
    }
    let views = tensors.iter().map(|(name, (dtype, bytes))| {
        let width = dtype.bitsize() / 8;
        Ok((name.as_str(), TensorView::new(*dtype, vec![bytes.len() / width], bytes).map_err(format_error)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([(HEADER.to_string(), header)]);
    safetensors::serialize(views, Some(metadata)).map_err(format_error)
}

/// The model in such bytes, and what the estimator kept.
pub fn from_bytes(bytes: &[u8]) -> Result<(Trained, String)> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(format_error)?;
    let header = metadata.metadata().as_ref().and_then(|map| map.get(HEADER));
    let header = header.ok_or_else(|| Error::Format("it holds no innverse model".into()))?;
    check_version(header)?;
    let mut header: Header = serde_json::from_str(header).map_err(format_error)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(format_error)?;
    let layout = header.architecture.layout;
    if header.architecture.mixing == Mixing::Orthogonal {
        let (count, square) = (header.architecture.n_blocks, layout.total.saturating_mul(layout.total));
        let values = read_double(&tensors, "rotations", count.saturating_mul(square))?;
        header.architecture.rotations = values.chunks(square.max(1)).map(<[f64]>::to_vec).collect();
    }
    let version = header.format_version;
    let scaling = |side, columns| read_scaling(&tensors, side, columns, version);
    let (x, y) = (scaling("x", layout.x)?, scaling("y", layout.y)?);
    let regression = read_regression(&tensors, layout.x, layout.y)?;
    let model = Model::new(header.architecture, x, y, regression, read_single(&tensors, "parameters", None)?)?;
    let count = Some(model.parameters.len());
    let moments = match header.steps {
        Some(steps) => Moments::from_parts(
            read_single(&tensors, "moments.first", count)?,
            read_single(&tensors, "moments.second", count)?,
            steps,
        ),
        None => Moments::new(model.parameters.len()),
    };
    Ok((Trained { model, moments }, header.estimator))
}

/// What is kept of a column's scaling, one tensor each.
const COLUMN: [&str; 7] = ["shift", "scale", "reach", "spread", "low", "high", "unit"];
/// How many of them files of formats before 3 have: the rest was not there.
const COLUMN_BEFORE_3: usize = 2;

/// In the order of `COLUMN`.
fn numbers(column: &Column) -> [f64; COLUMN.len()] {
    let Column { support, shift, scale, reach, spread } = *column;
    let (low, high, unit) = support.parts();
    [shift, scale, reach, spread, low, high, unit]
}

fn read_scaling(tensors: &SafeTensors, side: &str, columns: usize, version: u32) -> Result<Scaling> {
    let names = if version < 3 { &COLUMN[..COLUMN_BEFORE_3] } else { &COLUMN[..] };
    let read = |name: &&str| read_double(tensors, &format!("{side}.{name}"), columns);
    let kept = names.iter().map(read).collect::<Result<Vec<_>>>()?;
    let column = |c: usize| {
        let or = |i: usize, absent: f64| kept.get(i).map_or(absent, |values| values[c]);
        let (shift, scale) = (kept[0][c], kept[1][c]);
        let (reach, spread) = (or(2, f64::INFINITY), or(3, scale));
        let (low, high, unit) = (or(4, f64::NEG_INFINITY), or(5, f64::INFINITY), or(6, 1.0));
        let column = Column { support: Support::from_parts(low, high, unit), shift, scale, reach, spread };
        let positive = [scale, spread, unit].iter().all(|v| v.is_finite() && *v > 0.0);
        (shift.is_finite() && positive && reach > 0.0 && low < high).then_some(column)
    };
    let columns = (0..columns).map(column).collect::<Option<Vec<_>>>();
    let wrong = || Error::Format(format!("the scaling of {side} makes no sense"));
    Ok(Scaling { columns: columns.ok_or_else(wrong)? })
}

/// Tensors of a regression, where there is one.
const REGRESSION: [&str; 3] = ["regression.intercept", "regression.coefficients", "regression.factor"];

fn read_regression(tensors: &SafeTensors, x: usize, y: usize) -> Result<Option<Regression>> {
    if tensors.tensor(REGRESSION[0]).is_err() {
        return Ok(None);
    }
    let lengths = [x, x.saturating_mul(y), x.saturating_mul(x)];
    let mut parts = REGRESSION.into_iter().zip(lengths).map(|(name, len)| read_double(tensors, name, len));
    let mut next = || parts.next().expect("as many as names");
    Ok(Some(Regression { intercept: next()?, coefficients: next()?, factor: next()? }))
}

/// Writes a file whole or not at all: beside its place first, then moved there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::File { path: path.display().to_string(), source };
    let name = path.file_name().ok_or_else(|| failed(std::io::ErrorKind::IsADirectory.into()))?;
    let mut beside = name.to_os_string();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(beside);
    let written = std::fs::File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&beside, path)).map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        failed(error)
    })
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| Error::File { path: path.display().to_string(), source })
}

/// The version first: the rest of a later header may not parse.
fn check_version(header: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Versions {
        format_version: u32,
        package_version: String,
    }
    let versions: Versions = serde_json::from_str(header).map_err(format_error)?;
    if versions.format_version > FORMAT_VERSION {
        return Err(Error::Format(format!(
            "it was written by innverse {} in format {}, this version reads formats up to {FORMAT_VERSION}",
            versions.package_version, versions.format_version
        )));
    }
    Ok(())
}

fn format_error(error: impl std::fmt::Display) -> Error {
    Error::Format(error.to_string())
}

fn single(values: &[f32]) -> (Dtype, Vec<u8>) {
    (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn double(values: &[f64]) -> (Dtype, Vec<u8>) {
    (Dtype::F64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn raw<'a>(tensors: &'a SafeTensors, name: &str, dtype: Dtype, count: Option<usize>) -> Result<&'a [u8]> {
    let tensor = tensors.tensor(name).map_err(format_error)?;
    let width = dtype.bitsize() / 8;
    if tensor.dtype() != dtype
        || count.is_some_and(|count| tensor.data().len() != count.saturating_mul(width))
    {
        return Err(Error::Format(format!("{name} has another type or length than its shape needs")));
    }
    Ok(tensors.tensor(name).map_err(format_error)?.data())
}

fn read_single(tensors: &SafeTensors, name: &str, count: Option<usize>) -> Result<Vec<f32>> {
    let bytes = raw(tensors, name, Dtype::F32, count)?;
    Ok(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
}

fn read_double(tensors: &SafeTensors, name: &str, count: usize) -> Result<Vec<f64>> {
    let bytes = raw(tensors, name, Dtype::F64, Some(count))?;
    Ok(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect())
}
