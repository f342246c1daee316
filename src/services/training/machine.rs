//! What this machine can do: its speed at training, measured once, and its free memory.

use llm_tuner_engine::{
    config::Gpt2Config,
    model::{Batch, Model},
    optimizer::OptimizerConfig,
    trainer::Trainer,
};
use std::sync::OnceLock;

/// Rows and length of the measured batch: as nano's usual ones.
const ROWS: usize = 16;
const LENGTH: usize = 48;
/// Measured steps, after one to warm up. The fastest counts: others may have waited for something else on this machine.
const STEPS: u32 = 5;

/// Floating-point operations of training a second, as the engine reaches them on its smallest model. Larger models do
/// somewhat better: a time reckoned from it is on the safe side. Takes a tenth of a second, once.
///
/// `None` where the measurement failed; then no time is told.
pub fn training_flops_per_second() -> Option<f64> {
    static MEASURED: OnceLock<Option<f64>> = OnceLock::new();
    *MEASURED.get_or_init(measure)
}

fn measure() -> Option<f64> {
    let config = Gpt2Config::nano(1_024);
    let per_token = flops_per_token(config.parameter_count() as u64, config.parameter_count() as u64);
    let model = Model::init(config, 1).ok()?;
    let mut trainer = Trainer::new(model, OptimizerConfig::default());
    let ids: Vec<u32> = (0..ROWS * LENGTH).map(|i| (i * 31 % 1_000) as u32).collect();
    let batch = Batch { targets: ids.clone(), ids, lengths: vec![LENGTH; ROWS] };
    let mut step = || -> Option<()> {
        trainer.accumulate(&batch).ok()?;
        trainer.apply(1e-4).ok()?;
        Some(())
    };
    step()?;
    let mut fastest = f64::INFINITY;
    for _ in 0..STEPS {
        let begin = std::time::Instant::now();
        step()?;
        fastest = fastest.min(begin.elapsed().as_secs_f64());
    }
    Some(per_token * (ROWS * LENGTH) as f64 / fastest.max(1e-6))
}

/// Forward 2 operations a weight, backward 2 for the inputs and 2 for each trained weight (Kaplan et al. 2020, §2.1;
/// attention left out: at these lengths it is a few per cent).
pub fn flops_per_token(parameters: u64, trained: u64) -> f64 {
    4.0 * parameters as f64 + 2.0 * trained as f64
}

/// Bytes that can be had without swapping, as the kernel reckons; less where a container's limit is lower.
pub fn memory_available() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(container_limit().map_or(kib * 1024, |limit| limit.min(kib * 1024)))
}

/// What a cgroup leaves: its limit less what is used.
fn container_limit() -> Option<u64> {
    let read = |name: &str| {
        std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok()
    };
    Some(read("memory.max")?.saturating_sub(read("memory.current")?))
}
