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

/// The best instruction set of this processor that is not capped.
fn best() -> Instructions {
    let cap = std::env::var(CAP_VARIABLE).unwrap_or_default();
    let wanted = |instructions: &Instructions| match cap.as_str() {
        "baseline" => *instructions == Instructions::Baseline,
        "avx2" => *instructions != Instructions::Avx512,
        _ => true,
    };
    available().into_iter().find(wanted).unwrap_or(Instructions::Baseline)
}

/// The instruction sets of this processor, the widest first.
pub fn available() -> Vec<Instructions> {
    let mut available = Vec::new();
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
        {
            available.push(Instructions::Avx512);
        }
        available.push(Instructions::Avx2);
    }
    available.push(Instructions::Baseline);
    available
}

/// The instruction set in use.
pub fn instructions() -> Instructions {
    #[cfg(test)]
    if let Some(chosen) = tests::CHOSEN.get() {
        return chosen;
    }
    static CHOICE: OnceLock<Instructions> = OnceLock::new();
    *CHOICE.get_or_init(best)
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

#[cfg(test)]
#[allow(missing_docs, reason = "only tests see it")]
pub mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// The set that a test asks for, on its own thread.
        pub static CHOSEN: Cell<Option<Instructions>> = const { Cell::new(None) };
    }

    /// Runs a test once with every instruction set of this processor.
    pub fn with_each(mut test: impl FnMut(Instructions)) {
        for instructions in available() {
            CHOSEN.set(Some(instructions));
            test(instructions);
        }
        CHOSEN.set(None);
    }
}
