"""How a row becomes text, and which parts of that text are to be learned.

The template is the engine's (`engine/src/data/template.rs`), and is recorded beside the model. A conversation
is written by the tokenizer's own chat template where it has one; a prompt and its completion are then two turns.
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


def own(kind: str, tokenizer) -> bool:
    """Whether rows of this kind are written by the model's own chat template. A model tuned here carries ours."""
    return kind != "text" and bool(tokenizer.chat_template) and tokenizer.chat_template != CHAT_TEMPLATE


def render(row: Row, tokenizer) -> list[Part]:
    """A row in parts, answers marked. A `ValueError` says why the model's own template refuses it."""
    if row.kind == "text":
        return [Part(row.text, learned=True), Part("", learned=True, end=True)]
    if own(row.kind, tokenizer):
        return by_own_template(_conversation(row), tokenizer)
    if row.kind == "completion":
        prompt = _fill("prompt", row.prompt)
        return [Part(prompt), Part(row.completion, learned=True), Part("", learned=True, end=True)]
    return [part for message in row.messages for part in turn(message)]


def _conversation(row: Row) -> tuple[Message, ...]:
    if row.kind == "chat":
        return row.messages
    return (Message("user", row.prompt), Message("assistant", row.completion, learned=True))


def turn(message: Message) -> list[Part]:
    if message.role != "assistant":
        return [Part(_fill(message.role, message.content))]
    learned = message.learned
    return [Part(TEMPLATE["assistant"]), Part(message.content, learned), Part("", learned, end=True)]


def by_own_template(messages: tuple[Message, ...], tokenizer) -> list[Part]:
    """Learned is what an answer adds to the text that the model is given to answer, up to the token that ends it.

    Where the template writes none after the last answer, the end-of-text token is due there: the model would not
    learn to stop.
    """
    marks = [str(token) for token in tokenizer.added_tokens_decoder.values()]
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
            learned, rest = _to_its_end(answered[len(given) :], messages[at].content, marks)
            parts += [Part(given[len(written) :]), Part(learned, learned=True)]
            if rest:
                parts.append(Part(rest))
            if rest is None and at + 1 == len(messages):
                parts.append(Part("", learned=True, end=True))
            written = answered
    except jinja2.TemplateError as error:
        raise ValueError(f"the base model's chat template refuses this conversation: {error}") from None
    return parts


def _to_its_end(answer: str, content: str, marks: list[str]) -> tuple[str, str | None]:
    """What a template wrote of an answer up to the last token of its own, and what follows; `None` without a token."""
    # A template may leave out some of what an answer says.
    said = content.strip()
    after = answer.rfind(said) + len(said) if said in answer else 0
    ends = [at + len(mark) for mark in marks if (at := answer.rfind(mark, after)) >= 0]
    return (answer[: max(ends)], answer[max(ends) :]) if ends else (answer, None)


def _fill(name: str, content: str) -> str:
    return TEMPLATE[name].replace("{content}", content, 1)
