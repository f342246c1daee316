//! Intel's AMX: registers that hold 16 rows of 64 bytes, and an instruction that multiplies two of them.
//!
//! The rules of `tdpbf16ps` and of the layouts: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1,
//! chapter 18. Linux grants the registers to a process that asks (`arch_prctl`, see its `x86/xstate` documentation).

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::cell::Cell;
use std::sync::OnceLock;

/// Words of the depth that one instruction multiplies.
const WORDS: usize = 16;

/// Whether the processor has AMX with bf16 and the system lets this process use it.
pub fn is_available() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let edx = __cpuid_count(7, 0).edx;
        let (bf16, tile) = (edx >> 22 & 1, edx >> 24 & 1);
        bf16 == 1 && tile == 1 && is_x86_feature_detected!("avx512bf16") && is_granted()
    })
}

/// Asks the system for the tiles' registers, once for all threads of the process.
#[cfg(target_os = "linux")]
fn is_granted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_granted() -> bool {
    false
}

/// Palette 1: eight registers of 16 rows of 64 bytes.
#[repr(C, align(64))]
struct Palette {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Readies the registers of the calling thread.
fn configure() {
    thread_local! { static READY: Cell<bool> = const { Cell::new(false) }; }
    READY.with(|ready| {
        if !ready.replace(true) {
            let first = |i: usize| i < 8;
            let palette = Palette {
                palette: 1,
                start_row: 0,
                reserved: [0; 14],
                row_bytes: std::array::from_fn(|i| if first(i) { 64 } else { 0 }),
                rows: std::array::from_fn(|i| if first(i) { 16 } else { 0 }),
            };
            // SAFETY: `palette` is the 64 bytes that the instruction reads, and the process may use the tiles.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const palette, options(nostack, readonly)) };
        }
    });
}

/// What the loop asks of the eight registers; in tests also a plain model of them.
trait Registers {
    fn zero<const TO: usize>(&mut self);
    /// Loads 16 rows of 16 words, `stride` words apart.
    ///
    /// # Safety
    /// The rows can be read.
    unsafe fn load<const TO: usize>(&mut self, from: *const u32, stride: usize);
    /// `to [i][j] += Σ a [i][w] · b [w][j]` over the pairs of 16 words.
    fn multiply<const TO: usize, const A: usize, const B: usize>(&mut self);
    /// Stores 16 rows of 16 values, `stride` values apart.
    ///
    /// # Safety
    /// The rows can be written.
    unsafe fn store<const FROM: usize>(&mut self, to: *mut f32, stride: usize);
}

/// The processor's. Compilers leave these registers alone, so their contents last from one instruction to the next.
struct Hardware;

impl Registers for Hardware {
    #[inline(always)]
    fn zero<const TO: usize>(&mut self) {
        // SAFETY: changes a register that nothing else uses.
        unsafe { asm!("tilezero tmm{to}", to = const TO, options(nostack, nomem)) }
    }

    #[inline(always)]
    unsafe fn load<const TO: usize>(&mut self, from: *const u32, stride: usize) {
        // SAFETY: the caller promised the rows.
        unsafe {
            asm!("tileloadd tmm{to}, [{from} + {stride}]", to = const TO, from = in(reg) from,
                stride = in(reg) 4 * stride, options(nostack, readonly));
        }
    }

    #[inline(always)]
    fn multiply<const TO: usize, const A: usize, const B: usize>(&mut self) {
        // SAFETY: changes a register that nothing else uses.
        unsafe {
            asm!("tdpbf16ps tmm{to}, tmm{a}, tmm{b}", to = const TO, a = const A, b = const B,
                options(nostack, nomem));
        }
    }

    #[inline(always)]
    unsafe fn store<const FROM: usize>(&mut self, to: *mut f32, stride: usize) {
        // SAFETY: the caller promised the rows.
        unsafe {
            asm!("tilestored [{to} + {stride}], tmm{from}", from = const FROM, to = in(reg) to,
                stride = in(reg) 4 * stride, options(nostack));
        }
    }
}

/// A tile of 32 × 32 sums over `words` of the depth, a multiple of 16.
///
/// # Safety
/// `a` holds 32 rows of `words`, `stride` apart; `b` holds `words` of 32 columns; there are 32 × 32 sums; the tier is
/// available.
pub unsafe fn tile(words: usize, a: *const u32, stride: usize, b: *const u32, add: bool, sums: &mut [f32]) {
    configure();
    // SAFETY: promised by the caller.
    unsafe { tile_on(&mut Hardware, words, a, stride, b, add, sums) }
}

/// Four registers of sums, two of rows and two of columns.
///
/// # Safety
/// As [`tile`], but for the tier.
#[inline(always)]
unsafe fn tile_on<R: Registers>(
    registers: &mut R,
    words: usize,
    a: *const u32,
    stride: usize,
    b: *const u32,
    add: bool,
    sums: &mut [f32],
) {
    let out = sums.as_mut_ptr();
    if add {
        let sums = out.cast_const().cast::<u32>();
        // SAFETY: the sums are 32 × 32.
        unsafe {
            registers.load::<0>(sums, 32);
            registers.load::<1>(sums.add(16), 32);
            registers.load::<2>(sums.add(16 * 32), 32);
            registers.load::<3>(sums.add(16 * 32 + 16), 32);
        }
    } else {
        registers.zero::<0>();
        registers.zero::<1>();
        registers.zero::<2>();
        registers.zero::<3>();
    }
    for word in (0..words).step_by(WORDS) {
        // SAFETY: `word` lies below `words`, which the caller promised for 32 rows and 32 columns.
        unsafe {
            registers.load::<4>(a.add(word), stride);
            registers.load::<6>(b.add(word * 32), 32);
            registers.multiply::<0, 4, 6>();
            registers.load::<7>(b.add(word * 32 + 16), 32);
            registers.multiply::<1, 4, 7>();
            registers.load::<5>(a.add(word + 16 * stride), stride);
            registers.multiply::<2, 5, 6>();
            registers.multiply::<3, 5, 7>();
        }
    }
    // SAFETY: as above.
    unsafe {
        registers.store::<0>(out, 32);
        registers.store::<1>(out.add(16), 32);
        registers.store::<2>(out.add(16 * 32), 32);
        registers.store::<3>(out.add(16 * 32 + 16), 32);
    }
}

#[cfg(test)]
mod tests {
    use super::super::pack::{self, Depth};
    use super::super::tiles::{MOST_COLUMNS, MOST_ROWS, Sums};
    use super::*;
    use crate::kernels::gemm::Mat;
    use crate::kernels::tier::Precision;
    use crate::rng::Stream;

