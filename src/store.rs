//! A model in a file: safetensors with one JSON header. Nothing in it can run code.

use crate::error::{Error, Result};
use crate::inn::Trained;
use crate::model::{Architecture, Mixing, Model};
use crate::scaling::Scaling;
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
    let mut tensors = vec![("parameters", single(&model.parameters))];
    for (name, values) in [
        ("x.shift", &model.x_scaling.shift),
        ("x.scale", &model.x_scaling.scale),
        ("y.shift", &model.y_scaling.shift),
        ("y.scale", &model.y_scaling.scale),
    ] {
        tensors.push((name, double(values)));
    }
    if !model.architecture.rotations.is_empty() {
        tensors.push(("rotations", double(&model.architecture.rotations.concat())));
    }
    if with_moments {
        let (first, second) = moments.parts();
        tensors.extend([("moments.first", single(first)), ("moments.second", single(second))]);
    }
    let views = tensors.iter().map(|(name, (dtype, bytes))| {
        let width = dtype.bitsize() / 8;
        Ok((*name, TensorView::new(*dtype, vec![bytes.len() / width], bytes).map_err(format_error)?))
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
    let scaling = |side: &str, columns: usize| -> Result<Scaling> {
        let shift = read_double(&tensors, &format!("{side}.shift"), columns)?;
        let scale = read_double(&tensors, &format!("{side}.scale"), columns)?;
        if shift.iter().chain(&scale).any(|v| !v.is_finite()) || scale.iter().any(|&v| v <= 0.0) {
            return Err(Error::Format(format!("the scaling of {side} is not finite and positive")));
        }
        Ok(Scaling { shift, scale })
    };
    let layout = header.architecture.layout;
    if header.architecture.mixing == Mixing::Orthogonal {
        let (count, square) = (header.architecture.n_blocks, layout.total.saturating_mul(layout.total));
        let values = read_double(&tensors, "rotations", count.saturating_mul(square))?;
        header.architecture.rotations = values.chunks(square.max(1)).map(<[f64]>::to_vec).collect();
    }
    let (x, y) = (scaling("x", layout.x)?, scaling("y", layout.y)?);
    let model = Model::new(header.architecture, x, y, read_single(&tensors, "parameters", None)?)?;
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
