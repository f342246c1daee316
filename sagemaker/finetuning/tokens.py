"""Rows as sequences of tokens with targets, cut to length, and how they are laid into batches.

A causal model's target is the next token; plain text is one long stream of documents, cut into windows. A
sequence-to-sequence model reads what precedes an answer and writes the answer.
"""

import random
from array import array
from dataclasses import dataclass, field

import torch
from torch.utils.data import Dataset

from . import template
from .errors import JobError
from .rows import Channel, Row, line_error

# The target of a token that is not learned.
IGNORE = -100


@dataclass
class Sequences:
    """A tokenised channel: inputs and targets of one length, or source and answer."""

    kind: str = ""
    seq2seq: bool = False
    rows: int = 0
    # Rows that were too long and were cut; always 0 for plain text.
    truncated: int = 0
    inputs: list[array] = field(default_factory=list)
    targets: list[array] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.inputs)

    def add(self, inputs: list[int], targets: list[int]) -> None:
        self.inputs.append(array("i", inputs))
        self.targets.append(array("i", targets))

    def tokens(self) -> int:
        return sum(map(len, self.inputs))

    def predicted(self) -> int:
        return sum(len(targets) - targets.count(IGNORE) for targets in self.targets)


class Order(Dataset):
    """Epoch after epoch, each in a new order; a step's rows follow from the seed and the step alone."""

    def __init__(self, sequences: Sequences, length: int, seed: int):
        self.sequences, self.length, self.seed = sequences, length, seed
        self.epoch, self.order = -1, []

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> int:
        epoch, place = divmod(position, len(self.sequences))
        if epoch != self.epoch:
            self.epoch, self.order = epoch, list(range(len(self.sequences)))
            random.Random(f"{self.seed} {epoch}").shuffle(self.order)
        return self.order[place]


def read(channel: Channel, tokenizer, max_length: int, seq2seq: bool) -> Sequences:
    """Tokenises every row of a channel."""
    sequences = Sequences(seq2seq=seq2seq)
    stream = array("i", [tokenizer.eos_token_id])
    for row, place in channel.rows():
        sequences.rows += 1
        try:
            if seq2seq:
                _source_and_answers(sequences, row, tokenizer, max_length)
            elif row.kind == "text":
                stream.extend(encode(row, tokenizer)[0])
            else:
                _next_tokens(sequences, row, tokenizer, max_length)
        except ValueError as error:
            raise line_error(place, str(error)) from None
    sequences.kind = channel.kind
    for start in range(0, len(stream) - 1, max_length) if channel.kind == "text" else ():
        window = stream[start : start + max_length + 1]
        sequences.add(window[:-1], window[1:])
    if not sequences.predicted():
        raise JobError(
            f"the channel {channel.name}: no token is left to learn after cutting rows to {max_length} tokens",
            "Raise max_sequence_length, or shorten the prompts.",
        )
    return sequences


def encode(row: Row, tokenizer) -> tuple[list[int], list[bool]]:
    """A row's tokens, and which of them are learned. Parts are tokenised one by one, as they are in use."""
    ids = _beginning(row, tokenizer)
    learned = [False] * len(ids)
    for part in template.render(row, tokenizer):
        tokens = [tokenizer.eos_token_id] if part.end else plain(tokenizer, part.text)
        ids += tokens
        learned += [part.learned] * len(tokens)
    return ids, learned


