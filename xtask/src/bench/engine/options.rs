//! The command line of `cargo xtask bench engine`.

use anyhow::{Context as _, Result, bail};

use super::runners::{Mode, PEERS};

pub const HELP: &str = "\
cargo xtask bench engine [OPTIONS]      the engine beside its peers, in one run, one after another

--shapes NAMES    which of engine/benches/shapes.json, with commas, or `all`; without it the quick ones
--modes NAMES     of full,lora,generate; without it all three
--peers NAMES     only these peers; `none` for the engine alone
--tier NAMES      the engine's kernels, e.g. auto,avx512-f32: a row for each; without it auto
--rounds N        how often each is run, in turn; 3
--steps N         timed steps of each run, after a warm-up of two; 5
--threads N       2
--no-page         only print: docs/PERFORMANCE.md and the kept results stay as they are

LLM_TUNER_BENCH_PYTHON names a Python that has engine/benches/peers/requirements.txt already.";

#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Names, or none for the quick ones.
    pub shapes: Vec<String>,
    pub modes: Vec<Mode>,
    /// Ids of peers.
    pub peers: Vec<&'static str>,
    /// Values for the engine's choice of kernels; "auto" leaves it to the engine.
    pub tiers: Vec<String>,
    pub rounds: usize,
    pub steps: usize,
    pub threads: usize,
    pub page: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shapes: Vec::new(),
            modes: Mode::ALL.to_vec(),
            peers: PEERS.iter().map(|peer| peer.id).collect(),
            tiers: vec!["auto".into()],
            rounds: 3,
            steps: 5,
            threads: 2,
            page: true,
        }
    }
}

impl Options {
    pub fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(name) = args.next() {
            if name == "--no-page" {
                options.page = false;
                continue;
            }
            if !name.starts_with("--") {
                bail!("{name:?} is no option\n\n{HELP}");
            }
            let value = args.next().with_context(|| format!("{name} needs a value\n\n{HELP}"))?;
            match name.as_str() {
                "--shapes" => options.shapes = list(value),
                "--modes" => {
                    options.modes =
                        list(value).iter().map(|word| Mode::named(word)).collect::<Result<_>>()?;
                }
                "--peers" => options.peers = peers(value)?,
                "--tier" | "--tiers" => options.tiers = list(value),
                "--rounds" => options.rounds = number(name, value)?,
                "--steps" => options.steps = number(name, value)?,
                "--threads" => options.threads = number(name, value)?,
                _ => bail!("there is no option {name}\n\n{HELP}"),
            }
        }
        if options.modes.is_empty() || options.tiers.is_empty() {
            bail!("--modes and --tier need at least one name\n\n{HELP}");
        }
        Ok(options)
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn peers(value: &str) -> Result<Vec<&'static str>> {
    if value == "none" {
        return Ok(Vec::new());
    }
    let known = |word: &String| {
        let peer = PEERS.iter().find(|peer| peer.id == *word);
        let ids = || PEERS.iter().map(|peer| peer.id).collect::<Vec<_>>().join(", ");
        peer.map(|peer| peer.id).with_context(|| format!("there is no peer {word:?}, only {}", ids()))
    };
    list(value).iter().map(known).collect()
}

fn number(name: &str, value: &str) -> Result<usize> {
    let number = value.parse().ok().filter(|number| *number > 0);
    number.with_context(|| format!("{name} is {value:?}, but must be a whole number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_and_the_rest_keeps_its_default() {
        let options =
            parse("--shapes gpt2-256,smollm2 --modes lora --rounds 1 --tier auto,avx512-f32").unwrap();
        assert_eq!(options.shapes, ["gpt2-256", "smollm2"]);
        assert_eq!(options.modes, [Mode::Lora]);
        assert_eq!(options.tiers, ["auto", "avx512-f32"]);
        assert_eq!((options.rounds, options.steps, options.page), (1, 5, true));
        assert!(parse("--peers none --no-page").unwrap().peers.is_empty());
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (line, word) in [
            ("--modes quick", "quick"),
            ("--peers jax", "jax"),
            ("--rounds 0", "--rounds"),
            ("--steps", "--steps"),
            ("--fast 1", "--fast"),
            ("gpt2", "gpt2"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
