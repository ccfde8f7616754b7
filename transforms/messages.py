"""Conversations as columns, and those that users give as JSON lines."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from schemas import json_lines
from schemas.contracts import BatchFunction
from schemas.datasets import field

MESSAGES = pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))

DIALOGUE = pa.schema(
    [
        field("messages", MESSAGES, "turns: role (user, assistant, system) and content; null where there are none"),
        field("dialogue", pa.string(), "made, or why not: language, unparsed, too_few_turns", nullable=False),
        field("is_dialogue", pa.bool_(), "whether there are messages", nullable=False),
    ]
)
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Instructions:
    """Takes the conversations of users' JSON lines, but for those in which `Decontaminate` found a benchmark.

    Raises ValueError for a line that holds none.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content", "contaminated")

    @property
    def adds(self) -> pa.Schema:
        doc = "the line's `language`, linguist's name; null where it tells none"
        return pa.schema([*DIALOGUE, field("told_language", pa.string(), doc)])

    def load(self) -> BatchFunction:
        def read(batch: pa.RecordBatch) -> pa.RecordBatch:
            found = batch.column("contaminated").to_pylist()
            told = [messages_of(json_lines.parse(line.encode())) for line in batch.column("content").to_pylist()]
            messages = [None if by else turns for by, (turns, _) in zip(found, told, strict=True)]
            columns = [
                pa.array(messages, MESSAGES),
                pa.array([f"contaminated.{by}" if by else "made" for by in found], pa.string()),
                pa.array([not by for by in found], pa.bool_()),
                pa.array([language for _, language in told], pa.string()),
            ]
            return pa.RecordBatch.from_arrays(columns, schema=self.adds)

        return read


def messages_of(row: dict[str, Any]) -> tuple[list[dict[str, str]], str | None]:
    """Messages and language of a JSON line's object. Raises ValueError, which says what is wrong with it."""
    turns = row.get("messages")
    if not isinstance(turns, list) or not turns:
        raise ValueError('give an object with a list of messages: {"messages": [{"role": "user", "content": "…"}, …]}')
    for number, turn in enumerate(turns, 1):
        if not isinstance(turn, dict) or turn.get("role") not in ROLES:
            raise ValueError(f"message {number}: its role is none of {', '.join(ROLES)}")
        if not isinstance(turn.get("content"), str) or not turn["content"].strip():
            raise ValueError(f"message {number}: its content is no text")
    if all(turn["role"] != "assistant" for turn in turns):
        raise ValueError("no message is the assistant's")
    language = row.get("language")
    if language is not None and not isinstance(language, str):
        raise ValueError("its language is no text")
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns], language
