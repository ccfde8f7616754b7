"""Families of repositories that share most of their files: forks, mirrors, vendored copies.

Two repositories are tied where the contents that both hold are a stated share of the smaller one's. Where they are a
stated share of the larger one's too, one of them is a fork of the other. Only hashes of contents and names of
repositories travel. Files of a few tokens (an empty `__init__.py`) count for nobody.
"""

from dataclasses import dataclass

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.clusters import components, content_hashes
from transforms.rules import Preference

KEY = field("key", pa.int64(), "hash of a content id", nullable=False)
REPO = field("repo", pa.string(), "a repository", nullable=False)
RANKS = tuple(Preference.adds.field(name) for name in ("star_rank", "age_rank"))
"""What makes one repository better than another, whatever it holds; null where unknown, which comes last."""
UNKNOWN = np.iinfo(np.int64).max
PAIRS = pa.schema(
    [
        field("left", pa.string(), "a repository", nullable=False),
        field("right", pa.string(), "one that `Holdings` puts after it, or the same", nullable=False),
        field("shared", pa.int64(), "distinct contents that both hold", nullable=False),
        field("kept", pa.int64(), "of them, those that the rules keep in `right`", nullable=False),
        *RANKS,  # of `right`
    ]
)
FORK_OF = field("fork_of", pa.string(), "repository that this one is a fork of, and that is kept if one of them is")
FORK_SHARE = field("fork_share", pa.float64(), "contents in both, of those of the larger of it and `fork_of`")
FAMILIES = pa.schema(
    [
        field("family", pa.string(), "its repository with most contents, of several the first by name", nullable=False),
        field("repo", pa.string(), "a repository of the family", nullable=False),
        field("contents", pa.int64(), "distinct contents in it, those of a few tokens left out", nullable=False),
        field("kept", pa.int64(), "of them, those that the rules on path, text and licence keep", nullable=False),
        field("closest", pa.string(), "the repository with which it shares the largest share", nullable=False),
        field("shared", pa.int64(), "distinct contents that both of them hold", nullable=False),
        field("share", pa.float64(), "`shared` of the contents of the smaller of the two", nullable=False),
        FORK_OF,
        FORK_SHARE,
    ]
)


@dataclass(frozen=True)
class Held:
    """Which repository holds which content: rows to shuffle by `repo` and sort by `key` and `ineligible`.

    Files that could not be read as text are left out. Where shingles were not counted (null), every text counts.
    """

    min_shingles: int = 10
    reads = ("repo", "content_id", "input_reason", "shingles", "ineligible", "star_rank", "age_rank")
    schema = pa.schema([REPO, KEY, Preference.adds.field("ineligible"), *RANKS])

    def load(self) -> BatchFunction:
        def hold(batch: pa.RecordBatch) -> pa.RecordBatch:
            counted = pc.greater_equal(batch.column("shingles").fill_null(self.min_shingles), self.min_shingles)
            read = pc.and_(batch.column("content_id").is_valid(), batch.column("input_reason").is_null())
            held = batch.filter(pc.and_(read, counted))
            keys, _ = content_hashes(held.column("content_id"))
            columns = [held.column("repo"), pa.array(keys), *(held.column(name) for name in self.reads[-3:])]
            return pa.RecordBatch.from_arrays(columns, schema=self.schema)

        return hold


@dataclass(frozen=True)
class Holdings:
    """Each content of a repository once, to shuffle by `key` and sort by `star_rank`, `precedence`, `age_rank`, `repo`.

    The repository with most stars comes first, and of equals, or where nobody tells, the one of which the rules keep
    most contents: should one of a family stay, the least is lost with the others. Then the older one, then by name.
    """

    reads = tuple(Held.schema.names)
    schema = pa.schema(
        [
            KEY,
            field("precedence", pa.int64(), "minus the contents that the rules keep in the repository", nullable=False),
            REPO,
            field("kept", pa.bool_(), "the rules keep the content in this repository", nullable=False),
            *RANKS,
        ]
    )

    def load(self) -> BatchFunction:
        def weigh(batch: pa.RecordBatch) -> pa.RecordBatch:
            names, repos = _numbered(batch.column("repo"))
            ranks = _ranks(batch, repos, len(names))
            keys = batch.column("key").to_numpy()
            first = np.append(True, (keys[1:] != keys[:-1]) | (repos[1:] != repos[:-1]))[: len(keys)]
            distinct, repos = batch.filter(pa.array(first)), repos[first]
            kept = ~distinct.column("ineligible").to_numpy(zero_copy_only=False)
            precedence = -np.bincount(repos[kept], minlength=len(names))
            columns = [distinct.column("key"), pa.array(precedence[repos]), distinct.column("repo"), pa.array(kept)]
            columns += _rank_columns(ranks, repos)
            return pa.RecordBatch.from_arrays(columns, schema=self.schema)

        return weigh


