"""Bytes that deduplication sends through an engine's shuffle, by step, for each file.

    python -m tests.benchmarks.shuffle_bytes [FOLDER] [--files 10000]

Runs the plan on a seeded choice of a folder's source files (by default the running environment's packages), nothing
switched on but deduplication, then emits every shuffle of it once more and counts the payloads, as compressed as an
engine gets them.
"""

import argparse
import sysconfig
import tempfile
from pathlib import Path

import pyarrow.compute as pc

from jobs.curate import curation
from jobs.run import run
from pipeline.execution import Job, emit
from pipeline.plan import Shuffle
from pipeline.storage import Store
from tests.benchmarks.near_duplicates_truth import deduplication, source_files


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=Path(sysconfig.get_path("purelib")))
    parser.add_argument("--files", type=int, default=10_000)
    chosen = parser.parse_args()
    files = source_files(chosen.folder, chosen.files)
    text = pc.sum(pc.binary_length(files.column("content"))).as_py()
    print(f"{files.num_rows:,} files, {text / 1e6:.0f} MB")
    with tempfile.TemporaryDirectory() as scratch:
        recipe, store = deduplication(files, Path(scratch)), Store(f"{scratch}/out")
        run(recipe, store)
        job, total = Job(curation(recipe), store), 0
        for step in job.plan.steps:
            if isinstance(step, Shuffle):
                sent = [
                    (len(payload), rows)
                    for index, shard in job.emit_tasks(step)
                    for _, payload, rows in emit(job, step, index, shard)
                ]
                size, rows = (sum(column) for column in zip(*sent, strict=True)) if sent else (0, 0)
                total += size
                print(f"{step.name:<12} {rows:>10,} rows {size / files.num_rows:10.1f} bytes a file")
        print(f"{'all':<12} {'':>15} {total / files.num_rows:10.1f} bytes a file")


if __name__ == "__main__":
    main()
