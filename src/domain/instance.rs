//! The SageMaker instance types that we offer: facts that do not change. Prices and quotas are not here: they differ by
//! region, account and day (`backends::prices`).
//!
//! A type is listed where SageMaker's own API names it for training (`TrainingInstanceType`), for hosting
//! (`ProductionVariantInstanceType`) or both; a test asks the AWS SDK. Processors, memory and GPUs are those of the EC2
//! type of the same name, as <https://aws.amazon.com/ec2/instance-types/> has them.

use super::field::FieldError;

/// What an instance is used for: what can be used, prices and quotas differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Usage {
    Training,
    /// Training on spare capacity, at a lower price.
    SpotTraining,
    Hosting,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Gpu {
    pub name: &'static str,
    /// As its maker states it, in GB.
    pub memory_gb: u32,
    /// Peak of its tensor cores in bf16 (T4 and V100: fp16), dense, in 10^12 operations a second.
    pub peak_tflops: u32,
    /// It computes in bf16, which the weights of today's models and the containers that serve them are made for.
    pub bf16: bool,
}

// Peaks are those of NVIDIA's data sheets; where one states a figure "with sparsity", half of it.
/// T4: "Mixed-Precision (FP16/FP32) 65 TFLOPS".
static T4: Gpu = Gpu { name: "T4", memory_gb: 16, peak_tflops: 65, bf16: false };
/// A10G: "BFLOAT16 Tensor Core 70 TF".
static A10G: Gpu = Gpu { name: "A10G", memory_gb: 24, peak_tflops: 70, bf16: true };
/// L4: "BFLOAT16 Tensor Core 242 teraFLOPS" with sparsity.
static L4: Gpu = Gpu { name: "L4", memory_gb: 24, peak_tflops: 121, bf16: true };
/// L40S: "BFLOAT16 Tensor Core 362.05 TFLOPS".
static L40S: Gpu = Gpu { name: "L40S", memory_gb: 48, peak_tflops: 362, bf16: true };
/// V100 SXM2: "Tensor Performance 125 teraFLOPS".
static V100: Gpu = Gpu { name: "V100", memory_gb: 16, peak_tflops: 125, bf16: false };
static V100_32: Gpu = Gpu { name: "V100", memory_gb: 32, peak_tflops: 125, bf16: false };
/// A100 SXM: "BFLOAT16 Tensor Core 312 TFLOPS".
static A100: Gpu = Gpu { name: "A100", memory_gb: 40, peak_tflops: 312, bf16: true };
static A100_80: Gpu = Gpu { name: "A100", memory_gb: 80, peak_tflops: 312, bf16: true };
/// H100 and H200 SXM: "BFLOAT16 Tensor Core 1,979 teraFLOPS" with sparsity.
static H100: Gpu = Gpu { name: "H100", memory_gb: 80, peak_tflops: 989, bf16: true };
static H200: Gpu = Gpu { name: "H200", memory_gb: 141, peak_tflops: 989, bf16: true };

/// How much of the peak a training reaches, for a rough estimate of its time. Large models in practice: 21 to 46 %
/// (Chowdhery et al. 2022, "PaLM", table 3); ours are smaller and less tended.
const UTILISATION: f64 = 0.2;