@dataclass(frozen=True)
class SharedContents:
    """For the holders of each content, pairs of repositories; summed within the batch.

    A repository is paired with itself, which counts its contents, and with the first `anchors` holders before it. So
    a content that everybody holds gives no more than `anchors` pairs a holder; forks by the hundred still meet, for
    they all meet the best of them. A pair may be counted too low for it, never too high.
    """

    anchors: int = 32
    reads = tuple(Holdings.schema.names)
    schema = PAIRS

    def load(self) -> BatchFunction:
        def pair(batch: pa.RecordBatch) -> pa.RecordBatch:
            names, repos = _numbered(batch.column("repo"))
            keys, kept = batch.column("key").to_numpy(), batch.column("kept").to_numpy(zero_copy_only=False)
            starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])[: len(keys)])
            start = np.repeat(starts, np.diff(np.append(starts, len(keys))))
            place = np.arange(len(keys)) - start
            pairs, keeps = [repos << 32 | repos], [kept]
            for anchor in range(min(self.anchors, int(place.max(initial=0)))):
                later = place > anchor
                pairs.append(repos[start[later] + anchor] << 32 | repos[later])
                keeps.append(kept[later])
            distinct, which, counts = np.unique(np.concatenate(pairs), return_inverse=True, return_counts=True)
            kept_counts = np.bincount(which[np.concatenate(keeps)], minlength=len(distinct))
            right = distinct & 0xFFFFFFFF
            columns = [names.take(pa.array(distinct >> 32)), names.take(pa.array(right))]
            columns += [pa.array(counts), pa.array(kept_counts)]
            columns += _rank_columns(_ranks(batch, repos, len(names)), right)
            return pa.RecordBatch.from_arrays(columns, schema=self.schema)

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
            ranks = [(rank.name, "min") for rank in RANKS]
            sums = pairs.aggregate([("shared", "sum"), ("kept", "sum"), *ranks]).rename_columns(PAIRS.names)
            alone = pc.equal(sums["left"], sums["right"])
            kept = sums.filter(pc.or_(alone, pc.greater_equal(sums["shared"], self.least))).combine_chunks()
            return pa.RecordBatch.from_arrays([kept[name].combine_chunks() for name in PAIRS.names], schema=PAIRS)

        return add


