"""What the largest corpora ask of the driver, and of a task beside its own work: simulated splits, no text.

    python -m tests.benchmarks.driver [--splits 1000000]

The main plan, its source replaced by that many archives of one repository each and its steps by as many shards: how
long it takes to check and fingerprint, to send, to order the tasks of, to commit a step, and to read a manifest, the
first time and once more. Each in a process of its own, whose peak memory is told, less what was there before.
"""

import argparse
import pickle
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.curate import curation
from jobs.recipe import Recipe
from pipeline.execution import Job, Record, commit
from pipeline.plan import Map, Plan, Step
from pipeline.sources import Origin, Split
from pipeline.sources.archive import ArchivePart
from pipeline.sources.files import Place
from pipeline.storage import Shard, Store
from tests.benchmarks.shuffle_simulation import apart


def steps(splits: int, scratch: Path) -> tuple[Step, ...]:
    """The steps of the main plan, the first one over so many archives."""
    pq.write_table(pa.table({"path": ["a.py"], "content": ["x = 1"]}), scratch / "one.parquet")
    real = curation(Recipe.model_validate({"sources": [{"kind": "parquet", "uri": f"{scratch}/one.parquet"}]}))
    first = real.steps[0]
    assert isinstance(first, Map)
    return (replace(first, shards=splits, splits=tuple(map(split, range(splits)))), *real.steps[1:])


def split(number: int) -> Split:
    name = f"{number % 1000:03d}/owner{number // 7}/project{number}"
    uri = f"gs://bucket/dumps/{name}.tar.gz"
    place = Place(uri, f"{name}.tar.gz", uri.removeprefix("gs://"), 60_000_000 + number, 1_700_000_000 * 10**9, "gs://")
    return Split((ArchivePart(place, Origin(f"archive:{uri}", name), 0, 1, 4 * place.size),))


def shard(number: int) -> Shard:
    return Shard(f"part-{number:05d}.parquet", 100_000 + number, 80_000_000 + number, f"{number:064x}")


def measured(what: str, function: Callable[..., Any], *arguments: Any) -> None:
    (told, before), _, peak = apart(_timed, function, *arguments)
    seconds = ", ".join(f"{name} {spent:.2f} s" for name, spent in told.items())
    print(f"{what:<28}{seconds}; {(peak - before) / 1e6:,.0f} MB", flush=True)


def _timed(function: Callable[..., Any], *arguments: Any) -> tuple[dict[str, float], int]:
    with tempfile.TemporaryDirectory() as folder:
        Plan.of(*steps(1, Path(folder)))  # has all imported
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return function(*arguments), before


def planned(splits: int, scratch: Path) -> dict[str, float]:
    given = steps(splits, scratch)
    started = time.process_time()
    plan = Plan.of(*given)
    checked = time.process_time()
    Job(plan, Store(str(scratch / "out"))).tasks(plan.steps[0])
    ordered = time.process_time()
    sent = pickle.dumps(plan)
    print(f"{len(sent) / 1e6:,.0f} MB pickled", end="; ")
    return {
        "checked and fingerprinted": checked - started,
        "tasks": ordered - checked,
        "pickled": time.process_time() - ordered,
    }


def committed(splits: int, scratch: Path) -> dict[str, float]:
    plan = Plan.of(*steps(splits, scratch))
    job, first = Job(plan, Store(str(scratch / "out"))), plan.steps[0]
    fingerprint = plan.fingerprints[first.name]
    records = [
        Record(first.name, number, fingerprint, 100_000 + number, {"files": [shard(number)]})
        for number in range(splits)
    ]
    started = time.process_time()
    commit(job, first, records, 0)
    return {"committed": time.process_time() - started}


def read(scratch: Path) -> dict[str, float]:
    store, told = Store(str(scratch / "out")), {}
    for name in ("first", "again"):
        started = time.process_time()
        store.committed("files")
        told[name] = time.process_time() - started
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--splits", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        measured("plan", planned, chosen.splits, scratch)
        measured("commit of a step", committed, chosen.splits, scratch)
        print(f"manifest of {(scratch / 'out/files/_manifest.json').stat().st_size / 1e6:,.0f} MB")
        measured("manifest read by a task", read, scratch)


if __name__ == "__main__":
    main()
