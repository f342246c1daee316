//! Which instructions the kernels may use: what the processor has, from the fastest tier to plain loops.

use std::fmt;

/// A tier of kernels. A faster one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// bf16 products of pairs, summed in f32: `vdpbf16ps` on 512-bit registers.
    Avx512Bf16,
    /// Plain loops, on every processor.
    Scalar,
}

impl Tier {
    pub const ALL: [Self; 2] = [Self::Avx512Bf16, Self::Scalar];

    /// What logs and settings call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Scalar => "scalar",
        }
    }

    /// Does this processor have what the tier needs?
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512bf16")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512Bf16 => false,
            Self::Scalar => true,
        }
    }

    /// The fastest tier of this processor.
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|tier| tier.is_available()).unwrap_or(Self::Scalar)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
