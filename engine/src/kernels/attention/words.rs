//! Values of a strip of keys as words of the operands: rounded where the tier reads bf16 (`HALVES`), written along the
//! depth or across it.

use crate::kernels::elementwise::rounded;
use crate::kernels::gemm::Right;

/// The words' halves, or words, of a strip of values.
#[inline(always)]
pub fn bits<const W: usize, const HALVES: bool>(values: &[f32; W]) -> [u32; W] {
    if !HALVES {
        return values.map(f32::to_bits);
    }
    #[cfg(target_arch = "x86_64")]
    if W == 32 {
        let mut bits = [0; W];
        // SAFETY: tiers of bf16 alone ask for halves, and their processors round; there are 32 values.
        unsafe { round_32(values.as_ptr(), bits.as_mut_ptr()) };
        return bits;
    }
    values.map(|value| u32::from(rounded(value).to_bits()))
}

/// Rounds 32 values to bf16, to the nearest, ties to even.
///
/// # Safety
/// The values can be read, and as many written.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn round_32(values: *const f32, out: *mut u32) {
    use std::arch::x86_64::{
        __m256bh, __m256i, _mm512_cvtepu16_epi32, _mm512_cvtneps_pbh, _mm512_loadu_ps, _mm512_storeu_si512,
    };
    for at in [0, 16] {
        // SAFETY: promised by the caller; the types in between are 32 bytes without a niche.
        unsafe {
            let halves = _mm512_cvtneps_pbh(_mm512_loadu_ps(values.add(at)));
            let halves = std::mem::transmute::<__m256bh, __m256i>(halves);
            _mm512_storeu_si512(out.add(at).cast(), _mm512_cvtepu16_epi32(halves));
        }
    }
}

/// Writes bits that follow each other along the depth.
#[inline(always)]
pub fn put_along<const W: usize, const HALVES: bool>(bits: &[u32; W], out: &mut [u32]) {
    if HALVES {
        let out: &mut [u16] = bytemuck::cast_slice_mut(out);
        for (out, bits) in out.iter_mut().zip(bits) {
            *out = *bits as u16;
        }
    } else {
        for (out, bits) in out.iter_mut().zip(bits) {
            *out = *bits;
        }
    }
}

/// Writes the bits of two queries, side by side along the depth, or of the first alone.
#[inline(always)]
pub fn put_across<const W: usize, const HALVES: bool>(
    [even, odd]: &[[u32; W]; 2],
    count: usize,
    out: &mut Right,
    strip: usize,
    query: usize,
) {
    if HALVES {
        let out = out.words_mut(strip, query / 2..query / 2 + 1);
        for ((out, even), odd) in out.iter_mut().zip(even).zip(odd) {
            *out = even | odd << 16;
        }
    } else {
        for (i, bits) in [even, odd].into_iter().enumerate().take(count) {
            out.words_mut(strip, query + i..query + i + 1).copy_from_slice(bits);
        }
    }
}
