"""Mixtures: how often each document is packed, so that languages or sources have the shares asked for.

Shares are of bytes, as read from the source. They are stated as weights, or follow from the sizes n of the groups as
n^temperature, normalised: Xue et al. 2020 (mT5, arXiv 2010.11934), section 3.2, who call the exponent alpha, after
Conneau and Lample 2019 (arXiv 1901.07291), section 3.1. 1 leaves the corpus's own shares, 0 makes all alike. Together
the groups take as many bytes as they have.

A group that is to have more than it has is repeated whole, and its documents drawn first once more; one that is to have
less is cut to those drawn first. So each group has what it is to have, to within half a document.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import ROW_ID, field
from transforms.draws import draw

GROUP = field("group", pa.string(), "what the mixture counts the file to: its language, or its source's number")
COPIES = field("copies", pa.int32(), "how often the file is packed; 0: the mixture leaves it out", nullable=False)


@dataclass(frozen=True)
class Origin:
    """Which of the recipe's sources a row of `files` is from; `first_rows` are the row ids that sources begin with."""

    first_rows: tuple[int, ...]
    reads = (ROW_ID.name,)
    adds = pa.schema([field("origin", pa.string(), "number of the recipe's source, from 0 on")])

    def load(self) -> BatchFunction:
        def number(batch: pa.RecordBatch) -> pa.RecordBatch:
            rows = batch.column(ROW_ID.name).to_numpy()
            numbers = np.searchsorted(np.array(self.first_rows), rows, side="right") - 1
            return pa.RecordBatch.from_arrays([pa.array(numbers).cast(pa.string())], schema=self.adds)

        return number


@dataclass(frozen=True)
class Drawn:
    """What a mixture needs to know of a document: its group, by the column `by`, and its place in the draw."""

    by: str
    seed: int = 0
    adds = pa.schema([GROUP, field("draw", pa.uint64(), "place in the draw of the group's documents", nullable=False)])

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.by, "content_id")

    def load(self) -> BatchFunction:
        def name(batch: pa.RecordBatch) -> pa.RecordBatch:
            groups = pc.fill_null(batch.column(self.by), "none")
            drawn = pa.array(draw(batch.column("content_id"), self.seed, "mixture"))
            return pa.RecordBatch.from_arrays([groups, drawn], schema=self.adds)

        return name


@dataclass(frozen=True)
class Mixture:
    """How often each document is packed: the batch holds all documents, sorted by group, draw and row.

    `weights` are (group, weight) pairs, and groups that are not named have none; else `temperature` is the exponent.
    Raises ValueError for a weighted group without a document.
    """

    weights: tuple[tuple[str, float], ...] = ()
    temperature: float = 1
    reads = (ROW_ID.name, GROUP.name, "size")
    schema = pa.schema([ROW_ID, GROUP, field("size", pa.int64(), "bytes, as read from the source"), COPIES])

    def load(self) -> BatchFunction:
        def mix(batch: pa.RecordBatch) -> pa.RecordBatch:
            runs = pc.run_end_encode(batch.column(GROUP.name))
            rows = [slice(*bounds) for bounds in pairwise([0, *runs.run_ends.to_pylist()])]
            sizes = batch.column("size").to_numpy()
            totals = [int(sizes[group].sum()) for group in rows]
            targets = self._targets(runs.values.to_pylist(), totals)
            copies = np.zeros(batch.num_rows, np.int32)
            for group, total, target in zip(rows, totals, targets, strict=True):
                copies[group] = repeats(sizes[group], total, target)
            columns = [batch.column(ROW_ID.name), batch.column(GROUP.name), batch.column("size"), pa.array(copies)]
            return pa.RecordBatch.from_arrays(columns, schema=self.schema)

        return mix

    def _targets(self, groups: list[str], totals: list[int]) -> list[int]:
        """Bytes that each group is to have, rounded, so that they are the same on every processor."""
        named = dict(self.weights)
        if missing := [name for name, weight in self.weights if weight and groups and name not in groups]:
            there = ", ".join(groups)
            raise ValueError(f"tokenize.mixture.weights: no kept file is of {missing[0]}; there are {there}")
        weights = [
            named.get(group, 0) if named else total**self.temperature
            for group, total in zip(groups, totals, strict=True)
        ]
        whole = sum(total for total, weight in zip(totals, weights, strict=True) if weight)
        return [round(weight / math.fsum(weights) * whole) for weight in weights]


def repeats(sizes: np.ndarray, total: int, target: int) -> np.ndarray:
    """How often each of the documents of these sizes, in the order of their draw, makes up `target` bytes."""
    whole, rest = divmod(target, total)
    return whole + (np.cumsum(sizes) - sizes / 2 <= rest)


@dataclass(frozen=True)
class Packed:
    """Which documents a mixture packs at all."""

    reads = (COPIES.name,)
    adds = pa.schema([field("packed", pa.bool_(), "the mixture packs it", nullable=False)])

    def load(self) -> BatchFunction:
        def decide(batch: pa.RecordBatch) -> pa.RecordBatch:
            return pa.RecordBatch.from_arrays([pc.greater(batch.column(COPIES.name), 0)], schema=self.adds)

        return decide


@dataclass(frozen=True)
class PackedTokens:
    """Tokens of all copies of a document."""

    reads = (COPIES.name, "token_count")
    adds = pa.schema([field("packed_tokens", pa.int64(), "tokens of all copies")])

    def load(self) -> BatchFunction:
        def count(batch: pa.RecordBatch) -> pa.RecordBatch:
            tokens = pc.multiply(batch.column("token_count"), batch.column(COPIES.name).cast(pa.int64()))
            return pa.RecordBatch.from_arrays([tokens], schema=self.adds)

        return count