@dataclass(frozen=True)
class Families:
    """All pairs in, one row out for each repository that has a family, sorted by family, then largest first.

    Two repositories of a family need not share anything with each other: a package that vendors two others has them
    both for relatives. Forks must share `fork_share` of both, so that neither a library nor the monorepo that vendors
    it is the other's. Of repositories that are forks of each other the one stays that `Holdings` puts first; a fork is
    one of a repository that stays, never of another fork, so chains are cut as they are between files. Where the rules
    keep nothing of a repository, it stands for nobody.

    Memory: each pair once, and each repository's name.
    """

    share: float
    fork_share: float
    reads = tuple(PAIRS.names)
    schema = FAMILIES

    def load(self) -> BatchFunction:
        def connect(batch: pa.RecordBatch) -> pa.RecordBatch:
            both = pa.chunked_array([batch.column("left"), batch.column("right")]).combine_chunks()
            names, numbers = _numbered(both)
            left, right = np.split(numbers, 2)
            shared = batch.column("shared").to_numpy()
            contents, kept = np.zeros((2, len(names)), np.int64)
            alone = left == right
            contents[left[alone]], kept[left[alone]] = shared[alone], batch.column("kept").to_numpy()[alone]
            ranks = _ranks(batch.filter(pa.array(alone)), left[alone], len(names))
            share = shared / np.minimum(contents[left], contents[right])
            tied = ~alone & (share >= self.share)
            left, right, shared, share = (values[tied] for values in (left, right, shared, share))
            fork_of, fork_share = self._forks(left, right, shared, contents, kept, *ranks)
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
            stays = fork_of[repos] < 0
            columns = {
                "family": names.take(pa.array(family)),
                "repo": names.take(pa.array(repos)),
                "contents": pa.array(contents[repos]),
                "kept": pa.array(kept[repos]),
                "closest": names.take(pa.array(ends[1][best])),
                "shared": pa.array(np.tile(shared, 2)[best]),
                "share": pa.array(np.tile(share, 2)[best]),
                FORK_OF.name: names.take(pa.array(fork_of[repos], mask=stays)),
                FORK_SHARE.name: pa.array(fork_share[repos], mask=stays),
            }
            rows = pa.RecordBatch.from_arrays([columns[name] for name in FAMILIES.names], schema=FAMILIES)
            return rows.take(pa.array(order))

        return connect

    def _forks(
        self,
        left: np.ndarray,
        right: np.ndarray,
        shared: np.ndarray,
        contents: np.ndarray,
        kept: np.ndarray,
        stars: np.ndarray,
        ages: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """By repository: the one that stays in its place (-1: itself), and their share of the larger one."""
        order = np.lexsort((np.arange(len(kept)), ages, -kept, stars))
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        better, worse = np.where(rank[left] < rank[right], (left, right), (right, left))
        share = shared / np.maximum(contents[left], contents[right])
        is_fork = (share >= self.fork_share) & (kept[better] > 0)
        better, worse, share = better[is_fork], worse[is_fork], share[is_fork]
        ties = np.lexsort((rank[better], rank[worse]))
        fork_of, fork_share = np.full(len(kept), -1), np.zeros(len(kept))
        _cut_chains(better[ties], worse[ties], share[ties], fork_of, fork_share)
        return fork_of, fork_share


@numba.njit(nogil=True, cache=True)
def _cut_chains(better, worse, share, fork_of, fork_share):
    """Ties come by the rank of the worse end: what became of its better end is settled by then."""
    for tie in range(len(better)):
        if fork_of[worse[tie]] < 0 and fork_of[better[tie]] < 0:
            fork_of[worse[tie]], fork_share[worse[tie]] = better[tie], share[tie]


@dataclass(frozen=True)
class Forks:
    """Tells of each file whether its repository is a fork, and whose; without `families` nobody's is.

    `families` names the dataset of `FAMILIES`. Memory: some 200 bytes a fork.
    """

    families: tuple[str, ...] = ()
    reads = ("repo",)
    adds = pa.schema(
        [FORK_OF, FORK_SHARE, field("forked", pa.bool_(), "the repository is a fork of one that stays", nullable=False)]
    )

    @property
    def side(self) -> tuple[str, ...]:
        return self.families

    def load(self, *families: pa.Table) -> BatchFunction:
        table = families[0] if families else FAMILIES.empty_table()
        forks = table.filter(table[FORK_OF.name].is_valid())
        row_of = {name: row for row, name in enumerate(forks["repo"].to_pylist())}
        told = [forks[column.name].combine_chunks() for column in (FORK_OF, FORK_SHARE)]

        def tell(batch: pa.RecordBatch) -> pa.RecordBatch:
            repos = batch.column("repo").dictionary_encode()
            rows = pa.array([row_of.get(name) for name in repos.dictionary.to_pylist()], pa.int64())
            rows = rows.take(repos.indices)
            columns = [*(column.take(rows) for column in told), rows.is_valid()]
            return pa.RecordBatch.from_arrays(columns, schema=self.adds)

        return tell


def _ranks(batch: pa.RecordBatch, repos: np.ndarray, count: int) -> list[np.ndarray]:
    """By repository its stars' and its age's rank; UNKNOWN where nobody tells, the best where tables disagree."""
    found = [np.full(count, UNKNOWN) for _ in RANKS]
    for rank, least in zip(RANKS, found, strict=True):
        np.minimum.at(least, repos, batch.column(rank.name).fill_null(UNKNOWN).to_numpy())
    return found


def _rank_columns(ranks: list[np.ndarray], repos: np.ndarray) -> list[pa.Array]:
    return [pa.array(rank[repos], mask=rank[repos] == UNKNOWN) for rank in ranks]


def _numbered(names: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The distinct names in order, and each name's number."""
    distinct = pc.unique(names)
    distinct = distinct.take(pc.sort_indices(distinct))
    return distinct, pc.index_in(names, value_set=distinct).to_numpy(zero_copy_only=False).astype(np.int64)