#[derive(Debug, PartialEq, Eq)]
pub struct InstanceType {
    /// `ml.g5.2xlarge`
    pub name: &'static str,
    pub vcpus: u32,
    pub memory_gib: u32,
    pub gpu: Option<(u32, &'static Gpu)>,
    pub trains: bool,
    pub hosts: bool,
}

const fn cpu(name: &'static str, vcpus: u32, memory_gib: u32) -> InstanceType {
    InstanceType { name, vcpus, memory_gib, gpu: None, trains: true, hosts: true }
}
const fn gpu(
    name: &'static str,
    vcpus: u32,
    memory_gib: u32,
    count: u32,
    model: &'static Gpu,
) -> InstanceType {
    InstanceType { name, vcpus, memory_gib, gpu: Some((count, model)), trains: true, hosts: true }
}
const fn only_trains(kind: InstanceType) -> InstanceType {
    InstanceType { hosts: false, ..kind }
}
const fn only_hosts(kind: InstanceType) -> InstanceType {
    InstanceType { trains: false, ..kind }
}

/// Family by family, the plainer first, each from small to large: the order in which another type is looked for.
pub static INSTANCE_TYPES: [InstanceType; 56] = [
    only_trains(cpu("ml.t3.medium", 2, 4)),
    only_trains(cpu("ml.t3.large", 2, 8)),
    only_trains(cpu("ml.t3.xlarge", 4, 16)),
    only_trains(cpu("ml.t3.2xlarge", 8, 32)),
    cpu("ml.m5.large", 2, 8),
    cpu("ml.m5.xlarge", 4, 16),
    cpu("ml.m5.2xlarge", 8, 32),
    cpu("ml.m5.4xlarge", 16, 64),
    cpu("ml.m5.12xlarge", 48, 192),
    cpu("ml.m5.24xlarge", 96, 384),
    only_hosts(cpu("ml.c5.large", 2, 4)),
    cpu("ml.c5.xlarge", 4, 8),
    cpu("ml.c5.2xlarge", 8, 16),
    cpu("ml.c5.4xlarge", 16, 32),
    cpu("ml.c5.9xlarge", 36, 72),
    cpu("ml.c5.18xlarge", 72, 144),
    gpu("ml.g4dn.xlarge", 4, 16, 1, &T4),
    gpu("ml.g4dn.2xlarge", 8, 32, 1, &T4),
    gpu("ml.g4dn.4xlarge", 16, 64, 1, &T4),
    gpu("ml.g4dn.8xlarge", 32, 128, 1, &T4),
    gpu("ml.g4dn.16xlarge", 64, 256, 1, &T4),
    gpu("ml.g4dn.12xlarge", 48, 192, 4, &T4),
    gpu("ml.g5.xlarge", 4, 16, 1, &A10G),
    gpu("ml.g5.2xlarge", 8, 32, 1, &A10G),
    gpu("ml.g5.4xlarge", 16, 64, 1, &A10G),
    gpu("ml.g5.8xlarge", 32, 128, 1, &A10G),
    gpu("ml.g5.16xlarge", 64, 256, 1, &A10G),
    gpu("ml.g5.12xlarge", 48, 192, 4, &A10G),
    gpu("ml.g5.24xlarge", 96, 384, 4, &A10G),
    gpu("ml.g5.48xlarge", 192, 768, 8, &A10G),
    gpu("ml.g6.xlarge", 4, 16, 1, &L4),
    gpu("ml.g6.2xlarge", 8, 32, 1, &L4),
    gpu("ml.g6.4xlarge", 16, 64, 1, &L4),
    gpu("ml.g6.8xlarge", 32, 128, 1, &L4),
    gpu("ml.g6.16xlarge", 64, 256, 1, &L4),
    gpu("ml.g6.12xlarge", 48, 192, 4, &L4),
    gpu("ml.g6.24xlarge", 96, 384, 4, &L4),
    gpu("ml.g6.48xlarge", 192, 768, 8, &L4),
    gpu("ml.g6e.xlarge", 4, 32, 1, &L40S),
    gpu("ml.g6e.2xlarge", 8, 64, 1, &L40S),
    gpu("ml.g6e.4xlarge", 16, 128, 1, &L40S),
    gpu("ml.g6e.8xlarge", 32, 256, 1, &L40S),
    gpu("ml.g6e.16xlarge", 64, 512, 1, &L40S),
    gpu("ml.g6e.12xlarge", 48, 384, 4, &L40S),
    gpu("ml.g6e.24xlarge", 96, 768, 4, &L40S),
    gpu("ml.g6e.48xlarge", 192, 1536, 8, &L40S),
    gpu("ml.p3.2xlarge", 8, 61, 1, &V100),
    gpu("ml.p3.8xlarge", 32, 244, 4, &V100),
    gpu("ml.p3.16xlarge", 64, 488, 8, &V100),
    only_trains(gpu("ml.p3dn.24xlarge", 96, 768, 8, &V100_32)),
    gpu("ml.p4d.24xlarge", 96, 1152, 8, &A100),
    gpu("ml.p4de.24xlarge", 96, 1152, 8, &A100_80),
    gpu("ml.p5.4xlarge", 16, 256, 1, &H100),
    gpu("ml.p5.48xlarge", 192, 2048, 8, &H100),
    gpu("ml.p5e.48xlarge", 192, 2048, 8, &H200),
    gpu("ml.p5en.48xlarge", 192, 2048, 8, &H200),
];

impl InstanceType {
    pub fn find(name: &str) -> Option<&'static Self> {
        INSTANCE_TYPES.iter().find(|kind| kind.name == name)
    }

