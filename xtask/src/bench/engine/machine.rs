//! What a figure depends on: processor, memory, versions, and how much else the machine did.

use std::{collections::BTreeMap, fs, process::Command};

use crate::{process, workspace::Workspace};

/// Flags that decide which kernels run, ours and theirs.
const FLAGS: [&str; 9] =
    ["avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_tile", "amx_bf16", "asimd"];

/// The machine as a phrase: `AMD EPYC (family 26, model 2; avx2, …), 2 cores, 24 GiB`.
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores, {} GiB", processor(&cpu), gibibytes(&memory))
}

fn processor(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    let known: Vec<&str> = field("flags").or(field("Features")).unwrap_or_default().split(' ').collect();
    let flags: Vec<&str> = FLAGS.into_iter().filter(|flag| known.contains(flag)).collect();
    let kind = match (field("cpu family"), field("model")) {
        (Some(family), Some(model)) => format!("family {family}, model {model}; "),
        _ => String::new(),
    };
    let name = field("model name").unwrap_or(std::env::consts::ARCH);
    format!("{name} ({kind}{})", flags.join(", "))
}

fn gibibytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    (kibibytes.unwrap_or_default() + (1 << 19)) >> 20
}

/// Sees how much of the processors went to work that is not ours.
pub struct Watch {
    total: u64,
    busy: u64,
    ours: u64,
}

impl Watch {
    pub fn start() -> Self {
        let (total, busy) = ticks(&fs::read_to_string("/proc/stat").unwrap_or_default());
        let ours = ticks_of_children(&fs::read_to_string("/proc/self/stat").unwrap_or_default());
        Self { total, busy, ours }
    }

    /// The share of all processors' time since the start that others had: other processes, and other
    /// machines on the same host.
    pub fn others(&self) -> f64 {
        let now = Self::start();
        let since = |now: u64, then: u64| now.saturating_sub(then);
        let others = since(now.busy, self.busy).saturating_sub(since(now.ours, self.ours));
        others as f64 / since(now.total, self.total).max(1) as f64
    }
}

/// All time and the part that was not idle, of the first line of `/proc/stat`.
fn ticks(stat: &str) -> (u64, u64) {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    // user, nice, system, idle, waiting for a disk, two kinds of interrupts, stolen; what follows is part of user.
    let fields: Vec<u64> = line.split_whitespace().take(8).filter_map(|field| field.parse().ok()).collect();
    let total = fields.iter().sum();
    (total, total - fields.iter().skip(3).take(2).sum::<u64>())
}

/// What the processes that we started and that ended have used, of `/proc/self/stat`.
fn ticks_of_children(stat: &str) -> u64 {
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// The day, the commit and the versions of what ran.
pub fn versions(workspace: &Workspace, packages: &BTreeMap<String, String>) -> String {
    let say = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        process::stdout(command.args(args).current_dir(&workspace.root)).unwrap_or_default().trim().to_owned()
    };
    let changed = !say("git", &["status", "--porcelain", "--untracked-files=no", "engine"]).is_empty();
    let commit = say("git", &["rev-parse", "--short", "HEAD"]);
    let rustc = say("rustc", &["--version"]);
    let rustc = rustc.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let mut parts = vec![rustc, format!("kernel {}", say("uname", &["-r"]))];
    parts.extend(packages.iter().map(|(name, version)| format!("{name} {version}")));
    format!(
        "{}; engine at {commit}{}; {}",
        say("date", &["-u", "+%-d %B %Y"]),
        if changed { " with changes" } else { "" },
        parts.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_named_with_the_flags_that_matter() {
        let cpuinfo = "processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512f avx512_bf16\n";
        assert_eq!(processor(cpuinfo), "AMD EPYC (family 26, model 2; avx2, avx512f, avx512_bf16)");
    }

    #[test]
    fn time_of_others_is_what_is_neither_idle_nor_ours() {
        let stat = "cpu  100 20 30 400 50 1 2 7 9 9\ncpu0 1 2 3\n";
        assert_eq!(ticks(stat), (610, 160));
        let stat = "7 (a name) S 1 2 3 4 5 6 7 8 9 10 11 12 300 40 20 0";
        assert_eq!(ticks_of_children(stat), 340);
        let watch = Watch { total: 0, busy: 0, ours: 0 };
        assert!((0.0..=1.0).contains(&watch.others()));
    }

    #[test]
    fn memory_is_rounded() {
        assert_eq!(gibibytes("MemFree: 1 kB\nMemTotal:       24609240 kB\n"), 23);
        assert_eq!(gibibytes(""), 0);
    }
}
