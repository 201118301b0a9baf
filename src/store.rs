//! A model in a file: safetensors with one JSON header. Nothing in it can run code.

use crate::ensemble::Ensemble;
use crate::error::{Error, Result};
use crate::inn::Trained;
use crate::model::{Architecture, Mixing, Model};
use crate::novelty::Novelty;
use crate::regression::Regression;
use crate::scaling::arcsinh::Arcsinh;
use crate::scaling::support::Support;
use crate::scaling::{Column, Scaling};
use crate::train::optimizer::Moments;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// Grows when a file can no longer be read by the version before.
const FORMAT_VERSION: u32 = 5;
/// The header's key in the file's metadata.
const HEADER: &str = "innverse";

/// What the file says besides numbers.
#[derive(Serialize, Deserialize)]
struct Header {
    format_version: u32,
    package_version: String,
    architecture: Architecture,
    /// Those of the other networks, where there are several.
    #[serde(default)]
    others: Vec<Architecture>,
    /// What the estimator keeps: its parameters, names, history; opaque here.
    estimator: String,
    /// Steps of each optimizer, where their moments are in the file; a number in formats before 3.
    steps: Option<Steps>,
}

/// Steps of the optimizers.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Steps {
    One(u64),
    Each(Vec<u64>),
}

/// A model as bytes; `moments` are only needed to train on as if nothing had happened.
pub fn to_bytes(ensemble: &Ensemble, estimator: &str, with_moments: bool) -> Result<Vec<u8>> {
    let members = ensemble.members();
    let architecture = |member: &Trained| member.model.architecture.clone();
    let steps = || Steps::Each(members.iter().map(|member| member.moments.steps()).collect());
    let header = Header {
        format_version: FORMAT_VERSION,
        package_version: env!("CARGO_PKG_VERSION").into(),
        architecture: architecture(&members[0]),
        others: members[1..].iter().map(architecture).collect(),
        estimator: estimator.into(),
        steps: with_moments.then(steps),
    };
    let header = serde_json::to_string(&header).map_err(format_error)?;
    let mut tensors = Vec::new();
    for (i, member) in members.iter().enumerate() {
        tensors.extend(member_tensors(member, &prefix(i), with_moments));
    }
    let views = tensors.iter().map(|(name, (dtype, bytes))| {
        let width = dtype.bitsize() / 8;
        Ok((name.as_str(), TensorView::new(*dtype, vec![bytes.len() / width], bytes).map_err(format_error)?))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([(HEADER.to_string(), header)]);
    safetensors::serialize(views, Some(metadata)).map_err(format_error)
}

/// What the names of a network's tensors begin with.
fn prefix(member: usize) -> String {
    if member == 0 { String::new() } else { format!("{member}.") }
}

type Bytes = (Dtype, Vec<u8>);

fn member_tensors(trained: &Trained, prefix: &str, with_moments: bool) -> Vec<(String, Bytes)> {
    let Trained { model, moments } = trained;
    let mut tensors = vec![("parameters".to_string(), single(&model.parameters))];
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
    if let Some(Novelty { factor, reference, threshold, false_alarm }) = &model.novelty {
        tensors.push(("novelty.factor".into(), double(factor)));
        tensors.push(("novelty.reference".into(), single(reference)));
        tensors.push(("novelty.limits".into(), double(&[*threshold, *false_alarm])));
    }
    if !model.architecture.rotations.is_empty() {
        tensors.push(("rotations".into(), double(&model.architecture.rotations.concat())));
    }
    if with_moments {
        let (first, second) = moments.parts();
        tensors.extend([("moments.first".into(), single(first)), ("moments.second".into(), single(second))]);
    }
    tensors.into_iter().map(|(name, values)| (format!("{prefix}{name}"), values)).collect()
}

/// The model in such bytes, and what the estimator kept.
pub fn from_bytes(bytes: &[u8]) -> Result<(Ensemble, String)> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(format_error)?;
    let header = metadata.metadata().as_ref().and_then(|map| map.get(HEADER));
    let header = header.ok_or_else(|| Error::Format("it holds no innverse model".into()))?;
    check_version(header)?;
    let header: Header = serde_json::from_str(header).map_err(format_error)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(format_error)?;
    let steps = |member: usize| match &header.steps {
        None => Ok(None),
        Some(Steps::One(steps)) if member == 0 => Ok(Some(*steps)),
        Some(Steps::Each(steps)) if member < steps.len() => Ok(Some(steps[member])),
        Some(_) => Err(Error::Format("it has fewer numbers of steps than networks".into())),
    };
    let architectures = std::iter::once(header.architecture).chain(header.others);
    let member = |(i, architecture)| {
        let file = Tensors { tensors: &tensors, prefix: prefix(i), version: header.format_version };
        file.member(architecture, steps(i)?)
    };
    let members = architectures.enumerate().map(member).collect::<Result<Vec<_>>>()?;
    Ok((Ensemble::new(members)?, header.estimator))
}

/// The tensors of one network.
struct Tensors<'a> {
    tensors: &'a SafeTensors<'a>,
    prefix: String,
    version: u32,
}

