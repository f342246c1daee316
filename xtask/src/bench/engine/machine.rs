//! What a figure depends on: processor, memory, versions, and what else the machine does.

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

/// How many processes wanted to run in the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
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
    fn memory_is_rounded() {
        assert_eq!(gibibytes("MemFree: 1 kB\nMemTotal:       24609240 kB\n"), 23);
        assert_eq!(gibibytes(""), 0);
    }
}
