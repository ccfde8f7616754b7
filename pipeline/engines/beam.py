"""Apache Beam: one pipeline for the whole plan, on the DirectRunner or any other runner.

Each step hands one token to the next, so that it starts when its inputs are committed. Elements are few and large:
task numbers, whole Arrow payloads, records. Contents never travel through Beam.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.pvalue import PCollection, TaggedOutput
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from pipeline.execution import Job, Record, StepError, commit, emit, reduce, run_map
from pipeline.plan import Map, Shuffle, Step

WORKER_LOG = "_workers.log"


def run(job: Job, runner: str = "DirectRunner", workers: int = 1, arguments: tuple[str, ...] = ()) -> None:
    """Runs the steps of the plan that are not committed yet as one Beam pipeline.

    On the DirectRunner, `workers` is the number of processes. `arguments` are Beam's own, `--region=…` and the like.
    Raises StepError; what was committed stays for the next try.
    """
    options = PipelineOptions(list(arguments))
    engine: FnApiRunner | str = runner
    if runner == "DirectRunner":
        # Called by its own name, since DirectRunner first tries to download another runner.
        engine = FnApiRunner(_worker_processes(job) if workers > 1 else None)
        options.view_as(DirectOptions).direct_num_workers = workers
    try:
        with beam.Pipeline(runner=engine, options=options) as pipeline:
            token: Any = pipeline | beam.Create([None])
            for step in job.pending():
                token = _run_map(job, step, token) if isinstance(step, Map) else _run_shuffle(job, step, token)
    except RuntimeError as error:
        # Beam gives a worker's exception back as text.
        if told := re.search(r"StepError: (.*?)(?: \[while running|\n|$)", str(error)):
            raise StepError(told[1]) from error
        raise


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
