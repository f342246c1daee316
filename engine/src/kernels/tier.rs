//! Which instructions the matrix products use: what the processor has, from the fastest tier to plain loops.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// A tier of kernels. A faster one comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// bf16 tiles of 16 × 32, summed in f32: `tdpbf16ps` of Intel's AMX.
    AmxBf16,
    /// bf16 pairs, summed in f32: `vdpbf16ps` on 512-bit registers.
    Avx512Bf16,
    /// f32 on 512-bit registers.
    Avx512F32,
    /// f32 on 256-bit registers with fused multiply-add.
    Avx2F32,
    /// f32 on ARM's 128-bit registers.
    NeonF32,
    /// f32 in plain loops, on every processor.
    Scalar,
}

/// What products read. Sums are f32 in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    Bf16,
    F32,
}

/// The environment variable that names the tier of a process: a name, or `auto` for the fastest.
pub const VARIABLE: &str = "ENGINE_TIER";

/// The tier that [`Tier::chosen`] answers with, once it is settled.
static CHOSEN: OnceLock<Tier> = OnceLock::new();

/// Why a tier cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TierError {
    #[error("{VARIABLE}: there is no kernel tier {0}; choose from auto, {names}", names = Tier::names())]
    Unknown(String),
    #[error("{VARIABLE}: this processor has no {tier}; it has {available}")]
    Unavailable { tier: Tier, available: String },
    #[error("the kernel tier is {0} already and cannot be changed in a running process")]
    Settled(Tier),
}

impl Tier {
    pub const ALL: [Self; 6] =
        [Self::AmxBf16, Self::Avx512Bf16, Self::Avx512F32, Self::Avx2F32, Self::NeonF32, Self::Scalar];

    /// What logs and settings call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AmxBf16 => "amx-bf16",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Avx512F32 => "avx512-f32",
            Self::Avx2F32 => "avx2-f32",
            Self::NeonF32 => "neon-f32",
            Self::Scalar => "scalar",
        }
    }

    /// What its products read.
    pub fn precision(self) -> Precision {
        match self {
            Self::AmxBf16 | Self::Avx512Bf16 => Precision::Bf16,
            Self::Avx512F32 | Self::Avx2F32 | Self::NeonF32 | Self::Scalar => Precision::F32,
        }
    }

    /// Does this processor, and the system on it, have what the tier needs?
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::AmxBf16 => super::gemm::amx::is_available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => Self::Avx512F32.is_available() && is_x86_feature_detected!("avx512bf16"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512F32 => is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2F32 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Self::NeonF32 => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Scalar => true,
            // The tiers of other processors.
            _ => false,
        }
    }

    /// The tiers of this processor, the fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|tier| tier.is_available())
    }

    /// The fastest tier of this processor.
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self::Scalar)
    }

    /// The fastest tier of this processor that reads f32.
    pub fn best_f32() -> Self {
        Self::available().find(|tier| tier.precision() == Precision::F32).unwrap_or(Self::Scalar)
    }

    /// The tier that a setting asks for: the fastest for `auto` and for nothing.
    ///
    /// # Errors
    /// If there is no such tier, or the processor lacks it.
    pub fn wanted(setting: Option<&str>) -> Result<Self, TierError> {
        match setting.map(str::trim).filter(|name| !name.is_empty() && *name != "auto") {
            None => Ok(Self::best()),
            Some(name) => name.parse::<Self>()?.checked(),
        }
    }

    fn checked(self) -> Result<Self, TierError> {
        match self.is_available() {
            true => Ok(self),
            false => Err(TierError::Unavailable { tier: self, available: list(Self::available()) }),
        }
    }

    /// What this processor is good for, in words: the tier in use, the slower ones that it has, the faster ones that
    /// it lacks.
    pub fn words(self) -> String {
        let (others, lacking): (Vec<_>, Vec<_>) = Self::ALL
            .into_iter()
            .filter(|tier| *tier != self && (tier.is_available() || tier.is_of_this_kind()))
            .partition(|tier| tier.is_available());
        let mut words = self.name().to_owned();
        for (what, tiers) in [("also has", others), ("lacks", lacking)] {
            if !tiers.is_empty() {
                words += &format!("; {what} {}", list(tiers));
            }
        }
        words
    }

    /// Is it a tier of this kind of processor, which a better one could have?
    fn is_of_this_kind(self) -> bool {
        cfg!(target_arch = "aarch64") == (self == Self::NeonF32)
    }

    /// This tier if it reads f32, otherwise the fastest that does: for small products whose rounding would be felt.
    pub fn exact(self) -> Self {
        match self.precision() {
            Precision::F32 => self,
            Precision::Bf16 => Self::best_f32(),
        }
    }

    /// The tier of this process: the one given to [`Tier::choose`], or the fastest.
    pub fn chosen() -> Self {
        *CHOSEN.get_or_init(Self::best)
    }

    /// Settles the tier of this process.
    ///
    /// # Errors
    /// If the processor lacks it, or another one is in use already.
    pub fn choose(self) -> Result<(), TierError> {
        let tier = self.checked()?;
        match *CHOSEN.get_or_init(|| tier) {
            chosen if chosen == tier => Ok(()),
            chosen => Err(TierError::Settled(chosen)),
        }
    }

    fn names() -> String {
        list(Self::ALL)
    }
}

fn list(tiers: impl IntoIterator<Item = Tier>) -> String {
    tiers.into_iter().map(Tier::name).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tier {
    type Err = TierError;

    fn from_str(name: &str) -> Result<Self, TierError> {
        let named = Self::ALL.into_iter().find(|tier| tier.name() == name);
        named.ok_or_else(|| TierError::Unknown(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_known_by_its_name_and_refused_where_the_processor_lacks_it() {
        for tier in Tier::ALL {
            assert_eq!(tier.name().parse(), Ok(tier));
            if !tier.is_available() {
                let error = tier.choose().unwrap_err().to_string();
                assert!(error.contains(tier.name()) && error.contains("scalar"), "{error}");
            }
        }
        let error = "sse9".parse::<Tier>().unwrap_err().to_string();
        assert!(error.contains("sse9") && error.contains("avx2-f32"), "{error}");
        assert!(Tier::best() <= Tier::best_f32());
        for setting in [None, Some(""), Some("auto")] {
            assert_eq!(Tier::wanted(setting), Ok(Tier::best()));
        }
        assert_eq!(Tier::wanted(Some("scalar")), Ok(Tier::Scalar));
        assert!(Tier::wanted(Some("sse9")).is_err());
        let words = Tier::best().words();
        assert!(words.starts_with(Tier::best().name()) && words.contains("also has"), "{words}");
    }

    #[test]
    fn a_tier_in_use_is_not_changed() {
        let chosen = Tier::chosen();
        assert_eq!(chosen.choose(), Ok(()));
        for other in Tier::available().filter(|&tier| tier != chosen) {
            assert_eq!(other.choose(), Err(TierError::Settled(chosen)));
        }
    }
}
