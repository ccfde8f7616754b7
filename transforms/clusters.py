"""Candidate duplicates: keys that alike files share, edges within a bucket, connected components.

Near duplicates are found by locality-sensitive hashing: a signature is cut into bands, and files that agree
on a whole band meet in a bucket (Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", section 3.4).
Only keys and row ids travel. That two files share a component proves nothing yet: `near_duplicates` measures
them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas import datasets
from schemas.contracts import BatchFunction
from transforms.buffers import string_buffers
from transforms.minhash import signatures_of

CHUNK_EDGES = 1 << 22
"""Edges looked at together while components are found, which bounds the memory."""

ALARM_AND_MISS = 0.05, 0.95
"""Weights of false positives and false negatives in the choice of bands; measured in BENCHMARKS.md."""

EDGES = pa.schema(
    [
        datasets.field("left", pa.int64(), "row id of the bucket's first file", nullable=False),
        datasets.field("right", pa.int64(), "row id of another file of the bucket", nullable=False),
        datasets.field("exact", pa.bool_(), "whether the bucket is one content, not a band", nullable=False),
        datasets.field("bucket_size", pa.int64(), "files in the bucket; only on the first edge of a large one"),
    ]
)


def optimal_bands(threshold: float, permutations: int) -> tuple[int, int]:
    """Bands and rows per band by ``datasketch.MinHashLSH``'s optimiser, with a miss weighed 19 times a false alarm.

    What a bucket proposes is measured afterwards, so that a false alarm costs a comparison, and a miss a duplicate. At
    0.7 and 256 permutations this gives 36 bands of 7, which propose 99.4% of the pairs at 0.75; even weights give 25 of
    10, which propose 76.5% of them. Raises ValueError for a threshold outside 0 to 1.
    """
    from datasketch.lsh import _optimal_param

    if not 0 <= threshold <= 1:
        raise ValueError(f"a threshold is a similarity between 0 and 1, not {threshold}")
    return _optimal_param(threshold, permutations, *ALARM_AND_MISS)


@dataclass(frozen=True)
class Buckets:
    """Keys that two alike files share: rows to shuffle by `key` and sort by `check`, `order` and `row_id`.

    A file gives one row for its content id (`check` and `key` are 128 of its 160 bits) and, where it has a
    signature, one for each band (`check` is null, and so are the `order` columns, to travel light). Where
    exact duplicates are looked for, a content's bands leave a batch once: its other copies hang on by their
    content id. The `order` columns put first the copy that stands for its content.
    """

    bands: int
    rows: int
    order: pa.Schema = field(default_factory=lambda: pa.schema([]))
    exact: bool = True
    near: bool = True

    @property
    def reads(self) -> tuple[str, ...]:
        return ("row_id", "content_id", *(("minhash",) if self.near else ()), *self.order.names)

    @property
    def schema(self) -> pa.Schema:
        key = datasets.field("key", pa.int64(), "hash of a content id, or of a band's values", nullable=False)
        check = datasets.field("check", pa.int64(), "second hash of a content id; null for a band")
        return pa.schema([key, check, datasets.ROW_ID, *self.order])

    def load(self) -> BatchFunction:
        def emit(batch: pa.RecordBatch) -> pa.RecordBatch:
            parts = ([self._content_rows(batch)] if self.exact else []) + (
                [self._band_rows(batch)] if self.near else []
            )
            table = pa.concat_tables(pa.Table.from_batches([part]) for part in parts).combine_chunks()
            return (table.to_batches() or [pa.RecordBatch.from_pylist([], self.schema)])[0]

        return emit

    def _content_rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        read = batch.filter(batch.column("content_id").is_valid())
        keys, checks = content_hashes(read.column("content_id"))
        order = [read.column(name) for name in self.order.names]
        return pa.RecordBatch.from_arrays([keys, checks, read.column("row_id"), *order], schema=self.schema)

    def _band_rows(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        signed = batch.filter(batch.column("minhash").is_valid())
        if self.exact:
            contents = signed.column("content_id").dictionary_encode().indices.to_numpy()
            signed = signed.take(pa.array(np.sort(np.unique(contents, return_index=True)[1])))
        keys = band_keys(signatures_of(signed.column("minhash")), self.bands, self.rows).reshape(-1)
        row_ids = np.repeat(signed.column("row_id").to_numpy(), self.bands)
        nulls = [pa.nulls(len(keys), self.schema.field(name).type) for name in ("check", *self.order.names)]
        return pa.RecordBatch.from_arrays([keys, nulls[0], row_ids, *nulls[1:]], schema=self.schema)


@numba.njit(nogil=True, cache=True)
def band_keys(signatures, bands, rows):
    """A 64-bit hash of each band of each signature, with the band's number: int64, signatures by bands."""
    keys = np.empty((len(signatures), bands), np.int64)
    for index in range(len(signatures)):
        for band in range(bands):
            key = np.uint64(band + 1) * np.uint64(0x9E3779B97F4A7C15)
            for row in range(band * rows, (band + 1) * rows):
                key = (key ^ np.uint64(signatures[index, row])) * np.uint64(0xFF51AFD7ED558CCD)
                key ^= key >> np.uint64(32)
            keys[index, band] = np.int64(key)
    return keys


