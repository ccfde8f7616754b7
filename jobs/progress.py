"""Progress of a run, read from what is committed on storage: the same wherever the run runs."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.storage import PROGRESS, Store

RUN = "_run.json"
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class StepProgress:
    """How far a step is: shards made of shards to make, and rows of its first output when it is committed."""

    name: str
    made: int
    shards: int
    rows: int | None

    @property
    def is_done(self) -> bool:
        return self.rows is not None


def progress(store: Store) -> list[StepProgress]:
    """The steps of the run in a location, in order. Raises FileNotFoundError where there is no run."""
    run = store.read_json(RUN)
    if run is None:
        raise FileNotFoundError(f"{store.uri} holds no run of codesieve (no {RUN})")
    return [_step(store, step) for step in run["steps"]]


def _step(store: Store, step: dict) -> StepProgress:
    manifest = store.manifest(step["outputs"][0])
    if manifest is not None and manifest.fingerprint == step["fingerprint"]:
        return StepProgress(step["name"], step["shards"], step["shards"], manifest.rows)
    made = len(store.names(PROGRESS, step["name"]))
    return StepProgress(step["name"], made, step["shards"], None)


@contextmanager
def shown(store: Store) -> Iterator[None]:
    """Shows the progress of the run while the body lasts: a bar on a terminal, a line a step elsewhere."""
    stop = threading.Event()
    show = _bar if sys.stderr.isatty() else _lines
    thread = threading.Thread(target=show, args=(store, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _bar(store: Store, stop: threading.Event) -> None:
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("starting", total=None)
        ended = False
        while not ended:
            ended = stop.wait(POLL_SECONDS)
            steps = progress(store)
            now = next((step.name for step in steps if not step.is_done), "done")
            total = sum(step.shards for step in steps)
            bars.update(task, description=now, completed=sum(step.made for step in steps), total=total)


def _lines(store: Store, stop: threading.Event) -> None:
    told = {step.name for step in progress(store) if step.is_done}
    ended = False
    while not ended:
        ended = stop.wait(POLL_SECONDS)
        steps = progress(store)
        for number, step in enumerate(steps, 1):
            if step.is_done and step.name not in told:
                told.add(step.name)
                print(f"step {number}/{len(steps)} {step.name}: {step.rows:,} rows", file=sys.stderr, flush=True)
