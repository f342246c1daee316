//! The arithmetic: small functions over slices, one file for each kind.
//!
//! Kernels know nothing of models or files. Matrices are row-major; rows are tokens. Matrix
//! products, where the time goes, are written for the [`tier::Tier`]s of processors; the rest are plain loops that the
//! compiler makes fast for each.
//!
//! Two rules keep results the same for any number of threads: no value depends on how work is cut into
//! pieces, or it is cut by shape alone; and whatever is summed across pieces is summed in the order of the pieces.

/// Compiles a function once for AVX-512, once for AVX2 and once for the baseline, and picks when it is
/// called. The bodies are plain loops that the compiler vectorises; sums keep [`LANES`] partial sums,
/// because floating-point addition may not be reordered by a compiler.
macro_rules! vectorised {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident ( $($argument:tt)* ) $(-> $result:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            #[multiversion::multiversion(targets(
                "x86_64+avx512f+avx512bw+avx512dq+avx512vl+avx2+fma",
                "x86_64+avx2+fma",
            ))]
            $vis fn $name ( $($argument)* ) $(-> $result)? $body
        )*
    };
}

pub mod activation;
pub mod adamw;
pub mod attention;
pub mod cross_entropy;
pub mod elementwise;
pub mod few_rows;
pub mod gemm;
mod lanes;
pub mod layernorm;
mod math;
pub mod rmsnorm;
pub mod rope;
pub mod softmax;
pub mod team;
pub mod tier;

/// Partial sums that a vectorised reduction keeps.
pub(crate) const LANES: usize = 16;

/// Values that one parallel task should at least have, so that handing it out costs little beside the work.
pub const TASK_VALUES: usize = 1 << 14;

/// How many rows of this width make one parallel task.
pub fn rows_per_task(width: usize) -> usize {
    TASK_VALUES.div_ceil(width.max(1))
}
