"""What a run leaves for later ones: of each kept file enough to measure another against it without its content.

A row holds the content id, which finds exact copies; the MinHash signature, which proposes near ones; and the hashes
of the distinct shingles, from which the similarity is measured exactly. A set of n random 64-bit numbers cannot be
written in less than some 64 - log2(n) + 1.4 bits each, 55 for a thousand; ascending and as differences they take that.
Shorter hashes would be cheaper, but no longer exact: of a thousand million pairs of files with a thousand shingles
each, some three share a hash by chance with 48 bits, with 64 not one in ten thousand.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import COPIES, ROW_ID, SOURCE_ROW, field
from transforms.character_table import UNICODE
from transforms.minhash import MinHash, ShingleSets
from transforms.rules import Preference

TOKENS = f"Unicode {UNICODE}"
"""Names the rule by which texts are cut into tokens (`transforms.minhash`): another rule wants another name, for what
was signed by it can be compared with nothing else."""

LOCATION = field("location", pa.string(), "earlier run that the file was kept in; null for the files of this one")


def signatures(minhash: MinHash) -> pa.Schema:
    """The columns of the dataset, for signatures that `minhash` made."""
    return pa.schema(
        [
            *(SOURCE_ROW.field(name) for name in ("repo", "revision", "path", "content_id")),
            *(COPIES.field(name) for name in ("license", "license_class")),
            *minhash.adds,
            *ShingleSets(minhash.ngram).adds,
            *Signed().adds,
        ]
    )


@dataclass(frozen=True)
class Signed:
    """Tells by which rule the texts were cut into tokens."""

    reads = ()
    adds = pa.schema([field("tokens", pa.string(), "rule by which the texts were cut into tokens", nullable=False)])

    def load(self) -> BatchFunction:
        return lambda batch: pa.RecordBatch.from_arrays([pa.repeat(TOKENS, batch.num_rows)], schema=self.adds)


@dataclass(frozen=True)
class Earlier:
    """Marks the files that an earlier run kept, and puts them before all others: what was kept once stays."""

    location: str

    @property
    def reads(self) -> tuple[str, ...]:
        return ()

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([LOCATION, *Preference().adds])

    def load(self) -> BatchFunction:
        def mark(batch: pa.RecordBatch) -> pa.RecordBatch:
            rows = batch.num_rows
            ranks = [pa.array(np.full(rows, -1, np.int8)), *(pa.nulls(rows, pa.int64()) for _ in ("stars", "age"))]
            columns = [pa.repeat(self.location, rows), pa.array(np.zeros(rows, bool)), *ranks]
            return pa.RecordBatch.from_arrays(columns, schema=self.adds)

        return mark


@dataclass(frozen=True)
class Met:
    """Tells the earlier files that may be like one of this run: only those travel on.

    `BucketEdges` ties no earlier files alone, and theirs are the largest row ids; so what is tied is tied to less.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        return (ROW_ID.name, "component")

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([field("met", pa.bool_(), "tied to a file of this run", nullable=False)])

    def load(self) -> BatchFunction:
        return lambda batch: pa.RecordBatch.from_arrays(
            [pc.not_equal(batch.column("component"), batch.column(ROW_ID.name))], schema=self.adds
        )
