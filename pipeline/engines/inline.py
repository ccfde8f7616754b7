"""One process, one task after the other: the oracle of the tests, and the place to set a breakpoint."""

from collections import defaultdict

from pipeline.execution import Job, commit, emit, reduce, run_map
from pipeline.plan import Map


def run(job: Job) -> None:
    """Runs the steps of the plan that are not committed yet.

    Raises StepError or ConservationError; what was committed stays for the next try.
    """
    for step in job.pending():
        emitted = 0
        if isinstance(step, Map):
            records = [run_map(job, step, shard) for shard in range(step.shards)]
        else:
            payloads: defaultdict[int, list[bytes]] = defaultdict(list)
            for index, shard in job.emit_tasks(step):
                for partition, payload, rows in emit(job, step, index, shard):
                    payloads[partition].append(payload)
                    emitted += rows
            records = [reduce(job, step, partition, payloads.pop(partition, [])) for partition in range(step.shards)]
        commit(job, step, records, emitted)
