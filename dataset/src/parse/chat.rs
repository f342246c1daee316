//! Conversations: from the turns of a row to messages in order, each mistake under its own name.

use std::borrow::Cow;

use super::json::{Turn, Value};
use super::text::without_nul;
use crate::example::{Message, Role};
use crate::finding::{Code, Sink};
use crate::schema::Format;

/// The messages of a conversation, or `None` where it cannot be used.
pub fn messages<'a>(
    turns: Vec<Turn<'a>>,
    system: Option<Cow<'a, str>>,
    format: Format,
    sink: &mut dyn Sink,
) -> Option<Vec<Message<'a>>> {
    let mut messages: Vec<Message<'a>> = Vec::with_capacity(turns.len() + 1);
    if let Some(system) = system.filter(|text| !text.trim().is_empty()) {
        messages.push(Message::new(Role::System, system));
    }
    if turns.is_empty() {
        sink.finding(Code::MissingMessagesList, None, &|| {
            "The list of messages is empty. Add a question and an answer, or leave the row out.".to_owned()
        });
        return None;
    }
    for (index, turn) in turns.into_iter().enumerate() {
        messages.push(message(turn, index + 1, format, sink)?);
    }
    let good = in_order(&messages, sink) && learnable(&messages, sink);
    good.then_some(messages)
}

fn message<'a>(turn: Turn<'a>, number: usize, format: Format, sink: &mut dyn Sink) -> Option<Message<'a>> {
    let rare = turn.rare.map(|rare| *rare).unwrap_or_default();
    if let Some(kind) = rare.instead {
        sink.finding(Code::WrongType, None, &|| {
            format!("Message {number} is {kind}; an object with role and content belongs here.")
        });
        return None;
    }
    if let Some(key) = &rare.unknown {
        sink.finding(Code::MessageUnrecognizedKey, Some(key), &|| {
            format!("Message {number} has the key \"{key}\", which has no meaning here; it is left out.")
        });
    }
    let role = role(turn.role, number, format, sink)?;
    let content = content(turn.content, rare.calls_tool, number, role, sink)?;
    if rare.calls_tool {
        sink.finding(Code::ToolCallNotLearned, Some("tool_calls"), &|| {
            format!(
                "Message {number} calls a tool beside what it says; training reads the text only. Where the model \
                 shall learn the call, write it into the content."
            )
        });
    }
    let weight = match rare.weight {
        None | Some(Value::Null) => None,
        Some(Value::Number(weight)) if weight.as_u64().is_some_and(|weight| weight <= 1) => {
            weight.as_u64().map(|weight| weight as u8)
        }
        Some(_) => {
            sink.finding(Code::InvalidWeight, Some("weight"), &|| {
                format!("The weight of message {number} must be 0 (do not learn it) or 1 (learn it).")
            });
            return None;
        }
    };
    let name = match rare.name {
        None | Some(Value::Null) => None,
        Some(Value::Text(name)) => {
            sink.finding(Code::NameNotLearned, Some("name"), &|| {
                format!(
                    "Message {number} has a name beside its role, which training does not read. Where the model shall \
                     know it, write it into the content."
                )
            });
            Some(without_nul(name, sink))
        }
        Some(other) => {
            sink.finding(Code::WrongType, Some("name"), &|| {
                format!("The name in message {number} is {}; it must be text.", other.kind())
            });
            return None;
        }
    };
    Some(Message { role, content, name, weight })
}

fn role(role: Option<Value<'_>>, number: usize, format: Format, sink: &mut dyn Sink) -> Option<Role> {
    let key = if format == Format::ShareGpt { "from" } else { "role" };
    let written = match role {
        Some(Value::Text(written)) => written,
        Some(other) => {
            sink.finding(Code::WrongType, Some(key), &|| {
                format!(
                    "The {key} of message {number} is {}; it must be text such as \"user\".",
                    other.kind()
                )
            });
            return None;
        }
        None => {
            sink.finding(Code::MessageMissingKey, Some(key), &|| {
                format!("Message {number} does not say whose it is: the key \"{key}\" is missing.")
            });
            return None;
        }
    };
    let (role, alias) = match (written.as_ref(), format) {
        ("system", _) => (Role::System, false),
        ("user", _) => (Role::User, false),
        ("assistant", _) => (Role::Assistant, false),
        ("tool", _) => (Role::Tool, false),
        ("human", Format::ShareGpt) => (Role::User, false),
        ("gpt", Format::ShareGpt) => (Role::Assistant, false),
        _ => match written.trim().to_ascii_lowercase().as_str() {
            "system" | "developer" => (Role::System, true),
            "user" | "human" | "prompter" | "customer" => (Role::User, true),
            "assistant" | "gpt" | "chatgpt" | "bot" | "ai" | "model" | "agent" => (Role::Assistant, true),
            "tool" | "function" | "observation" => (Role::Tool, true),
            _ => {
                sink.finding(Code::UnrecognizedRole, Some(key), &|| {
                    let shown: String = written.chars().take(40).collect();
                    format!(
                        "Message {number} is of the role \"{shown}\". Roles are system, user, assistant and tool."
                    )
                });
                return None;
            }
        },
    };
    if alias {
        sink.finding(Code::RoleAlias, Some(key), &|| {
            format!("Message {number} is of the role \"{written}\", which is read as \"{}\".", role.name())
        });
    }
    Some(role)
}

