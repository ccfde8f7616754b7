"""Where files come from: archives, folders, the Python environment, tables.

A `Source` lists what it holds and cuts it into splits of about equal size; a `Split` travels to a worker
and gives one row of `schemas.datasets.SOURCE_ROW` per file, readable or not. A new source is one frozen
dataclass with `splits`, and one kind of `Part`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Protocol

import pyarrow as pa

from pipeline.sources.files import Interrupted, SourceError
from pipeline.sources.rows import DEFAULT_LIMITS, Limits, Origin, Row, batches
from schemas.datasets import SOURCE_ROW

__all__ = [
    "DEFAULT_LIMITS",
    "Interrupted",
    "Limits",
    "Origin",
    "Part",
    "Readable",
    "Row",
    "Source",
    "SourceError",
    "Split",
    "grouped",
]

MAX_PARTS = 1000
"""Parts in one split, so that a split of tiny archives stays small on the wire."""


class Part(Protocol):
    """A repository's files, or a stretch of them: frozen, picklable, without a list of files."""

    @property
    def size(self) -> int:
        """Bytes of text that it is expected to give."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes when the files behind it do: a hash of names, sizes and times."""
        ...

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row per file, in an order that names and sizes alone decide.

        Raises `Interrupted` where a remote store fails: the split is read again. All else becomes a row.
        """
        ...


class Readable(Protocol):
    """What one worker reads in one go, and becomes one shard of what the first step over it writes."""

    schema: ClassVar[pa.Schema]
    """The columns that it gives."""

    @property
    def size(self) -> int:
        """Bytes of text that it is expected to give."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hex digits that change when a file behind it does."""
        ...

    def read(self, limits: Limits = DEFAULT_LIMITS) -> Iterator[pa.RecordBatch]:
        """Bounded batches of `schema`. Raises `Interrupted` alone: what the files hold becomes a row."""
        ...


@dataclass(frozen=True)
class Split:
    """Files that one worker reads in one go: becomes one shard of `files`."""

    parts: tuple[Part, ...]
    schema: ClassVar[pa.Schema] = SOURCE_ROW

    @property
    def size(self) -> int:
        """Bytes of text that it is expected to give."""
        return sum(part.size for part in self.parts)

    @property
    def fingerprint(self) -> str:
        """Hex digits that change when a file behind the split does."""
        names = (f"{type(part).__name__} {part.fingerprint}" for part in self.parts)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()

    def read(self, limits: Limits = DEFAULT_LIMITS) -> Iterator[pa.RecordBatch]:
        """Batches of SOURCE_ROW, bounded in bytes and rows; never raises for what the files hold."""
        return batches(chain.from_iterable(part.rows(limits) for part in self.parts), limits)


class Source(Protocol):
    """Settings of one entry of a recipe's `sources`: a frozen, picklable dataclass."""

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """Lists the source and cuts it into splits of about `target` bytes of text.

        The same files give the same splits in the same order on any machine. `limits` are those of the
        later `read`: files over `max_file_bytes` weigh nothing. Raises `SourceError` for a mistake in the
        recipe: a path that does not exist, a glob without a match.
        """
        ...


def grouped(parts: Iterable[Part], target: int) -> list[Split]:
    """Consecutive parts filled into splits of up to `target` bytes; a part over it is a split alone."""
    splits: list[Split] = []
    held: list[Part] = []
    size = 0
    for part in parts:
        if held and (size + part.size > target or len(held) >= MAX_PARTS):
            splits.append(Split(tuple(held)))
            held, size = [], 0
        held.append(part)
        size += part.size
    return [*splits, Split(tuple(held))] if held else splits
