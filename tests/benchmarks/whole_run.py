"""Times a whole run in a fresh output location: wall clock, MB/s in all and for each part, peak memory of a process.

    python -m tests.benchmarks.whole_run [RECIPE.yaml] [--workers N] [--engine beam|inline] [--set KEY=VALUE …]

MB are 10^6 bytes of readable text in `files`. A part's speed is per core: text through it by the seconds that all
workers spent in it.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.compute as pc

from pipeline.execution import TIMINGS
from pipeline.storage import Store


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", nargs="?")
    parser.add_argument("--workers", default="2")
    parser.add_argument("--engine", default="beam")
    parser.add_argument("--set", action="append", default=[])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        command = [sys.executable, "-m", "jobs.cli", "run", *([chosen.recipe] if chosen.recipe else [])]
        command += ["--out", str(out), "--workers", chosen.workers, "--engine", chosen.engine]
        command += [part for setting in chosen.set for part in ("--set", setting)]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        tell(Store(str(out)), time.perf_counter() - started)


def tell(store: Store, seconds: float) -> None:
    """Prints the table."""
    text = files = 0
    for shard in range(len(store.committed("files").shards)):
        for batch in store.read("files", shard, ("content",)):
            text += pc.sum(pc.binary_length(batch.column("content"))).as_py() or 0
            files += batch.num_rows
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    print(f"{files:,} files, {text / 1e6:,.0f} MB of text, {seconds:.0f} s, {text / 1e6 / seconds:.2f} MB/s")
    print(f"peak memory of the largest process: {peak:,.0f} MB")
    for name in store.names(TIMINGS):
        for part, spent in store.read_json(TIMINGS, name).items():
            speed = f"{text / 1e6 / spent:8.1f} MB/s a core" if spent >= 0.1 else ""
            print(f"{name.removesuffix('.json'):<14} {part:<20} {spent:8.1f} s {speed}")


if __name__ == "__main__":
    main()
