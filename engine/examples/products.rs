//! Measures matrix products on every tier of this processor beside the `gemm` crate's, interleaved, in 10⁹ operations
//! a second: `cargo run --release -p llm-tuner-engine --example products -- [threads]`. The shapes are those of GPT-2
//! 124M at 1,024 tokens: forward, forward with a weight as torch lays it out, and a weight's gradient.

use llm_tuner_engine::kernels::gemm::{Mat, MatMut, Threads, Write, gemm as product};
use llm_tuner_engine::kernels::tier::Tier;
use llm_tuner_engine::rng::Stream;
use std::time::Instant;

const ROUNDS: usize = 11;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).unwrap_or_else(|| "2".to_owned()).parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    println!("{threads} threads; medians of {ROUNDS} interleaved rounds, GFLOP/s");
    let tiers: Vec<Tier> = Tier::available().filter(|tier| *tier != Tier::Scalar).collect();
    for (m, k, n) in
        [(1024, 768, 2304), (1024, 768, 3072), (1024, 3072, 768), (256, 768, 50_257), (64, 64, 256)]
    {
        let random =
            |n: usize| (0..n).map(|i| Stream::new(1).uniform(i as u64) as f32 - 0.5).collect::<Vec<_>>();
        let (a, b, mut out) = (random(m * k), random(k * n), vec![0.0; m * n]);
        let (left, right) = (a.as_slice(), b.as_slice());
        let views = [
            ("", Mat::new(&a, m, k), Mat::new(&b, k, n)),
            (", right turned", Mat::new(&a, m, k), Mat::new(&b, n, k).t()),
            (", left turned", Mat::new(&a, k, m).t(), Mat::new(&b, k, n)),
        ];
        let peer = |out: &mut [f32], [m, k, n]: [usize; 3], view: usize| {
            let (a_strides, b_strides) =
                (if view == 2 { (1, m) } else { (k, 1) }, if view == 1 { (1, k) } else { (n, 1) });
            // SAFETY: shapes and strides are those of the slices above.
            unsafe {
                gemm::gemm(
                    m,
                    n,
                    k,
                    out.as_mut_ptr(),
                    1,
                    n as isize,
                    false,
                    left.as_ptr(),
                    a_strides.1 as isize,
                    a_strides.0 as isize,
                    right.as_ptr(),
                    b_strides.1 as isize,
                    b_strides.0 as isize,
                    0.0,
                    1.0f32,
                    false,
                    false,
                    false,
                    gemm::Parallelism::Rayon(0),
                );
            }
        };
        for (i, (name, a, b)) in views.into_iter().enumerate() {
            let mut seconds = vec![Vec::new(); tiers.len() + 1];
            for _ in 0..ROUNDS {
                for (tier, seconds) in tiers.iter().zip(&mut seconds) {
                    let start = Instant::now();
                    product(*tier, MatMut::new(&mut out, m, n), a, b, 1.0, Write::Replace, Threads::Pool);
                    seconds.push(start.elapsed().as_secs_f64());
                }
                let start = Instant::now();
                peer(&mut out, [m, k, n], i);
                seconds[tiers.len()].push(start.elapsed().as_secs_f64());
            }
            print!("{m} × {k} × {n}{name}:");
            let names = tiers.iter().map(|tier| tier.name()).chain(["gemm crate"]);
            for (tier, mut seconds) in names.zip(seconds) {
                seconds.sort_by(f64::total_cmp);
                print!(" {tier} {:.0}", 2.0 * (m * k * n) as f64 / seconds[ROUNDS / 2] / 1e9);
            }
            println!();
        }
    }
    Ok(())
}
