"""Each distinct text that may state a licence goes to one place, is matched there once, and its answer goes home.

The table of answers (`TEXTS`) is a dataset of its own: a later run takes from it what it would have to match again.
"""

import hashlib
import weakref
from dataclasses import dataclass
from dataclasses import field as setting
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import ROW_ID, field
from transforms.license_match import (
    INDEX_MEMORY,
    MATCHER,
    RULE_TABLES,
    Found,
    match,
    matcher,
    release_index,
    rule_tables,
)
from transforms.license_passages import Passages

TEXT_ID = field("text_id", pa.string(), "blake2b of a text and all else that its answer depends on", nullable=False)
APPROXIMATE = field("approximate", pa.bool_(), "also matched approximately: licence words were left over")

QUERY = pa.struct([("text_id", pa.string()), ("approximate", pa.bool_()), ("text", pa.string())])

_LINES = pa.list_(pa.struct([("first", pa.int32()), ("last", pa.int32())]))

ANSWER = pa.schema(
    [
        field("expression", pa.string(), "SPDX expression of the licences that the text states; null: none"),
        field("granted", pa.string(), "`expression` less licences that are only named beside a stated one"),
        field("score", pa.float64(), "the weakest match's score, 0 to 100"),
        field("lines", _LINES, "first and last line of each detection, the text's first line being 1"),
        field("tagged", pa.bool_(), "there is an SPDX-License-Identifier among them"),
        field("stated", pa.bool_(), "a tag, a notice or a text states them, where others are only named"),
        field("rules", pa.list_(pa.string()), "scancode's names of the rules that matched"),
    ]
)

TEXTS = pa.schema(
    [
        TEXT_ID,
        MATCHER,
        APPROXIMATE,
        *ANSWER,
        field("earlier", pa.bool_(), "the answer is from a run that `license.against` names", nullable=False),
        field("files", pa.list_(pa.int64()), "row ids of the files that the text is in", nullable=False),
    ]
)
"""The dataset `license_texts`: one row per distinct text."""

SENT = pa.schema(
    [
        TEXT_ID,
        APPROXIMATE,
        field("file", pa.int64(), "first of `files`; below 0 for an answer of an earlier run", nullable=False),
        TEXTS.field("files").with_nullable(True),
        field("text", pa.string(), "the text; null where it is known"),
        *ANSWER,
    ]
)
"""What travels to where a text is matched: each distinct text of a batch once."""

KNOWN = (TEXT_ID.name, APPROXIMATE.name, *ANSWER.names)
"""What is read of an earlier run's `TEXTS`."""


def text_id(passages: Passages) -> str:
    """Names a text to be matched; another release of scancode, or of our matching, gives another name."""
    known = f"{matcher()}\0{'approximate' if passages.approximate else 'exact'}\0{passages.text}"
    return hashlib.blake2b(known.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class LicenseRules:
    """What finds passages, of scancode's index or, where a row of an earlier run is given, of that.

    It leaves the index in memory for `MatchTexts`, which lets it go.
    """

    matcher: str = setting(default_factory=matcher)
    reads = tuple(RULE_TABLES.names)
    schema = RULE_TABLES
    memory = INDEX_MEMORY

    def load(self) -> BatchFunction:
        return lambda batch: batch.slice(0, 1) if batch.num_rows else rule_tables()


@dataclass(frozen=True)
class NoRules:
    """Rows of `RULE_TABLES` where there is nothing to make them from yet: none."""

    reads = ()
    schema = RULE_TABLES

    def load(self) -> BatchFunction:
        return lambda _: _empty(RULE_TABLES)


@dataclass(frozen=True)
class SendTexts:
    """The distinct texts of a batch, with the files that they are in."""

    reads = (ROW_ID.name, "license_queries")
    schema = SENT

    def load(self) -> BatchFunction:
        return _send_texts


def _send_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    texts = batch.column("license_queries")
    files = batch.column(ROW_ID.name).take(pc.list_parent_indices(texts)).to_numpy()
    listed = texts.flatten()
    named = listed.field("text_id").dictionary_encode()
    numbers = named.indices.to_numpy()
    order = np.argsort(numbers, kind="stable")
    bounds = np.append(np.searchsorted(numbers[order], np.arange(len(named.dictionary))), len(order))
    first = pa.array(order[bounds[:-1]])
    known = {
        "text_id": named.dictionary,
        "approximate": listed.field("approximate").take(first),
        "file": pa.array(files[order[bounds[:-1]]], pa.int64()),
        "files": pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), pa.array(files[order], pa.int64())),
        "text": listed.field("text").take(first),
    }
    columns = [known.get(given.name, pa.nulls(len(first), given.type)) for given in SENT]
    return pa.RecordBatch.from_arrays(columns, schema=SENT)


@dataclass(frozen=True)
class EarlierTexts:
    """Marks the answers of the n-th earlier run."""

    number: int
    reads = ()

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([SENT.field(name) for name in ("file", "files", "text")])

    def load(self) -> BatchFunction:
        def mark(batch: pa.RecordBatch) -> pa.RecordBatch:
            rows = batch.num_rows
            columns = [pa.array(np.full(rows, -1 - self.number)), *(pa.nulls(rows, t) for t in self.adds.types[1:])]
            return pa.RecordBatch.from_arrays(columns, schema=self.adds)

        return mark


