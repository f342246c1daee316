//! The inner loops: a tile of sums stays in registers while a strip of both operands passes (Goto and van de Geijn
//! 2008, "Anatomy of High-Performance Matrix Multiplication").
//!
//! A tile function reads `words` of the depth of packed rows (`STRIDE` words apart) and of a packed strip of columns,
//! and writes its sums `[rows][columns]`, or goes on from those that are there. See [`super::pack`] for the layouts.

use super::matrix::Write;
use super::pack::{BLOCK, SHORT};
use crate::kernels::tier::Tier;

/// Most rows of any tile: what the left operand is filled up to.
pub const MOST_ROWS: usize = 32;
/// Most columns of any tile.
pub const MOST_COLUMNS: usize = 32;

/// The sums of one tile, rows one after the other.
#[repr(align(64))]
pub struct Sums(pub [f32; MOST_ROWS * MOST_COLUMNS]);

/// Rows and columns of a tier's tile.
pub fn shape(tier: Tier) -> (usize, usize) {
    match tier {
        Tier::AmxBf16 => (32, 32),
        Tier::Avx512Bf16 | Tier::Avx512F32 => (14, 32),
        Tier::Avx2F32 | Tier::NeonF32 => (6, 16),
        Tier::Scalar => (4, 16),
    }
}

/// Computes one tile: `rows` holds as many rows as the tile has, `stride` apart, `columns` the words of one strip.
///
/// # Panics
/// If an operand or the sums are shorter than that.
pub fn tile(tier: Tier, stride: usize, rows: &[u32], columns: &[u32], write: Write, sums: &mut [f32]) {
    let (height, width) = shape(tier);
    let words = columns.len() / width;
    assert!(words <= stride && rows.len() >= (height - 1) * stride + words && columns.len() == words * width);
    assert!(stride == BLOCK || stride == SHORT);
    let short = stride == SHORT;
    let sums = &mut sums[..height * width];
    let add = write == Write::Add;
    let (a, b) = (rows.as_ptr(), columns.as_ptr());
    // SAFETY: the operands hold what the functions read and the sums what they write, as asserted; `Left::reserve`
    // asserted that the tier is available.
    unsafe {
        match tier {
            #[cfg(target_arch = "x86_64")]
            Tier::AmxBf16 => super::amx::tile(words, a, stride, b, add, sums),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512Bf16 if short => x86::avx512_bf16::<SHORT>(words, a, b, add, sums),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512Bf16 => x86::avx512_bf16::<BLOCK>(words, a, b, add, sums),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512F32 if short => x86::avx512_f32::<SHORT>(words, a, b, add, sums),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512F32 => x86::avx512_f32::<BLOCK>(words, a, b, add, sums),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2F32 if short => x86::avx2_f32::<SHORT>(words, a, b, add, sums),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2F32 => x86::avx2_f32::<BLOCK>(words, a, b, add, sums),
            #[cfg(target_arch = "aarch64")]
            Tier::NeonF32 if short => arm::neon_f32::<SHORT>(words, a, b, add, sums),
            #[cfg(target_arch = "aarch64")]
            Tier::NeonF32 => arm::neon_f32::<BLOCK>(words, a, b, add, sums),
            _ => scalar(rows, stride, columns, add, sums),
        }
    }
}

