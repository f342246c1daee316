//! What the targets share: the crate's own test of the same name, where `targets` says what must hold.
#![allow(clippy::unwrap_used, reason = "a target fails by a panic")]

#[path = "../../tests/fuzz/checks.rs"]
pub mod checks;
#[path = "../../tests/fuzz/good.rs"]
pub mod good;
#[path = "../../tests/fuzz/seeds.rs"]
pub mod seeds;
#[path = "../../tests/fuzz/spoil.rs"]
pub mod spoil;
#[path = "../../tests/fuzz/targets.rs"]
pub mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

static GOOD: LazyLock<good::Good> = LazyLock::new(good::Good::new);

/// Tries one input. A panic that the engine itself turned into an error is none; any other ends the process.
pub fn hold(name: &str, bytes: &[u8]) {
    let target = targets::named(name);
    if catch_unwind(AssertUnwindSafe(|| target.hold(&GOOD, bytes))).is_err() {
        std::process::abort();
    }
}

/// The hook of libfuzzer-sys ends the process at each panic, caught or not.
pub fn begin() {
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
}

/// A further input, spoiled as the crate's test does it or, one time in four, as libFuzzer does.
pub fn mutated(bytes: &mut [u8], size: usize, longest: usize, seed: u32) -> usize {
    if seed % 4 == 0 {
        return libfuzzer_sys::fuzzer_mutate(bytes, size, longest);
    }
    let (a, b) = (seed.wrapping_mul(0x9e37_79b9), seed.rotate_left(13).wrapping_mul(0x85eb_ca6b));
    let mut spoiled = spoil::spoil(bytes[..size].to_vec(), ((seed >> 2) as u8, a, b));
    spoiled.truncate(longest.min(bytes.len()));
    bytes[..spoiled.len()].copy_from_slice(&spoiled);
    spoiled.len()
}

/// The whole of a target.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(init: $crate::begin(), |bytes: &[u8]| $crate::hold($name, bytes));
        libfuzzer_sys::fuzz_mutator!(|bytes: &mut [u8], size: usize, longest: usize, seed: u32| {
            $crate::mutated(bytes, size, longest, seed)
        });
    };
}
