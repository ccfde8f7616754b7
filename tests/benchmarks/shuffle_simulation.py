"""The shuffles of deduplication at a thousand million files, simulated with keys alone.

    python -m tests.benchmarks.shuffle_simulation [--files 250000 1000000] [--job 1000000000] [--mean 22500]

Files have no text: a content id, a path, and a signature drawn from a hash of the file's number. Four in ten are exact
copies and three in ten near copies: assumed shares. The plan's own steps carry them; `verdicts` moves its
rows without shingle sets.

A job scaled down has partitions of the size of the whole job's, only fewer, so what a partition costs is the whole
job's. Which is not true of the number of payloads: each split sends one to each partition. So one task of each side is
run at the whole job's fan-out as well. Each side of a step runs in a process of its own, whose peak memory is told.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.curate import curation
from jobs.recipe import Recipe
from jobs.steps.settings import PARTITION_BYTES
from pipeline.execution import Job, commit, emit, reduce, run_map
from pipeline.plan import Emit, Input, Map, Plan, Shuffle
from pipeline.sources import Limits
from pipeline.storage import Store
from schemas.contracts import BatchFunction
from schemas.datasets import SOURCE_ROW
from transforms.clusters import content_hashes
from transforms.conditional import Unmeasured
from transforms.minhash import MinHash

EXACT, NEAR = 0.4, 0.3
"""Shares of the files that are copies of another."""
CHANGED = 0.1
"""Share of a near copy's signature that differs from its family's: similar by about 0.8 to each other."""
BATCH = 2048
"""Files in a batch of text of 8 MiB would be fewer; only the keys of these are in memory."""
MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xFF51AFD7ED558CCD)


def mixed(values: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each number (the finaliser of MurmurHash3)."""
    values = (values.astype(np.uint64) + np.uint64(1)) * MIX[0]
    values = (values ^ (values >> np.uint64(33))) * MIX[1]
    return values ^ (values >> np.uint64(29))


