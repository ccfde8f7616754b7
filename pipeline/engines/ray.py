"""Ray: one Ray Data pipeline per step, in a cluster of its own on this machine or in one that runs already.

A `Map` is a dataset of shard numbers; a `Shuffle` is one of Arrow payloads, brought together by partition with Ray
Data's sort. Its hash shuffle takes some four seconds a step to start its actors, and what they hold is lost with their
node; the sort is made of tasks, which Ray runs again. Contents never travel through Ray. Ray Data holds tasks back
while the object store is full, and spills what has to wait.
"""

import json
import logging
import os
import secrets
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from pipeline.execution import Job, Record, StepError, commit, emit, reduce, run_map
from pipeline.plan import Map, Shuffle, Step
from pipeline.storage import Store

# ray is imported in functions: what it reads from the environment when it is imported depends on the address.

ATTEMPTS = 3
"""Times that a task is tried again where its worker died: a node may be lost, but a task that kills must end."""
SENT = -1
"""Stands where a partition's number does: under it travels how many rows each emit sent, to be compared with."""
TASKS_PER_WORKER, MAX_TOGETHER = 4, 16
"""A step has so many tasks of Ray's a worker, that none ends late, each of so many shards at most."""
PAYLOADS = pa.schema([("partition", pa.int64()), ("payload", pa.large_binary()), ("rows", pa.int64())])

Task = TypeVar("Task")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """What one worker of a step takes: CPUs, and bytes of memory. With no bytes asked, CPUs alone bound the workers."""

    cpus: float = 1
    memory: int = 0


def run(
    job: Job,
    address: str | None = None,
    workers: int | None = None,
    resources: Mapping[str, Resources] | None = None,
) -> None:
    """Runs the steps of the plan that are not committed yet.

    `address` is a running cluster's (`auto`, host:port); without one a cluster on loopback lives as long as the call.
    `workers` bounds the tasks at a time, and is the number of CPUs of an own cluster. `resources` by a step's name come
    before the `memory` that its transforms state. Raises StepError; what was committed stays for the next try.
    """
    with cluster(address, workers):
        # A worker may stand in another folder: an output location must mean the same there.
        there = replace(job, store=Store(job.store.path())) if job.store.is_local else job
        for step in job.pending():
            asked = (resources or {}).get(step.name) or Resources(memory=_stated_memory(step))
            _check_room(step, asked, is_own=address is None)
            with _named(step):
                if isinstance(step, Map):
                    records, sent = _run_map(there, step, asked, workers)
                else:
                    records, sent = _run_shuffle(there, step, asked, workers)
            commit(job, step, records, sent)


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """A connection to a cluster; one of our own listens on loopback alone, asks for a token, and ends with the body."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address is None:
        # What Ray calls "no clusters on this system" is what keeps its servers off all but the loopback interface.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise StepError("engine ray needs Ray: pip install 'codesieve[ray]'") from error
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.|pipeline\.engines")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    # Ray puts the present folder before all others on its workers' import path: it must be ours, never a corpus's.
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="codesieve-", dir="/tmp") as scratch:  # its sockets want a short path
        try:
            with chdir(root):
                if address is None:
                    ray.init("local", num_cpus=workers, include_dashboard=False, _temp_dir=scratch, **quiet)
                else:
                    _reach(address)
                    ray.init(address, **quiet)
            _set_up_data()
            yield
        except (ConnectionError, TimeoutError) as error:
            raise StepError(f"engine.address: no Ray cluster at {address}: {_first_line(error)}") from error
        finally:
            ray.shutdown()


def _reach(address: str) -> None:
    """Raises OSError where nothing listens at host:port: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _set_up_data() -> None:
    from ray.data.context import DataContext, ShuffleStrategy

    with suppress(ImportError):
        from ray.data._internal.execution.resource_manager import ResourceManager

        # Ray Data learns what a cluster has when it asks again, and runs one task at a time until then: a second each
        # step. No setting of its own says so; a Ray that keeps this elsewhere is slower by that second.
        ResourceManager.GLOBAL_LIMITS_UPDATE_INTERVAL_S = 0.1  # pyright: ignore[reportAttributeAccessIssue]
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.raise_original_map_exception = True
    context.shuffle_strategy = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)


def _stated_memory(step: Step) -> int:
    parts: list[Any] = [step.reduce]
    for source in (step,) if isinstance(step, Map) else step.emits:
        parts += source.transforms
    return sum(getattr(part, "memory", 0) for part in parts)


def _check_room(step: Step, asked: Resources, is_own: bool) -> None:
    """Ray waits for a node that is large enough: for ever, where none can come.

    Raises StepError for a cluster of our own; another one may grow.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= asked.cpus and node.get("memory", 0) >= asked.memory for node in nodes):
        return
    found = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('memory', 0) / 2**30:.1f} GiB" for node in nodes)
    told = (
        f"step {step.name}: a worker asks for {asked.cpus:g} CPUs and {asked.memory / 2**30:.1f} GiB, "
        f"the nodes have {found}; lower engine.resources.{step.name}"
    )
    if is_own:
        raise StepError(told)
    log.warning("%s, or wait for a larger node", told)


@contextmanager
def _named(step: Step) -> Iterator[None]:
    """Turns what Ray says of a failure into one line of ours."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayTaskError as error:
        told = _first_line(error.cause)
        if not isinstance(error.cause, StepError):
            told = f"step {step.name}: {type(error.cause).__name__}: {told}"
        raise StepError(told) from error
    except RayError as error:
        raise StepError(f"step {step.name}: a worker died {ATTEMPTS + 1} times: {_first_line(error)}") from error


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]