/// The definition, in f32.
fn scalar(rows: &[u32], stride: usize, columns: &[u32], add: bool, sums: &mut [f32]) {
    let (_, width) = shape(Tier::Scalar);
    if !add {
        sums.fill(0.0);
    }
    for (word, b) in columns.chunks_exact(width).enumerate() {
        for (row, sums) in sums.chunks_exact_mut(width).enumerate() {
            let a = f32::from_bits(rows[row * stride + word]);
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum += a * f32::from_bits(*b);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_setzero_ps,
        _mm256_storeu_ps, _mm512_castsi512_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    /// A tile of 14 × 32 on 28 registers; two more hold the columns and one a row's word.
    macro_rules! tile_of_512_bits {
        ($name:ident, $features:literal, $multiply:expr) => {
            #[target_feature(enable = $features)]
            pub unsafe fn $name<const STRIDE: usize>(
                words: usize,
                a: *const u32,
                b: *const u32,
                add: bool,
                out: &mut [f32],
            ) {
                assert!(out.len() == 14 * 32);
                let mut sums = [[_mm512_setzero_ps(); 2]; 14];
                if add {
                    for (row, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: there are 14 rows of 32 sums.
                        *sums = unsafe {
                            let out = out.as_ptr().add(row * 32);
                            [_mm512_loadu_ps(out), _mm512_loadu_ps(out.add(16))]
                        };
                    }
                }
                for word in 0..words {
                    // SAFETY: `word` is below `words`, and the caller promised 14 rows and 32 columns of them.
                    unsafe {
                        let b = b.add(word * 32);
                        let b = [_mm512_loadu_si512(b.cast()), _mm512_loadu_si512(b.add(16).cast())];
                        for (row, sums) in sums.iter_mut().enumerate() {
                            let a = _mm512_set1_epi32((*a.add(row * STRIDE + word)).cast_signed());
                            sums[0] = $multiply(sums[0], a, b[0]);
                            sums[1] = $multiply(sums[1], a, b[1]);
                        }
                    }
                }
                for (row, sums) in sums.iter().enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        let out = out.as_mut_ptr().add(row * 32);
                        _mm512_storeu_ps(out, sums[0]);
                        _mm512_storeu_ps(out.add(16), sums[1]);
                    }
                }
            }
        };
    }

    fn pairs(bits: __m512i) -> __m512bh {
        // SAFETY: both types are 64 bytes without a niche.
        unsafe { std::mem::transmute(bits) }
    }

    tile_of_512_bits!(avx512_bf16, "avx512f,avx512bw,avx512bf16", |sum: __m512, a: __m512i, b: __m512i| {
        _mm512_dpbf16_ps(sum, pairs(a), pairs(b))
    });
    tile_of_512_bits!(avx512_f32, "avx512f,avx512bw", |sum: __m512, a: __m512i, b: __m512i| {
        _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum)
    });

    /// A tile of 6 × 16 on 12 registers of 256 bits.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn avx2_f32<const STRIDE: usize>(
        words: usize,
        a: *const u32,
        b: *const u32,
        add: bool,
        out: &mut [f32],
    ) {
        let (a, b) = (a.cast::<f32>(), b.cast::<f32>());
        assert!(out.len() == 6 * 16);
        let mut sums = [[_mm256_setzero_ps(); 2]; 6];
        if add {
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: there are 6 rows of 16 sums.
                *sums = unsafe {
                    let out = out.as_ptr().add(row * 16);
                    [_mm256_loadu_ps(out), _mm256_loadu_ps(out.add(8))]
                };
            }
        }
        for word in 0..words {
            // SAFETY: `word` is below `words`, and the caller promised 6 rows and 16 columns of them.
            unsafe {
                let b = b.add(word * 16);
                let b = [_mm256_loadu_ps(b), _mm256_loadu_ps(b.add(8))];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let a = _mm256_broadcast_ss(&*a.add(row * STRIDE + word));
                    sums[0] = _mm256_fmadd_ps(a, b[0], sums[0]);
                    sums[1] = _mm256_fmadd_ps(a, b[1], sums[1]);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            // SAFETY: as above.
            unsafe {
                let out = out.as_mut_ptr().add(row * 16);
                _mm256_storeu_ps(out, sums[0]);
                _mm256_storeu_ps(out.add(8), sums[1]);
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::{vdupq_n_f32, vfmaq_n_f32, vld1q_f32, vst1q_f32};

    /// A tile of 6 × 16 on 24 registers of 128 bits.
    #[target_feature(enable = "neon")]
    pub unsafe fn neon_f32<const STRIDE: usize>(
        words: usize,
        a: *const u32,
        b: *const u32,
        add: bool,
        out: &mut [f32],
    ) {
        let (a, b) = (a.cast::<f32>(), b.cast::<f32>());
        let mut sums = [[vdupq_n_f32(0.0); 4]; 6];
        if add {
            for (out, sum) in out.chunks_exact(4).zip(sums.as_flattened_mut()) {
                // SAFETY: `chunks_exact` gives 4 values.
                *sum = unsafe { vld1q_f32(out.as_ptr()) };
            }
        }
        for word in 0..words {
            // SAFETY: `word` is below `words`, and the caller promised 6 rows and 16 columns of them.
            unsafe {
                let b: [_; 4] = std::array::from_fn(|i| vld1q_f32(b.add(word * 16 + 4 * i)));
                for (row, sums) in sums.iter_mut().enumerate() {
                    let a = *a.add(row * STRIDE + word);
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = vfmaq_n_f32(*sum, b, a);
                    }
                }
            }
        }
        for (out, sums) in out.chunks_exact_mut(4).zip(sums.as_flattened()) {
            // SAFETY: `chunks_exact_mut` gives 4 values.
            unsafe { vst1q_f32(out.as_mut_ptr(), *sums) };
        }
    }
}
