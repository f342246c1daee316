//! Measures matrix products in bf16 against f32, one after the other, in 10⁹ operations a second: `cargo run --release
//! -p llm-tuner-engine --example products -- [threads]`. The shapes are those of GPT-2 124M at 1,024 tokens.

use llm_tuner_engine::kernels::bf16::{Left, Right, multiply};
use llm_tuner_engine::kernels::gemm::{Mat, MatMut, Threads, Write, gemm};
use llm_tuner_engine::kernels::tier::Tier;
use llm_tuner_engine::rng::Stream;
use std::time::Instant;

const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).unwrap_or_else(|| "2".to_owned()).parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let tier = Tier::best();
    println!("{threads} threads, tier {tier}; medians of {ROUNDS} interleaved rounds, GFLOP/s");
    for (m, k, n) in [(1024, 768, 2304), (1024, 768, 3072), (1024, 3072, 768), (1024, 768, 50_257)] {
        let random =
            |n: usize| (0..n).map(|i| Stream::new(1).uniform(i as u64) as f32 - 0.5).collect::<Vec<_>>();
        let (a, b, mut out) = (random(m * k), random(k * n), vec![0.0; m * n]);
        let (mat_a, mat_b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
        let right = Right::pack(mat_b);
        let left = Left::pack(mat_a);
        let mut seconds: [Vec<f64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            gemm(MatMut::new(&mut out, m, n), mat_a, mat_b, 1.0, Write::Replace, Threads::Pool);
            seconds[0].push(start.elapsed().as_secs_f64());
            let start = Instant::now();
            multiply(MatMut::new(&mut out, m, n), &left, &right, Write::Replace, Threads::Pool, tier);
            seconds[1].push(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let left = Left::pack(mat_a);
            multiply(MatMut::new(&mut out, m, n), &left, &right, Write::Replace, Threads::Pool, tier);
            seconds[2].push(start.elapsed().as_secs_f64());
        }
        let rates = seconds.map(|mut all| {
            all.sort_by(f64::total_cmp);
            2.0 * (m * k * n) as f64 / all[ROUNDS / 2] / 1e9
        });
        println!(
            "{m} × {k} × {n}: f32 {:.0}, bf16 packed {:.0}, bf16 with the left packed each time {:.0}",
            rates[0], rates[1], rates[2]
        );
    }
    Ok(())
}