    /// The manual's definition, so that the loop and the layouts are tested on processors without AMX too.
    #[derive(Default)]
    struct Model([[[u32; 16]; 16]; 8]);

    impl Registers for Model {
        fn zero<const TO: usize>(&mut self) {
            self.0[TO] = [[0; 16]; 16];
        }

        unsafe fn load<const TO: usize>(&mut self, from: *const u32, stride: usize) {
            for (i, row) in self.0[TO].iter_mut().enumerate() {
                // SAFETY: promised by the caller.
                row.copy_from_slice(unsafe { std::slice::from_raw_parts(from.add(i * stride), 16) });
            }
        }

        fn multiply<const TO: usize, const A: usize, const B: usize>(&mut self) {
            let halves = |pair: u32| [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)];
            for i in 0..16 {
                for j in 0..16 {
                    let mut sum = f32::from_bits(self.0[TO][i][j]);
                    for w in 0..16 {
                        let (a, b) = (halves(self.0[A][i][w]), halves(self.0[B][w][j]));
                        sum += a[0] * b[0];
                        sum += a[1] * b[1];
                    }
                    self.0[TO][i][j] = sum.to_bits();
                }
            }
        }

        unsafe fn store<const FROM: usize>(&mut self, to: *mut f32, stride: usize) {
            for (i, row) in self.0[FROM].iter().enumerate() {
                for (j, bits) in row.iter().enumerate() {
                    // SAFETY: promised by the caller.
                    unsafe { *to.add(i * stride + j) = f32::from_bits(*bits) };
                }
            }
        }
    }

    fn random(n: usize, seed: u64) -> Vec<f32> {
        (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect()
    }

    /// One tile of a product of this depth, on the model and, where there is one, on the processor.
    fn check(k: usize) {
        let (a, b) = (random(32 * k, 1), random(k * 32, 2));
        let depth = Depth::new(Precision::Bf16, k);
        let block = depth.blocks().next().unwrap();
        let mut rows = vec![0; MOST_ROWS * depth.stride()];
        let mut columns = vec![0; MOST_COLUMNS * block.len()];
        pack::rows(Mat::new(&a, 32, k), 0..32, block.clone(), depth, &mut rows);
        pack::columns(Mat::new(&b, k, 32), 0..32, block.clone(), depth, 32, &mut columns);
        let mut results = Vec::new();
        let mut sums = Sums([f32::NAN; MOST_ROWS * MOST_COLUMNS]);
        let (words, a_at, b_at) = (block.len(), rows.as_ptr(), columns.as_ptr());
        for (times, add) in [(1.0, false), (2.0, true)] {
            // SAFETY: both operands were packed with these extents.
            unsafe { tile_on(&mut Model::default(), words, a_at, depth.stride(), b_at, add, &mut sums.0) };
            results.push((times, sums.0));
        }
        for (times, add) in [(1.0, false), (2.0, true)] {
            if is_available() {
                // SAFETY: as above, and the tier is available.
                unsafe { tile(words, a_at, depth.stride(), b_at, add, &mut sums.0) };
                results.push((times, sums.0));
            }
        }
        let exact = |value: f32| f64::from(half::bf16::from_f32(value).to_f32());
        for (times, result) in results {
            for (i, j) in (0..32).flat_map(|i| (0..32).map(move |j| (i, j))) {
                let sum: f64 = (0..k).map(|l| exact(a[i * k + l]) * exact(b[l * 32 + j])).sum();
                let off = (f64::from(result[i * 32 + j]) - times * sum).abs();
                assert!(off < 2e-4, "{i},{j} of depth {k}: off by {off}");
            }
        }
    }

    #[test]
    fn the_loop_multiplies_what_was_packed() {
        [1, 31, 64, 100, 512].into_iter().for_each(check);
    }
}
