"""What each step of a plan costs: processor seconds, bytes through the shuffle, bytes written, peak memory.

    python -m tests.benchmarks.step_costs RECIPE.yaml [--set KEY=VALUE …] [--without SMALLER.json] [--json COSTS.json]

Runs the steps one task after the other in this process, as the inline engine does, so that processor time is that of
the step. A run on a tiny corpus measures what a worker pays once (kernels, the licence index); `--without` subtracts
it, which leaves what grows with the text. The constants of `jobs/estimate.py` are from here.
"""

import argparse
import json
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pyarrow.compute as pc

from jobs.curate import curation
from jobs.recipe import load_recipe
from pipeline.execution import Job, commit, emit, reduce, run_map
from pipeline.plan import Map, Step
from pipeline.storage import Store


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--without", type=Path, help="what a tiny corpus cost, to subtract")
    parser.add_argument("--json", type=Path, help="where to leave the costs")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        job = Job(curation(load_recipe(chosen.recipe, chosen.set)), Store(f"{scratch}/out"))
        job.prepare()
        costs = {step.name: measured(job, step) for step in job.plan.steps}
        text, files = size(job.store)
    costs["all"] = {key: sum(cost[key] for cost in costs.values()) for key in ("seconds", "sent", "written")}
    told = {"text": text, "files": files, "steps": costs}
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=1))
    tell(told, json.loads(chosen.without.read_text()) if chosen.without else None)


def measured(job: Job, step: Step) -> dict[str, float]:
    """Runs a step. Bytes sent are payloads as an engine gets them; bytes written are those of the outputs' shards."""
    started, sent, emitted = time.process_time(), 0, 0
    if isinstance(step, Map):
        records = [run_map(job, step, shard) for shard in range(step.shards)]
    else:
        payloads: defaultdict[int, list[bytes]] = defaultdict(list)
        for index, shard in job.emit_tasks(step):
            for partition, payload, rows in emit(job, step, index, shard):
                payloads[partition].append(payload)
                sent, emitted = sent + len(payload), emitted + rows
        records = [reduce(job, step, partition, payloads.pop(partition, [])) for partition in range(step.shards)]
    commit(job, step, records, emitted)
    seconds = time.process_time() - started
    written = sum(job.store.committed(output.dataset).bytes for output in step.outputs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{step.name:<20} {seconds:8.2f} s, peak so far {peak / 1e6:,.0f} MB", flush=True)
    return {"seconds": seconds, "sent": sent, "written": written}


def size(store: Store) -> tuple[int, int]:
    """Bytes of text in `files`, and its rows."""
    text = files = 0
    for shard in range(len(store.committed("files").shards)):
        for batch in store.read("files", shard, ("content",)):
            text += pc.sum(pc.binary_length(batch.column("content"))).as_py() or 0
            files += batch.num_rows
    return text, files


def tell(costs: dict, fixed: dict | None) -> None:
    """Prints the table: by MB of text what grows with it, by file what is sent."""
    fixed = fixed or {"text": 0, "files": 0, "steps": {}}
    text, files = costs["text"] - fixed["text"], costs["files"] - fixed["files"]
    print(f"{files:,} files, {text / 1e6:,.1f} MB of text, {text / files:,.0f} bytes a file")
    print(f"{'step':<20} {'s a GB':>9} {'sent a file':>12} {'written a byte of text':>23}")
    for name, cost in costs["steps"].items():
        grown = {key: cost[key] - fixed["steps"].get(name, {}).get(key, 0) for key in cost}
        print(
            f"{name:<20} {grown['seconds'] / text * 1e9:>9.1f} {grown['sent'] / files:>12.1f}"
            f" {grown['written'] / text:>23.4f}"
        )


if __name__ == "__main__":
    main()
