//! One choice of instruction set per process, made when the program runs.

use super::real::Real;
use super::vector::Vector;
use std::sync::OnceLock;

/// A computation that can run on any vector. Implementations mark `run` as always inlined, so that it is
/// compiled once per instruction set.
pub trait Kernel<T: Real> {
    /// What it returns.
    type Output;
    /// The computation.
    fn run<V: Vector<T>>(self) -> Self::Output;
}

/// Instruction sets with a vector of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// AVX-512 F, VL and DQ.
    Avx512,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// What every processor of the target has.
    Baseline,
}

/// Environment variable that caps the instruction set, for tests and for comparing machines.
const CAP_VARIABLE: &str = "INNVERSE_INSTRUCTIONS";

/// The instruction set in use.
pub fn instructions() -> Instructions {
    static CHOICE: OnceLock<Instructions> = OnceLock::new();
    *CHOICE.get_or_init(|| {
        let cap = std::env::var(CAP_VARIABLE).unwrap_or_default();
        #[cfg(target_arch = "x86_64")]
        {
            let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq");
            if fused && wide && cap != "avx2" && cap != "baseline" {
                return Instructions::Avx512;
            }
            if fused && cap != "baseline" {
                return Instructions::Avx2;
            }
        }
        let _ = cap;
        Instructions::Baseline
    })
}

/// Runs a kernel with the best vectors of this processor.
#[inline]
pub fn dispatch<T: Real, K: Kernel<T>>(kernel: K) -> K::Output {
    match instructions() {
        // SAFETY: the processor has these instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512 => unsafe { run_avx512(kernel) },
        // SAFETY: the processor has these instructions.
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2 => unsafe { run_avx2(kernel) },
        _ => kernel.run::<T::Baseline>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
fn run_avx512<T: Real, K: Kernel<T>>(kernel: K) -> K::Output {
    kernel.run::<T::Wide>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<T: Real, K: Kernel<T>>(kernel: K) -> K::Output {
    kernel.run::<T::Medium>()
}
