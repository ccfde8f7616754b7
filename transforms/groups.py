"""Each file's exact group and component, brought back beside the file."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.contracts import BatchFunction
from schemas.datasets import ROW_ID, field

GROUPS = pa.schema(
    [
        field("component", pa.int64(), "smallest row id of the files tied to this one", nullable=False),
        field("representative", pa.int64(), "first file of the same content", nullable=False),
        field("compared", pa.bool_(), "first of its content, in a component of several contents", nullable=False),
    ]
)


@dataclass(frozen=True)
class Alone:
    """Columns of `GROUPS` for files that are tied to no other."""

    @property
    def reads(self) -> tuple[str, ...]:
        return (ROW_ID.name,)

    @property
    def adds(self) -> pa.Schema:
        return GROUPS

    def load(self) -> BatchFunction:
        def name(batch: pa.RecordBatch) -> pa.RecordBatch:
            row_ids = batch.column(ROW_ID.name)
            return pa.RecordBatch.from_arrays(
                [row_ids, row_ids, pa.array(np.zeros(batch.num_rows, bool))], schema=GROUPS
            )

        return name


@dataclass(frozen=True)
class Tied:
    """Marks rows as those of files that are tied to others (true), or of any file (false)."""

    tied: bool

    @property
    def reads(self) -> tuple[str, ...]:
        return ()

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([field("tied", pa.bool_(), "the row is from `Components`", nullable=False)])

    def load(self) -> BatchFunction:
        return lambda batch: pa.RecordBatch.from_arrays(
            [pa.array(np.full(batch.num_rows, self.tied))], schema=self.adds
        )


@dataclass(frozen=True)
class Beside:
    """One row per file out of the file's own row and, where it is tied to others, its row of `Components`.

    The rows come sorted by row id, the untied before the tied (`tied`), and the last one of each id counts.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        return (ROW_ID.name, *GROUPS.names)

    @property
    def schema(self) -> pa.Schema:
        return GROUPS

    def load(self) -> BatchFunction:
        def choose(batch: pa.RecordBatch) -> pa.RecordBatch:
            row_ids = batch.column(ROW_ID.name).to_numpy()
            last = np.append(row_ids[1:] != row_ids[:-1], True)[: len(row_ids)]
            return batch.select(GROUPS.names).filter(pa.array(last))

        return choose
