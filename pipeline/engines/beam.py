"""Apache Beam: one pipeline for the whole plan, on the DirectRunner or any other runner.

Each step hands one token to the next, so that it starts when its inputs are committed. Elements are few and large:
task numbers, whole Arrow payloads, records. Contents never travel through Beam.
"""

import hashlib
import os
import re
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.pvalue import AsSingleton, PCollection, TaggedOutput
from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.engines.beam_options import parsed
from pipeline.execution import EngineError, Job, Record, StepError, commit, emit, reduce, run_map
from pipeline.plan import Map, Shuffle, Step

WORKER_LOG = "_workers.log"
PIDS, KILLED = "pids", "killed"


def run(
    job: Job, runner: str = "DirectRunner", workers: int | None = None, options: Mapping[str, Any] | None = None
) -> bool:
    """Runs the steps of the plan that are not committed yet as one Beam pipeline; False if it goes on without us.

    `workers` are processes on the DirectRunner (one, unless told), and `num_workers` elsewhere (the runner's choice,
    unless told). `options` are Beam's own, by their names. Raises EngineError for a mistake in them, StepError for a
    step or a submission that failed; what was committed stays for the next try.
    """
    settings = _settings(job, runner, workers, options or {})
    if not is_local(runner):
        return _run(job, _runner(runner), settings)
    # Called by its own name, since DirectRunner first tries to download another runner.
    if (workers or 1) == 1:
        return _run(job, FnApiRunner(), settings)
    with tempfile.TemporaryDirectory(prefix="codesieve-") as watched:
        engine = FnApiRunner(_worker_processes(job, Path(watched)))
        return _watch(lambda: _run(job, engine, settings), Path(watched))


def is_local(runner: str) -> bool:
    """Whether a runner, by any of its names, is Beam's own on this machine. Raises EngineError where Beam has none."""
    return type(_runner(runner)) in (SwitchingDirectRunner, FnApiRunner)


def is_dataflow(runner: str) -> bool:
    """Whether a runner, by any of its names, hands the job to Dataflow. Raises EngineError where Beam has none."""
    return any(kind.__name__ == "DataflowRunner" for kind in type(_runner(runner)).__mro__)


def _runner(name: str) -> PipelineRunner:
    try:
        return create_runner(name)
    except (ValueError, ImportError, AttributeError, TypeError) as error:
        known = ", ".join(StandardOptions.KNOWN_RUNNER_NAMES)
        raise EngineError(f"engine.runner: {name!r} is no runner of Beam's ({error}); they are {known}") from error


def _run(job: Job, engine: PipelineRunner, settings: PipelineOptions) -> bool:
    try:
        pipeline = beam.Pipeline(runner=engine, options=settings)
    except ValueError as error:
        raise EngineError(f"engine.options: {' '.join(str(error).splitlines()[1:]) or error}") from error
    # The job travels once, beside the elements: a plan names every archive, which is much for each function to hold.
    plan = AsSingleton(pipeline | "plan" >> beam.Create([job]))
    token: Any = pipeline | "start" >> beam.Create([None])
    for step in job.pending():
        token = _run_map(step, plan, token) if isinstance(step, Map) else _run_shuffle(step, plan, token)
    try:
        result: Any = pipeline.run()
        if getattr(result, "has_job", False):
            print(f"Dataflow job {result.job_id()}", file=sys.stderr, flush=True)
        if settings.view_as(StandardOptions).no_wait_until_finish or _makes_template(settings):
            return False
        result.wait_until_finish()
    except Exception as error:
        name = type(engine).__name__
        raise StepError(_told(str(error)) or f"{name}: {type(error).__name__}: {error}") from error
    return True


def _settings(job: Job, runner: str, workers: int | None, options: Mapping[str, Any]) -> PipelineOptions:
    settings = parsed(options)
    if is_local(runner):
        settings.view_as(DirectOptions).direct_num_workers = workers or 1
    elif workers is not None:
        if settings.view_as(WorkerOptions).num_workers not in (None, workers):
            raise EngineError("engine.options: num_workers is not engine.workers; leave one of them out")
        settings.view_as(WorkerOptions).num_workers = workers
    if is_dataflow(runner) and settings.view_as(GoogleCloudOptions).job_name is None:
        # Dataflow refuses a second job of the same name: one output, one run.
        digest = hashlib.sha256(job.store.address().encode()).hexdigest()
        settings.view_as(GoogleCloudOptions).job_name = f"codesieve-{digest[:16]}"
    return settings


def _makes_template(settings: PipelineOptions) -> bool:
    """Whether the job is only described, for Dataflow to start it: the way of a Flex Template's launcher."""
    return settings.view_as(GoogleCloudOptions).template_location is not None


def _told(text: str) -> str | None:
    """The step's own error in what Beam gives back as text."""
    told = re.search(r"(?:StepError|ConservationError): (.*?)(?: \[while running|\n|$)", text)
    return told and told[1]