impl Tensors<'_> {
    fn member(&self, mut architecture: Architecture, steps: Option<u64>) -> Result<Trained> {
        let layout = architecture.layout;
        if architecture.mixing == Mixing::Orthogonal {
            let (count, square) = (architecture.n_blocks, layout.total.saturating_mul(layout.total));
            let values = self.double("rotations", count.saturating_mul(square))?;
            architecture.rotations = values.chunks(square.max(1)).map(<[f64]>::to_vec).collect();
        }
        let (x, y) = (self.scaling("x", layout.x)?, self.scaling("y", layout.y)?);
        let regression = self.regression(layout.x, layout.y)?;
        let mut model = Model::new(architecture, x, y, regression, self.single("parameters", None)?)?;
        model.novelty = self.novelty(layout.y)?;
        let count = Some(model.parameters.len());
        let moments = match steps {
            Some(steps) => Moments::from_parts(
                self.single("moments.first", count)?,
                self.single("moments.second", count)?,
                steps,
            ),
            None => Moments::new(model.parameters.len()),
        };
        Ok(Trained { model, moments })
    }

    fn scaling(&self, side: &str, columns: usize) -> Result<Scaling> {
        let names = &COLUMN[..*COLUMN_BEFORE.get(self.version as usize).unwrap_or(&COLUMN.len())];
        let read = |name: &&str| self.double(&format!("{side}.{name}"), columns);
        let kept = names.iter().map(read).collect::<Result<Vec<_>>>()?;
        let column = |c: usize| {
            let or = |i: usize, absent: f64| kept.get(i).map_or(absent, |values| values[c]);
            let (shift, scale) = (kept[0][c], kept[1][c]);
            let (reach, spread) = (or(2, f64::INFINITY), or(3, scale));
            let (low, high, unit) = (or(4, f64::NEG_INFINITY), or(5, f64::INFINITY), or(6, 1.0));
            let (centre, width) = (or(7, 0.0), or(8, f64::INFINITY));
            let ends = [or(9, 0.0), or(10, 0.0)];
            let arcsinh = (width != f64::INFINITY).then_some(Arcsinh { centre, width, ends });
            let support = Support::from_parts(low, high, unit);
            let column = Column { support, arcsinh, shift, scale, reach, spread };
            let finite =
                [shift, centre, ends[0], ends[1]].iter().all(|v| v.is_finite()) && ends[0] <= ends[1];
            let positive = [scale, spread, unit].iter().all(|v| v.is_finite() && *v > 0.0);
            (finite && positive && reach > 0.0 && width > 0.0 && low < high).then_some(column)
        };
        let columns = (0..columns).map(column).collect::<Option<Vec<_>>>();
        let wrong = || Error::Format(format!("the scaling of {side} is not finite and positive"));
        Ok(Scaling { columns: columns.ok_or_else(wrong)? })
    }

    fn regression(&self, x: usize, y: usize) -> Result<Option<Regression>> {
        if self.tensors.tensor(&format!("{}{}", self.prefix, REGRESSION[0])).is_err() {
            return Ok(None);
        }
        let [intercept, coefficients, factor] = REGRESSION;
        Ok(Some(Regression {
            intercept: self.double(intercept, x)?,
            coefficients: self.double(coefficients, x.saturating_mul(y))?,
            factor: self.double(factor, x.saturating_mul(x))?,
        }))
    }

    fn novelty(&self, columns: usize) -> Result<Option<Novelty>> {
        if self.tensors.tensor(&format!("{}novelty.limits", self.prefix)).is_err() {
            return Ok(None);
        }
        let factor = self.double("novelty.factor", columns.saturating_mul(columns))?;
        let reference = self.single("novelty.reference", None)?;
        let limits = self.double("novelty.limits", 2)?;
        let novelty = Novelty { factor, reference, threshold: limits[0], false_alarm: limits[1] };
        let wrong = || Error::Format("its test of observations does not fit its columns".into());
        novelty.fits(columns).then_some(Some(novelty)).ok_or_else(wrong)
    }

    fn raw(&self, name: &str, dtype: Dtype, count: Option<usize>) -> Result<&[u8]> {
        let tensor = self.tensors.tensor(&format!("{}{name}", self.prefix)).map_err(format_error)?;
        let width = dtype.bitsize() / 8;
        if tensor.dtype() != dtype
            || count.is_some_and(|count| tensor.data().len() != count.saturating_mul(width))
        {
            return Err(Error::Format(format!("{name} has another type or length than its shape needs")));
        }
        Ok(tensor.data())
    }

    fn single(&self, name: &str, count: Option<usize>) -> Result<Vec<f32>> {
        let bytes = self.raw(name, Dtype::F32, count)?;
        Ok(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
    }

    fn double(&self, name: &str, count: usize) -> Result<Vec<f64>> {
        let bytes = self.raw(name, Dtype::F64, Some(count))?;
        Ok(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect())
    }
}

/// What is kept of a column's scaling, one tensor each.
const COLUMN: [&str; 11] =
    ["shift", "scale", "reach", "spread", "low", "high", "unit", "centre", "width", "bent_from", "bent_to"];
/// How many of them files of each format before this one have: the rest was not there.
const COLUMN_BEFORE: [usize; FORMAT_VERSION as usize] = [2, 2, 2, 7, 11];
/// Tensors of a regression, where there is one.
const REGRESSION: [&str; 3] = ["regression.intercept", "regression.coefficients", "regression.factor"];

/// In the order of `COLUMN`.
fn numbers(column: &Column) -> [f64; COLUMN.len()] {
    let Column { support, arcsinh, shift, scale, reach, spread } = *column;
    let (low, high, unit) = support.parts();
    // An infinite width bends nothing.
    let straight = Arcsinh { centre: 0.0, width: f64::INFINITY, ends: [0.0; 2] };
    let Arcsinh { centre, width, ends } = arcsinh.unwrap_or(straight);
    [shift, scale, reach, spread, low, high, unit, centre, width, ends[0], ends[1]]
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
