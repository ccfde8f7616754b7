"""A small plan of real steps over generated rows: every kind of step, and quick."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.plan import Emit, Input, Map, Output, Plan, Shuffle
from pipeline.sources import Limits, Split
from pipeline.sources.rows import Origin, Row
from schemas.contracts import BatchFunction


@dataclass(frozen=True)
class Numbers:
    """A part of a source: `count` rows whose repository is their number modulo seven."""

    start: int
    count: int

    @property
    def size(self) -> int:
        return self.count

    @property
    def fingerprint(self) -> str:
        return f"{self.start} {self.count}"

    def rows(self, limits: Limits) -> Iterator[Row]:
        for number in range(self.start, self.start + self.count):
            origin = Origin("toy", f"r{number % 7}")
            yield Row(origin, f"{number}.txt", number, None, b"x" * number, None, None)


@dataclass(frozen=True)
class Double:
    """Adds twice the size, and whether it is a multiple of three."""

    fail_at: int = -1
    reads: tuple[str, ...] = ("size",)

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([("double", pa.int64()), ("third", pa.bool_()), ("decision", pa.string())])

    def load(self) -> BatchFunction:
        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            size = batch.column("size")
            if self.fail_at in size.to_pylist():
                raise ValueError(f"cannot double {self.fail_at}")
            third = pa.array(size.to_numpy() % 3 == 0)
            decision = pc.if_else(third, "kept", "dropped")
            return pa.RecordBatch.from_arrays([pc.multiply(size, 2), third, decision], schema=self.adds)

        return run


@dataclass(frozen=True)
class SumByRepo:
    """One row per repository: the sum of what its rows hold."""

    reads = ("repo", "double")
    schema = pa.schema([("repo", pa.string()), ("total", pa.int64()), ("files", pa.int64())])

    def load(self) -> BatchFunction:
        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            table = pa.Table.from_batches([batch]).group_by("repo", use_threads=False)
            sums = table.aggregate([("double", "sum"), ("double", "count")])
            columns = [sums.column(n).combine_chunks() for n in ("repo", "double_sum", "double_count")]
            return pa.RecordBatch.from_arrays(columns, schema=self.schema)

        return run


@dataclass(frozen=True)
class Reverse:
    """The shard's rows, last first."""

    reads = ("row_id", "double", "one")
    schema = pa.schema([("origin", pa.int64()), ("double", pa.int64()), ("one", pa.int64())])

    def load(self) -> BatchFunction:
        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            back = batch.select(["row_id", "double", "one"]).take(pa.array(np.arange(batch.num_rows)[::-1]))
            return pa.RecordBatch.from_arrays(back.columns, schema=self.schema)

        return run


@dataclass(frozen=True)
class One:
    """Adds a column of ones."""

    reads: tuple[str, ...] = ()
    adds = pa.schema([("one", pa.int64())])

    def load(self) -> BatchFunction:
        return lambda batch: pa.RecordBatch.from_arrays([pa.array(np.ones(batch.num_rows, np.int64))], schema=self.adds)


def plan(fail_at: int = -1) -> Plan:
    """Five steps over 500 rows: read, measure and split, sum by key, spread over shards, fold."""
    parts = [(0, 130), (130, 5), (135, 365)]
    splits = tuple(Split((Numbers(*part),)) for part in parts)
    return Plan.of(
        Map(
            "ingest",
            (Output("files", ("repo", "path", "size", "content")),),
            shards=len(splits),
            splits=splits,
            limits=Limits(batch_rows=50),
        ),
        Map(
            "measure",
            (
                Output(
                    "kept",
                    ("repo", "double"),
                    where="third",
                    matches="decision=kept",
                    format="arrow",
                    file_name="data-{shard:05d}.arrow",
                ),
                Output("ledger", ("repo", "path", ("twice", "double"), "decision"), tally=("decision",)),
                Output("measures", ("double",)),
            ),
            shards=5,
            inputs=(Input("files", ("repo", "path", "size")),),
            transforms=(Double(fail_at),),
        ),
        Shuffle(
            "sums",
            (Emit((Input("ledger", ("repo", "twice", "row_id")),), (Rename(),)),),
            key="repo",
            order=("row_id",),
            partitions=3,
            reduce=SumByRepo(),
            output=Output("sums", ("repo", "total", "files")),
        ),
        Map(
            "spread",
            (Output("spread", ("origin", "double")),),
            shards=4,
            inputs=(Input("measures", ("double", "row_id")),),
            transforms=(One(),),
            reduce=Reverse(),
            transposed=True,
            balance=("one", "one"),
        ),
    )


@dataclass(frozen=True)
class Rename:
    """Gives the written name of a column its old one back."""

    reads = ("twice",)
    adds = pa.schema([("double", pa.int64())])

    def load(self) -> BatchFunction:
        return lambda batch: pa.RecordBatch.from_arrays([batch.column("twice")], schema=self.adds)
