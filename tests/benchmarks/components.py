"""Memory and time of connected components: ``python -m tests.benchmarks.components [EDGES] [ROWS]``.

Draws edges like those of a job: buckets of 2 to 30 files, each tied to its first file, row ids spread over
512 shards. ``python -m tests.benchmarks.components rounds [EDGES]`` counts the rounds and bytes of a shuffle that
needs no fold: alternating large-star and small-star (Kiveris, Lattanzi, Mirrokni, Rastogi, Vassilvitskii 2014,
"Connected components in MapReduce and beyond", section 3).
"""

import resource
import sys
import time

import numpy as np
import pyarrow as pa

from transforms.clusters import Components, SpanningForest


def synthetic_edges(edges: int, rows: int) -> pa.RecordBatch:
    """Star-shaped edges among `rows` files, filled in place to take no more memory than they need."""
    generator = np.random.default_rng(0)
    left, right = np.empty(edges, np.int64), np.empty(edges, np.int64)
    at = 0
    while at < edges:
        sizes = generator.integers(1, 30, 1 << 16)
        hubs = np.repeat(_row_ids(generator, len(sizes), rows), sizes)[: edges - at]
        left[at : at + len(hubs)] = hubs
        right[at : at + len(hubs)] = _row_ids(generator, len(hubs), rows)
        at += len(hubs)
    exact = pa.array(np.zeros(edges, bool))
    return pa.RecordBatch.from_arrays([pa.array(left), pa.array(right), exact], names=["left", "right", "exact"])


def _row_ids(generator: np.random.Generator, count: int, rows: int) -> np.ndarray:
    files = generator.integers(0, rows, count)
    return (files % 512) << 32 | files // 512


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def large_star(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each node's larger neighbours are tied to the smallest of it and its neighbours."""
    source, target, least = _neighbours(np.concatenate([left, right]), np.concatenate([right, left]))
    larger = target > source
    return _distinct(least[larger], target[larger])


def small_star(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each node and its smaller neighbours are tied to the smallest of them."""
    source, target, least = _neighbours(np.maximum(left, right), np.minimum(left, right))
    others = target != least
    return _distinct(np.concatenate([least, least[others]]), np.concatenate([source, target[others]]))


def _neighbours(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.argsort(source)
    source, target = source[order], target[order]
    starts = np.flatnonzero(np.append(True, source[1:] != source[:-1]))
    least = np.minimum(np.minimum.reduceat(target, starts), source[starts])
    return source, target, np.repeat(least, np.diff(np.append(starts, len(source))))


def _distinct(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.unique((left << 32 | right)[left != right])
    return edges >> 32, edges & 0xFFFFFFFF


def count_rounds(name: str, left: np.ndarray, right: np.ndarray) -> None:
    """Prints the rounds until nothing changes, and the bytes that they shuffle, two int64 an edge sent."""
    left, right = np.split(np.unique(np.concatenate([left, right]), return_inverse=True)[1], 2)
    given, rounds, sent = len(left), 0, 0
    before = None
    while before is None or not (np.array_equal(before[0], left) and np.array_equal(before[1], right)):
        before = left, right
        sent += 32 * len(left)
        left, right = large_star(left, right)
        sent += 16 * len(left)
        left, right = small_star(left, right)
        rounds += 1
    print(
        f"{name}: {given:,} edges: {rounds} rounds of two shuffles, {sent / given:.0f} bytes shuffled an edge in all",
        flush=True,
    )


def rounds(edges: int = 2_000_000) -> None:
    generator = np.random.default_rng(0)
    links = generator.permutation(edges + 1)
    count_rounds("a chain in random order", links[:-1], links[1:])
    hubs = np.minimum(generator.zipf(1.8, edges), edges)  # degrees by a power law of exponent 1.8
    count_rounds("a power law", hubs, generator.integers(0, edges, edges))
    batch = synthetic_edges(edges, edges * 2 // 5)
    left, right = (batch.column(name).to_numpy() for name in ("left", "right"))
    count_rounds("stars of 2 to 30 files", left, right)
    repeated = pa.concat_tables([pa.Table.from_batches([batch])] * 3).combine_chunks().to_batches()[0]
    forest = SpanningForest().load()(repeated).num_rows
    print(f"the same in three bands, through SpanningForest: {repeated.num_rows:,} edges to {forest:,}")


def main(edges: int = 50_000_000, rows: int = 20_000_000) -> None:
    join = Components().load()
    join(synthetic_edges(100, 100))
    before = peak_bytes()
    batch = synthetic_edges(edges, rows)
    started = time.perf_counter()
    result = join(batch)
    seconds = time.perf_counter() - started
    clusters = len(np.unique(result.column("component").to_numpy()))
    print(f"{edges:,} edges, {result.num_rows:,} rows, {clusters:,} components: {seconds:.1f} s")
    print(f"peak {peak_bytes() / 1e9:.2f} GB, of it before the edges {before / 1e9:.2f} GB")
    print(f"{(peak_bytes() - before) / edges:.1f} bytes an edge, {batch.nbytes / edges:.1f} the edges themselves")


if __name__ == "__main__":
    if sys.argv[1:2] == ["rounds"]:
        rounds(*map(int, sys.argv[2:]))
    else:
        main(*map(int, sys.argv[1:]))
