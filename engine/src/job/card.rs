//! The model card, in the form that the Hugging Face Hub reads.

use std::fmt::Write;

use crate::data::rows::Kind;
use crate::files::record::Record;

/// Markdown with the Hub's YAML header.
pub fn render(record: &Record, adapter: bool) -> String {
    let mut text = String::from("---\npipeline_tag: text-generation\n");
    if adapter {
        text += "library_name: peft\n";
    } else {
        text += "library_name: transformers\n";
    }
    text += "---\n\n# Model card\n\n";
    let base = if record.base_model == "nano" {
        "A small GPT-2, trained from nothing".to_owned()
    } else if adapter {
        format!("A LoRA adapter for `{}`", record.base_model)
    } else {
        format!("`{}`, tuned", record.base_model)
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{base} by LLM Tuner's engine {}.\n", record.engine_version);

    if let Some(result) = &record.result {
        text += "## Result\n\n| | |\n|---|---|\n";
        let _ = writeln!(text, "| Steps | {} |", result.steps);
        let _ = writeln!(text, "| Tokens seen | {} |", result.tokens);
        let _ = writeln!(text, "| Training loss (nats per token) | {:.4} |", result.train_loss);
        if let Some(loss) = result.eval_loss {
            let _ = writeln!(text, "| Loss on held-out data (nats per token) | {loss:.4} |");
        }
    }
    text += "\n## How to ask\n\n";
    text += match record.template.kind {
        Kind::Chat | Kind::Completion if record.own_chat_template => {
            "The model was trained with the base model's own chat template, which is among its files; \
             `tokenizer.apply_chat_template` writes conversations with it.\n"
        }
        Kind::Text => "The model continues text as it is.\n",
        Kind::Completion => "The model answers prompts of this form (`{content}` is the prompt):\n",
        Kind::Chat => "The model answers conversations; `tokenizer.apply_chat_template` builds them.\n",
    };
    if record.template.kind == Kind::Completion && !record.own_chat_template {
        let _ = writeln!(text, "\n```text\n{}```", record.template.prompt);
    }
    text += "\n## Data\n\n| File | Rows | SHA-256 |\n|---|---|---|\n";
    for file in &record.data {
        let name = file.name.replace('|', "\\|");
        let _ = writeln!(text, "| {}/{name} | {} | `{}` |", file.channel, file.rows, file.sha256);
    }
    text += "\n## Settings\n\n| Setting | Value |\n|---|---|\n";
    for (name, value) in &record.hyperparameters {
        let _ = writeln!(text, "| {name} | {value} |");
    }
    text
}
