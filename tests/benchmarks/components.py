"""Memory and time of connected components: ``python -m tests.benchmarks.components [EDGES] [ROWS]``.

Draws edges like those of a job: buckets of 2 to 30 files, each tied to its first file, row ids spread over
512 shards.
"""

import resource
import sys
import time

import numpy as np
import pyarrow as pa

from transforms.clusters import Components


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
    main(*map(int, sys.argv[1:]))