@dataclass(frozen=True)
class MatchTexts:
    """One row of `TEXTS` for each text that is in a file, matched unless an earlier run did so.

    Its rows come sorted by text, then by file. The index (some 5 s, 1.4 GB) is loaded when there is a text to match,
    and given back when the function is dropped.
    """

    matcher: str = setting(default_factory=matcher)
    reads = tuple(SENT.names)
    schema = TEXTS
    memory = INDEX_MEMORY

    def load(self) -> BatchFunction:
        if self.matcher != matcher():
            raise RuntimeError(f"this worker has {matcher()}, the plan was made with {self.matcher}")

        def match_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
            return _match_texts(batch)

        weakref.finalize(match_texts, release_index).atexit = False
        return match_texts


def _match_texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    names = batch.column("text_id")
    starts = _starts(names)
    counts = pc.fill_null(pc.list_value_length(batch.column("files")), 0).to_numpy()
    files = np.add.reduceat(counts, starts) if len(starts) else counts
    first = batch.take(pa.array(starts))
    earlier = np.less(first.column("file").to_numpy(), 0)
    is_here, given = files > 0, pa.array(earlier)
    texts = [
        _answer(match(text, approximate))
        for text, approximate in zip(*(first.column(n).to_pylist() for n in ("text", "approximate")), strict=True)
        if text is not None
    ]
    matched = pa.RecordBatch.from_pylist(texts, ANSWER)
    place = pa.array(np.where(earlier, np.cumsum(earlier) - 1, earlier.sum() + np.cumsum(~earlier) - 1))
    answers = pa.Table.from_batches([first.select(ANSWER.names).filter(given).cast(ANSWER), matched]).take(place)
    columns = {
        "text_id": first.column("text_id"),
        "matcher": pa.repeat(matcher(), first.num_rows),
        "approximate": first.column("approximate"),
        **{name: answers.column(name).combine_chunks() for name in ANSWER.names},
        "earlier": given,
        "files": pa.ListArray.from_arrays(
            pa.array(np.append(0, np.cumsum(files)), pa.int32()), batch.column("files").flatten()
        ),
    }
    rows = pa.RecordBatch.from_arrays([columns[name] for name in TEXTS.names], schema=TEXTS)
    return rows.filter(pa.array(is_here))


def _answer(found: Found | None) -> dict[str, Any]:
    """A row of `ANSWER`."""
    if found is None:
        return {}
    return found._asdict() | {"lines": [{"first": first, "last": last} for first, last in found.lines]}


def read_answer(row: dict[str, Any]) -> Found:
    """What came home of an answer: all but the names of the rules."""
    lines = tuple((at["first"], at["last"]) for at in row["lines"])
    return Found(row["expression"], row["granted"], row["score"], lines, row["tagged"], row["stated"], ())


def _starts(keys: pa.Array) -> np.ndarray:
    """Where each run of equal keys begins."""
    changed = pc.not_equal(keys.slice(1), keys.slice(0, max(len(keys) - 1, 0))).to_numpy(zero_copy_only=False)
    return np.flatnonzero(np.append(True, changed)[: len(keys)])


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema)


_ANSWERS = pa.struct([TEXT_ID, *(ANSWER.field(name) for name in ANSWER.names if name != "rules")])

ANSWERS = pa.schema([field("license_answers", pa.list_(_ANSWERS), "of the file's texts, those that state a licence")])

HOME = pa.schema([given.with_nullable(True) for given in _ANSWERS])
"""What travels home to each file, beside its row id."""


@dataclass(frozen=True)
class SendAnswers:
    """A row for each file that a text is in; none for texts that state nothing."""

    reads = ("files", *(given.name for given in _ANSWERS))
    schema = pa.schema([ROW_ID, *HOME])

    def load(self) -> BatchFunction:
        def send(batch: pa.RecordBatch) -> pa.RecordBatch:
            stating = batch.filter(pc.is_valid(batch.column("expression")))
            files = stating.column("files")
            told = stating.select(HOME.names).take(pc.list_parent_indices(files))
            return pa.RecordBatch.from_arrays([files.flatten(), *told.columns], schema=self.schema)

        return send


@dataclass(frozen=True)
class GatherAnswers:
    """One row per file: its answers. Rows come sorted by row id, then by text; the file's own has no text."""

    reads = (ROW_ID.name, *HOME.names)
    schema = ANSWERS

    def load(self) -> BatchFunction:
        def gather(batch: pa.RecordBatch) -> pa.RecordBatch:
            starts = _starts(batch.column(ROW_ID.name))
            told = pc.is_valid(batch.column("text_id"))
            counted = np.append(0, np.cumsum(told.to_numpy(zero_copy_only=False)))
            offsets = pa.array(counted[np.append(starts, batch.num_rows)], pa.int32())
            answers = batch.filter(told)
            values = pa.StructArray.from_arrays(
                [answers.column(given.name) for given in _ANSWERS], fields=list(_ANSWERS)
            )
            return pa.RecordBatch.from_arrays([pa.ListArray.from_arrays(offsets, values)], schema=ANSWERS)

        return gather