    /// The type of this name, where it can be used so.
    ///
    /// # Errors
    /// Of the field `instance_type`; names the type that was probably meant.
    pub fn parse(name: &str, usage: Usage) -> Result<&'static Self, FieldError> {
        let wrong = |message: String| Err(FieldError::new("instance_type", message));
        let name = name.trim();
        let Some(kind) = Self::find(name) else {
            if name.is_empty() {
                return wrong("Name an instance type, such as ml.g5.2xlarge.".to_owned());
            }
            // Not repeated at any length: it may be anything.
            let shown: String = name.chars().take(40).collect();
            return wrong(format!(
                "There is no SageMaker instance type \"{shown}\" that we know. Did you mean {}?",
                Self::nearest(name, usage).name
            ));
        };
        if kind.serves(usage) {
            return Ok(kind);
        }
        let (can, can_not) = if kind.trains { ("train", "host") } else { ("host", "train") };
        wrong(format!(
            "{name} can {can} models but not {can_not} them. Did you mean {}?",
            Self::nearest(name, usage).name
        ))
    }

    pub fn serves(&self, usage: Usage) -> bool {
        match usage {
            Usage::Training | Usage::SpotTraining => self.trains,
            Usage::Hosting => self.hosts,
        }
    }

    pub fn family(&self) -> &'static str {
        family(self.name)
    }

    /// Can it serve a model in the usual container? T4 and V100 can't: it refuses weights in bf16 there.
    pub fn serves_models(&self) -> bool {
        self.hosts && self.gpu.is_some_and(|(_, gpu)| gpu.bf16)
    }

    /// Floating-point operations a second that a training may be expected to reach; `None` without a GPU, where too
    /// much depends on the program.
    pub fn training_flops_per_second(&self) -> Option<f64> {
        let (count, gpu) = self.gpu?;
        Some(f64::from(count) * f64::from(gpu.peak_tflops) * 1e12 * UTILISATION)
    }

    /// In a few words: `8 vCPU, 32 GiB, 1 × A10G with 24 GB`.
    pub fn words(&self) -> String {
        let machine = format!("{} vCPU, {} GiB", self.vcpus, self.memory_gib);
        match self.gpu {
            Some((count, gpu)) => format!("{machine}, {count} × {} with {} GB", gpu.name, gpu.memory_gb),
            None => machine,
        }
    }

    /// Types on which whatever fits on this one fits too, for when it is not to be had: those of its own family first,
    /// then the others, from small to large.
    pub fn fitting_instead(&self, usage: Usage) -> impl Iterator<Item = &'static Self> + use<> {
        let (name, family, memory, gpu) = (self.name, self.family(), self.memory_gib, self.gpu);
        let fits = move |other: &&'static Self| {
            let gpus = match (gpu, other.gpu) {
                (None, None) => true,
                (Some((count, gpu)), Some((others, other))) => {
                    others >= count && other.memory_gb >= gpu.memory_gb
                }
                _ => false,
            };
            other.name != name && other.serves(usage) && other.memory_gib >= memory && gpus
        };
        let own = INSTANCE_TYPES.iter().filter(move |other| other.family() == family);
        let others = INSTANCE_TYPES.iter().filter(move |other| other.family() != family);
        own.chain(others).filter(fits)
    }

    /// The type whose name takes the fewest changes of a letter; one that can be used so.
    fn nearest(name: &str, usage: Usage) -> &'static Self {
        let name: String = name.to_lowercase().chars().take(40).collect();
        let name = if name.starts_with("ml.") { name } else { format!("ml.{name}") };
        INSTANCE_TYPES
            .iter()
            .filter(|kind| kind.serves(usage))
            .min_by_key(|kind| (distance(family(&name), kind.family()), distance(&name, kind.name)))
            .unwrap_or(&INSTANCE_TYPES[0])
    }
}

