"""Buckets, edges and components: all that may be alike is tied, at a cost that grows with the files alone."""

import hashlib

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.clusters import (
    EDGES,
    BucketEdges,
    Buckets,
    Components,
    SpanningForest,
    band_keys,
    components,
    optimal_bands,
)
from transforms.minhash import MinHash

BANDS, ROWS = 25, 10
ORDER = pa.schema([pa.field("repo", pa.string())])


def content_id(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def files(texts: list[str | None], first_row: int = 0) -> pa.RecordBatch:
    measured = MinHash().load()(pa.record_batch({"content": pa.array(texts, pa.string())}))
    return pa.record_batch(
        {
            "row_id": pa.array(range(first_row, first_row + len(texts)), pa.int64()),
            "content_id": pa.array([None if text is None else content_id(text) for text in texts], pa.string()),
            "minhash": measured.column("minhash"),
            "repo": pa.array([f"repo{-row % 7}" for row in range(len(texts))], pa.string()),
        }
    )


def shuffled(*batches: pa.RecordBatch) -> pa.RecordBatch:
    """What a shuffle gives a reducer: all rows, sorted."""
    table = pa.Table.from_batches(batches)
    keys = [(name, "ascending") for name in ("key", "check", "repo", "row_id")]
    return table.sort_by(keys).combine_chunks().to_batches()[0]


def document(seed: int, words: int = 80) -> str:
    return " ".join(f"w{number}" for number in np.random.default_rng(seed).integers(0, 1000, words))


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.85, 0.99, 1.0])
def test_bands_propose_nearly_all_pairs_just_above_the_threshold(threshold: float) -> None:
    bands, rows = optimal_bands(threshold, 256)
    assert bands * rows <= 256
    similarity = min(threshold + 0.05, 1)
    assert 1 - (1 - similarity**rows) ** bands > 0.98


def test_bands_can_be_given_to_datasketch() -> None:
    index = datasketch.MinHashLSH(threshold=0.85, num_perm=128, weights=(0.05, 0.95))
    assert optimal_bands(0.85, 128) == (index.b, index.r)
    with pytest.raises(ValueError, match="threshold"):
        optimal_bands(1.5, 256)


def test_a_bucket_is_shared_exactly_where_a_band_is_equal() -> None:
    one = np.arange(256, dtype=np.uint32)
    other = one.copy()
    other[[3, 250]] += 1  # the first band, and a value beyond all bands
    keys = band_keys(np.stack([one, other]), BANDS, ROWS)
    assert (keys[0] == keys[1]).tolist() == [False] + [True] * (BANDS - 1)
    constant = band_keys(np.full((1, 256), 5, np.uint32), BANDS, ROWS)
    assert len(np.unique(constant)) == BANDS


def test_copies_send_their_bands_once() -> None:
    text = document(1)
    rows = Buckets(BANDS, ROWS, ORDER).load()(files([text, None, text, "short", document(2)]))
    assert rows.schema.equals(Buckets(BANDS, ROWS, ORDER).schema)
    is_exact = np.array(rows.column("check").is_valid().to_pylist())
    row_ids = rows.column("row_id").to_numpy()
    assert row_ids[is_exact].tolist() == [0, 2, 3, 4]
    assert np.unique(row_ids[~is_exact], return_counts=True)[1].tolist() == [BANDS, BANDS]
    alone = Buckets(BANDS, ROWS, ORDER, exact=False).load()(files([text, text]))
    assert alone.num_rows == 2 * BANDS
    assert Buckets(BANDS, ROWS, ORDER, near=False).load()(files([text, text])).num_rows == 2
    assert Buckets(BANDS, ROWS, ORDER).load()(files([])).num_rows == 0


def test_keys_travel_light() -> None:
    batch = files([document(seed) for seed in range(200)])
    rows = Buckets(BANDS, ROWS, ORDER).load()(batch)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(rows)
    assert sink.getvalue().size / batch.num_rows < 600


def test_a_content_id_must_be_one() -> None:
    batch = files(["text"]).set_column(1, "content_id", pa.array(["abcd"]))
    with pytest.raises(ValueError, match="40 hex digits"):
        Buckets(BANDS, ROWS, ORDER, near=False).load()(batch)