@dataclass(frozen=True)
class Numbers:
    """A split of files that are numbers: `first` to `last` of `files`."""

    first: int
    last: int
    files: int
    schema: ClassVar[pa.Schema] = SOURCE_ROW

    @property
    def size(self) -> int:
        return self.last - self.first

    def read(self, _: Limits) -> Iterator[pa.RecordBatch]:
        for low in range(self.first, self.last, BATCH):
            number = np.arange(low, min(low + BATCH, self.last), dtype=np.uint64)
            drawn = mixed(number) % np.uint64(1000) / 1000
            pool = mixed(number ^ np.uint64(1 << 40)) % np.uint64(max(self.files // 10, 1))
            content = np.where(drawn < EXACT, pool, number + np.uint64(self.files))
            family = np.where((drawn >= EXACT) & (drawn < EXACT + NEAR), pool + np.uint64(1 << 50), content)
            ids = np.zeros((len(number), 20), np.uint8)
            ids[:, :16] = np.stack([mixed(content), mixed(family)], 1).astype(">u8").view(np.uint8).reshape(-1, 16)
            digits = ids.tobytes().hex()
            names = number.tolist()
            told = {
                "source": ["archive simulated"] * len(names),
                "repo": [f"owner{name // 3000}/project{name // 300}" for name in names],
                "path": [f"source/package{name % 30}/module_{name % 300}.py" for name in names],
                "size": np.full(len(names), 1),
                "content_id": [digits[at : at + 40] for at in range(0, len(digits), 40)],
            }
            columns = [
                pa.array(told[field.name], field.type) if field.name in told else pa.nulls(len(names), field.type)
                for field in SOURCE_ROW
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=SOURCE_ROW)


@dataclass(frozen=True)
class Signatures:
    """A signature for each content id, whose halves name the content and its family."""

    reads = ("content_id",)
    adds = MinHash().adds

    def load(self) -> BatchFunction:
        places = mixed(np.arange(256))

        def sign(batch: pa.RecordBatch) -> pa.RecordBatch:
            content, family = (half.view(np.uint64) for half in content_hashes(batch.column("content_id")))
            own, common = (mixed(seed[:, None] ^ places).astype(np.uint32) for seed in (content, family))
            signatures = np.where(mixed(content[:, None] + places) % np.uint64(1000) < 1000 * CHANGED, own, common)
            data = pa.py_buffer(np.ascontiguousarray(signatures).tobytes())
            binary = pa.FixedSizeBinaryArray.from_buffers(self.adds.field("minhash").type, batch.num_rows, [None, data])
            counts = pa.array(np.full(batch.num_rows, 500), pa.int32())
            return pa.RecordBatch.from_arrays([binary, counts], schema=self.adds)

        return sign


def simulated(files: int, per_partition: int, scratch: Path, partitions: int | None = None) -> Plan:
    """The plan's deduplication, with numbers for its source; `partitions` where they are not of these files."""
    pq.write_table(pa.table({"path": ["a.py"], "content": ["x = 1"]}), scratch / "one.parquet")
    off = ("license", "quality", "pii", "toxicity", "decontaminate", "tokenize")
    settings = {name: {"enabled": False} for name in off} | {
        "sources": [{"kind": "parquet", "uri": str(scratch / "one.parquet")}],
        "languages": {"keep": "all"},
        "dedup": {"repositories": {"enabled": False}},
    }
    real = curation(Recipe.model_validate(settings))
    starts = range(0, files, per_partition)
    splits: Any = tuple(Numbers(first, min(first + per_partition, files), files) for first in starts)
    ingest = real.step("ingest")
    assert isinstance(ingest, Map)
    unmeasured = tuple(Unmeasured(transform.adds) for transform in ingest.transforms[:-1])
    steps: list[Any] = [
        replace(ingest, splits=splits, shards=len(splits), transforms=(*unmeasured, Signatures())),
        *(real.step(name) for name in ("candidates", "forest", "components", "groups", "annotate", "verdicts")),
    ]
    names = ("row_id", "repo", "path", "content_id", "license", "license_class", "license_evidence", "reason", "detail")
    for at, step in enumerate(steps[1:], 1):
        is_fold = isinstance(step, Shuffle) and step.name == "components"
        count = 1 if is_fold else len(splits)
        if isinstance(step, Map):
            steps[at] = replace(step, shards=count)
        elif step.name == "verdicts":
            output = replace(step.output, columns=names)
            steps[at] = replace(step, partitions=partitions or count, reduce=None, output=output)
        else:
            many = partitions if partitions and not is_fold and not step.homeward else count
            steps[at] = replace(step, partitions=many)
    home = real.step("home_copies")
    assert isinstance(home, Shuffle)
    moved = Emit((Input("_work/verdicts", names),))
    output = replace(home.output, columns=names)
    return Plan.of(*steps, replace(home, emits=(moved,), partitions=len(splits), output=output))


def apart(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float, int]:
    """Runs a function in a fresh process: its result, processor seconds, peak bytes."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=_run, args=(theirs, function, arguments))
    worker.start()
    told = ours.recv()
    worker.join()
    return told


def _run(pipe: Any, function: Callable[..., Any], arguments: tuple) -> None:
    started = time.process_time()
    result = function(*arguments)
    pipe.send((result, time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def map_side(job: Job, name: str, folder: Path, shards: int | None = None) -> tuple[int, int, int]:
    """Emits a step, its payloads into a file for each partition. Payloads, bytes and rows sent."""
    step = job.plan.step(name)
    assert isinstance(step, Shuffle)
    payloads = sent = emitted = 0
    for index, shard in job.emit_tasks(step)[:shards]:
        for partition, payload, rows in emit(job, step, index, shard):
            payloads, sent, emitted = payloads + 1, sent + len(payload), emitted + rows
            if shards is None:
                with (folder / f"{partition}").open("ab") as file:
                    file.write(len(payload).to_bytes(8, "big") + payload)
    return payloads, sent, emitted


def reduce_side(job: Job, name: str, folder: Path, emitted: int) -> None:
    step = job.plan.step(name)
    assert isinstance(step, Shuffle)
    records = [reduce(job, step, partition, spooled(folder / f"{partition}")) for partition in range(step.partitions)]
    commit(job, step, records, emitted)


def spooled(file: Path) -> Iterator[bytes]:
    if file.exists():
        with file.open("rb") as stream:
            while size := stream.read(8):
                yield stream.read(int.from_bytes(size, "big"))


def whole_map(job: Job, name: str) -> None:
    step = job.plan.step(name)
    assert isinstance(step, Map)
    commit(job, step, [run_map(job, step, shard) for shard in range(step.shards)], 0)


def scaled_down(files: int, per_partition: int) -> None:
    """A whole job of fewer files, with partitions of the same size."""
    with tempfile.TemporaryDirectory() as scratch:
        job = Job(simulated(files, per_partition, Path(scratch)), Store(f"{scratch}/out"))
        print(f"\n{files:,} files in {job.plan.steps[0].shards} splits and partitions")
        print(f"{'step':<12}{'bytes a file':>13}{'µs a file: emit':>16}{'reduce':>8}{'peak MB: emit':>15}{'reduce':>8}")
        total = np.zeros(3)
        for step in job.plan.steps:
            if isinstance(step, Map):
                apart(whole_map, job, step.name)
                continue
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                (_, sent, emitted), sending, peak = apart(map_side, job, step.name, Path(folder))
                _, reducing, reduce_peak = apart(reduce_side, job, step.name, Path(folder), emitted)
            row = np.array([sent, sending * 1e6, reducing * 1e6]) / files
            total += row
            print(
                f"{step.name:<12}{row[0]:>13.1f}{row[1]:>16.1f}{row[2]:>8.1f}{peak / 1e6:>15,.0f}"
                f"{reduce_peak / 1e6:>8,.0f}",
                flush=True,
            )
        print(f"{'all':<12}{total[0]:>13.1f}{total[1]:>16.1f}{total[2]:>8.1f}")


def one_split(files: int, partitions: int, per_partition: int) -> None:
    """One map task of `candidates` at the whole job's fan-out, and one reduce task of as many payloads."""
    with tempfile.TemporaryDirectory() as scratch:
        job = Job(simulated(per_partition, per_partition, Path(scratch), partitions), Store(f"{scratch}/out"))
        apart(whole_map, job, "ingest")
        (payloads, sent, rows), seconds, peak = apart(map_side, job, "candidates", Path(scratch), 1)
        print(
            f"{partitions:>10,}{payloads:>12,}{rows / payloads:>18.1f}{sent / payloads:>18,.0f}"
            f"{sent / per_partition:>14,.0f}{seconds * 1e6 / per_partition:>11,.0f}{peak / 1e6:>9,.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, nargs="*", default=[250_000, 1_000_000])
    parser.add_argument("--job", type=int, default=10**9, help="files of the job that is simulated")
    parser.add_argument("--mean", type=int, default=22_500, help="bytes of text in a file")
    chosen = parser.parse_args()
    per_partition = PARTITION_BYTES // chosen.mean
    whole = -(-chosen.job // per_partition)
    print(f"a job of {chosen.job:,} files: {whole:,} splits and partitions of {per_partition:,} files each")
    for files in chosen.files:
        print(f"scaled down by {chosen.job / files:,.0f}", end="")
        scaled_down(files, per_partition)
    print("\none map task of candidates at the fan-out of a whole job")
    print("partitions    payloads  rows in a payload  bytes of a payload  bytes a file  µs a file  peak MB")
    for partitions in sorted({64, 1024, 8192, whole}):
        one_split(chosen.job, partitions, per_partition)


if __name__ == "__main__":
    main()