def _worker_processes(job: Job, watched: Path) -> Any:
    """Workers as Beam starts them, but for their own chatter: it goes to a file beside a local output.

    Each leaves its process id in the folder `watched` and, where a signal ends it, the status that tells which.
    """
    log = job.store.path(WORKER_LOG) if job.store.is_local else os.devnull
    if job.store.is_local:
        Path(log).parent.mkdir(parents=True, exist_ok=True)  # a worker that cannot open it never starts
    python, log, pids, killed = (shlex.quote(str(p)) for p in (sys.executable, log, watched / PIDS, watched / KILLED))
    worker = f"echo $$ >>{pids}; exec {python} -m apache_beam.runners.worker.sdk_worker_main"
    note = f"[ $status -lt 128 ] && exit $status; echo $status >>{killed}"
    command = f"exec 2>>{log}; sh -c {shlex.quote(worker)}; status=$?; {note}"
    environment: Any = SubprocessSDKEnvironment  # its decorator hides the class from type checkers
    return environment.from_command_string(command)


def _watch(body: Callable[[], bool], watched: Path) -> bool:
    """Runs the body until it ends or a worker is killed: Beam itself may wait for such a one for ever."""
    ended: Future[bool] = Future()

    def run_body() -> None:
        try:
            ended.set_result(body())
        except BaseException as error:  # noqa: BLE001  raised again where it is waited for
            ended.set_exception(error)

    killed = watched / KILLED
    killed.touch()
    threading.Thread(target=run_body, daemon=True).start()
    while not killed.read_text():
        with suppress(TimeoutError):
            return ended.result(timeout=0.5)
    for pid in (watched / PIDS).read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    status = int(killed.read_text().split()[0])
    raise StepError(f"a worker was killed by signal {status - 128}, by the system where memory ran out")


def _run_map(step: Map, plan: AsSingleton, token: PCollection) -> PCollection:
    records: Any = (
        token
        | f"{step.name}: tasks" >> beam.FlatMap(_map_tasks, plan, step.name)
        | f"{step.name}: spread" >> beam.GroupByKey()
        | f"{step.name}: run" >> beam.Map(_map, plan, step.name)
    )
    return _commit_step(step, plan, (records,))


def _run_shuffle(step: Shuffle, plan: AsSingleton, token: PCollection) -> PCollection:
    sent: Any = (
        token
        | f"{step.name}: tasks" >> beam.FlatMap(_emit_tasks, plan, step.name)
        | f"{step.name}: spread" >> beam.GroupByKey()
        | f"{step.name}: emit" >> beam.FlatMap(_emit, plan, step.name).with_outputs("rows", main="payloads")
    )
    # Every partition is reduced, also one that got no rows.
    every = token | f"{step.name}: every" >> beam.FlatMap(_every_partition, step.partitions)
    records: Any = (
        (sent.payloads, every)
        | f"{step.name}: sent" >> beam.Flatten()
        | f"{step.name}: shuffle" >> beam.GroupByKey()
        | f"{step.name}: reduce" >> beam.Map(_reduce, plan, step.name)
    )
    return _commit_step(step, plan, (records, sent.rows))


def _commit_step(step: Step, plan: AsSingleton, results: tuple[PCollection, ...]) -> PCollection:
    """Commits the step when all its tasks are done; the token that comes out starts the next step."""
    return (
        results
        | f"{step.name}: results" >> beam.Flatten()
        | f"{step.name}: keyed" >> beam.Map(_under_one_key)
        | f"{step.name}: gather" >> beam.GroupByKey()
        | f"{step.name}: commit" >> beam.Map(_commit, plan, step.name)
    )


# What workers do: functions that they import, with the job and the name of the step.


def _map_tasks(_: None, job: Job, name: str) -> Iterator[tuple[int, None]]:
    yield from ((shard, None) for shard in job.tasks(job.plan.step(name)))


def _map(task: tuple[int, Iterable[None]], job: Job, name: str) -> Record:
    return run_map(job, cast(Map, job.plan.step(name)), task[0])


def _emit_tasks(_: None, job: Job, name: str) -> Iterator[tuple[tuple[int, int], None]]:
    yield from ((task, None) for task in job.emit_tasks(cast(Shuffle, job.plan.step(name))))


def _emit(task: tuple[tuple[int, int], Iterable[None]], job: Job, name: str) -> Iterator[Any]:
    index, shard = task[0]
    for partition, payload, rows in emit(job, cast(Shuffle, job.plan.step(name)), index, shard):
        yield TaggedOutput("rows", rows)
        yield partition, payload


def _every_partition(_: None, partitions: int) -> Iterator[tuple[int, bytes]]:
    yield from ((partition, b"") for partition in range(partitions))


def _reduce(group: tuple[int, Iterable[bytes]], job: Job, name: str) -> Record:
    partition, payloads = group
    return reduce(job, cast(Shuffle, job.plan.step(name)), partition, filter(None, payloads))


def _under_one_key(result: Record | int) -> tuple[int, Record | int]:
    return 0, result


def _commit(group: tuple[int, Iterable[Record | int]], job: Job, name: str) -> None:
    found = list(group[1])
    sent = sum(result for result in found if isinstance(result, int))
    commit(job, job.plan.step(name), [result for result in found if isinstance(result, Record)], sent)