def _run_map(job: Job, step: Map, asked: Resources, workers: int | None) -> tuple[list[Record], int]:
    import ray.data

    tasks = _dealt(job.tasks(step), _together(step.shards, asked, workers))
    given = ray.data.from_items([{"shards": dealt} for dealt in tasks], override_num_blocks=len(tasks))
    if asked.memory:
        placed = _in_actors(asked, min(len(tasks), workers or len(tasks)))
        actor: Any = _MapShards
        made = given.map(actor, fn_constructor_args=(job, step, os.getcwd()), **placed)
    else:
        made = given.map(_method(_MapShards(job, step, os.getcwd())), **_in_tasks(asked, workers))
    return [_record(record) for row in made.take_all() for record in row["records"]], 0


def _run_shuffle(job: Job, step: Shuffle, asked: Resources, workers: int | None) -> tuple[list[Record], int]:
    import ray.data

    # The last one sends every partition an empty payload, so that each is reduced.
    emits = [*job.emit_tasks(step), (SENT, 0)]
    tasks = _dealt(emits, _together(len(emits), asked, workers))
    placed = _in_tasks(asked, workers)
    given = ray.data.from_items([{"emits": dealt} for dealt in tasks], override_num_blocks=len(tasks))
    emitted = given.map_batches(_method(_Emit(job, step, os.getcwd())), batch_size=1, batch_format="pyarrow", **placed)
    # Whole partitions meet in one block: what goes home is small, and goes in fewer blocks than there are shards.
    blocks = _together(step.partitions, asked, workers) if step.homeward else step.partitions
    firsts: list[int | float] = [block * step.partitions // blocks for block in range(blocks)]
    reduced = emitted.sort("partition", boundaries=firsts).map_batches(
        _method(_Reduce(job, step, os.getcwd())), batch_size=None, batch_format="pyarrow", **placed
    )
    rows = reduced.take_all()
    sent = sum(row["rows"] for row in rows if not row["record"])
    return [_record(row["record"]) for row in rows if row["record"]], sent


def _together(count: int, asked: Resources, workers: int | None) -> int:
    """How many tasks of Ray's do `count` of ours: those of a small corpus take less time than starting a task."""
    return min(count, max((workers or _at_once(asked)) * TASKS_PER_WORKER, -(-count // MAX_TOGETHER)))


def _at_once(asked: Resources) -> int:
    """Workers that the cluster's present CPUs have room for."""
    import ray

    return int(ray.cluster_resources().get("CPU", 1) // asked.cpus)


def _dealt(tasks: list[Task], hands: int) -> list[list[Task]]:
    return [tasks[first::hands] for first in range(hands)]


def _in_actors(asked: Resources, most: int) -> dict[str, Any]:
    """Each actor is a process that loads the step's functions once, and gives their memory back when the step ends."""
    from ray.data import ActorPoolStrategy

    first = max(1, min(most, _at_once(asked)))
    pool = ActorPoolStrategy(min_size=1, max_size=most, initial_size=first, max_tasks_in_flight_per_actor=1)
    again = {"max_restarts": ATTEMPTS, "max_task_retries": ATTEMPTS}
    return {"compute": pool, "num_cpus": asked.cpus, "memory": asked.memory} | again


def _in_tasks(asked: Resources, workers: int | None) -> dict[str, Any]:
    from ray.data import TaskPoolStrategy

    placed = {"num_cpus": asked.cpus, "memory": asked.memory or None, "max_retries": ATTEMPTS}
    return placed | {"compute": TaskPoolStrategy(workers)}


def _method(task: Callable[..., Any]) -> Callable[..., Any]:
    """Ray Data takes an object that can be called for a class of actors: a plain function is run in tasks."""
    return lambda given: task(given)


@dataclass(frozen=True)
class _Task:
    """What a worker needs of a step, and the driver's folder: a recipe's relative paths are meant from there."""

    job: Job
    step: Any
    folder: str

    def settle(self) -> None:
        if os.path.isdir(self.folder):
            os.chdir(self.folder)


class _MapShards(_Task):
    def __call__(self, row: dict[str, list[int]]) -> dict[str, list[str]]:
        self.settle()
        return {"records": [json.dumps(asdict(run_map(self.job, self.step, shard))) for shard in row["shards"]]}


class _Emit(_Task):
    def __call__(self, task: pa.Table) -> Iterator[pa.Table]:
        self.settle()
        for index, shard in task["emits"][0].as_py():
            if index == SENT:
                rows = [(partition, b"", 0) for partition in range(self.step.partitions)]
            else:
                rows = list(emit(self.job, self.step, index, shard))
            rows.append((SENT, b"", sum(count for _, _, count in rows)))
            columns = [
                pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), PAYLOADS, strict=True)
            ]
            yield pa.Table.from_arrays(columns, schema=PAYLOADS)


class _Reduce(_Task):
    def __call__(self, block: pa.Table) -> Iterator[pa.Table]:
        self.settle()
        sorted_partitions = block["partition"].to_numpy()
        for partition in np.unique(sorted_partitions).tolist():
            first, end = np.searchsorted(sorted_partitions, [partition, partition + 1])
            rows = block.slice(first, end - first)
            if partition == SENT:
                yield pa.table({"record": [""], "rows": [sum(rows["rows"].to_pylist())]})
                continue
            payloads = (payload.as_py() for payload in rows["payload"])
            record = reduce(self.job, self.step, partition, filter(None, payloads))
            yield pa.table({"record": [json.dumps(asdict(record))], "rows": [0]})


def _record(text: str) -> Record:
    return Record.from_json(json.loads(text))
