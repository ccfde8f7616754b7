"""Apache Beam: one pipeline for the whole plan, on the DirectRunner or any other runner.

Each step hands one token to the next, so that it starts when its inputs are committed. Elements are few and large:
task numbers, whole Arrow payloads, records. Contents never travel through Beam.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline.execution import Job, Record, StepError, commit, emit, reduce, run_map
from pipeline.plan import Map, Shuffle, Step


def run(job: Job, runner: str = "DirectRunner", workers: int = 1, arguments: tuple[str, ...] = ()) -> None:
    """Runs the steps of the plan that are not committed yet as one Beam pipeline.

    On the DirectRunner, `workers` is the number of processes. `arguments` are Beam's own, `--region=…` and the like.
    Raises StepError; what was committed stays for the next try.
    """
    options = PipelineOptions(list(arguments))
    if runner == "DirectRunner":
        # Named by its own name, since DirectRunner first tries to download another runner.
        engine = FnApiRunner()
        direct = options.view_as(DirectOptions)
        direct.direct_num_workers = workers
        direct.direct_running_mode = "multi_processing" if workers > 1 else "in_memory"
    else:
        engine = runner
    try:
        with beam.Pipeline(runner=engine, options=options) as pipeline:
            token = pipeline | beam.Create([None])
            for step in job.pending():
                token = token | step.name >> (_RunMap if isinstance(step, Map) else _RunShuffle)(job, step)
    except RuntimeError as error:
        # Beam gives a worker's exception back as text.
        if told := re.search(r"StepError: (.*?)(?: \[while running|\n|$)", str(error)):
            raise StepError(told[1]) from error
        raise


class _RunMap(beam.PTransform):
    def __init__(self, job: Job, step: Map) -> None:
        super().__init__()
        self._job, self._step = job, step

    def expand(self, token: beam.PCollection) -> beam.PCollection:
        job, step = self._job, self._step
        records = (
            token
            | "tasks" >> beam.FlatMap(lambda _: [(shard, None) for shard in job.tasks(step)])
            | "spread" >> beam.GroupByKey()
            | "run" >> beam.MapTuple(lambda shard, _: run_map(job, step, shard))
        )
        return _commit(job, step, records)


class _RunShuffle(beam.PTransform):
    def __init__(self, job: Job, step: Shuffle) -> None:
        super().__init__()
        self._job, self._step = job, step

    def expand(self, token: beam.PCollection) -> beam.PCollection:
        job, step = self._job, self._step
        sent = (
            token
            | "tasks" >> beam.FlatMap(lambda _: [(task, None) for task in job.emit_tasks(step)])
            | "spread" >> beam.GroupByKey()
            | "emit" >> beam.ParDo(_Emit(job, step)).with_outputs("rows", main="payloads")
        )
        # Every partition is reduced, also one that got no rows.
        partitions = token | "partitions" >> beam.FlatMap(
            lambda _: [(n, b"") for n in range(step.partitions)]
        )
        records = (
            (sent.payloads, partitions)
            | "all" >> beam.Flatten()
            | "shuffle" >> beam.GroupByKey()
            | "reduce" >> beam.MapTuple(lambda n, payloads: reduce(job, step, n, (p for p in payloads if p)))
        )
        return _commit(job, step, records, sent.rows)


class _Emit(beam.DoFn):
    def __init__(self, job: Job, step: Shuffle) -> None:
        super().__init__()
        self._job, self._step = job, step

    def process(self, element: tuple[tuple[int, int], Iterable[None]]) -> Iterator[Any]:
        (index, shard), _ = element
        for partition, payload, rows in emit(self._job, self._step, index, shard):
            yield beam.pvalue.TaggedOutput("rows", rows)
            yield partition, payload


def _commit(
    job: Job, step: Step, records: beam.PCollection, sent: beam.PCollection | None = None
) -> beam.PCollection:
    counts = [sent] if sent is not None else []

    def finish(_: int, results: Iterable[Record | int]) -> None:
        found = list(results)
        emitted = sum(result for result in found if isinstance(result, int))
        commit(job, step, [result for result in found if isinstance(result, Record)], emitted)

    return (
        (records, *counts)
        | "results" >> beam.Flatten()
        | "one" >> beam.Map(lambda result: (0, result))
        | "gather" >> beam.GroupByKey()
        | "commit" >> beam.MapTuple(finish)
    )
