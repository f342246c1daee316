//! The arithmetic: small functions over slices, one file for each kind.
//!
//! Kernels know nothing of models or files. Matrices are row-major; `rows` counts tokens. A faster tier
//! (bf16 tiles, say) replaces functions in here and nothing above.
//!
//! Two rules keep results the same for any number of threads: work is cut into pieces by shape alone, and
//! whatever is summed across pieces is summed in the order of the pieces.

pub mod gemm;

/// Values that one parallel task should at least have, so that handing it out costs little beside the work.
pub const TASK_VALUES: usize = 1 << 14;

/// How many rows of this width make one parallel task.
pub fn rows_per_task(width: usize) -> usize {
    TASK_VALUES.div_ceil(width.max(1))
}
