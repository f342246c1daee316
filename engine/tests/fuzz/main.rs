//! Whatever stands in a file that the engine reads, it is read or refused in words: never a panic, a hang, or memory far
//! beyond the file's size.
//!
//! `targets` has one target for each file, which `engine/fuzz` hands to libFuzzer as well; here good files are spoiled
//! in a bounded number of ways, the same in each run. `PROPTEST_CASES=100000` tries as many, each time others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

mod checks;
mod good;
mod memory;
mod seeds;
mod spoil;
mod targets;

use std::time::{Duration, Instant};

use good::Good;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};
use targets::Target;

/// Spoiled files for each target in an ordinary run: a few seconds in all.
const CASES: u32 = 64;
/// Tokenising, loading and answering with the smallest of models takes milliseconds; the machine may be busy.
const LONGEST: Duration = Duration::from_secs(60);
/// What reading a small file may hold beyond [`PER_BYTE`]: a template's text and tables of a tokenizer.
const MEMORY: usize = 256 << 20;
const PER_BYTE: usize = 256;

fn settings() -> ProptestConfig {
    let config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases: CASES, rng_seed: RngSeed::Fixed(1), ..config },
    }
}

fn hold(target: &Target, good: &Good, bytes: &[u8]) {
    let began = Instant::now();
    let peak = memory::peak_of(|| target.hold(good, bytes));
    assert!(began.elapsed() < LONGEST, "it took {:?}", began.elapsed());
    assert!(peak < MEMORY + PER_BYTE * bytes.len(), "{peak} bytes were held for a file of {}", bytes.len());
}

fn holds(name: &str) {
    let target = targets::named(name);
    let good = Good::new();
    let seeds = target.seeds(&good);
    for seed in &seeds {
        hold(target, &good, seed);
    }
    let ways = (0..seeds.len(), vec((any::<u8>(), any::<u32>(), any::<u32>()), 1..5));
    let outcome = TestRunner::new(settings()).run(&ways, |(seed, steps)| {
        hold(target, &good, &spoil::spoiled(&seeds[seed], &steps));
        Ok(())
    });
    if let Err(TestError::Fail(why, (seed, steps))) = outcome {
        let bytes = spoil::spoiled(&seeds[seed], &steps);
        panic!("{name}: {why}\n{}", String::from_utf8_lossy(&bytes[..bytes.len().min(4000)]));
    }
}

macro_rules! each_file {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        #[test]
        fn every_target_is_tried_here_and_by_libfuzzer() {
            let names: Vec<&str> = targets::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            let fuzz = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
            let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
            for name in names {
                assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name}");
                assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name}");
            }
        }
    };
}

each_file! {
    config
    weights
    shard_index
    tokenizer
    vocab
    merges
    tokenizer_config
    special_tokens_map
    generation_config
    chat_template
    adapter_config
    adapter_weights
    record
    hyperparameters
    input_data_config
    resource_config
    stop
    rows
    checkpoint_manifest
    checkpoint_weights
    checkpoint_state
    checkpoint_tokenizer
}