def content_hashes(content_ids: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The first 64 bits of git blob ids, and the next 64: int64. Raises ValueError for what is none."""
    text, offsets = string_buffers(content_ids)
    digests = np.frombuffer(bytes.fromhex(text[offsets[0] : offsets[-1]].tobytes().decode()), np.uint8)
    if len(digests) != 20 * len(content_ids):
        raise ValueError("a content_id is not 40 hex digits")
    halves = np.ascontiguousarray(digests.reshape(-1, 20)[:, :16]).view(">i8").astype(np.int64)
    return halves[:, 0], halves[:, 1]


@dataclass(frozen=True)
class BucketEdges:
    """Ties all files of a bucket to its first one: a bucket of n files gives n - 1 edges, whatever n is.

    The rows of `Buckets` come sorted by `key`, `check`, the order columns and `row_id`. Buckets of more than
    `report_over` files name their size. Row ids from `earlier_from` on are of files that an earlier run kept: a
    bucket of those alone ties nothing, for they stay whatever they are like.
    """

    report_over: int = 10_000
    earlier_from: int | None = None
    reads = ("key", "check", "row_id")
    schema = EDGES

    def load(self) -> BatchFunction:
        def tie(batch: pa.RecordBatch) -> pa.RecordBatch:
            keys, row_ids = batch.column("key").to_numpy(), batch.column("row_id").to_numpy()
            exact = batch.column("check").is_valid().to_numpy(zero_copy_only=False)
            checks = pc.fill_null(batch.column("check"), 0).to_numpy()
            is_first = np.ones(len(keys), bool)
            for column in (keys, exact, checks):
                is_first[1:] &= column[1:] == column[:-1]
            is_first[1:] = ~is_first[1:]
            starts = np.flatnonzero(is_first)
            sizes = np.diff(np.append(starts, len(keys)))
            bucket = np.cumsum(is_first)[~is_first] - 1
            first_edge = np.append(True, bucket[1:] != bucket[:-1])[: len(bucket)]
            large = first_edge & (sizes[bucket] > self.report_over)
            columns = [
                row_ids[starts[bucket]],
                row_ids[~is_first],
                pa.array(exact[~is_first]),
                pa.array(sizes[bucket], mask=~large),
            ]
            edges = pa.RecordBatch.from_arrays(columns, schema=self.schema)
            if self.earlier_from is None or len(bucket) == 0:
                return edges
            return edges.filter(pa.array(np.minimum.reduceat(row_ids, starts)[bucket] < self.earlier_from))

        return tie


@dataclass(frozen=True)
class SpanningForest:
    """Of the edges that begin at some files, those that tie what was not yet tied: fewer, with the same components.

    Files alike agree on many bands, and each of these gives the same edge. Edges within a content are all left, for
    `Components` reads from them who stands for whom.
    """

    reads = ("left", "right", "exact")
    schema = pa.schema([EDGES.field(name) for name in reads])

    def load(self) -> BatchFunction:
        def prune(batch: pa.RecordBatch) -> pa.RecordBatch:
            _, _, is_new = _roots(batch.column("left").to_numpy(), batch.column("right").to_numpy())
            chosen = pc.or_(batch.column("exact"), pa.array(is_new))
            return batch.select(self.schema.names).filter(chosen).cast(self.schema)

        return prune


@dataclass(frozen=True)
class Components:
    """All edges in, and for each file that has one its component and the file that stands for its content.

    Memory: 17 bytes an edge for the batch itself, and some 40 for each file that has an edge.
    """

    reads = ("left", "right", "exact")
    schema = pa.schema(
        [
            datasets.ROW_ID,
            datasets.field("component", pa.int64(), "smallest row id of the files tied to this one", nullable=False),
            datasets.field("representative", pa.int64(), "first file of the same content", nullable=False),
            datasets.field(
                "compared",
                pa.bool_(),
                "first of its content, in a component of several contents",
                nullable=False,
            ),
        ]
    )

    def load(self) -> BatchFunction:
        def join(batch: pa.RecordBatch) -> pa.RecordBatch:
            left, right = batch.column("left").to_numpy(), batch.column("right").to_numpy()
            rows, root, _ = _roots(left, right)
            exact = np.flatnonzero(batch.column("exact").to_numpy(zero_copy_only=False))
            representative = rows.copy()
            for chunk in _chunks(len(exact)):
                representative[_ranks(rows, right[exact[chunk]])] = left[exact[chunk]]
            is_first = representative == rows
            contents = np.bincount(root[is_first], minlength=len(rows)).astype(root.dtype)
            compared = pa.array(is_first & (contents[root] > 1))
            return pa.RecordBatch.from_arrays([rows, rows[root], representative, compared], schema=self.schema)

        return join


def components(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row ids of the edges, ascending, and the smallest row id that each is connected to (int64).

    Union-find over the rows' ranks. On top of the edges it takes 20 bytes for each distinct row (28 beyond
    two thousand million rows) and, for a while, twice as much.
    """
    rows, root, _ = _roots(left, right)
    return rows, rows[root]


def _roots(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct row ids, ascending; the rank of the smallest that each is connected to; the edges of a forest."""
    rows = np.empty(0, np.int64)
    for chunk in _chunks(len(left)):
        seen = _distinct(np.sort(np.concatenate([left[chunk], right[chunk]])))
        rows = _distinct(np.sort(np.concatenate([rows, seen]), kind="stable"))  # which merges the two runs
    parent = np.arange(len(rows), dtype=np.int32 if len(rows) < 1 << 31 else np.int64)
    is_new = np.empty(len(left), bool)
    for chunk in _chunks(len(left)):
        _unite(parent, _ranks(rows, left[chunk]), _ranks(rows, right[chunk]), is_new[chunk])
    _flatten(parent)
    return rows, parent, is_new


def _chunks(edges: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK_EDGES) for start in range(0, edges, CHUNK_EDGES))


def _distinct(ascending: np.ndarray) -> np.ndarray:
    return ascending[np.append(True, ascending[1:] != ascending[:-1])[: len(ascending)]]


def _ranks(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where each value stands in `rows`: looked up in order, for a random walk takes four times as long."""
    order = np.argsort(values)
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.searchsorted(rows, values[order])
    return ranks


@numba.njit(nogil=True, cache=True)
def _unite(parent, left, right, is_new):
    """Hangs the larger root below the smaller, halving each path on the way (Tarjan and van Leeuwen 1984)."""
    for edge in range(len(left)):
        one, other = left[edge], right[edge]
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        while parent[other] != other:
            parent[other] = parent[parent[other]]
            other = parent[other]
        is_new[edge] = one != other
        parent[max(one, other)] = min(one, other)


@numba.njit(nogil=True, cache=True)
def _flatten(parent):
    """A parent never comes after its child: one pass from the front leaves every row below its root."""
    for row in range(len(parent)):
        parent[row] = parent[parent[row]]