def plain(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def _beginning(row: Row, tokenizer) -> list[int]:
    """The token that the model expects before a text, where its tokenizer adds one. Its chat template does so too."""
    if row.kind == "text" or template.own(row.kind, tokenizer):
        return []
    return [token for token in tokenizer("a")["input_ids"][:1] if token == tokenizer.bos_token_id]


def _next_tokens(sequences: Sequences, row: Row, tokenizer, max_length: int) -> None:
    ids, learned = encode(row, tokenizer)
    if len(ids) > max_length:
        ids, learned = cut(ids, learned, max_length)
        sequences.truncated += 1
    targets = [token if learn else IGNORE for token, learn in zip(ids[1:], learned[1:], strict=True)]
    if targets:
        sequences.add(ids[:-1], targets)


def cut(ids: list[int], learned: list[bool], max_length: int) -> tuple[list[int], list[bool]]:
    """Cuts a row to `max_length` tokens.

    The answer matters most: what precedes it is cut first, from its beginning, down to a quarter of the length;
    only then the end.
    """
    prompt = learned.index(True) if True in learned else 0
    start = min(len(ids) - max_length, max(0, prompt - max_length // 4))
    end = start + max_length
    return ids[start:end], learned[start:end]


def _source_and_answers(sequences: Sequences, row: Row, tokenizer, max_length: int) -> None:
    if row.kind == "text":
        raise ValueError('a sequence-to-sequence model learns from "prompt" and "completion", or from "messages"')
    end = [tokenizer.eos_token_id]
    cut_any = False
    for source, answer in _questions(row):
        source, answer = plain(tokenizer, source), plain(tokenizer, answer)
        cut_any |= max(len(source), len(answer)) >= max_length
        sequences.add(source[-(max_length - 1) :] + end, answer[: max_length - 1] + end)
    sequences.truncated += cut_any


def _questions(row: Row) -> list[tuple[str, str]]:
    """What precedes each learned answer, and the answer."""
    if row.kind == "completion":
        return [(row.prompt, row.completion)]
    pairs, before = [], ""
    for message in row.messages:
        if message.learned:
            pairs.append((before + template.TEMPLATE["assistant"], message.content))
        before += "".join("\n\n" if part.end else part.text for part in template.turn(message))
    return pairs


def shown(sequences: Sequences, tokenizer, batch_size: int, seed: int) -> dict:
    """The first batch as the model sees it: a few rows, each token as text, and whether it is learned."""
    order = Order(sequences, batch_size, seed)
    rows = [order[at] for at in range(batch_size)]
    return {
        "rows": [_shown(sequences, row, tokenizer) for row in rows[:3]],
        "sequences": batch_size,
        "tokens": sum(len(sequences.inputs[row]) for row in rows),
    }


def _shown(sequences: Sequences, row: int, tokenizer) -> list[dict]:
    inputs, targets = sequences.inputs[row], sequences.targets[row]
    if sequences.seq2seq:
        visible = [(token, False) for token in inputs] + [(token, True) for token in targets]
    else:
        # A target is the input of the next place; where it is not learned, that input is shown.
        following = zip(targets, [*inputs[1:], IGNORE], strict=True)
        nexts = [(after, False) if target == IGNORE else (target, True) for target, after in following]
        visible = [(inputs[0], False), *((token, learned) for token, learned in nexts if token != IGNORE)]
    return [{"text": tokenizer.decode([token]), "learned": learned} for token, learned in visible[:200]]


class Collator:
    """Pads rows to the longest of their batch; what is added is neither read nor learned."""

    def __init__(self, sequences: Sequences, pad: int, decoder_start: int | None):
        self.sequences, self.pad, self.decoder_start = sequences, pad, decoder_start

    def __call__(self, indices: list[int]) -> dict[str, torch.Tensor]:
        inputs = [self.sequences.inputs[i] for i in indices]
        labels = _padded([self.sequences.targets[i] for i in indices], IGNORE)
        batch = {
            "input_ids": _padded(inputs, self.pad),
            "attention_mask": _padded([[1] * len(row) for row in inputs], 0),
            "labels": labels,
        }
        if self.decoder_start is not None:
            start = torch.full((len(indices), 1), self.decoder_start)
            shifted = torch.cat([start, labels[:, :-1]], dim=1)
            batch["decoder_input_ids"] = shifted.masked_fill(shifted == IGNORE, self.pad)
        return batch


def _padded(rows: list, value: int) -> torch.Tensor:
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=value)