fn content<'a>(
    content: Option<Value<'a>>,
    calls_tool: bool,
    number: usize,
    role: Role,
    sink: &mut dyn Sink,
) -> Option<Cow<'a, str>> {
    let content = match content {
        Some(Value::Text(text)) => Some(Value::Text(clean(text, sink))),
        other => other,
    };
    let (code, message): (Code, &dyn Fn() -> String) = match content {
        Some(Value::Text(text)) if !text.trim().is_empty() => return Some(text),
        Some(Value::Text(text)) if matches!(role, Role::User | Role::System | Role::Tool) => {
            sink.finding(Code::EmptyPrompt, Some("content"), &|| {
                format!("Message {number}, of the {}, is empty.", role.name())
            });
            return Some(text);
        }
        Some(Value::Text(_)) if !calls_tool => (Code::EmptyAnswer, &|| {
            format!("Message {number}, of the assistant, is empty: there is nothing to learn from it.")
        }),
        Some(Value::Null | Value::Text(_)) | None if calls_tool => (Code::MissingContent, &|| {
            format!("Message {number} calls a tool and says nothing. Calls of tools cannot be learned yet.")
        }),
        None => (Code::MessageMissingKey, &|| format!("Message {number} has no \"content\".")),
        Some(Value::Null | Value::Text(_)) => {
            (Code::MissingContent, &|| format!("The content of message {number} is null; it must be text."))
        }
        Some(Value::List) => (Code::WrongType, &|| {
            format!("Message {number} has parts that are not text, such as images. Only text can be learned.")
        }),
        Some(other) => {
            sink.finding(Code::WrongType, Some("content"), &|| {
                format!("The content of message {number} is {}; it must be text.", other.kind())
            });
            return None;
        }
    };
    sink.finding(code, Some("content"), message);
    None
}

/// Only text that had escapes can hold a NUL: JSON does not allow it as it is.
pub fn clean<'a>(text: Cow<'a, str>, sink: &mut dyn Sink) -> Cow<'a, str> {
    if matches!(text, Cow::Owned(_)) { without_nul(text, sink) } else { text }
}

/// A system message first if at all; then user and assistant in turn, beginning with the user. Tools speak after
/// the assistant.
fn in_order(messages: &[Message<'_>], sink: &mut dyn Sink) -> bool {
    let mut previous: Option<Role> = None;
    for (index, message) in messages.iter().enumerate() {
        let allowed = match previous {
            None => matches!(message.role, Role::System | Role::User),
            Some(Role::System) => message.role == Role::User,
            Some(Role::User) => message.role == Role::Assistant,
            Some(Role::Assistant) => matches!(message.role, Role::User | Role::Tool),
            Some(Role::Tool) => matches!(message.role, Role::Assistant | Role::Tool),
        };
        if !allowed {
            let (number, role) = (index + 1, message.role.name());
            sink.finding(Code::RolesOutOfOrder, Some("role"), &|| match (message.role, previous) {
                (Role::System, Some(_)) => {
                    format!("Message {number} is a system message; it may only be the first message.")
                }
                (_, Some(previous)) if previous == message.role => format!(
                    "Messages {index} and {number} are both of the {role}. User and assistant take turns: join \
                     the two messages."
                ),
                (_, Some(previous)) => format!(
                    "Message {number} is of the {role} right after the {}. User and assistant take turns.",
                    previous.name()
                ),
                (_, None) => {
                    format!("The conversation begins with the {role}; the user, or the system, speaks first.")
                }
            });
            return false;
        }
        previous = Some(message.role);
    }
    true
}

/// At least one answer that shall be learned.
fn learnable(messages: &[Message<'_>], sink: &mut dyn Sink) -> bool {
    let mut answers = messages.iter().filter(|message| message.role == Role::Assistant).peekable();
    if answers.peek().is_none() {
        sink.finding(Code::ExampleMissingAssistantMessage, None, &|| {
            "No message is of the assistant, so there is no answer to learn. Add one, or leave the row out."
                .to_owned()
        });
        return false;
    }
    if answers.all(|message| message.weight == Some(0)) {
        sink.finding(Code::ExampleMissingAssistantMessage, Some("weight"), &|| {
            "All messages of the assistant have the weight 0, so there is no answer to learn.".to_owned()
        });
        return false;
    }
    if messages.last().is_some_and(|message| message.role != Role::Assistant) {
        sink.finding(Code::LastMessageNotAnswer, None, &|| {
            "The last message is not of the assistant; the model never learns how to answer it.".to_owned()
        });
    }
    true
}
