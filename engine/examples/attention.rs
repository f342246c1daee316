//! Measures attention alone on every tier of this processor, forward and backward, in milliseconds of a layer:
//! `cargo run --release -p llm-tuner-engine --example attention -- [threads] [tier]`. The best
//! of some rounds; beside it stand the 10⁹ operations a second that this makes, counted over the half that the causal
//! mask leaves. The shapes are a layer of GPT-2 124M, one
//! of Qwen2.5 0.5B, which shares keys and values, and a long sequence.

use llm_tuner_engine::kernels::attention::Shape;
use llm_tuner_engine::kernels::tier::Tier;
use llm_tuner_engine::rng::Stream;
use std::time::Instant;

const ROUNDS: usize = 11;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = std::env::args().nth(1).unwrap_or_else(|| "2".to_owned()).parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let wanted = std::env::args().nth(2);
    let wanted = |tier: &Tier| wanted.as_ref().map_or(*tier != Tier::Scalar, |name| name == tier.name());
    println!("{threads} threads; the best of {ROUNDS} rounds");
    for (sequences, length, heads, kv_heads, width) in
        [(4, 256, 12, 12, 64), (4, 512, 12, 12, 64), (4, 512, 14, 2, 64), (1, 2048, 12, 12, 64)]
    {
        let rows = sequences * length;
        let places: Vec<(usize, usize)> = (0..sequences).map(|i| (i * length, length)).collect();
        let random =
            |n: usize, seed| (0..n).map(|i| Stream::new(seed).normal(i as u64) as f32).collect::<Vec<_>>();
        let qkv = random(rows * (heads + 2 * kv_heads) * width, 1);
        let dout = random(rows * heads * width, 2);
        let (mut out, mut dqkv) = (vec![0.0; dout.len()], vec![0.0; qkv.len()]);
        println!("{sequences} × {length} tokens, {heads} heads over {kv_heads}, {width} wide:");
        for tier in Tier::available().filter(wanted) {
            let shape = Shape { tier, heads, kv_heads, head_width: width, scale: 0.125, dropout: None };
            let sequences = shape.sequences(&qkv, &places);
            let mut seconds = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                let start = Instant::now();
                shape.forward(&sequences, &mut out);
                seconds[0].push(start.elapsed().as_secs_f64());
                let start = Instant::now();
                shape.backward(&sequences, &dout, &mut dqkv);
                seconds[1].push(start.elapsed().as_secs_f64());
            }
            print!("  {tier}:");
            for (name, products, seconds) in [
                ("forward", 2, std::mem::take(&mut seconds[0])),
                ("backward", 5, std::mem::take(&mut seconds[1])),
            ] {
                let operations = products * rows * (length + 1) * heads * width;
                let best = seconds.into_iter().fold(f64::INFINITY, f64::min);
                print!(" {name} {:.2} ms ({:.0})", 1e3 * best, operations as f64 / best / 1e9);
            }
            println!();
        }
    }
    Ok(())
}
