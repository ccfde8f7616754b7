"""Transforms that run on some rows only, or not at all: what costs much is measured only where it can matter."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction, Transform


@dataclass(frozen=True)
class Where:
    """Runs a transform on the rows in which the boolean column `column` is true; the others get nulls."""

    column: str
    transform: Transform

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.column, *self.transform.reads)

    @property
    def adds(self) -> pa.Schema:
        return self.transform.adds

    @property
    def side(self) -> tuple[str, ...]:
        return getattr(self.transform, "side", ())

    def load(self, *sides: pa.Table) -> BatchFunction:
        function = self.transform.load(*sides)

        def measure(batch: pa.RecordBatch) -> pa.RecordBatch:
            chosen = pc.fill_null(batch.column(self.column), False)
            rows = np.flatnonzero(chosen.to_numpy(zero_copy_only=False))
            if len(rows) == 0:
                return _nulls(self.adds, batch.num_rows)
            measured = function(batch.take(pa.array(rows)))
            position = np.full(batch.num_rows, -1)
            position[rows] = np.arange(len(rows))
            return measured.take(pa.array(position, mask=position < 0))

        return measure


@dataclass(frozen=True)
class Unmeasured:
    """Stands in for transforms that the recipe switches off: their columns are there, and null."""

    adds: pa.Schema

    @property
    def reads(self) -> tuple[str, ...]:
        return ()

    def load(self) -> BatchFunction:
        return lambda batch: _nulls(self.adds, batch.num_rows)


def _nulls(schema: pa.Schema, rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(rows, field.type) for field in schema], schema=schema)
