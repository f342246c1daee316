"""Rows of training data: one JSON object a line, in one of three shapes.

The rules and the sentences are those of the engine (`engine/src/data/rows.rs`).
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .errors import JobError

ROLES = ("system", "user", "assistant", "tool")
SHAPES = 'Rows are {"text"}, {"prompt", "completion"} or {"messages"}, all of one kind.'


@dataclass(frozen=True)
class Message:
    role: str
    content: str
    # Whether this is an answer that counts in the loss.
    learned: bool = False


@dataclass(frozen=True)
class Row:
    """`kind` is text, completion or chat; only that kind's fields are filled."""

    kind: str
    text: str = ""
    prompt: str = ""
    completion: str = ""
    messages: tuple[Message, ...] = ()


@dataclass
class Channel:
    """A directory of *.jsonl files; `files` is filled by reading it to the end."""

    path: Path
    name: str
    kind: str | None = None
    files: list[dict] = field(default_factory=list)

    def rows(self) -> Iterator[tuple[Row, str]]:
        """Every row, in order, each with its place in words. All are of one kind."""
        self.files = []
        for path in jsonl_files(self.path, self.name):
            digest, count, size = hashlib.sha256(), 0, 0
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    digest.update(line)
                    size += len(line)
                    place = f"{self.name}/{path.name}, line {number}"
                    try:
                        row = self._row(line, first=number == 1)
                    except ValueError as error:
                        raise line_error(place, str(error)) from None
                    if row:
                        count += 1
                        yield row, place
            self.files.append(
                {"channel": self.name, "name": path.name, "bytes": size, "sha256": digest.hexdigest(), "rows": count}
            )
        if not any(file["rows"] for file in self.files):
            raise _empty(self.name, "there is not a single row in it")

    def _row(self, line: bytes, first: bool) -> Row | None:
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("not UTF-8") from None
        text = (text.removeprefix("\ufeff") if first else text).strip()
        if not text:
            return None
        row = parse(text)
        if self.kind and row.kind != self.kind:
            raise ValueError(f"a row of {row.kind}, where the rows before are of {self.kind}")
        self.kind = row.kind
        return row


def jsonl_files(channel: Path, name: str) -> list[Path]:
    if not channel.is_dir():
        raise _empty(name, "there is no such directory")
    files = sorted(path for path in channel.iterdir() if path.suffix == ".jsonl" and path.is_file())
    if not files:
        raise _empty(name, "there is no *.jsonl file in it")
    return files


def line_error(place: str, what: str) -> JobError:
    return JobError(f"{place}: {what}", f"Correct or remove that line. {SHAPES}")


def _empty(name: str, what: str) -> JobError:
    return JobError(f"the channel {name}: {what}", "Give the job at least one file of rows, named *.jsonl.")


def parse(line: str) -> Row:
    """Reads one line of JSON; a `ValueError` says what is wrong, without file and line."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(row, dict):
        raise ValueError('expected a JSON object such as {"prompt": …, "completion": …}')
    for key in ("text", "prompt", "completion"):
        if key in row and not isinstance(row[key], str):
            raise ValueError(f'"{key}" must be text')
    if "text" in row:
        if "prompt" in row or "completion" in row:
            raise ValueError('"text" and "prompt" or "completion" exclude each other')
        if not row["text"].strip():
            raise ValueError('"text" is empty')
        return Row("text", text=row["text"])
    if "prompt" in row or "completion" in row:
        return _completion(row)
    if "messages" in row:
        return Row("chat", messages=_messages(row["messages"]))
    raise ValueError('none of "text", "prompt" with "completion", or "messages" is there')


def _completion(row: dict) -> Row:
    for key in ("completion", "prompt"):
        if key not in row:
            raise ValueError(f'"{key}" is missing')
    if not row["completion"].strip():
        raise ValueError('"completion" is empty: there is nothing to learn')
    return Row("completion", prompt=row["prompt"], completion=row["completion"])


def _messages(items) -> tuple[Message, ...]:
    if not isinstance(items, list):
        raise ValueError('"messages" must be a list')
    messages = tuple(_message(number, item) for number, item in enumerate(items, 1))
    if not any(message.learned and message.content.strip() for message in messages):
        raise ValueError('no message of the role "assistant" with a weight other than 0: there is nothing to learn')
    return messages


def _message(number: int, item) -> Message:
    if not isinstance(item, dict):
        raise ValueError(f"message {number}: expected a JSON object")
    role, content, weight = item.get("role"), item.get("content"), item.get("weight")
    if role not in ROLES:
        raise ValueError(f'message {number}: "role" must be one of {", ".join(ROLES)}')
    if not isinstance(content, str):
        raise ValueError(f'message {number}: "content" must be text')
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        raise ValueError(f'message {number}: "weight" must be 0 or 1')
    return Message(role, content, learned=role == "assistant" and weight != 0)
