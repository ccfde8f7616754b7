"""Corpora that break deduplication elsewhere: ``python -m tests.benchmarks.near_duplicates_extremes [CASE…]``.

Each case runs in a process of its own, through the plan's functions in the plan's order (or, for tiny files, through a
whole run), and prints what came out, its processor time and what it took of memory beyond the imports.
"""

import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from transforms.clusters import BucketEdges, Components, SpanningForest, optimal_bands
from transforms.license_rule import LicenseRule
from transforms.near_duplicates import Verdicts

THRESHOLD = 0.7
MILLION = 1_000_000


def same_content() -> str:
    """One million files with one and the same content, and so one sketch."""
    return _judged(np.zeros(MILLION, np.int64), [np.arange(100, dtype=np.uint64)])


def same_sketch_alike() -> str:
    """One million contents with one sketch, each a few shingles away from the others."""
    return _judged(np.arange(MILLION), _tailed(MILLION, 40, 2))


def same_sketch_unlike() -> str:
    """One million contents with one sketch that have nothing in common: nobody may go."""
    return _judged(np.arange(MILLION), _tailed(MILLION, 0, 20))


def boilerplate_alike() -> str:
    """100,000 files of one header, each with a small tail of its own: alike by 0.9."""
    return _judged(np.arange(100_000), _tailed(100_000, 100, 5))


def boilerplate_below() -> str:
    """100,000 files whose common header makes them alike by 0.67, just below the threshold: nobody may go."""
    return _judged(np.arange(100_000), _tailed(100_000, 80, 20))


def chain() -> str:
    """10,000 files, each like the next by 0.80 and like the one after by 0.64: every other one stays."""
    sets = [np.arange(11 * link, 11 * link + 100, dtype=np.uint64) for link in range(10_000)]
    return _judged(np.arange(10_000), sets)


def tiny() -> str:
    """100,000 empty or tiny files, through a whole run."""
    with tempfile.TemporaryDirectory() as folder:
        dump, recipe = Path(folder, "dump.jsonl"), Path(folder, "recipe.yaml")
        with dump.open("w") as lines:
            for number in range(100_000):
                content = ("", "\n", f"x = {number}\n", "x = 1\n")[number % 4]
                line = {"repo": f"r{number % 100}", "path": f"{number}.py", "content": content}
                lines.write(json.dumps(line) + "\n")
        recipe.write_text(f"sources: [{{kind: jsonl, uri: {dump}}}]\n")
        off = [f"{block}.enabled=false" for block in ("license", "toxicity", "pii", "decontaminate", "tokenize")]
        store = Store(f"{folder}/out")
        run(load_recipe(recipe, [*off, "quality.enabled=false", "engine.kind=inline"]), store)
        reasons = store.table("ledger")["reason"].to_pylist()
    return _told(Counter(reasons))


CASES: dict[str, Callable[[], str]] = {
    case.__name__: case
    for case in (
        *(same_content, same_sketch_alike, same_sketch_unlike, boilerplate_alike, boilerplate_below, chain, tiny),
    )
}


def _tailed(count: int, common: int, own: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    head = np.sort(generator.integers(0, 2**63, common, np.uint64))
    tails = generator.integers(0, 2**63, (count, own), np.uint64)
    return [np.sort(np.concatenate([head, tail])) for tail in tails]


def _judged(contents: np.ndarray, sets: list[np.ndarray]) -> str:
    """Files by number of content, all with one planted sketch, and a shingle set a content: buckets to verdicts."""
    ids = pa.array([hashlib.sha1(str(number).encode()).hexdigest() for number in range(len(sets))])
    by_content = np.argsort(contents, kind="stable")
    signed = np.sort(np.unique(contents, return_index=True)[1])  # a content's bands are sent once
    buckets = [(contents[by_content], contents[by_content], by_content)]
    buckets += [(np.full(len(signed), band), None, signed) for band in range(optimal_bands(THRESHOLD, 256)[0])]
    tie, prune = BucketEdges().load(), SpanningForest().load()
    tied = [
        tie(pa.record_batch({"key": keys, "check": checks or pa.nulls(len(keys), pa.int64()), "row_id": rows}))
        for keys, checks, rows in ((k, None if c is None else pa.array(c), r) for k, c, r in buckets)
    ]
    named = sum(edges.num_rows - edges.column("bucket_size").null_count for edges in tied)
    count = sum(edges.num_rows for edges in tied)
    forest = prune(pa.Table.from_batches(tied).combine_chunks().to_batches()[0]) if count else tied[0]
    del tied
    tied = Components().load()(forest)
    lengths = np.array([len(values) for values in sets])
    is_first = tied.column("representative").to_numpy() == tied.column("row_id").to_numpy()
    offsets = np.concatenate([[0], np.cumsum(np.where(is_first, lengths[contents], 0))])
    rows_of = tied.num_rows
    text = pa.nulls(rows_of, pa.string())
    judged = Verdicts(THRESHOLD, LicenseRule(None)).load()(
        pa.record_batch(
            {name: tied.column(name) for name in ("component", "representative", "row_id")}
            | {
                "repo": pa.repeat("owner/name", rows_of),
                "path": pa.array([f"{row}.py" for row in range(rows_of)]),
                "content_id": ids.take(pa.array(contents)),
                "shingles": pa.array(lengths[contents], pa.int32()),
                "shingle_set": pa.ListArray.from_arrays(
                    pa.array(offsets, pa.int32()), np.concatenate([sets[c] for c in contents[is_first]])
                ),
            }
            | dict.fromkeys(("license", "license_class", "license_evidence", "reason", "detail"), text)
        )
    )
    capped = judged.column("detail").filter(judged.column("reason").is_null()).drop_null()
    told = _told(Counter(judged.column("reason").to_pylist()))
    edges = f"{count:,} edges, {forest.num_rows:,} in the forest, {named} buckets named"
    return f"{edges}; {told}; {len(capped):,} of them capped"


def _told(reasons: Counter[str | None]) -> str:
    return ", ".join(f"{reason or 'kept'} {count:,}" for reason, count in sorted(reasons.items(), key=str))


def main(*names: str) -> None:
    if len(names) == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.process_time()
        result = CASES[names[0]]()
        seconds = time.process_time() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{names[0]}: {result}: {seconds:.1f} s, peak {peak / 1e6:.2f} GB, before {before / 1e6:.2f} GB")
        return
    for name in names or CASES:
        subprocess.run([sys.executable, "-m", "tests.benchmarks.near_duplicates_extremes", name], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
