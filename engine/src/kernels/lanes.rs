//! Sixteen values at once, for the loops that must not depend on what a compiler makes of plain ones.
//!
//! A loop is written once over [`Lanes`] and compiled for each set of instructions that [`with_lanes`] chooses from.

use super::LANES;
use super::gemm::Element;
use half::bf16;

/// Sixteen f32.
pub trait Lanes: Copy {
    /// # Safety
    /// The processor has this type's instructions; so for all functions here.
    unsafe fn splat(value: f32) -> Self;
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn load(from: &[f32; LANES]) -> Self;
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn widen(from: &[bf16; LANES]) -> Self;
    /// `self + a · b`, rounded once where the processor can.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn plus_product(self, a: Self, b: Self) -> Self;
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn store(self, to: &mut [f32; LANES]);
    /// The sum of the lanes.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn total(self) -> f32;
}

/// What weights are stored as.
pub trait Weight: Element {
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn lanes<L: Lanes>(from: &[Self; LANES]) -> L;
}

impl Weight for f32 {
    #[inline(always)]
    unsafe fn lanes<L: Lanes>(from: &[Self; LANES]) -> L {
        // SAFETY: promised by the caller.
        unsafe { L::load(from) }
    }
}

impl Weight for bf16 {
    #[inline(always)]
    unsafe fn lanes<L: Lanes>(from: &[Self; LANES]) -> L {
        // SAFETY: promised by the caller.
        unsafe { L::widen(from) }
    }
}

impl Lanes for [f32; LANES] {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: &[f32; LANES]) -> Self {
        *from
    }

    #[inline(always)]
    unsafe fn widen(from: &[bf16; LANES]) -> Self {
        from.map(Element::to_f32)
    }

    #[inline(always)]
    unsafe fn plus_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..LANES {
            self[i] += a[i] * b[i];
        }
        self
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32; LANES]) {
        *to = self;
    }

    #[inline(always)]
    unsafe fn total(self) -> f32 {
        self.iter().sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Lanes};
    use half::bf16;
    use std::arch::x86_64::*;
    use std::mem::transmute;

    impl Lanes for __m512 {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: promised by the caller; so below.
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: &[f32; LANES]) -> Self {
            // SAFETY: as above; sixteen values are there.
            unsafe { transmute::<[f32; LANES], Self>(*from) }
        }

        #[inline(always)]
        unsafe fn widen(from: &[bf16; LANES]) -> Self {
            // SAFETY: as above; sixteen values are there.
            unsafe {
                let words = _mm512_cvtepu16_epi32(transmute::<[bf16; LANES], __m256i>(*from));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words))
            }
        }

        #[inline(always)]
        unsafe fn plus_product(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32; LANES]) {
            // SAFETY: both are sixteen f32.
            *to = unsafe { transmute::<Self, [f32; LANES]>(self) };
        }

        #[inline(always)]
        unsafe fn total(self) -> f32 {
            // SAFETY: as above.
            unsafe { _mm512_reduce_add_ps(self) }
        }
    }

    /// Two halves.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256, __m256);

    impl Lanes for Avx2 {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: promised by the caller; so below.
            unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: &[f32; LANES]) -> Self {
            // SAFETY: as above; sixteen values are there.
            unsafe {
                let [low, high] = transmute::<[f32; LANES], [__m256; 2]>(*from);
                Self(low, high)
            }
        }

        #[inline(always)]
        unsafe fn widen(from: &[bf16; LANES]) -> Self {
            // SAFETY: as above; sixteen values are there.
            unsafe {
                let [low, high] = transmute::<[bf16; LANES], [__m128i; 2]>(*from);
                let [low, high] = [_mm256_cvtepu16_epi32(low), _mm256_cvtepu16_epi32(high)];
                let [low, high] = [_mm256_slli_epi32::<16>(low), _mm256_slli_epi32::<16>(high)];
                Self(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high))
            }
        }

        #[inline(always)]
        unsafe fn plus_product(self, a: Self, b: Self) -> Self {
            // SAFETY: as above.
            unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32; LANES]) {
            // SAFETY: both are sixteen f32.
            *to = unsafe { transmute::<[__m256; 2], [f32; LANES]>([self.0, self.1]) };
        }

        #[inline(always)]
        unsafe fn total(self) -> f32 {
            // SAFETY: both are eight f32.
            let halves = unsafe { transmute::<__m256, [f32; 8]>(_mm256_add_ps(self.0, self.1)) };
            halves.iter().sum()
        }
    }

    /// A loop compiled for AVX-512.
    ///
    /// # Safety
    /// The processor has it.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub unsafe fn with_avx512<W: super::Loop>(work: W) {
        // SAFETY: promised by the caller.
        unsafe { work.run::<__m512>() }
    }

    /// A loop compiled for AVX2.
    ///
    /// # Safety
    /// The processor has it.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn with_avx2<W: super::Loop>(work: W) {
        // SAFETY: promised by the caller.
        unsafe { work.run::<Avx2>() }
    }
}

/// A loop over [`Lanes`].
pub trait Loop {
    /// To be inlined always, so that it is compiled for the instructions of its caller.
    ///
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn run<L: Lanes>(self);
}

/// Runs a loop with the widest instructions of the processor.
pub fn with_lanes(work: impl Loop) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("fma")
        {
            // SAFETY: it was asked.
            return unsafe { x86::with_avx512(work) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: it was asked.
            return unsafe { x86::with_avx2(work) };
        }
    }
    // SAFETY: plain arrays ask nothing of a processor.
    unsafe { work.run::<[f32; LANES]>() }
}
