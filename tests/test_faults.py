"""Nothing is lost: rows that a transform cannot bear, and runs that are killed at any moment."""

import dataclasses
import functools
import multiprocessing
import re
import time
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest

from jobs.recipe import load_recipe
from jobs.report import write_report
from jobs.run import run
from pipeline.engines import beam, inline
from pipeline.execution import Job, StepError
from pipeline.plan import Emit, Input, Map, Output, Plan, PlanError, Shuffle
from pipeline.sources import Limits, Split
from pipeline.storage import Store
from schemas.datasets import FAILURE
from tests import toy
from tests.corpora import stdlib, tar_gz
from tests.datasets_on_disk import digests
from tests.disturbed import kill_when, run_to_exit
from transforms.rules import Decide
from transforms.text_measures import TextMeasures
from transforms.toxicity import Toxicity

ROWS = 3000


@dataclasses.dataclass(frozen=True)
class Poisoned:
    """Ones beside all rows, but for one row in `every`, on which it raises."""

    every: int
    error: str = "ValueError"
    reads = ("size",)
    adds = toy.One.adds

    def load(self):
        kinds = {kind.__name__: kind for kind in (ValueError, RecursionError, MemoryError, OSError)}

        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            for size in batch.column("size").to_pylist():
                if size % self.every == self.every - 1:
                    raise kinds[self.error](f"secret of row {size}")
            return toy.One().load()(batch)

        return run


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the ledger says of a row, by its failure alone."""

    reads = (FAILURE.name,)
    adds = pa.schema([("reason", pa.string())])

    def load(self):
        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            told = [failed and f"failed.{failed.partition(':')[0]}" for failed in batch.column("failed").to_pylist()]
            return pa.RecordBatch.from_arrays([pa.array(told, pa.string())], schema=self.adds)

        return run


def plan(every: int = 1000, error: str = "ValueError", batch_rows: int = 256, slow: float = 0) -> Plan:
    """Files read, measured by a transform that raises, and told in a ledger."""
    splits = tuple(Split((toy.Numbers(start, ROWS // 4),)) for start in range(0, ROWS, ROWS // 4))
    files = Map(
        "ingest",
        (Output("files", ("path", "size")),),
        shards=4,
        splits=splits,
        limits=Limits(batch_rows=batch_rows),
        transforms=(Pause(slow),) if slow else (),
    )
    measure = Map(
        "measure",
        (Output("measures", ("one", "failed")),),
        shards=4,
        inputs=(Input("files", ("size",)),),
        transforms=(Poisoned(every=every, error=error),),
        isolates=True,
    )
    ledger = Map(
        "ledger",
        (
            Output("ledger", ("path", "one", "decision", "reason", "failed"), tally=("decision",)),
            Output("kept", ("path", "one"), where="kept", matches="decision=kept"),
        ),
        shards=4,
        inputs=(Input("files", ("path",)), Input("measures", ("one", "failed"))),
        transforms=(Verdict(), Decide(), *((Pause(slow, "kept"),) if slow else ())),
    )
    total = Shuffle(
        "total",
        (Emit((Input("kept", ("path", "one")),)),),
        key="path",
        order=(),
        partitions=3,
        output=Output("total", ("path", "one")),
    )
    return Plan.of(files, measure, ledger, total)


@dataclasses.dataclass(frozen=True)
class Pause:
    """Sleeps at each batch, so that there is a while in which to be killed."""

    seconds: float
    after: str = "path"

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.after,)

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([("paused", pa.bool_())])

    def load(self):
        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            time.sleep(self.seconds)
            return pa.RecordBatch.from_arrays([pa.nulls(batch.num_rows, pa.bool_())], schema=self.adds)

        return run


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("poisoned")
    inline.run(Job(plan(), Store(str(out)), max_failed=0.001))
    return out


def test_a_row_that_raises_fails_alone(expected: Path, tmp_path: Path) -> None:
    rows = Store(str(expected)).table("ledger").to_pylist()
    failed = [row for row in rows if row["decision"] == "failed"]
    assert [row["path"] for row in failed] == ["999.txt", "1999.txt", "2999.txt"]
    assert {(row["reason"], row["failed"], row["one"]) for row in failed} == {
        ("failed.Poisoned", "Poisoned: ValueError", None)
    }
    inline.run(Job(plan(every=10**6), Store(str(tmp_path))))
    others = [
        row
        for row in Store(str(tmp_path)).table("ledger").to_pylist()
        if row["path"] not in {row["path"] for row in failed}
    ]
    assert [row for row in rows if row not in failed] == others
    assert not [file for file in expected.rglob("*") if file.is_file() and b"secret of row" in file.read_bytes()]


@pytest.mark.parametrize("workers", [1, 2])
def test_beam_isolates_the_same_rows(workers: int, expected: Path, tmp_path: Path) -> None:
    beam.run(Job(plan(), Store(str(tmp_path)), max_failed=0.001), workers=workers)
    assert digests(tmp_path) == digests(expected)


@pytest.mark.parametrize("batch_rows", [1, 97, 4096])
def test_the_same_rows_fail_wherever_batches_are_cut(batch_rows: int, expected: Path, tmp_path: Path) -> None:
    inline.run(Job(plan(batch_rows=batch_rows), Store(str(tmp_path)), max_failed=0.001))
    assert Store(str(tmp_path)).table("ledger").equals(Store(str(expected)).table("ledger"))


def test_more_failures_than_the_share_stop_the_run_and_a_larger_share_goes_on(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    told = "step measure: Poisoned raised ValueError on 3 of 3000 rows; more than the share of 0.0009"
    with pytest.raises(StepError, match=re.escape(told)):
        inline.run(Job(plan(), store, max_failed=0.0009))
    assert [step.name for step in Job(plan(), store).pending()] == ["measure", "ledger", "total"]
    inline.run(Job(plan(), store, max_failed=0.001))
    assert store.committed("ledger").tally() == {"decision=failed": 3, "decision=kept": ROWS - 3}


def test_a_transform_that_raises_on_every_row_fails_fast(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"Poisoned raised RecursionError on 256 of 256 rows"):
        inline.run(Job(plan(every=1, error="RecursionError"), Store(str(tmp_path)), max_failed=0.01))


@pytest.mark.parametrize("error", ["MemoryError", "OSError"])
def test_what_is_no_rows_fault_fails_the_step(error: str, tmp_path: Path) -> None:
    with pytest.raises(StepError, match=f"step measure, shard 1: {error}"):
        inline.run(Job(plan(error=error), Store(str(tmp_path)), max_failed=1))


def test_failures_must_be_written() -> None:
    steps = plan().steps
    with pytest.raises(PlanError, match="isolates failing rows"):
        Plan.of(steps[0], dataclasses.replace(steps[1], outputs=(Output("measures", ("one",)),)))


def poison(monkeypatch: pytest.MonkeyPatch, transform: type, needle: str) -> None:
    """Has a transform of the plan raise on files that hold a word: no file is known on which one does by itself."""
    load = transform.load

    def loaded(self):
        function = load(self)

        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            if any(needle in (content or "") for content in batch.column("content").to_pylist()):
                raise KeyError(needle)
            return function(batch)

        return run

    monkeypatch.setattr(transform, "load", loaded)


def test_a_recipe_tells_the_failed_files_and_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poisoned = stdlib("queue") + "\n# poison of the first step\n"
    toxic = stdlib("sched") + "\n# poison of a later step\n"
    tar_gz(
        tmp_path / "dumps" / "a.tar.gz",
        {
            "early.py": poisoned,
            "late.py": toxic,
            "copy/late.py": toxic,
            "good.py": stdlib("heapq"),
            "near.py": stdlib("queue"),
            "bad.bin": b"\0",
        },
    )
    poison(monkeypatch, TextMeasures, "poison of the first step")
    poison(monkeypatch, Toxicity, "poison of a later step")
    path = tmp_path / "mine.yaml"
    path.write_text(f"sources:\n  - kind: archive\n    uri: {tmp_path}/dumps/*\n")
    off = [f"{block}.enabled=false" for block in ("license", "decontaminate", "tokenize", "pii")]
    store = Store(str(tmp_path / "out"))
    with pytest.raises(StepError, match="step ingest: TextMeasures raised KeyError on 1 of 6 rows"):
        run(load_recipe(path, [*off, "engine.kind=inline"]), store)
    run(load_recipe(path, [*off, "engine.kind=inline", "failures.max_share=0.5"]), store)
    rows = {row["path"]: row for row in store.table("ledger").to_pylist()}
    assert {name: (row["decision"], row["reason"], row["detail"]) for name, row in rows.items()} == {
        "early.py": ("failed", "failed.TextMeasures", "TextMeasures: KeyError"),
        "late.py": ("failed", "failed.Toxicity", "Toxicity: KeyError"),
        "copy/late.py": ("failed", "failed.Toxicity", "Toxicity: KeyError"),
        "good.py": ("kept", None, None),
        "near.py": ("kept", None, None),
        "bad.bin": ("dropped", "input.binary", rows["bad.bin"]["detail"]),
    }
    assert write_report(store)["failed"] == 3


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    inline.run(Job(plan(slow=0.1), Store(str(out)), max_failed=0.001))
    return out


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "victim"), [(1, "driver"), (2, "driver"), (2, "worker")])
def test_killed_at_a_random_moment_the_rerun_gives_the_same_bytes(
    workers: int, victim: str, undisturbed: Path, tmp_path: Path
) -> None:
    random = Random(f"{workers} {victim}")
    job = Job(plan(slow=0.1), Store(str(tmp_path / "out")), max_failed=0.001)
    body = functools.partial(beam.run, job, workers=workers)
    driver = multiprocessing.get_context("spawn").Process(target=run_to_exit, args=(body, tmp_path / "log"))
    driver.start()
    pid = driver.pid
    assert pid is not None
    while not (tmp_path / "out" / "files").exists():
        time.sleep(0.01)
    moment = time.monotonic() + random.uniform(0, 1)
    killed = kill_when(lambda: time.monotonic() >= moment, pid, victim, random)
    driver.join()
    assert (killed, driver.exitcode) == (victim, -9 if victim == "driver" else 3), (tmp_path / "log").read_text()
    job.prepare()
    inline.run(job)
    assert digests(tmp_path / "out") == digests(undisturbed)
