"""Families of repositories that share most of their files: forks, mirrors, vendored copies.

Two repositories are tied where the contents that both hold are a stated share of the smaller one's. Only hashes of
contents and names of repositories travel. Files of a few tokens (an empty `__init__.py`) count for nobody.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.clusters import components, content_hashes

PAIRS = pa.schema(
    [
        field("left", pa.string(), "a repository", nullable=False),
        field("right", pa.string(), "a later one by name, or the same", nullable=False),
        field("shared", pa.int64(), "distinct contents that both hold", nullable=False),
    ]
)
FAMILIES = pa.schema(
    [
        field("family", pa.string(), "its repository with most contents, of several the first by name", nullable=False),
        field("repo", pa.string(), "a repository of the family", nullable=False),
        field("contents", pa.int64(), "distinct contents in it, those of a few tokens left out", nullable=False),
        field("closest", pa.string(), "the repository with which it shares the largest share", nullable=False),
        field("shared", pa.int64(), "distinct contents that both of them hold", nullable=False),
        field("share", pa.float64(), "`shared` of the contents of the smaller of the two", nullable=False),
    ]
)


@dataclass(frozen=True)
class Holdings:
    """Which repository holds which content: rows to shuffle by `key`, a hash of the content, and sort by `repo`.

    Files that could not be read as text are left out. Where shingles were not counted (null), every text counts.
    """

    min_shingles: int = 10
    reads = ("repo", "content_id", "input_reason", "shingles")
    schema = pa.schema(
        [field("key", pa.int64(), "hash of a content id", nullable=False), PAIRS.field(0).with_name("repo")]
    )

    def load(self) -> BatchFunction:
        def hold(batch: pa.RecordBatch) -> pa.RecordBatch:
            counted = pc.greater_equal(batch.column("shingles").fill_null(self.min_shingles), self.min_shingles)
            read = pc.and_(batch.column("content_id").is_valid(), batch.column("input_reason").is_null())
            held = batch.filter(pc.and_(read, counted))
            keys, _ = content_hashes(held.column("content_id"))
            return pa.RecordBatch.from_arrays([pa.array(keys), held.column("repo")], schema=self.schema)

        return hold


@dataclass(frozen=True)
class SharedContents:
    """For the holders of each content, pairs of repositories; summed within the batch.

    A repository is paired with itself, which counts its contents, and with the first `anchors` holders before it. So
    a content that everybody holds gives no more than `anchors` pairs a holder; forks by the hundred still meet, for
    they all meet the first of them.
    """

    anchors: int = 32
    reads = ("key", "repo")
    schema = PAIRS

    def load(self) -> BatchFunction:
        def pair(batch: pa.RecordBatch) -> pa.RecordBatch:
            names, repos = _numbered(batch.column("repo"))
            keys = batch.column("key").to_numpy()
            first_copy = np.append(True, (keys[1:] != keys[:-1]) | (repos[1:] != repos[:-1]))[: len(keys)]
            keys, repos = keys[first_copy], repos[first_copy]
            starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
            start = np.repeat(starts, np.diff(np.append(starts, len(keys))))
            place = np.arange(len(keys)) - start
            pairs = [repos << 32 | repos]
            for anchor in range(min(self.anchors, int(place.max(initial=0)))):
                later = place > anchor
                pairs.append(repos[start[later] + anchor] << 32 | repos[later])
            distinct, counts = np.unique(np.concatenate(pairs), return_counts=True)
            columns = [names.take(pa.array(distinct >> 32)), names.take(pa.array(distinct & 0xFFFFFFFF))]
            return pa.RecordBatch.from_arrays([*columns, pa.array(counts)], schema=self.schema)

        return pair


@dataclass(frozen=True)
class SumPairs:
    """Sums the pairs of `SharedContents`, which come sorted; two repositories that share fewer than `least` are let go.

    `least` keeps accidents away, and the pairs that are left few.
    """

    least: int = 3
    reads = tuple(PAIRS.names)
    schema = PAIRS

    def load(self) -> BatchFunction:
        def add(batch: pa.RecordBatch) -> pa.RecordBatch:
            pairs = pa.Table.from_batches([batch]).group_by(["left", "right"], use_threads=False)
            sums = pairs.aggregate([("shared", "sum")]).rename_columns(["left", "right", "shared"])
            alone = pc.equal(sums["left"], sums["right"])
            kept = sums.filter(pc.or_(alone, pc.greater_equal(sums["shared"], self.least))).combine_chunks()
            return pa.RecordBatch.from_arrays([kept[name].combine_chunks() for name in PAIRS.names], schema=PAIRS)

        return add


@dataclass(frozen=True)
class Families:
    """All pairs in, one row out for each repository that has a family, sorted by family, then largest first.

    Memory: each pair once, and each repository's name. Two repositories of a family need not share anything with
    each other: a package that vendors two others has them both for relatives.
    """

    share: float
    reads = tuple(PAIRS.names)
    schema = FAMILIES

    def load(self) -> BatchFunction:
        def connect(batch: pa.RecordBatch) -> pa.RecordBatch:
            both = pa.chunked_array([batch.column("left"), batch.column("right")]).combine_chunks()
            names, numbers = _numbered(both)
            left, right = np.split(numbers, 2)
            shared = batch.column("shared").to_numpy()
            contents = np.zeros(len(names), np.int64)
            contents[left[left == right]] = shared[left == right]
            share = shared / np.minimum(contents[left], contents[right])
            tied = (left != right) & (share >= self.share)
            left, right, shared, share = (values[tied] for values in (left, right, shared, share))
            repos, root = components(left, right)
            # Each tie seen from both ends; of each repository's the best.
            ends = np.concatenate([left, right]), np.concatenate([right, left])
            ties = np.lexsort((ends[1], -np.tile(shared, 2), -np.tile(share, 2), ends[0]))
            best = ties[np.unique(ends[0][ties], return_index=True)[1]]
            # Repositories are numbered in the order of their names.
            by_size = np.lexsort((repos, -contents[repos], root))
            head = by_size[np.unique(root[by_size], return_index=True)[1]]
            family = repos[head][np.searchsorted(root[head], root)]
            order = np.lexsort((repos, -contents[repos], family))
            columns = {
                "family": names.take(pa.array(family)),
                "repo": names.take(pa.array(repos)),
                "contents": pa.array(contents[repos]),
                "closest": names.take(pa.array(ends[1][best])),
                "shared": pa.array(np.tile(shared, 2)[best]),
                "share": pa.array(np.tile(share, 2)[best]),
            }
            rows = pa.RecordBatch.from_arrays([columns[name] for name in FAMILIES.names], schema=FAMILIES)
            return rows.take(pa.array(order))

        return connect


def _numbered(names: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The distinct names in order, and each name's number."""
    distinct = pc.unique(names)
    distinct = distinct.take(pc.sort_indices(distinct))
    return distinct, pc.index_in(names, value_set=distinct).to_numpy(zero_copy_only=False).astype(np.int64)
