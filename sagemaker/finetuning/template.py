"""How a row becomes text, and which parts of that text are to be learned.

The template is the engine's (`engine/src/data/template.rs`), and is recorded beside the model. A conversation
is written by the tokenizer's own chat template where it has one.
"""

from dataclasses import dataclass

import jinja2

from .rows import Message, Row

TEMPLATE = {
    "prompt": "{content}\n###\n",
    "system": "System:\n{content}\n\n",
    "user": "User:\n{content}\n\n",
    "tool": "Tool:\n{content}\n\n",
    "assistant": "Assistant:\n",
}
STOP = {"text": [], "completion": ["\n###\n"], "chat": ["\n\nUser:\n"]}

# The same for `apply_chat_template`; every answer is followed by the end-of-text token.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ 'System:\\n' + message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'User:\\n' + message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'tool' %}{{ 'Tool:\\n' + message['content'] + '\\n\\n' }}"
    "{% else %}{{ 'Assistant:\\n' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class Part:
    """A piece of a row's text; `end` is the end-of-text token and has no text."""

    text: str
    learned: bool = False
    end: bool = False


def record(kind: str, seq2seq: bool) -> dict:
    """The template as `llm_tuner.json` holds it. What a sequence-to-sequence model reads needs no mark at its end."""
    turns = {"kind": kind, **TEMPLATE, "stop": STOP[kind]}
    return {**turns, "prompt": "{content}", "stop": []} if seq2seq else turns


def render(row: Row, tokenizer) -> list[Part]:
    """A row in parts, answers marked. A `ValueError` says why the model's own template refuses it."""
    if row.kind == "text":
        return [Part(row.text, learned=True), Part("", learned=True, end=True)]
    if row.kind == "completion":
        prompt = _fill("prompt", row.prompt)
        return [Part(prompt), Part(row.completion, learned=True), Part("", learned=True, end=True)]
    if tokenizer.chat_template:
        return by_own_template(row.messages, tokenizer)
    return [part for message in row.messages for part in turn(message)]


def turn(message: Message) -> list[Part]:
    if message.role != "assistant":
        return [Part(_fill(message.role, message.content))]
    learned = message.learned
    return [Part(TEMPLATE["assistant"]), Part(message.content, learned), Part("", learned, end=True)]


def by_own_template(messages: tuple[Message, ...], tokenizer) -> list[Part]:
    """Learned is what an answer adds to the text that the model is given to answer."""
    turns = [{"role": message.role, "content": message.content} for message in messages]

    def text(count: int, prompt: bool) -> str:
        return tokenizer.apply_chat_template(turns[:count], tokenize=False, add_generation_prompt=prompt)

    parts, written = [], ""
    try:
        for at in (at for at, message in enumerate(messages) if message.learned):
            given, answered = text(at, True), text(at + 1, False)
            if not (given.startswith(written) and answered.startswith(given)):
                raise ValueError(
                    "the base model's chat template writes earlier turns differently once there are later ones; "
                    "give each conversation one answer to learn, and the others the weight 0"
                )
            parts += [Part(given[len(written) :]), Part(answered[len(given) :], learned=True)]
            written = answered
    except jinja2.TemplateError as error:
        raise ValueError(f"the base model's chat template refuses this conversation: {error}") from None
    return parts


def _fill(name: str, content: str) -> str:
    return TEMPLATE[name].replace("{content}", content, 1)