/// `g5` of `ml.g5.12xlarge`. Of any name: a catalogue may name types that are not listed here.
pub fn family(name: &str) -> &str {
    name.trim_start_matches("ml.").split('.').next().unwrap_or_default()
}

/// Those with a `d` in their family, and those that have disks without saying so: SageMaker attaches no volume there,
/// and refuses a key for one, since AWS encrypts that disk itself.
pub fn has_own_disk(name: &str) -> bool {
    let family = family(name);
    family.contains('d') || ["g5", "g6", "p5"].iter().any(|start| family.starts_with(start))
}

/// Levenshtein's: letters added, taken away or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_leads_to_a_right_one() {
        let message = |name, usage| InstanceType::parse(name, usage).unwrap_err().message;
        for (typed, meant) in [
            ("ml.g5.large", "ml.g5.xlarge"),
            ("g5.2xlarge", "ml.g5.2xlarge"),
            ("ml.g5.2xlrge", "ml.g5.2xlarge"),
            ("ML.P4D.24XLARGE", "ml.p4d.24xlarge"),
            ("ml.c5.large", "ml.c5.xlarge"),
        ] {
            let words = message(typed, Usage::Training);
            assert!(words.ends_with(&format!("Did you mean {meant}?")), "{typed}: {words}");
        }
        assert!(message("ml.t3.medium", Usage::Hosting).starts_with("ml.t3.medium can train models but not"));
        assert!(message("", Usage::Training).contains("Name an instance type"));
        assert!(message(&"x".repeat(100_000), Usage::Training).len() < 200);
        assert_eq!(InstanceType::parse(" ml.g5.2xlarge ", Usage::SpotTraining).unwrap().vcpus, 8);
        assert_eq!(InstanceType::parse("ml.c5.large", Usage::Hosting).unwrap().memory_gib, 4);
    }

    #[test]
    fn what_is_taken_instead_is_never_less() {
        let gpu_memory = |kind: &InstanceType| kind.gpu.map_or(0, |(count, gpu)| count * gpu.memory_gb);
        for kind in &INSTANCE_TYPES {
            for other in kind.fitting_instead(Usage::Training) {
                assert!(other.trains && other.memory_gib >= kind.memory_gib, "{kind:?} {other:?}");
                assert!(gpu_memory(other) >= gpu_memory(kind), "{kind:?} {other:?}");
                assert_ne!(other.name, kind.name);
            }
        }
        let names: Vec<_> = InstanceType::find("ml.g5.12xlarge")
            .unwrap()
            .fitting_instead(Usage::Training)
            .map(|kind| kind.name)
            .take(3)
            .collect();
        assert_eq!(names, ["ml.g5.24xlarge", "ml.g5.48xlarge", "ml.g6.12xlarge"]);
    }

    #[test]
    fn models_are_served_on_gpus_with_bf16() {
        let serving = INSTANCE_TYPES.iter().filter(|kind| kind.serves_models());
        let families: std::collections::BTreeSet<_> = serving.map(InstanceType::family).collect();
        assert_eq!(
            families.into_iter().collect::<Vec<_>>(),
            ["g5", "g6", "g6e", "p4d", "p4de", "p5", "p5e", "p5en"]
        );
    }

    #[test]
    fn a_faster_machine_is_reckoned_faster() {
        let speed = |name| InstanceType::find(name).unwrap().training_flops_per_second();
        assert!(speed("ml.p5.48xlarge") > speed("ml.g5.2xlarge"));
        assert_eq!(speed("ml.m5.large"), None);
    }
}