def test_edges_start_at_the_first_of_each_bucket() -> None:
    text = document(1)
    emit, tie, join = Buckets(BANDS, ROWS, ORDER).load(), BucketEdges().load(), Components().load()
    batches = [files([text, document(2), text]), files([text + " end", "x", document(3), "x"], first_row=3)]
    edges = tie(shuffled(*map(emit, batches)))
    exact = {(row["left"], row["right"]) for row in edges.to_pylist() if row["exact"]}
    # Of two copies the one whose repository sorts first stands for both: repo5 before repo0 is row 2.
    assert exact == {(0, 2), (6, 4)}
    result = {row["row_id"]: row for row in join(edges).to_pylist()}
    assert {row: tuple(of.values())[1:] for row, of in result.items()} == {
        0: (0, 0, True),
        2: (0, 0, False),
        3: (0, 3, True),
        4: (4, 6, False),
        6: (4, 6, False),
    }


def test_a_hash_shared_by_a_band_and_two_contents_ties_no_strangers() -> None:
    batch = pa.record_batch(
        {
            "key": pa.array([9] * 6, pa.int64()),
            "check": pa.array([1, 1, 2, 2, None, None], pa.int64()),
            "row_id": pa.array([1, 2, 3, 4, 5, 6], pa.int64()),
        }
    )
    edges = BucketEdges().load()(batch).to_pylist()
    assert [(edge["left"], edge["right"], edge["exact"]) for edge in edges] == [
        (1, 2, True),
        (3, 4, True),
        (5, 6, False),
    ]


def test_a_million_identical_sketches_give_a_million_edges_and_are_named() -> None:
    count = 1_000_000
    rows = pa.record_batch(
        {
            "key": pa.array(np.full(count, 7)),
            "check": pa.nulls(count, pa.int64()),
            "row_id": pa.array(np.arange(count)),
        }
    )
    edges = BucketEdges(report_over=10_000).load()(rows)
    assert edges.num_rows == count - 1
    assert edges.column("bucket_size").drop_null().to_pylist() == [count]
    result = Components().load()(edges)
    assert result.num_rows == count
    assert np.unique(result.column("component").to_numpy()).tolist() == [0]


def test_no_edges_no_components() -> None:
    edges = BucketEdges().load()(pa.RecordBatch.from_pylist([], Buckets(BANDS, ROWS, ORDER).schema))
    assert edges.num_rows == 0
    assert Components().load()(edges).num_rows == 0


row_ids = st.one_of(st.integers(0, 12), st.integers(0, 3).map(lambda shard: shard << 32 | 5), st.integers(0, 2**62))


@settings(deadline=None)
@given(st.lists(st.tuples(row_ids, row_ids), max_size=40))
def test_components_are_those_of_a_search_from_every_row(edges: list[tuple[int, int]]) -> None:
    neighbours: dict[int, set[int]] = {}
    for left, right in edges:
        neighbours.setdefault(left, {left}).add(right)
        neighbours.setdefault(right, {right}).add(left)
    expected = {}
    for row in neighbours:
        reached, waiting = {row}, [row]
        while waiting:
            new = neighbours[waiting.pop()] - reached
            reached |= new
            waiting += new
        expected[row] = min(reached)
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    rows, component = components(pairs[:, 0], pairs[:, 1])
    assert dict(zip(rows.tolist(), component.tolist(), strict=True)) == expected
    assert rows.tolist() == sorted(expected)


@settings(deadline=None)
@given(st.lists(st.tuples(row_ids, row_ids), max_size=40), st.integers(1, 5))
def test_a_forest_has_the_components_of_all_edges(edges: list[tuple[int, int]], parts: int) -> None:
    """Whichever edges are looked at together; and no more edges than files where they are looked at at once."""

    def batch(pairs: list[tuple[int, int]]) -> pa.RecordBatch:
        rows = [{"left": left, "right": right, "exact": False} for left, right in sorted(pairs)]
        return pa.RecordBatch.from_pylist(rows, pa.schema([EDGES.field(name) for name in SpanningForest.reads]))

    prune, join = SpanningForest().load(), Components().load()
    pruned = [prune(batch([edge for edge in edges if edge[0] % parts == part])) for part in range(parts)]
    tied = {(edge["left"], edge["right"]) for part in pruned for edge in part.to_pylist()}
    expected = {row["row_id"]: row["component"] for row in join(batch(edges)).to_pylist()}
    found = {row["row_id"]: row["component"] for row in join(batch(list(tied))).to_pylist()}
    assert {row: found.get(row, row) for row in expected} == expected
    assert prune(batch(edges)).num_rows <= max(len(expected) - 1, 0)
