"""One suite over all engines: the same plan gives the same bytes, and loses nothing."""

import dataclasses
import functools
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.engines import beam, inline, ray
from pipeline.execution import ConservationError, Job, StepError
from pipeline.plan import Input, Map, Output, Plan, PlanError
from pipeline.storage import MANIFEST, PROGRESS, Store
from tests import toy
from tests.datasets_on_disk import digests
from tests.ray_cluster import two_nodes

ENGINES: dict[str, Callable[[Job], None]] = {
    "inline": inline.run,
    "beam-1": functools.partial(beam.run, workers=1),
    "beam-2": functools.partial(beam.run, workers=2),
    "ray-1": functools.partial(ray.run, workers=2),
    "ray-2": lambda job: ray.run(job, two_nodes().address),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("oracle")
    inline.run(Job(toy.plan(), Store(str(out))))
    return digests(out)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_same_bytes(engine: str, tmp_path: Path, expected: dict[str, str]) -> None:
    job = Job(toy.plan(), Store(str(tmp_path)))
    ENGINES[engine](job)
    assert digests(tmp_path) == expected
    assert job.pending() == []


def test_a_dataset_that_another_process_wrote_anew_is_seen(tmp_path: Path) -> None:
    here, there = Store(str(tmp_path)), Store(str(tmp_path))
    job = Job(toy.plan(), here)
    inline.run(job)
    manifest = here.committed("measures")
    there.write_json(dataclasses.asdict(dataclasses.replace(manifest, fingerprint="other")), "measures", MANIFEST)
    assert here.committed("measures").fingerprint == "other"
    assert "measure" in [step.name for step in job.pending()]
    there.remove("measures", MANIFEST)
    assert here.manifest("measures") is None


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failing_row_names_step_shard_and_cause(engine: str, tmp_path: Path) -> None:
    job = Job(toy.plan(fail_at=17), Store(str(tmp_path)))
    with pytest.raises(StepError, match="step measure, shard 0: ValueError: cannot double 17"):
        ENGINES[engine](job)
    assert [step.name for step in job.pending()] == ["measure", "sums", "spread"]


@dataclasses.dataclass(frozen=True)
class Slow(toy.One):
    """Takes a while, and ends its process where it is told to."""

    kills: bool = False

    def load(self):
        def run(batch: pa.RecordBatch) -> pa.RecordBatch:
            time.sleep(0.5)
            if self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            return toy.One().load()(batch)

        return run


def slow(kills: bool = False) -> Plan:
    plan = toy.plan()
    return Plan.of(*plan.steps[:3], dataclasses.replace(plan.steps[3], transforms=(Slow(kills=kills),)))


@pytest.mark.slow
def test_a_lost_ray_node_changes_nothing(tmp_path: Path) -> None:
    inline.run(Job(slow(), Store(str(tmp_path / "undisturbed"))))
    cluster = two_nodes()
    node = cluster.add_node(num_cpus=2)
    job = Job(slow(), Store(str(tmp_path / "disturbed")))

    def lose_the_node() -> None:
        while not job.is_committed(job.plan.steps[2]):
            time.sleep(0.05)
        time.sleep(0.5)
        cluster.remove_node(node, allow_graceful=False)

    thread = threading.Thread(target=lose_the_node, daemon=True)
    thread.start()
    ray.run(job, cluster.address)
    thread.join()
    assert digests(tmp_path / "disturbed") == digests(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("memory", [0, 100_000_000], ids=["tasks", "actors"])
def test_a_shard_that_kills_its_ray_worker_fails_the_run(memory: int, tmp_path: Path) -> None:
    job = Job(slow(kills=True), Store(str(tmp_path)))
    with pytest.raises(StepError, match="step spread: a worker died 4 times"):
        ray.run(job, two_nodes().address, resources={"spread": ray.Resources(memory=memory)})
    assert [step.name for step in job.pending()] == ["spread"]


def test_a_step_that_no_ray_worker_has_room_for_is_told(tmp_path: Path) -> None:
    job = Job(toy.plan(), Store(str(tmp_path)))
    with pytest.raises(StepError, match=r"step ingest: a worker asks for 1 CPUs and 16384.0 GiB, the nodes have"):
        ray.run(job, workers=1, resources={"ingest": ray.Resources(memory=1 << 44)})


def test_no_cluster_at_the_address_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"engine\.address: no Ray cluster at 127\.0\.0\.1:1"):
        ray.run(Job(toy.plan(), Store(str(tmp_path))), "127.0.0.1:1")


def test_what_the_plan_computes(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    inline.run(Job(toy.plan(), store))
    sums = {row["repo"]: (row["total"], row["files"]) for row in store.table("sums").to_pylist()}
    assert sums == {f"r{r}": (2 * sum(range(r, 500, 7)), len(range(r, 500, 7))) for r in range(7)}
    assert pc.sum(store.table("spread").column("double")).as_py() == 2 * sum(range(500))
    assert store.committed("ledger").tally() == {"decision=dropped": 333, "decision=kept": 167}
    assert store.committed("kept").rows == 167


def test_transposed_reading_mixes_the_shards(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    inline.run(Job(toy.plan(), store))
    for shard in range(4):
        origins = {
            row_id >> 32 for batch in store.read("spread", shard, ("origin",)) for row_id in batch[0].to_pylist()
        }
        assert origins >= {0, 1, 3, 4}  # shard 2 holds fewer rows than there are slices


def test_a_lost_shard_is_made_again(tmp_path: Path, expected: dict[str, str]) -> None:
    job = Job(toy.plan(), Store(str(tmp_path)))
    inline.run(job)
    (tmp_path / "ledger" / "part-00002.parquet").unlink()
    (tmp_path / "sums" / "part-00001.parquet").write_bytes(b"cut")
    assert [step.name for step in job.pending()] == ["measure", "sums"]
    inline.run(job)
    assert digests(tmp_path) == expected


def test_only_what_is_missing_is_made_after_a_failure(tmp_path: Path, expected: dict[str, str]) -> None:
    store = Store(str(tmp_path))
    broken = toy.plan(fail_at=450)
    with pytest.raises(StepError):
        inline.run(Job(broken, store))
    made = store.names(PROGRESS, "measure")
    assert made == ["00000.json", "00001.json", "00002.json", "00003.json"]
    first = (tmp_path / "files" / "part-00000.parquet").stat().st_mtime_ns
    job = Job(toy.plan(), store)
    job.prepare()
    inline.run(job)
    assert (tmp_path / "files" / "part-00000.parquet").stat().st_mtime_ns == first
    assert digests(tmp_path) == expected


def test_changed_settings_make_only_what_depends_on_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    inline.run(Job(toy.plan(), store))
    changed = Job(toy.plan(fail_at=100_000), store)
    assert [step.name for step in changed.pending()] == ["measure", "sums", "spread"]


def test_a_transform_that_loses_a_row_fails_the_run(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Leak(toy.One):
        def load(self):
            return lambda batch: pa.RecordBatch.from_arrays([pa.array([1] * (batch.num_rows - 1))], schema=self.adds)

    plan = toy.plan()
    leaky = dataclasses.replace(plan.steps[3], transforms=(Leak(),))
    with pytest.raises(StepError, match="ConservationError: Leak gave"):
        inline.run(Job(Plan.of(*plan.steps[:3], leaky), Store(str(tmp_path))))


def test_a_reducer_that_loses_a_row_fails_the_run(tmp_path: Path) -> None:
    class Leak(toy.Reverse):
        def load(self):
            return lambda batch: toy.Reverse().load()(batch.slice(1))

    plan = toy.plan()
    leaky = dataclasses.replace(plan.steps[3], reduce=Leak())
    with pytest.raises(ConservationError, match="balance"):
        inline.run(Job(Plan.of(*plan.steps[:3], leaky), Store(str(tmp_path))))
    assert not (tmp_path / "spread" / "_manifest.json").exists()


def test_a_plan_that_reads_what_nobody_adds_is_refused() -> None:
    with pytest.raises(PlanError, match="step next, One reads colour, which nobody adds"):
        Plan.of(
            toy.plan().steps[0],
            Map(
                "next",
                (Output("next", ("one",)),),
                shards=1,
                inputs=(Input("files", ("size",)),),
                transforms=(toy.One(reads=("colour",)),),
            ),
        )


def test_a_column_has_one_owner() -> None:
    with pytest.raises(PlanError, match="One adds one, which is there already"):
        Plan.of(
            toy.plan().steps[0],
            Map(
                "next",
                (Output("next", ("one",)),),
                shards=1,
                inputs=(Input("files", ("size",)),),
                transforms=(toy.One(), toy.One()),
            ),
        )


def test_shards_tell_their_bytes_and_sha256(tmp_path: Path) -> None:
    import hashlib

    store = Store(str(tmp_path))
    inline.run(Job(toy.plan(), store))
    for dataset in ("files", "kept", "sums"):
        for shard in store.committed(dataset).shards:
            data = (tmp_path / dataset / shard.file).read_bytes()
            assert (shard.bytes, shard.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert pq.read_table(tmp_path / "files").num_rows == 500
