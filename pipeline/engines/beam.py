"""Apache Beam: one pipeline for the whole plan, on the DirectRunner or any other runner.

Each step hands one token to the next, so that it starts when its inputs are committed. Elements are few and large:
task numbers, whole Arrow payloads, records. Contents never travel through Beam.
"""

import difflib
import hashlib
import io
import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stderr
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.execution import EngineError, Job, Record, StepError, commit, emit, reduce, run_map
from pipeline.plan import Map, Shuffle, Step

WORKER_LOG = "_workers.log"


def run(
    job: Job, runner: str = "DirectRunner", workers: int | None = None, options: Mapping[str, Any] | None = None
) -> bool:
    """Runs the steps of the plan that are not committed yet as one Beam pipeline; False if it goes on without us.

    `workers` are processes on the DirectRunner (one, unless told), and `num_workers` elsewhere (the runner's choice,
    unless told). `options` are Beam's own, by their names. Raises EngineError for a mistake in them, StepError for a
    step or a submission that failed; what was committed stays for the next try.
    """
    settings = _settings(job, runner, workers, options or {})
    engine: FnApiRunner | str = runner
    if runner == "DirectRunner":
        # Called by its own name, since DirectRunner first tries to download another runner.
        engine = FnApiRunner(_worker_processes(job) if (workers or 1) > 1 else None)
    try:
        pipeline = beam.Pipeline(runner=engine, options=settings)
    except ValueError as error:
        raise EngineError(f"engine.options: {' '.join(str(error).splitlines()[1:]) or error}") from error
    token: Any = pipeline | beam.Create([None])
    for step in job.pending():
        token = _run_map(job, step, token) if isinstance(step, Map) else _run_shuffle(job, step, token)
    try:
        result: Any = pipeline.run()
        if runner == "DataflowRunner" and result.has_job:
            print(f"Dataflow job {result.job_id()}", file=sys.stderr, flush=True)
        if settings.view_as(StandardOptions).no_wait_until_finish or _makes_template(settings):
            return False
        result.wait_until_finish()
    except Exception as error:
        raise StepError(_told(str(error)) or f"{runner}: {type(error).__name__}: {error}") from error
    return True


def _settings(job: Job, runner: str, workers: int | None, options: Mapping[str, Any]) -> PipelineOptions:
    """The options as Beam understands them."""
    settings = PipelineOptions(list(_arguments(options)))
    _refuse_unknown(settings)
    if runner == "DirectRunner":
        settings.view_as(DirectOptions).direct_num_workers = workers or 1
    elif workers is not None:
        settings.view_as(WorkerOptions).num_workers = workers
    if runner == "DataflowRunner" and settings.view_as(GoogleCloudOptions).job_name is None:
        # Dataflow refuses a second job of the same name: one output, one run.
        digest = hashlib.sha256(job.store.address().encode()).hexdigest()
        settings.view_as(GoogleCloudOptions).job_name = f"codesieve-{digest[:16]}"
    return settings


def _arguments(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            if item is True:
                yield f"--{name}"
            elif item is not None and item is not False:
                yield f"--{name}={item}"


def _refuse_unknown(settings: PipelineOptions) -> None:
    """Beam itself drops what it does not know with a warning, and ends the process at a value of the wrong type."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            known = settings.get_all_options()
            unknown = settings.get_all_options(retain_unknown_options=True).keys() - known.keys()
    except SystemExit:
        raise EngineError(f"engine.options: {said.getvalue().strip().rpartition('error: ')[2]}") from None
    if unknown:
        name = min(unknown)
        close = difflib.get_close_matches(name, known, 1)
        mend = f"; did you mean {close[0]}?" if close else "; see Beam's PipelineOptions for the names"
        raise EngineError(f"engine.options: Beam has no option {name}{mend}")


def _makes_template(settings: PipelineOptions) -> bool:
    """Whether the job is only described, for Dataflow to start it: the way of a Flex Template's launcher."""
    return settings.view_as(GoogleCloudOptions).template_location is not None


def _told(text: str) -> str | None:
    """The step's own error in what Beam gives back as text."""
    told = re.search(r"(?:StepError|ConservationError): (.*?)(?: \[while running|\n|$)", text)
    return told and told[1]


def _worker_processes(job: Job) -> Any:
    """Workers as Beam starts them, but for their own chatter: it goes to a file beside a local output."""
    log = job.store.path(WORKER_LOG) if job.store.is_local else os.devnull
    command = f"exec {shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main"
    environment: Any = SubprocessSDKEnvironment  # its decorator hides the class from type checkers
    return environment.from_command_string(f"{command} 2>>{shlex.quote(log)}")


def _run_map(job: Job, step: Map, token: PCollection) -> PCollection:
    records: Any = (
        token
        | f"{step.name}: tasks" >> beam.FlatMap(lambda _: [(shard, None) for shard in job.tasks(step)])
        | f"{step.name}: spread" >> beam.GroupByKey()
        | f"{step.name}: run" >> beam.MapTuple(lambda shard, _: run_map(job, step, shard))
    )
    return _commit(job, step, (records,))


def _run_shuffle(job: Job, step: Shuffle, token: PCollection) -> PCollection:
    sent: Any = (
        token
        | f"{step.name}: tasks" >> beam.FlatMap(lambda _: [(task, None) for task in job.emit_tasks(step)])
        | f"{step.name}: spread" >> beam.GroupByKey()
        | f"{step.name}: emit" >> beam.ParDo(_Emit(job, step)).with_outputs("rows", main="payloads")
    )
    # Every partition is reduced, also one that got no rows.
    every = token | f"{step.name}: every" >> beam.FlatMap(lambda _: [(n, b"") for n in range(step.partitions)])
    records: Any = (
        (sent.payloads, every)
        | f"{step.name}: sent" >> beam.Flatten()
        | f"{step.name}: shuffle" >> beam.GroupByKey()
        | f"{step.name}: reduce" >> beam.MapTuple(lambda n, payloads: reduce(job, step, n, filter(None, payloads)))
    )
    return _commit(job, step, (records, sent.rows))


class _Emit(beam.DoFn):
    def __init__(self, job: Job, step: Shuffle) -> None:
        super().__init__()
        self._job, self._step = job, step

    def process(self, element: tuple[tuple[int, int], Iterable[None]]) -> Iterator[Any]:
        (index, shard), _ = element
        for partition, payload, rows in emit(self._job, self._step, index, shard):
            yield TaggedOutput("rows", rows)
            yield partition, payload


def _commit(job: Job, step: Step, results: tuple[PCollection, ...]) -> PCollection:
    """Commits the step when all its tasks are done; the token that comes out starts the next step."""

    def finish(_: int, grouped: Iterable[Record | int]) -> None:
        found = list(grouped)
        sent = sum(result for result in found if isinstance(result, int))
        commit(job, step, [result for result in found if isinstance(result, Record)], sent)

    return (
        results
        | f"{step.name}: results" >> beam.Flatten()
        | f"{step.name}: keyed" >> beam.Map(lambda result: (0, result))
        | f"{step.name}: gather" >> beam.GroupByKey()
        | f"{step.name}: commit" >> beam.MapTuple(finish)
    )
